"""Figures of networks in which the statistics are random, or replaced by gamma decay.

Points are measured, with standard errors over seeds; lines between them only guide the eye. Solid
and dashed lines without points are theory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from statmech_bn.checks import choice, instance
from statmech_bn.errors import invalid
from statmech_bn.plot.gamma_decay import PART_NAMES, POPULATION, THEORIES
from statmech_bn.plot.nesting import check_labels, check_nesting
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED = {
    ("model", "alone"): "labels of the network,\none channel random",
    ("model", "together"): "labels of the network,\nall channels random",
    ("true", "alone"): "true labels,\none channel random",
    ("true", "together"): "true labels,\nall channels random",
}
SHOWN = ("test_accuracy", "test_loss", "training_loss", "mean_gamma")


def network_kinds(rows: Mapping[str, xr.Dataset], kinds: Mapping[str, str], title: str) -> Figure:
    """Draw accuracy, losses and |γ| after training against the batch size.

    Parameters
    ----------
    rows : mapping
        Title → Dataset of ``test_accuracy``, ``test_loss``, ``training_loss`` and ``mean_gamma``
        over (kind, batch_size, replica).
    kinds : mapping
        Kind → what the legend calls it.
    title : str
        Title of the legend.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("rows", rows, (Mapping,), dict.fromkeys(SHOWN, ("kind", "batch_size", "replica")))
    check_labels("kinds", kinds, rows, "kind")
    instance("title", title, str)
    with paper_style():
        styles = dict(zip(kinds, student_styles(len(kinds)), strict=True))
        figure, axes = make_panels(len(rows) * len(SHOWN), len(SHOWN), (2.5, 2.3))
        places = iter(axes)
        for row, (name, found) in enumerate(rows.items()):
            for variable in SHOWN:
                axis = next(places)
                for kind, style in styles.items():
                    values = found[variable].sel(kind=kind)
                    points(axis, found["batch_size"], values, style, style["linestyle"])
                label = axis_label(found[variable])
                _finish(axis, found["batch_size"], label, row == len(rows) - 1)
            axes[row * len(SHOWN)].set_title(name, loc="left")
        handles = [legend_handle(label=kinds[kind], **style) for kind, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center", title=title)
    return figure


def gap_shares(
    panels: Mapping[str, Mapping[str, xr.Dataset]],
    quantities: Mapping[str, str],
    sources: Mapping[str, str],
) -> Figure:
    """Draw shares of the gap between PN and BN against the batch size.

    Parameters
    ----------
    panels : mapping
        Title of a column → quantity → Dataset of ``share`` and ``share_error`` over (source,
        batch_size); NaN is not drawn.
    quantities : mapping
        Quantity → title of its row.
    sources : mapping
        Source → what the legend calls it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_labels("quantities", quantities)
    dims = ("source", "batch_size")
    check_nesting(
        "panels", panels, (Mapping, Mapping), dict.fromkeys(("share", "share_error"), dims)
    )
    for found in panels.values():
        check_labels("sources", sources, found, "source")
        if not set(quantities) <= set(found):
            raise invalid("quantities", f"keys among {', '.join(map(str, found))}", quantities)
    with paper_style():
        styles = dict(zip(sources, student_styles(len(sources)), strict=True))
        figure, axes = make_panels(
            len(panels) * len(quantities), len(panels), (2.1, 1.9), sharey="row"
        )
        places = iter(axes)
        for row, (quantity, name) in enumerate(quantities.items()):
            for column, (title, found) in enumerate(panels.items()):
                axis, shares = next(places), found[quantity]
                for level in (0, 1):
                    axis.axhline(level, color="0.75", linewidth=0.8)
                for source, style in styles.items():
                    at = shares.sel(source=source)
                    axis.errorbar(
                        at["batch_size"], at["share"], at["share_error"],
                        color=style["color"], marker=style["marker"], markersize=4,
                        linestyle=style["linestyle"], linewidth=0.8, elinewidth=1.0,
                    )  # fmt: skip
                label = f"share, {name}" if column == 0 else ""
                _finish(axis, shares["batch_size"], label, row == len(quantities) - 1)
                axis.set_title("" if row else title)
        handles = [
            legend_handle(label=sources[source], **style) for source, style in styles.items()
        ]
        figure.legend(handles=handles, loc="outside right center", title="of BN − PN")
    return figure


def gap_epochs(rows: Mapping[str, xr.Dataset], kinds: Mapping[str, str]) -> Figure:
    """Draw what separates kinds from population normalization while they are trained.

    Parameters
    ----------
    rows : mapping
        Title → Dataset of ``mean_gamma`` and ``training_loss`` over (kind, replica, epoch), at one
        ``batch_size``.
    kinds : mapping
        Kind → what the legend calls it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    dims = ("kind", "replica", "epoch")
    variables = {**dict.fromkeys(("mean_gamma", "training_loss"), dims), "batch_size": ()}
    check_nesting("rows", rows, (Mapping,), variables)
    check_labels("kinds", kinds, rows, "kind", also=(POPULATION,))
    with paper_style():
        styles = dict(zip(kinds, student_styles(len(kinds)), strict=True))
        figure, axes = make_panels(2 * len(rows), 2, (3.2, 2.3), sharex=True)
        places = iter(axes)
        for name, found in rows.items():
            for variable in ("mean_gamma", "training_loss"):
                axis, values = next(places), found[variable]
                axis.axhline(0, color="0.75", linewidth=0.8)
                for kind, style in styles.items():
                    gap = values.sel(kind=kind) - values.sel(kind=POPULATION)
                    points(axis, found["epoch"], gap, style, style["linestyle"])
                axis.set_ylabel(rf"$\Delta$ {axis_label(values)}")
                if variable == "mean_gamma":
                    axis.set_title(f"{name}, $M={found['batch_size'].item()}$", loc="left")
        for axis in axes[-2:]:
            axis.set_xlabel(axis_label(found["epoch"]))
        handles = [legend_handle(label=kinds[kind], **style) for kind, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center", title="minus PN")
    return figure


def statistics_pull(rows: Mapping[str, xr.Dataset], variable: str) -> Figure:
    """Draw what random statistics of one layer add to the loss or to γ decay, times M.

    Parameters
    ----------
    rows : mapping
        Title → Dataset of the variable over (batch_size, replica, labels, channels, part), and of
        the theories' over (batch_size, replica, part).
    variable : {"pull", "excess_loss"}

    Returns
    -------
    matplotlib.figure.Figure
    """
    choice("variable", variable, ("pull", "excess_loss"))
    dims = ("batch_size", "replica", "labels", "channels", "part")
    check_nesting("rows", rows, (Mapping,), {variable: dims})
    with paper_style():
        styles = dict(zip(MEASURED, student_styles(len(MEASURED)), strict=True))
        first = next(iter(rows.values()))
        parts = first["part"].values
        theories = {n: line for n, line in THEORIES.items() if f"{variable}_{n}" in first}
        figure, axes = make_panels(
            len(rows) * len(parts), len(parts), (2.6, 2.3), sharey="row", sharex=True
        )
        places = iter(axes)
        for row, (title, found) in enumerate(rows.items()):
            for part in parts:
                axis, at = next(places), found.sel(part=part)
                size = at["batch_size"]
                axis.axhline(0, color="0.75", linewidth=0.8)
                for name, (_, line) in theories.items():
                    theory = at[f"{variable}_{name}"].mean("replica")
                    axis.plot(size, size * theory, line, color="0.25")
                for (labels, channels), style in styles.items():
                    values = at[variable].sel(labels=labels, channels=channels)
                    points(axis, size, size * values, style)
                name = PART_NAMES[part] if row == 0 else ""
                axis.set_title(f"{title}\n{name}" if part == parts[0] else name, loc="left")
                _finish(axis, size, "", row == len(rows) - 1)
            label = f"$M$ × {axis_label(found[variable])}"
            axes[row * len(parts)].set_ylabel(label)
        handles = [legend_handle(label=label, linestyle=line) for label, line in theories.values()]
        handles += [
            legend_handle(style["color"], label=MEASURED[key], marker=style["marker"], linestyle="")
            for key, style in styles.items()
        ]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def _finish(axis: Axes, sizes: Any, label: str, last: bool) -> None:
    """Give an axis of batch sizes its scale and labels."""
    axis.set(xscale="log", ylabel=label, xlabel=axis_label(sizes) if last else "")
    axis.set_xlim(float(sizes.min()) / 1.2, float(sizes.max()) * 1.2)
    ticks_at(axis, sizes.values)
