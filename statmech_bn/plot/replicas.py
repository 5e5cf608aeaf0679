"""What figures show of replicas: means with their standard errors, as points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.verdicts import mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST = 1e100
"""A value larger than this is beyond every axis, and counts as diverged."""


def converged_mean_and_error(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return mean and standard error; NaN, which is not drawn, where a replica has diverged.

    A replica beyond `LARGEST` is about to diverge and counts as diverged. The standard error of
    a single run, or of theory, is 0.
    """
    if "replica" not in values.dims:
        values = values.expand_dims("replica")
    values = values.where((abs(values) < LARGEST).all("replica"))
    if values.sizes["replica"] > 1:
        return mean_and_error(values)
    return values.isel(replica=0), xr.zeros_like(values.isel(replica=0))


def points(
    axis: Axes, x: Any, values: xr.DataArray, style: Mapping[str, Any], line: Any = ""
) -> None:
    """Draw means over replicas with their standard errors."""
    mean, error = mean_and_error(values)
    _bars(axis, x, mean, error, style, line)


def log_points(
    axis: Axes, x: Any, values: xr.DataArray, style: Mapping[str, Any], line: Any = ""
) -> None:
    """Draw geometric means over replicas, with the standard errors of the logarithm."""
    mean, error = (d.values for d in mean_and_error(logarithm(values)))
    centre = np.exp(mean)
    bars = centre * np.stack([1 - np.exp(-error), np.exp(error) - 1])
    _bars(axis, x, centre, bars, style, line)


def logarithm(values: xr.DataArray) -> xr.DataArray:
    """Take the natural logarithm."""
    return values.copy(data=np.log(values.values))


def _bars(axis: Axes, x: Any, y: Any, error: Any, style: Mapping[str, Any], line: Any) -> None:
    marks = {"color": style["color"], "marker": style["marker"], "markersize": 4}
    axis.errorbar(x, y, error, linestyle=line, linewidth=0.8, elinewidth=1.0, **marks)
