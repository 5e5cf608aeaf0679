"""Figures of what batch statistics do to γ, beside the two theories of order 1/M.

Solid lines are the correlated theory, dashed ones the independent one (Luo et al. 2019), dotted
ones exact; points are measured, with standard errors over replicas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import choice
from statmech_bn.errors import invalid
from statmech_bn.normalization import PopulationNormalization
from statmech_bn.plot.nesting import check_names, check_nesting
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    level_marker,
    make_panels,
    palette,
    paper_style,
    student_styles,
    text_of,
)
from statmech_bn.verdicts import mean_and_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POPULATION = PopulationNormalization.kind
THEORIES = {"independent": ("independent", "--"), "correlated": ("correlated", "-")}
PART_NAMES = {
    "mean": r"only $\mu_B$ fluctuates",
    "spread": r"only $\sigma_B$ fluctuates",
    "both": "both",
}
POINTS: dict[str, Any] = {"color": "0.1", "marker": "o", "markersize": 4, "linestyle": ""}

SIZES = ("batch_size", "replica")
KURTOSIS = {
    "gamma": ("inputs", "replica"),
    "excess_kurtosis": ("inputs",),
    "batch_size": ("inputs",),
}
LANDSCAPE = {
    "loss": ("gamma", "replica"),
    **dict.fromkeys((POPULATION, "independent", "correlated", "penalty"), ("gamma",)),
}
DECAYS = {
    "effective_gamma_decay": ("time",),
    **dict.fromkeys(("batch_size", "independent", "correlated"), ()),
}


def shrinkage(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw 1 − γ against the batch size on logarithmic axes, and M(1 − γ) below.

    Parameters
    ----------
    panels : mapping
        Title → Dataset of ``gamma`` (batch_size, replica) with ``independent``, ``correlated`` and
        ``exact`` (batch_size); γ = 1 without fluctuations.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting(
        "panels",
        panels,
        (Mapping,),
        {"gamma": SIZES, **dict.fromkeys((*THEORIES, "exact"), SIZES[:1])},
    )
    styles = {**THEORIES, "exact": ("exact", ":")}
    with paper_style():
        figure, axes = make_panels(2 * len(panels), len(panels), (3.2, 2.5), sharex=True)
        for k, (title, found) in enumerate(panels.items()):
            size = found["batch_size"]
            mean, error = mean_and_error(found["gamma"])
            for axis, factor in ((axes[k], 1.0), (axes[k + len(panels)], size)):
                for name, (_, line) in styles.items():
                    axis.plot(size, factor * (1 - found[name]), line, **_line(name))
                axis.errorbar(size, factor * (1 - mean), factor * error, **POINTS)
            axes[k].set(title=title, xscale="log", yscale="log", ylabel=r"$1-\gamma$")
            lower = axes[k + len(panels)]
            lower.set(ylabel=r"$M(1-\gamma)$", ylim=(0.55, 1.6), xlabel=axis_label(size))
        handles = [
            legend_handle(label=label, linestyle=line, **_line(name))
            for name, (label, line) in styles.items()
        ]
        handles.append(legend_handle(label="chain", **POINTS))
        figure.legend(handles=handles, loc="outside right center")
    return figure


def shrinkage_parts(panels: Mapping[str, Mapping[str, xr.Dataset]]) -> Figure:
    """Draw M(1 − γ/γ_∞) against the batch size where one or both statistics fluctuate.

    Parameters
    ----------
    panels : mapping
        Title → part ("mean", "spread", "both") → Dataset as for `shrinkage`, with ``population``,
        the γ_∞ of an infinite batch.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting(
        "panels",
        panels,
        (Mapping, Mapping),
        {"gamma": SIZES, **dict.fromkeys((*THEORIES, POPULATION), ())},
    )
    for parts in panels.values():
        for part in parts:
            choice("panels", part, PART_NAMES)
    names = list(dict.fromkeys(part for parts in panels.values() for part in parts))
    with paper_style():
        styles = dict(zip(names, student_styles(len(names)), strict=True))
        figure, axes = make_panels(len(panels), len(panels), (2.7, 2.7))
        for axis, (title, parts) in zip(axes, panels.items(), strict=True):
            for part, found in parts.items():
                size, colour = found["batch_size"], styles[part]["color"]
                unit = size / found[POPULATION]
                mean, error = mean_and_error(found["gamma"])
                for name, (_, line) in THEORIES.items():
                    shift = unit * (found[POPULATION] - found[name])
                    axis.plot(size, shift, line, color=colour)
                axis.errorbar(
                    size, unit * (found[POPULATION] - mean), unit * error,
                    color=colour, marker=styles[part]["marker"], markersize=4, linestyle="",
                )  # fmt: skip
            axis.set(title=title, xscale="log", xlabel=axis_label(size))
        axes[0].set_ylabel(r"$M(1-\gamma/\gamma_\infty)$")
        handles = [
            legend_handle(
                styles[part]["color"],
                label=PART_NAMES[part],
                marker=styles[part]["marker"],
                linestyle="",
            )
            for part in names
        ]
        handles += [legend_handle(label=label, linestyle=line) for label, line in THEORIES.values()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def shrinkage_kurtosis(results: xr.Dataset) -> Figure:
    """Draw M(1 − γ) of a linear unit against the excess kurtosis of its field.

    Parameters
    ----------
    results : xarray.Dataset
        ``gamma`` (inputs, replica) in units of the field's spread, with ``excess_kurtosis`` and
        ``batch_size`` (inputs). Names of inputs before an underscore share a marker.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("results", results, (), KURTOSIS)
    names = [str(name).split("_")[0] for name in results["inputs"].values]
    kinds = list(dict.fromkeys(names))
    excess, size = results["excess_kurtosis"].values, results["batch_size"]
    mean, error = mean_and_error(size * (1 - results["gamma"]))
    ends = np.array([excess.min() - 0.3, excess.max() + 0.3])
    with paper_style():
        styles = dict(zip(kinds, student_styles(len(kinds)), strict=True))
        figure, [axis] = make_panels(1, 1, (4.0, 3.2))
        axis.plot(ends, (ends + 6) / 4, "--", **_line("independent"))
        axis.plot(ends, (ends + 6) / 8, "-", **_line("correlated"))
        for k, name in enumerate(names):
            axis.errorbar(
                excess[k], mean[k], error[k],
                color=styles[name]["color"], marker=styles[name]["marker"], markersize=5, capsize=2,
            )  # fmt: skip
        axis.set_xlabel(axis_label(results["excess_kurtosis"]))
        axis.set_ylabel(r"$M(1-\gamma/\sigma_P)$")
        handles = [
            legend_handle(label=label, linestyle=line, **_line(name))
            for name, (label, line) in THEORIES.items()
        ]
        handles += [
            legend_handle(style["color"], label=_kind(kind), marker=style["marker"], linestyle="")
            for kind, style in styles.items()
        ]
        title = f"network, $M={size[0].item()}$"
        figure.legend(handles=handles, loc="outside right center", title=title)
    return figure


def loss_landscape(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw the loss against γ, and below what batch normalization adds to the population's.

    Parameters
    ----------
    panels : mapping
        Title → Dataset of ``loss`` (gamma, replica) with ``population``, ``independent`` and
        ``correlated`` (both with ζγ²) and ``penalty`` (the whole correlated penalty) over gamma,
        and the attribute `batch_size`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping,), LANDSCAPE, attributes=("batch_size",))
    lines = {POPULATION: ("PN", "-.")}
    lines |= {
        name: (rf"PN + {label} $\zeta\gamma^2$", line) for name, (label, line) in THEORIES.items()
    }
    lines["penalty"] = (r"PN + correlated $P(\gamma)$", ":")
    with paper_style():
        figure, axes = make_panels(2 * len(panels), len(panels), (3.2, 2.5), sharex=True)
        for k, (title, found) in enumerate(panels.items()):
            gamma, size = found["gamma"], found.attrs["batch_size"]
            mean, error = mean_and_error(found["loss"])
            lower = axes[k + len(panels)]
            for name, (_, line) in lines.items():
                axes[k].plot(gamma, found[name], line, **_line(name))
                added = size * (found[name] - found[POPULATION])
                lower.plot(gamma, added, line, **_line(name))
            axes[k].errorbar(gamma, mean, error, **POINTS)
            lower.errorbar(gamma, size * (mean - found[POPULATION]), size * error, **POINTS)
            axes[k].set(title=title, ylabel=axis_label(found["loss"]))
            lower.set(xlabel=axis_label(gamma), ylabel=r"$M(\mathcal{L}-\mathcal{L}_\mathrm{PN})$")
        handles = [
            legend_handle(label=label, linestyle=line, **_line(name))
            for name, (label, line) in lines.items()
        ]
        size = next(iter(panels.values())).attrs["batch_size"]
        handles.append(legend_handle(label=f"BN, $M={size}$", **POINTS))
        figure.legend(handles=handles, loc="outside right center")
    return figure


def differences(
    panels: Mapping[str, Mapping[str, Sequence[xr.Dataset]]],
    reference: str,
    variables: Sequence[str] = ("overlap", "length", "gamma"),
) -> Figure:
    """Draw what separates students from one of them, against time.

    Parameters
    ----------
    panels : mapping
        Title of a row → label of a student → its results at one learning rate, which is no dim.
    reference : str
        Label of the student that the others are compared with.
    variables : sequence of str
        The length is compared by its logarithm.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_names("variables", variables)
    check_nesting(
        "panels", panels, (Mapping, Mapping, Sequence), dict.fromkeys(variables, ("time",))
    )
    if not isinstance(reference, str) or any(
        reference not in students for students in panels.values()
    ):
        raise invalid("reference", "a label of every panel", reference)
    labels = [name for name in next(iter(panels.values())) if name != reference]
    with paper_style():
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        figure, axes = make_panels(
            len(panels) * len(variables), len(variables), (2.6, 2.3), sharex=True
        )
        places = iter(axes)
        for title, students in panels.items():
            for variable in variables:
                axis = next(places)
                for label in labels:
                    for found, other in zip(students[label], students[reference], strict=True):
                        _draw_difference(axis, found, other, variable, styles[label])
                axis.axhline(0, color="0.6", linewidth=0.6)
                symbol = text_of(found[variable], "symbol").strip("$") or variable
                symbol = rf"\log {symbol}" if variable == "length" else symbol
                axis.set(xlabel=axis_label(found["time"]), ylabel=rf"$\Delta {symbol}$")
                axis.set_xscale("log")
                axis.set_title(title if variable == variables[0] else "")
        handles = [
            legend_handle(style["color"], label=label, linestyle=style["linestyle"])
            for label, style in styles.items()
        ]
        figure.legend(handles=handles, loc="outside right center", title=f"minus {reference}")
    return figure


def effective_decay(panels: Mapping[str, Sequence[xr.Dataset]]) -> Figure:
    """Draw Mζ_eff along runs with batch normalization, one panel for each title.

    Parameters
    ----------
    panels : mapping
        Title → results with ``effective_gamma_decay`` at one learning rate, which is no dim, the
        ``batch_size``, and the ζ of both theories, ``independent`` and ``correlated``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping, Sequence), DECAYS)
    with paper_style():
        figure, axes = make_panels(len(panels), len(panels), (3.2, 2.6))
        for axis, (title, results) in zip(axes, panels.items(), strict=True):
            for found in results:
                size = found["batch_size"].item()
                decay = size * found["effective_gamma_decay"]
                if "replica" in decay.dims:
                    mean, error = mean_and_error(decay)
                    axis.errorbar(decay["time"][::4], mean[::4], error[::4], **POINTS)
                else:
                    axis.plot(decay["time"], decay, color="0.1")
            for name, (_, line) in THEORIES.items():
                axis.axhline(size * found[name].item(), linestyle=line, **_line(name))
            axis.set(title=title, xscale="log", xlabel=axis_label(found["time"]))
        axes[0].set_ylabel(r"$M\,\zeta_\mathrm{eff}$")
        handles = [
            legend_handle(label=label, linestyle=line, **_line(name))
            for name, (label, line) in THEORIES.items()
        ]
        handles += [legend_handle(label="BN, exact"), legend_handle(label="BN, chain", **POINTS)]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def _draw_difference(
    axis: Axes, found: xr.Dataset, other: xr.Dataset, variable: str, style: Mapping[str, Any]
) -> None:
    """Draw found − other: a line for theory, points for a simulation."""
    values = [d[variable] for d in (found, other)]
    if variable == "length":
        values = [v.copy(data=np.log(v.values)) for v in values]
    if "replica" not in values[0].dims:
        axis.plot(found["time"], values[0] - values[1], style["linestyle"], color=style["color"])
        return
    # Replicas of both students see the same samples.
    mean, error = mean_and_error(values[0] - values[1])
    shown = slice(2, None, 6)
    points = level_marker("mesoscopic", style["marker"])
    axis.errorbar(found["time"][shown], mean[shown], error[shown], color=style["color"], **points)


def _line(name: str) -> dict[str, Any]:
    """Return the colour of a theory, lighter for those that are not exact."""
    order = {POPULATION: 0, "independent": 1, "correlated": 2, "exact": 3, "penalty": 3}
    return {"color": palette(4)[order[name]]}


def _kind(name: str) -> str:
    return {"student": "Student $t$", "laplace": "Laplace"}.get(name, name)
