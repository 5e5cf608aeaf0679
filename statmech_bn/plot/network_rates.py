"""Figures of the learning rates that networks can be trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from statmech_bn.plot.nesting import check_nesting
from statmech_bn.plot.replicas import log_points, points
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    paper_style,
    student_styles,
)
from statmech_bn.plot.ticks import short_ticks, ticks_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rate_accuracy(results: Mapping[str, xr.Dataset]) -> Figure:
    """Draw accuracy and the share of diverged runs against the learning rate, a column for a depth.

    Parameters
    ----------
    results : mapping
        Label → Dataset with ``test_accuracy`` and ``diverged_at`` over (depth, learning_rate,
        replica); the first has all depths.

    Returns
    -------
    matplotlib.figure.Figure
    """
    dims = ("depth", "learning_rate", "replica")
    check_nesting("results", results, (Mapping,), {"test_accuracy": dims, "diverged_at": dims})
    depths = next(iter(results.values()))["depth"].values
    with paper_style():
        styles = dict(zip(results, student_styles(len(results)), strict=True))
        figure, axes = make_panels(2 * len(depths), len(depths), (2.2, 2.2), sharex=True)
        for k, depth in enumerate(depths):
            accuracy, diverged = axes[k], axes[k + len(depths)]
            for label, found in results.items():
                if depth not in found["depth"]:
                    continue
                values, style = found.sel(depth=depth), styles[label]
                rates = values["learning_rate"]
                points(accuracy, rates, values["test_accuracy"], style, style["linestyle"])
                share = values["diverged_at"].notnull().astype(float)
                points(diverged, rates, share, style, style["linestyle"])
            accuracy.set(xscale="log", ylim=(0, 1), title=f"{depth} hidden layers")
            diverged.set(ylim=(-0.05, 1.05), xlabel=axis_label(rates))
        axes[0].set_ylabel(axis_label(found["test_accuracy"]))
        axes[len(depths)].set_ylabel("share of diverged runs")
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def largest_rates(panels: Mapping[str, Mapping[str, xr.DataArray]]) -> Figure:
    """Draw the largest learning rate against depth.

    Parameters
    ----------
    panels : mapping
        Title → label → learning rates over (depth, replica); replicas without one are left out,
        and depths at which fewer than two have one. The first label has all depths.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping, Mapping), ("depth", "replica"))
    labels = list(next(iter(panels.values())))
    with paper_style():
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        figure, axes = make_panels(len(panels), len(panels), (3.2, 2.7), sharey=True)
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for label, rates in found.items():
                enough = rates.sel(depth=rates.notnull().sum("replica") > 1)
                log_points(axis, enough["depth"], enough, styles[label], styles[label]["linestyle"])
            depths = found[labels[0]]["depth"]
            axis.set(xscale="log", yscale="log", title=title, xlabel=axis_label(depths))
            ticks_at(axis, depths.values)
        short_ticks(axes[0], "y")
        axes[0].set_ylabel(axis_label(rates))
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure
