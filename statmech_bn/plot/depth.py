"""Figures of correlations and steps in deep networks. Theory is a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from statmech_bn.plot.nesting import check_nesting
from statmech_bn.plot.replicas import log_points, logarithm, points
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    palette,
    paper_style,
    student_styles,
    three_digits,
)
from statmech_bn.plot.ticks import ticks_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = {"correlation": ("start", "depth")}
STEPS = ("learning_rate", "replica")
MOMENTS = (*STEPS, "layer")


def correlation_maps(
    panels: Mapping[str, Mapping[str, tuple[xr.Dataset, xr.Dataset]]],
) -> Figure:
    """Draw c' − c of one layer against c.

    Parameters
    ----------
    panels : mapping
        Title → label of an activation → theory and network, each with ``correlation`` over start
        and depth 0, 1.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping, Mapping, tuple), CURVES)
    labels = list(next(iter(panels.values())))
    with paper_style():
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        figure, axes = make_panels(len(panels), len(panels), (3.2, 2.9))
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            axis.axhline(0, color="0.8", linewidth=0.8)
            for label, (theory, network) in found.items():
                style = styles[label]
                before, after = (theory["correlation"].isel(depth=k) for k in range(2))
                axis.plot(before, after - before, style["linestyle"], color=style["color"])
                before, after = (network["correlation"].isel(depth=k) for k in range(2))
                points(axis, before.mean("replica"), after - before, style)
            axis.set(title=title, xlabel="correlation $c$")
        axes[0].set_ylabel("change in one layer $c'-c$")
        figure.legend(
            handles=[legend_handle(label=label, **styles[label]) for label in labels],
            loc="outside right center",
        )
    return figure


def correlation_depth(panels: Mapping[str, tuple[xr.Dataset, xr.Dataset]]) -> Figure:
    """Draw correlations against depth; where theory has ``late``, 1 − c on logarithmic axes.

    Parameters
    ----------
    panels : mapping
        Title → theory and network, each with ``correlation`` over start and depth.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping, tuple), CURVES)
    from matplotlib.ticker import MaxNLocator

    with paper_style():
        figure, axes = make_panels(len(panels), 2, (3.2, 2.5))
        starts = next(iter(panels.values()))[0]["start"].values
        styles = student_styles(len(starts))
        for axis, (title, (theory, network)) in zip(axes, panels.items(), strict=True):
            distance = "late" in theory
            depth = theory["depth"]
            for k, style in enumerate(styles):
                line, marks = (d["correlation"].isel(start=k) for d in (theory, network))
                if distance:
                    line, marks = 1 - line, 1 - marks
                axis.plot(depth, line, style["linestyle"], color=style["color"])
                shown = slice(1, None, max(1, marks.sizes["depth"] // 10))
                points(axis, marks["depth"][shown], marks.isel(depth=shown), style)
            if distance:
                axis.plot(depth, theory["late"], color="0.6", zorder=0)
                axis.set(xscale="log", yscale="log", xlim=(0.9, None), ylim=(None, 2))
            else:
                axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axis.set(title=title, xlabel=axis_label(depth), ylabel="$1-c$" if distance else "$c$")
        handles = [
            legend_handle(label=f"$c_0={c:g}$", **style)
            for c, style in zip(starts, styles, strict=True)
        ]
        if any("late" in theory for theory, _ in panels.values()):
            handles.append(legend_handle("0.6", label="late depth"))
        figure.legend(handles=handles, loc="outside right center")
    return figure


def step_moments(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw channel means and variances of each layer after steps of several sizes.

    Parameters
    ----------
    panels : mapping
        Title → Dataset from `statmech_bn.depth.step_moments`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting(
        "panels", panels, (Mapping,), dict.fromkeys(("channel_mean", "channel_variance"), MOMENTS)
    )
    with paper_style():
        figure, axes = make_panels(2 * len(panels), len(panels), (3.2, 2.5), sharex=True)
        shown = slice(0, None, 2)
        rates = next(iter(panels.values()))["learning_rate"][shown]
        colours, markers = palette(rates.size), "osDvp^"
        for k, (title, found) in enumerate(panels.items()):
            for name, axis in (
                ("channel_mean", axes[k]),
                ("channel_variance", axes[k + len(panels)]),
            ):
                for j, colour in enumerate(colours):
                    values = found[name].isel(learning_rate=shown).isel(learning_rate=j)
                    style = {"color": colour, "marker": markers[j % 6], "linestyle": "-"}
                    # Over initializations the moments spread over orders of magnitude.
                    typical = np.exp(logarithm(values).mean("replica"))
                    axis.plot(found["layer"], typical, markersize=3, **style)
                axis.set(yscale="log", ylabel=axis_label(found[name]))
            axes[k].set_title(title)
            axes[k + len(panels)].set_xlabel(axis_label(found["layer"]))
        handles = [
            legend_handle(colour, label=three_digits(rate), marker=markers[j % 6], markersize=3)
            for j, (rate, colour) in enumerate(zip(rates.values, colours, strict=True))
        ]
        figure.legend(handles=handles, loc="outside right center", title=axis_label(rates))
    return figure


def step_growth(results: Mapping[str, xr.Dataset]) -> Figure:
    """Draw growth per layer and the loss, relative to that before, against the step size.

    Parameters
    ----------
    results : mapping
        Label → Dataset with ``growth`` and ``loss`` over (learning_rate, replica), η = 0 first.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("results", results, (Mapping,), dict.fromkeys(("growth", "loss"), STEPS))
    with paper_style():
        styles = dict(zip(results, student_styles(len(results)), strict=True))
        figure, (growth, loss) = make_panels(2, 2, (3.2, 2.7))
        for label, found in results.items():
            moved, style = found.isel(learning_rate=slice(1, None)), styles[label]
            rates = moved["learning_rate"]
            points(growth, rates, moved["growth"], style, style["linestyle"])
            ratio = logarithm(moved["loss"] / found["loss"].isel(learning_rate=0)) / np.log(10)
            points(loss, rates, ratio, style, style["linestyle"])
        last = next(iter(results.values()))["growth"].isel(learning_rate=-1).mean("replica")
        line = last.item() + 2 * np.log(rates / rates[-1])
        growth.plot(rates, line.where(line > 0), color="0.5", linewidth=0.8)
        growth.axhline(0, color="0.8", linewidth=0.6)
        growth.set(xscale="log", xlabel=axis_label(rates), ylabel=axis_label(found["growth"]))
        loss.set(xscale="log", xlabel=axis_label(rates), yscale="symlog")
        loss.set_ylabel(r"$\log_{10}\,\mathcal{L}(\eta)/\mathcal{L}(0)$")
        loss.axhline(0, color="0.8", linewidth=0.6)
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        handles.append(legend_handle("0.5", label=r"$2\ln\eta$ + const.", linewidth=0.8))
        figure.legend(handles=handles, loc="outside right center")
    return figure


def largest_step(results: Mapping[str, xr.Dataset]) -> Figure:
    """Draw the largest stable step against depth, one panel for each meaning of stable.

    Parameters
    ----------
    results : mapping
        Label → Dataset of ``largest_step`` (depth, factor, replica).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("results", results, (Mapping,), {"largest_step": ("depth", "factor", "replica")})
    with paper_style():
        styles = dict(zip(results, student_styles(len(results)), strict=True))
        factors = next(iter(results.values()))["factor"].values
        figure, axes = make_panels(len(factors), len(factors), (3.2, 2.7), sharey=True)
        for axis, factor in zip(axes, factors, strict=True):
            for label, found in results.items():
                values = found["largest_step"].sel(factor=factor)
                log_points(axis, found["depth"], values, styles[label], styles[label]["linestyle"])
            name = "the loss falls" if factor == 1 else f"loss $<{factor:g}\\times$ before"
            axis.set(xscale="log", yscale="log", title=name, xlabel=axis_label(found["depth"]))
            ticks_at(axis, found["depth"].values)
        axes[0].set_ylabel(axis_label(found["largest_step"]))
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure
