"""Figures of deep networks: correlations, steps, gradients, training. Theory is a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    palette,
    paper_style,
    student_styles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVER = {
    "batch": "over batch",
    "positions": "over positions",
    "channels": "over channels",
    "weights": "weights: batch, positions",
}
SAMPLING = {"with": "with replacement", "without": "without replacement"}


def correlation_maps(
    panels: Mapping[str, Mapping[str, tuple[xr.Dataset, xr.Dataset]]],
) -> Figure:
    """Draw c' − c of one layer against c.

    Parameters
    ----------
    panels : mapping
        Title → label of an activation → theory and network, each with ``correlation`` over start
        and depth 0, 1.
    """
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
                _points(axis, before.mean("replica"), after - before, style)
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
    """
    from matplotlib.ticker import MaxNLocator

    with paper_style():
        figure, axes = make_panels(len(panels), 2, (3.2, 2.5))
        starts = next(iter(panels.values()))[0]["start"].values
        styles = student_styles(len(starts))
        for axis, (title, (theory, network)) in zip(axes, panels.items(), strict=True):
            distance = "late" in theory
            depth = theory["depth"]
            for k, style in enumerate(styles):
                line, points = (d["correlation"].isel(start=k) for d in (theory, network))
                if distance:
                    line, points = 1 - line, 1 - points
                axis.plot(depth, line, style["linestyle"], color=style["color"])
                shown = slice(1, None, max(1, points.sizes["depth"] // 10))
                _points(axis, points["depth"][shown], points.isel(depth=shown), style)
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
    """
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
            legend_handle(colour, label=f"{rate:.3g}", marker=markers[j % 6], markersize=3)
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
    """
    with paper_style():
        styles = dict(zip(results, student_styles(len(results)), strict=True))
        figure, (growth, loss) = make_panels(2, 2, (3.2, 2.7))
        for label, found in results.items():
            moved, style = found.isel(learning_rate=slice(1, None)), styles[label]
            rates = moved["learning_rate"]
            _points(growth, rates, moved["growth"], style, style["linestyle"])
            ratio = logarithm(moved["loss"] / found["loss"].isel(learning_rate=0)) / np.log(10)
            _points(loss, rates, ratio, style, style["linestyle"])
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
    """
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
            _ticks_at(axis, found["depth"].values)
        axes[0].set_ylabel(axis_label(found["largest_step"]))
        handles = [legend_handle(label=label, **style) for label, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


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
    """
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
            _points(axis, found["layer"], found[name], style, style["linestyle"])
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
    """
    with paper_style():
        styles = dict(zip(OVER, student_styles(len(OVER)), strict=True))
        figure, axes = make_panels(len(panels), len(panels), (3.2, 2.7), sharey=True)
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for name, style in styles.items():
                values = found[f"alignment_{name}"]
                _points(axis, found["layer"], values, style, style["linestyle"])
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
    """
    with paper_style():
        figure, [axis] = make_panels(1, 1, (4.0, 3.0))
        styles = student_styles(len(results))
        for found, style in zip(results.values(), styles, strict=True):
            _points(axis, found["layer"], found["gradient_coherence"], style)
        axis.plot(found["layer"], found["theory"].mean("replica"), color="0.1")
        axis.set(yscale="log", xlabel=axis_label(found["layer"]))
        axis.set_ylabel(axis_label(found["gradient_coherence"]))
        handles = [legend_handle("0.1", label=r"mean field, width $\to\infty$")]
        handles += [
            legend_handle(style["color"], label=f"width {n}", marker=style["marker"], ls="none")
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
    """
    with paper_style():
        figure, axes = make_panels(len(panels), columns, (2.6, 2.3), sharex=True, sharey="row")
        gains = list(next(iter(panels.values())))
        styles = dict(zip(gains, student_styles(len(gains)), strict=True))
        for k, (axis, (title, found)) in enumerate(zip(axes, panels.items(), strict=True)):
            for gain, style in styles.items():
                d = found[gain]
                axis.plot(d["layer"], d["theory"], style["linestyle"], color=style["color"])
                shown = d.isel(layer=slice(0, None, 2))
                _points(axis, shown["layer"], shown["gradient_square"], style)
            axis.set(title=title, yscale="log")
            if k >= len(panels) - columns:
                axis.set_xlabel(axis_label(d["layer"]))
            if k % columns == 0:
                axis.set_ylabel(axis_label(d["gradient_square"]))
        handles = [legend_handle(label=f"{gain:g}", **style) for gain, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center", title=r"gain $\sigma_w$")
    return figure


def training_gain(panels: Mapping[str, Mapping[str, xr.DataArray]]) -> Figure:
    """Draw the accuracy after short training against the initial gain.

    Parameters
    ----------
    panels : mapping
        Title → label → accuracy (gain, replica).
    """
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (2.6, 2.6), sharey=True)
        labels = list(next(iter(panels.values())))
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for label, values in found.items():
                style = styles[label]
                _points(axis, values["gain"], values, style, style["linestyle"])
            axis.set(title=title, xscale="log", ylim=(0, 1.02), xlabel=axis_label(values["gain"]))
            _ticks_at(axis, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
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
    """
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (2.6, 2.6), sharey=True)
        rates = next(iter(panels.values()))["learning_rate"]
        styles = student_styles(rates.size)
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            for k, style in enumerate(styles):
                d = found.isel(learning_rate=k)
                axis.plot(d["batch_size"], d["theory"], style["linestyle"], color=style["color"])
                _points(axis, d["batch_size"], d["step_noise"], style)
            axis.set(title=title, xscale="log", yscale="log", xlabel="batch size $M$")
            _ticks_at(axis, found["batch_size"].values)
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
    """
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (3.0, 2.7))
        styles = dict(zip(SAMPLING, student_styles(len(SAMPLING)), strict=True))
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            size, has_theory = found["batch_size"], "theory_with" in found
            for way, style in styles.items():
                if has_theory:
                    line = size * found[f"theory_{way}"]
                    axis.plot(size, line, style["linestyle"], color=style["color"])
                _points(axis, size, size * found[f"noise_{way}"], style)
            axis.set(title=title, xscale="log", xlabel="batch size $M$")
            _ticks_at(axis, size.values)
            axis.set_ylim(0, None)
        axes[0].set_ylabel(r"$M$ tr Cov $\nabla\mathcal{L}$")
        handles = [legend_handle(label=SAMPLING[way], **style) for way, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def _points(
    axis: Axes, x: Any, values: xr.DataArray, style: Mapping[str, Any], line: Any = "none"
) -> None:
    """Draw means over replicas with their standard errors."""
    mean, error = _mean_and_error(values)
    marks = {"color": style["color"], "marker": style["marker"], "markersize": 4}
    axis.errorbar(x, mean, error, linestyle=line, linewidth=0.8, elinewidth=1.0, **marks)


def log_points(
    axis: Axes, x: Any, values: xr.DataArray, style: Mapping[str, Any], line: Any = "none"
) -> None:
    """Draw geometric means over replicas, with the standard errors of the logarithm."""
    mean, error = (d.values for d in _mean_and_error(logarithm(values)))
    centre = np.exp(mean)
    bars = centre * np.stack([1 - np.exp(-error), np.exp(error) - 1])
    marks = {"color": style["color"], "marker": style["marker"], "markersize": 4}
    axis.errorbar(x, centre, bars, linestyle=line, linewidth=0.8, elinewidth=1.0, **marks)


def logarithm(values: xr.DataArray) -> xr.DataArray:
    """Take the natural logarithm."""
    return values.copy(data=np.log(values.values))


def _ticks_at(axis: Axes, values: Any) -> None:
    """Label a logarithmic axis at these values only, within its limits."""
    from matplotlib.ticker import NullLocator

    low, high = axis.get_xlim()
    inside = [value for value in values if low <= value <= high]
    axis.set_xticks(inside, [f"{value:g}" for value in inside])
    axis.xaxis.set_minor_locator(NullLocator())


def _mean_and_error(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    runs = values.notnull().sum("replica")
    return values.mean("replica"), values.std("replica", ddof=1) / np.sqrt(runs)
