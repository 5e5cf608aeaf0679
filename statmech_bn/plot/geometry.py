"""Figures of the partition of the plane by a ReLU network, of its boundaries' jitter, of margins.

Partitions are drawn as Balestriero & Baraniuk (2022) draw them: every boundary of every unit, the
data on top. Elsewhere lines are theory and points are measured, with standard errors over
replicas; measured points without theory are joined by thin lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import choice, integers
from statmech_bn.plot.nesting import check_nesting
from statmech_bn.plot.replicas import points
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    palette,
    paper_style,
    student_styles,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS = {
    "points": ("sample", "coordinate"),
    "segment": ("boundary", "end", "coordinate"),
    "segment_layer": ("boundary",),
    "bounds": ("coordinate", "end"),
}
SIZES = ("batch_size", "replica")
DISTANCES = {
    "square_distance": ("replica", "displacement"),
    "predicted": ("displacement",),
    "excess": ("replica", "layer"),
}
JITTER = {"jitter": SIZES, "predicted_jitter": SIZES[:1]}
FLIPS = {
    "inside": SIZES,
    "outside": SIZES,
    "predicted_inside": SIZES[:1],
    "predicted_outside": SIZES[:1],
}
NETWORK_FLIPS = {"flip_rate": (*SIZES, "layer"), "predicted_inside": SIZES[:1]}


def partitions(panels: Mapping[str, Mapping[str, xr.Dataset]]) -> Figure:
    """Draw partitions, data sets side by side and networks below each other.

    Parameters
    ----------
    panels : mapping
        Title of a column → label of a row → Dataset from `statmech_bn.geometry.partition`, with
        ``points`` (sample, coordinate).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping, Mapping), CELLS)
    from matplotlib.collections import LineCollection

    rows = list(next(iter(panels.values())))
    with paper_style():
        figure, axes = make_panels(len(rows) * len(panels), len(panels), (2.2, 2.2))
        places = iter(axes)
        layers = 0
        for label in rows:
            for title, networks in panels.items():
                axis, found = next(places), networks[label]
                own_layers = len(integers(f"{label}, units", found.attrs.get("units"), 1))
                layers = max(layers, own_layers)
                for layer, style in enumerate(layer_lines(own_layers)):
                    own = found["segment_layer"].values == layer
                    axis.add_collection(LineCollection(found["segment"].values[own], **style))
                axis.plot(*found["points"].values.T, zorder=3, **_data(len(found["points"])))
                axis.set(xticks=[], yticks=[], aspect="equal")
                axis.set_title(title if label == rows[0] else "")
                axis.set(xlim=found["bounds"].values[0], ylim=found["bounds"].values[1])
                if title == next(iter(panels)):
                    axis.set_ylabel(label)
        handles = [
            legend_handle(label=f"layer {k + 1}", **style)
            for k, style in enumerate(layer_lines(layers))
        ]
        figure.legend(
            handles=[*handles, legend_handle(label="data", **_data(0))],
            loc="outside right center",
        )
    return figure


def boundary_density(panels: Mapping[str, Mapping[str, xr.Dataset]], along: str) -> Figure:
    """Draw the part of the units that have a boundary near the data, layer by layer.

    Parameters
    ----------
    panels : mapping
        Title → label of a network → Dataset of ``density`` and ``density_anywhere`` over `along`,
        layer and replica.
    along : {"radius", "shift"}
        Abscissa.

    Returns
    -------
    matplotlib.figure.Figure
    """
    dims = (choice("along", along, ("radius", "shift")), "layer", "replica")
    check_nesting(
        "panels", panels, (Mapping, Mapping), dict.fromkeys(("density", "density_anywhere"), dims)
    )
    labels = list(next(iter(panels.values())))
    [layers] = {found.sizes["layer"] for d in panels.values() for found in d.values()}
    with paper_style():
        styles = dict(zip(labels, student_styles(len(labels)), strict=True))
        figure, axes = make_panels(layers * len(panels), len(panels), (2.3, 2.2), sharex=True)
        for row in range(layers):
            for axis, (title, networks) in zip(
                axes[row * len(panels) :], panels.items(), strict=False
            ):
                for label, found in networks.items():
                    density, style = found["density"].isel(layer=row), styles[label]
                    points(axis, found[along], density, style, style["linestyle"])
                    around = found["density_anywhere"].isel(layer=row)
                    axis.plot(
                        found[along], around.mean("replica"), ":", color=styles[label]["color"]
                    )
                axis.set(title=title if row == 0 else "", ylim=(0, None))
                if row == layers - 1:
                    axis.set_xlabel(axis_label(found[along]))
            axes[row * len(panels)].set_ylabel(f"units nearby, layer {row + 1}")
        handles = [_handle(style, label) for label, style in styles.items()]
        handles.append(legend_handle("0.4", label="of any place in view", linestyle=":"))
        figure.legend(handles=handles, loc="outside right center")
    return figure


def squared_distance(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw the squared distance from the data against the offset, and what folds change.

    Parameters
    ----------
    panels : mapping
        Title → Dataset of ``square_distance`` (replica, displacement) with ``predicted``, and
        ``excess`` (replica, layer).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping,), DISTANCES)
    with paper_style():
        styles = dict(zip(panels, student_styles(len(panels)), strict=True))
        figure, (left, right) = make_panels(2, 2, (3.2, 2.7))
        for title, found in panels.items():
            style = styles[title]
            left.plot(found["displacement"], found["predicted"], color="0.5")
            points(left, found["displacement"], found["square_distance"], style)
            points(right, found["layer"], found["excess"], style, style["linestyle"])
        left.set(
            xlabel=axis_label(found["displacement"]), ylabel=axis_label(found["square_distance"])
        )
        right.set(xlabel="layer", ylabel="excess over the least $\\sum d^2$", xticks=found["layer"])
        handles = [_handle(style, title) for title, style in styles.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def boundary_jitter(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Draw √M times the jitter of a boundary against the batch size, with its theory.

    Parameters
    ----------
    panels : mapping
        Label → Dataset from `statmech_bn.geometry.boundary_jitter`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping,), JITTER)
    with paper_style():
        figure, [axis] = make_panels(1, 1, (4.0, 3.0))
        handles = []
        for (label, found), style in zip(panels.items(), student_styles(len(panels)), strict=True):
            root = np.sqrt(found["batch_size"])
            axis.plot(
                found["batch_size"], root * found["predicted_jitter"],
                color=style["color"], linestyle=style["linestyle"],
            )  # fmt: skip
            points(axis, found["batch_size"], found["jitter"] * root, style)
            handles.append(_handle(style, label))
        axis.set(xscale="log", xlabel=axis_label(found["batch_size"]))
        axis.set_ylabel(r"$\sqrt{M}\times$ " + axis_label(found["jitter"]))
        figure.legend(handles=handles, loc="outside right center")
    return figure


def flip_rates(panels: Mapping[str, xr.Dataset], network: xr.Dataset) -> Figure:
    """Draw how many samples change sides, for single units and for the layers of a network.

    Parameters
    ----------
    panels : mapping
        Label → Dataset from `statmech_bn.geometry.boundary_jitter` with shift 0.
    network : xarray.Dataset
        ``flip_rate`` (batch_size, replica, layer) with ``predicted_inside``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("panels", panels, (Mapping,), FLIPS)
    check_nesting("network", network, (), NETWORK_FLIPS)
    dashes = {"inside": "-", "outside": "--"}
    with paper_style():
        figure, (left, right) = make_panels(2, 2, (3.0, 2.7), sharey=True)
        kinds = [(label, name) for label in panels for name in dashes]
        handles = []
        for (label, name), style in zip(kinds, student_styles(len(kinds)), strict=True):
            found, drawn = panels[label], {**style, "linestyle": dashes[name]}
            theory = found[f"predicted_{name}"]
            left.plot(found["batch_size"], theory, dashes[name], color=style["color"])
            points(left, found["batch_size"], found[name], style)
            side = "in" if name == "inside" else "out of"
            handles.append(_handle(drawn, f"{label}, {side} the batch"))
        right.plot(network["batch_size"], network["predicted_inside"], "-", color="0.5")
        handles.append(legend_handle("0.5", label=r"$\arcsin(M^{-1/2})/\pi$"))
        for k, style in enumerate(student_styles(network.sizes["layer"])):
            marked = {**style, "marker": "^<>vDs"[k]}
            points(right, network["batch_size"], network["flip_rate"].isel(layer=k), marked)
            handles.append(_handle(marked, f"network, layer {k + 1}", line=False))
        for axis in (left, right):
            axis.set(xscale="log", yscale="log", xlabel=axis_label(network["batch_size"]))
        left.set(ylabel=axis_label(network["flip_rate"]), title="one unit")
        right.set_title("random network on digits")
        figure.legend(handles=handles, loc="outside right center")
    return figure


def margins(results: Mapping[str, xr.Dataset]) -> Figure:
    """Draw margins and accuracy of trained classifiers against the batch size.

    Parameters
    ----------
    results : mapping
        Label → Dataset of ``margin``, ``low_margin`` and ``accuracy`` (batch_size, replica).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting(
        "results", results, (Mapping,), dict.fromkeys(("margin", "low_margin", "accuracy"), SIZES)
    )
    variables = ("margin", "low_margin", "accuracy")
    with paper_style():
        figure, axes = make_panels(3, 3, (2.6, 2.5))
        styles = student_styles(len(results))
        for axis, variable in zip(axes, variables, strict=True):
            for found, style in zip(results.values(), styles, strict=True):
                points(axis, found["batch_size"], found[variable], style, style["linestyle"])
            axis.set(xscale="log", xlabel=axis_label(found["batch_size"]))
            axis.set_ylabel(axis_label(found[variable]))
        handles = [_handle(style, label) for label, style in zip(results, styles, strict=True)]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def layer_lines(layers: int) -> list[dict[str, Any]]:
    """Return one line style for each layer: the first is the darkest and thickest."""
    dashes = ["-", (0, (4, 1)), "-.", ":"]
    return [
        {"color": colour, "linewidth": 1.1 / (k + 1) ** 0.7, "linestyle": dashes[k % 4]}
        for k, colour in enumerate(palette(layers + 1)[:0:-1])
    ]


def _data(number: int) -> dict[str, Any]:
    """Say how data points are drawn: larger if they are few."""
    size = 7 if 0 < number < 10 else 2
    return {"marker": "o", "linestyle": "", "color": "0.0", "markersize": size, "alpha": 0.8}


def _handle(style: Mapping[str, Any], label: str, line: bool = True) -> Any:
    dash = style["linestyle"] if line else ""
    return legend_handle(style["color"], label=label, marker=style["marker"], linestyle=dash)
