"""Figures of gradients in deep networks: alignment, growth, noise, training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from statmech_bn.checks import count
from statmech_bn.plot.nesting import check_nesting
from statmech_bn.plot.replicas import points
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    paper_style,
    student_styles,
)
from statmech_bn.plot.ticks import ticks_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVER = {
    "alignment_batch": "over batch",
    "alignment_positions": "over positions",
    "alignment_channels": "over channels",
    "alignment_weights": "weights: batch, positions",
}
SAMPLING = {"with": "with replacement", "without": "without replacement"}

LAYERS = ("replica", "layer")
SIZES = ("batch_size", "replica")
NOISE = {
    "step_noise": ("batch_size", "learning_rate", "replica"),
    "theory": ("batch_size", "learning_rate"),
}


def gradient_alignment(
    results: Mapping[str, xr.Dataset], normalized: xr.Dataset, samples: int
) -> Figure:
    """Draw alignment over the batch by layer, and that of normalized fields on its own scale.

    Parameters
    ----------
    results : mapping
        Label → Dataset from `statmech_bn.depth.gradient_alignment`, without normalization.
    normalized : Dataset
        The same with batch normalization.
    samples : int
        Size of the batch: n independent signs have an alignment of n^(−1/2).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("results", results, (Mapping,), {"gradient_alignment": LAYERS})
    behind_too = dict.fromkeys(("gradient_alignment", "alignment_behind"), LAYERS)
    check_nesting("normalized", normalized, (), behind_too)
    samples = count("samples", samples)
    behind = r"batch norm., behind: $\partial/\partial\varphi$"
    before = r"batch norm., before: $\partial/\partial h$"
    with paper_style():
        styles = student_styles(len(results) + 2)
        figure, (upper, lower) = make_panels(2, 2, (3.2, 2.9))
        handles = []
        named = {**results, behind: normalized, before: normalized}
        drawn = dict.fromkeys(results, ("gradient_alignment", upper))
        drawn |= {behind: ("alignment_behind", upper), before: ("gradient_alignment", lower)}
        for (label, found), style in zip(named.items(), styles, strict=True):
            name, axis = drawn[label]
            points(axis, found["layer"], found[name], style, style["linestyle"])
            handles.append(legend_handle(label=label, **style))
            axis.set_xlabel(axis_label(found["layer"]))
        upper.axhline(1 / np.sqrt(samples), color="0.6", linewidth=0.8)
        upper.set(ylim=(0, 1.02), ylabel=axis_label(found["gradient_alignment"]))
        lower.set(yscale="log", title="zero up to rounding", ylim=(1e-18, 1e-14))
        handles.append(legend_handle("0.6", label="independent signs", linewidth=0.8))
        figure.legend(handles=handles, loc="outside right center")
    return figure


def alignment_axes(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw alignment over batch, positions, channels, and of the terms of a weight's gradient.

    Parameters
    ----------
    panels : mapping
        Title → Dataset from `statmech_bn.depth.gradient_alignment`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = ("gradient_alignment", *OVER)
    check_nesting("panels", panels, (Mapping,), dict.fromkeys(names, LAYERS))
    with paper_style():
        styles = dict(zip(OVER, student_styles(len(OVER)), strict=True))
        figure, axes = make_panels(len(panels), len(panels), (3.2, 2.7), sharey=True)
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for name, style in styles.items():
                values = found[name]
                points(axis, found["layer"], values, style, style["linestyle"])
            axis.set(title=title, xlabel=axis_label(found["layer"]), ylim=(-0.02, 1.02))
        axes[0].set_ylabel(axis_label(found["gradient_alignment"]))
        handles = [legend_handle(label=OVER[name], **style) for name, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def gradient_coherence(results: Mapping[int, xr.Dataset]) -> Figure:
    """Draw the coherence of gradients by layer for several widths, beside the mean field.

    Parameters
    ----------
    results : mapping
        Width → Dataset from `statmech_bn.depth.gradient_alignment`, with ``theory``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.ticker import MaxNLocator

    check_nesting(
        "results", results, (Mapping,), dict.fromkeys(("gradient_coherence", "theory"), LAYERS)
    )
    with paper_style():
        figure, [axis] = make_panels(1, 1, (4.0, 3.0))
        styles = student_styles(len(results))
        for found, style in zip(results.values(), styles, strict=True):
            points(axis, found["layer"], found["gradient_coherence"], style)
        axis.plot(found["layer"], found["theory"].mean("replica"), color="0.1")
        axis.set(yscale="log", xlabel=axis_label(found["layer"]))
        axis.set_ylabel(axis_label(found["gradient_coherence"]))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        handles = [legend_handle("0.1", label=r"mean field, width $\to\infty$")]
        handles += [
            legend_handle(style["color"], label=f"width {n}", marker=style["marker"], linestyle="")
            for n, style in zip(results, styles, strict=True)
        ]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def gradient_squares(panels: Mapping[str, Mapping[float, xr.Dataset]], columns: int) -> Figure:
    """Draw the mean square gradient of each layer, relative to the last, for several gains.

    Parameters
    ----------
    panels : mapping
        Title → gain → Dataset from `statmech_bn.depth.gradient_squares`.
    columns : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = count("columns", columns)
    check_nesting(
        "panels", panels, (Mapping, Mapping), {"gradient_square": LAYERS, "theory": LAYERS[1:]}
    )
    with paper_style():
        figure, axes = make_panels(len(panels), columns, (2.6, 2.3), sharex=True, sharey="row")
        gains = list(next(iter(panels.values())))
        styles = dict(zip(gains, student_styles(len(gains)), strict=True))
        for k, (axis, (title, found)) in enumerate(zip(axes, panels.items(), strict=True)):
            for gain, style in styles.items():
                d = found[gain]
                axis.plot(d["layer"], d["theory"], style["linestyle"], color=style["color"])
                shown = d.isel(layer=slice(0, None, 2))
                points(axis, shown["layer"], shown["gradient_square"], style)
            axis.set(title=title, yscale="log")
            if k >= len(panels) - columns:
                axis.set_xlabel(axis_label(d["layer"]))
            if k % columns == 0:
                axis.set_ylabel(axis_label(d["gradient_square"]))
        handles = [legend_handle(label=f"{gain:g}", **style) for gain, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center", title=r"gain $\sigma_w$")
    return figure


def gradient_growth(
    panels: Mapping[str, Mapping[str, tuple[xr.Dataset, xr.Dataset]]],
) -> Figure:
    """Draw the growth of gradients per layer against what it depends on.

    Parameters
    ----------
    panels : mapping
        Title → label → theory and networks, each with ``gradient_multiplier`` over one dimension,
        that of a panel; networks over ``replica`` too.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping, Mapping, tuple), {"gradient_multiplier": ()})
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (2.8, 2.7), sharey=True)
        labels = list(dict.fromkeys(label for found in panels.values() for label in found))
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for label, (theory, network) in found.items():
                style = styles[label]
                [dim] = theory["gradient_multiplier"].dims
                axis.plot(
                    theory[dim], theory["gradient_multiplier"], style["linestyle"],
                    color=style["color"],
                )  # fmt: skip
                points(axis, network[dim], network["gradient_multiplier"], style)
            axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
            axis.set(title=title, xlabel=axis_label(theory[dim]))
            if (theory[dim] > 0).all():
                axis.set_xscale("log")
                ticks_at(axis, network[dim].values)
        axes[0].set_ylabel(axis_label(theory["gradient_multiplier"]))
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def depth_training(learned: xr.DataArray, predicted: xr.DataArray) -> Figure:
    """Draw how much networks learn against their depth, and against that depth by the predicted.

    Parameters
    ----------
    learned : DataArray
        Fall of the loss (batch_size, depth, replica).
    predicted : DataArray
        Depth that trains (batch_size).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("learned", learned, (), ("batch_size", "depth", "replica"))
    check_nesting("predicted", predicted, (), ("batch_size",))
    with paper_style():
        figure, axes = make_panels(2, 2, (3.0, 2.7), sharey=True)
        sizes, depth = learned["batch_size"].values, learned["depth"]
        styles = student_styles(len(sizes))
        for size, style in zip(sizes, styles, strict=True):
            longest = predicted.sel(batch_size=size).item()
            for axis, positions in zip(axes, (depth, depth / longest), strict=True):
                points(axis, positions, learned.sel(batch_size=size), style, style["linestyle"])
        axes[0].set(xlabel="hidden layers $l$", ylabel="fall of the loss from a guess's")
        axes[1].set(xlabel=r"$l\,\ln\chi/16$", ylim=(0, None))
        axes[1].axvline(1, color="0.6", linewidth=0.8, zorder=0)
        handles = [
            legend_handle(label=f"{size}", **style)
            for size, style in zip(sizes, styles, strict=True)
        ]
        figure.legend(handles=handles, loc="outside right center", title="batch size $M$")
    return figure


def training_gain(panels: Mapping[str, Mapping[str, xr.DataArray]]) -> Figure:
    """Draw the accuracy after short training against the initial gain.

    Parameters
    ----------
    panels : mapping
        Title → label → accuracy (gain, replica).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping, Mapping), ("gain", "replica"))
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (2.6, 2.6), sharey=True)
        labels = list(next(iter(panels.values())))
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for label, values in found.items():
                style = styles[label]
                points(axis, values["gain"], values, style, style["linestyle"])
            axis.set(title=title, xscale="log", ylim=(0, 1.02), xlabel=axis_label(values["gain"]))
            ticks_at(axis, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
        axes[0].set_ylabel("training accuracy")
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def step_noise(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw the growth of L² in one step of the chain against the batch size.

    Parameters
    ----------
    panels : mapping
        Title → Dataset of ``step_noise`` (batch_size, learning_rate, replica) and ``theory``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping,), NOISE)
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (2.6, 2.6), sharey=True)
        rates = next(iter(panels.values()))["learning_rate"]
        styles = student_styles(rates.size)
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for k, style in enumerate(styles):
                d = found.isel(learning_rate=k)
                axis.plot(d["batch_size"], d["theory"], style["linestyle"], color=style["color"])
                points(axis, d["batch_size"], d["step_noise"], style)
            axis.set(title=title, xscale="log", yscale="log", xlabel="batch size $M$")
            ticks_at(axis, found["batch_size"].values)
        axes[0].set_ylabel(r"$N\,\Delta(L^2)$ from noise")
        handles = [
            legend_handle(label=f"{rate:g}", **style)
            for rate, style in zip(rates.values, styles, strict=True)
        ]
        figure.legend(handles=handles, loc="outside right center", title=axis_label(rates))
    return figure


def gradient_noise(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw M tr Cov of the gradient against the batch size, for both ways of sampling.

    Parameters
    ----------
    panels : mapping
        Title → Dataset from `statmech_bn.depth.gradient_noise`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting(
        "panels", panels, (Mapping,), dict.fromkeys(map("noise_{}".format, SAMPLING), SIZES)
    )
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (3.0, 2.7))
        styles = dict(zip(SAMPLING, student_styles(len(SAMPLING)), strict=True))
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            size, has_theory = found["batch_size"], "theory_with" in found
            for way, style in styles.items():
                if has_theory:
                    line = size * found[f"theory_{way}"]
                    axis.plot(size, line, style["linestyle"], color=style["color"])
                points(axis, size, size * found[f"noise_{way}"], style)
            axis.set(title=title, xscale="log", xlabel="batch size $M$")
            ticks_at(axis, size.values)
            axis.set_ylim(0, None)
        axes[0].set_ylabel(r"$M$ tr Cov $\nabla\mathcal{L}$")
        handles = [legend_handle(label=SAMPLING[way], **style) for way, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure
