"""Figures of finite training sets: an error against the load, the batch size or a learning rate.

Drawn like those of `statmech_bn.plot`: theory is a line, simulation is points with error bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import dataset, instance, mapping, sequence
from statmech_bn.errors import invalid
from statmech_bn.plot.replicas import converged_mean_and_error
from statmech_bn.plot.style import (
    axis_label,
    dimensions,
    legend_handle,
    make_panels,
    mark_diverged,
    paper_style,
    student_styles,
)
from statmech_bn.plot.ticks import plain_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[xr.Dataset | None, xr.Dataset | None]
"""A curve has a theory and a simulation, either of which may be missing."""
OFF_SCALE = 10.0
"""An axis ends at this multiple of the largest simulated value."""


def against(
    coordinate: str,
    panels: Mapping[str, Mapping[str, Curve]],
    variables: Sequence[str] = ("generalization_error",),
) -> Figure:
    """Draw variables (rows) against a coordinate, one column for each title.

    Parameters
    ----------
    coordinate : str
        A dimension of all results, such as "load"; its axis is logarithmic.
    panels : mapping
        Title of a column → label of a student → its theory and its simulation, each a Dataset over
        the coordinate or None. Mean and standard error are over replicas, each a mean over its
        initial weights. A result may lack some of the variables.
    variables : sequence of str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidSetup
        No curve, or a variable that no result has.
    """
    for name in (coordinate, *sequence("variables", variables)):
        instance("coordinate, variables", name, str)
    for students in mapping("panels", panels).values():
        for pair in mapping("panels", students).values():
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise invalid("panels", "pairs of theory and simulation", pair)
            for d in pair:
                if d is not None:
                    dataset("panels", d, {coordinate: (coordinate,)})
    results = [d for curves in panels.values() for pair in curves.values() for d in pair]
    found = [d for d in results if d is not None]
    if not found:
        raise invalid("panels", "at least one Dataset", panels)
    for name in variables:
        if not any(name in d for d in found):
            raise invalid("variables", "names that a result has", name)
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    with paper_style():
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        number = len(panels) * len(variables)
        figure, axes = make_panels(number, len(panels), (3.2, 2.9), sharey="row", sharex="col")
        highest = [0.0] * len(variables)
        axes_of_results = [d[coordinate] for d in found]
        for place, axis in enumerate(axes):
            row, column = divmod(place, len(panels))
            title, curves = list(panels.items())[column]
            axis.set(xscale="log", yscale="log", title=title if row == 0 else "")
            for label, pair in curves.items():
                for kind, result in zip(("theory", "simulation"), pair, strict=True):
                    if result is not None and variables[row] in result:
                        top = _draw(axis, kind, result[variables[row]], coordinate, styles[label])
                        highest[row] = max(highest[row], top)
            if row == len(variables) - 1:
                axis.set_xlabel(axis_label(max(axes_of_results, key=lambda x: len(x.attrs))))
            if column == 0:
                named = next(d for d in found if variables[row] in d)
                axis.set_ylabel(axis_label(named[variables[row]]))
        for row, top in enumerate(highest):
            _cut(axes[row * len(panels)], top)
        for axis in axes:
            _number_ticks(axis)
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        sizes = dimensions(found)
        handles += [
            legend_handle(linestyle="", label=""),
            legend_handle(label=r"theory, $N\to\infty$"),
            legend_handle(
                label=f"training, $N = {', '.join(map(str, sizes))}$", linestyle="", marker="o"
            ),
        ]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def _draw(
    axis: Axes, kind: str, values: xr.DataArray, coordinate: str, style: Mapping[str, Any]
) -> float:
    """Draw one curve; returns the largest simulated value."""
    if "initialization" in values.dims:
        values = values.mean("initialization", keep_attrs=True)
    x = values[coordinate].values
    mean, error = (part.values for part in converged_mean_and_error(values))
    if kind == "theory":
        axis.plot(x, mean, color=style["color"], linestyle=style["linestyle"])
        return 0.0
    axis.errorbar(
        x, mean, error, color=style["color"], marker=style["marker"], linestyle="", markersize=4
    )
    mark_diverged(axis, np.where(np.isnan(mean), x, np.nan), style["color"])
    return float(np.nanmax(mean, initial=0.0))


def _cut(axis: Axes, highest: float) -> None:
    """Keep the peak of a theory from squeezing the rest."""
    if highest > 0:
        low, high = axis.get_ylim()
        axis.set_ylim(low, min(high, OFF_SCALE * highest))


def _number_ticks(axis: Axes) -> None:
    """Write 0.2, 0.5, 1 rather than powers of ten, and no more."""
    from matplotlib.ticker import LogLocator

    for which in (axis.xaxis, axis.yaxis):
        low, high = which.get_view_interval()
        steps: tuple[float, ...] = (2.0, 5.0) if high < 1000 * low else (1.0,)
        if high < 4 * low:
            steps = tuple(float(k) for k in range(2, 10))
        which.set_minor_locator(LogLocator(subs=steps))
        plain_numbers(which, every=True)
