"""Figures of networks in which the statistics are random, or replaced by gamma decay.

All is measured: points with standard errors over seeds. Lines between them only guide the eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from statmech_bn.plot.depth import points, ticks_at
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    paper_style,
    student_styles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("test_accuracy", "test_loss", "training_loss", "mean_gamma")


def network_kinds(rows: Mapping[str, xr.Dataset], kinds: Mapping[str, str], title: str) -> Figure:
    """Draw accuracy, losses and |γ| after training against the batch size.

    Parameters
    ----------
    rows : mapping
        Title → Dataset of ``test_accuracy``, ``test_loss``, ``training_loss`` and ``mean_gamma`` over
        (kind, batch_size, replica).
    kinds : mapping
        Kind → what the legend calls it.
    title : str
        Of the legend.
    """
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


def gap_closure(
    panels: Mapping[str, Mapping[str, xr.Dataset]], quantities: Mapping[str, str]
) -> Figure:
    """Draw the share of the gap between PN and BN that each theory closes.

    Parameters
    ----------
    panels : mapping
        Title of a column → quantity → Dataset of ``closed`` and ``closed_error`` over (theory,
        batch_size); NaN is not drawn.
    quantities : mapping
        Quantity → title of its row.
    """
    with paper_style():
        theories = next(iter(next(iter(panels.values())).values()))["theory"].values
        styles = dict(zip(theories, student_styles(len(theories)), strict=True))
        figure, axes = make_panels(len(panels) * len(quantities), len(panels), (2.1, 1.9))
        places = iter(axes)
        for row, (quantity, name) in enumerate(quantities.items()):
            for column, (title, found) in enumerate(panels.items()):
                axis, shares = next(places), found[quantity]
                for level in (0, 1):
                    axis.axhline(level, color="0.75", linewidth=0.8)
                for theory, style in styles.items():
                    at = shares.sel(theory=theory)
                    axis.errorbar(
                        at["batch_size"], at["closed"], at["closed_error"],
                        color=style["color"], marker=style["marker"], markersize=4,
                        linestyle=style["linestyle"], linewidth=0.8, elinewidth=1.0,
                    )  # fmt: skip
                _finish(
                    axis, shares["batch_size"], f"share, {name}" if column == 0 else "",
                    row == len(quantities) - 1,
                )  # fmt: skip
                axis.set_title("" if row else title)
        handles = [legend_handle(label=theory, **style) for theory, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center", title="PN + $\\gamma$ decay")
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
    """
    with paper_style():
        styles = dict(zip(kinds, student_styles(len(kinds)), strict=True))
        figure, axes = make_panels(2 * len(rows), 2, (3.2, 2.3), sharex=True)
        places = iter(axes)
        for name, found in rows.items():
            for variable in ("mean_gamma", "training_loss"):
                axis, values = next(places), found[variable]
                axis.axhline(0, color="0.75", linewidth=0.8)
                for kind, style in styles.items():
                    gap = values.sel(kind=kind) - values.sel(kind="population")
                    points(axis, found["epoch"], gap, style, style["linestyle"])
                axis.set_ylabel(rf"$\Delta$ {axis_label(values)}")
                if variable == "mean_gamma":
                    axis.set_title(f"{name}, $M={found['batch_size'].item()}$", loc="left")
        for axis in axes[-2:]:
            axis.set_xlabel(axis_label(found["epoch"]))
        handles = [legend_handle(label=kinds[kind], **style) for kind, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center", title="minus PN")
    return figure


def _finish(axis: Axes, sizes: Any, label: str, last: bool) -> None:
    """Give an axis of batch sizes its scale and labels."""
    axis.set(xscale="log", ylabel=label, xlabel=axis_label(sizes) if last else "")
    ticks_at(axis, sizes.values)
