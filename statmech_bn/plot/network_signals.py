"""What is measured in networks of PyTorch, as points, beside what theory says, as lines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import count, instance
from statmech_bn.errors import invalid
from statmech_bn.plot.curves import REFERENCE, Panel, check_panels
from statmech_bn.plot.nesting import check_labels
from statmech_bn.plot.replicas import points
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    paper_style,
    student_styles,
    text_of,
)
from statmech_bn.plot.ticks import ticks_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (2.5, 2.2)
LINE = 24
"""A line of a vertical axis' label has at most so many letters."""
LABELLED = 4
"""About so many values of a logarithmic axis have a label."""


def networks_beside_theory(
    panels: Sequence[Panel],
    colour: str,
    columns: int,
    names: Mapping[Any, str] | None = None,
    theory: str = "theory",
    reference: str = "",
) -> Figure:
    """Draw measurements, results with replicas, as points, and theory, those without, as lines.

    Parameters
    ----------
    panels : sequence of Panel
        A panel's first result gives the labels. Results have the dimension of the colours and one
        along the curves. Curves without theory are joined by thin lines.
    colour : str
        The dimension whose values are told apart by colours.
    columns : int
        Panels in a row.
    names : mapping, optional
        What the legend calls the values of the colours.
    theory, reference : str
        What it calls lines, and the panels' reference.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidSetup
        There is no panel, or a result has not the dimension of the colours.
    """
    check_panels(panels)
    if names is not None:
        check_labels("names", names)
    columns, theory = count("columns", columns), instance("theory", theory, str)
    reference = instance("reference", reference, str)
    results = [result for panel in panels for result in panel.results]
    if not isinstance(colour, str) or any(colour not in result.dims for result in results):
        raise invalid("colour", "a dimension of every result", colour)
    values = list(dict.fromkeys(v for result in results for v in result[colour].values.tolist()))
    with paper_style():
        styles = dict(zip(values, student_styles(len(values)), strict=True))
        figure, axes = make_panels(len(panels), columns, SIZE)
        for axis, panel in zip(axes, panels, strict=True):
            _draw(axis, panel, colour, styles)
        named = names or {}
        handles = [
            legend_handle(label=named.get(v, v if isinstance(v, str) else f"{v:g}"), **style)
            for v, style in styles.items()
        ]
        if any("replica" not in result.dims for result in results):
            handles.append(legend_handle(label=theory))
            handles.append(legend_handle(label="networks", marker="o", linestyle=""))
        if reference:
            handles.append(legend_handle(label=reference, **REFERENCE))
        title = None if names else axis_label(results[0][colour])
        figure.legend(handles=handles, loc="outside right center", title=title, alignment="left")
    return figure


def _draw(axis: Axes, panel: Panel, colour: str, styles: Mapping[Any, Mapping[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set(
        title=panel.title,
        xscale="log" if "x" in panel.logarithmic else "linear",
        yscale="log" if "y" in panel.logarithmic else "linear",
        xlabel=axis_label(panel.results[0][panel.x]),
        ylabel=_wrapped(panel.results[0][panel.y]),
    )
    predicted = {
        v for d in panel.results if "replica" not in d.dims for v in d[colour].values.tolist()
    }
    for result in panel.results:
        for value in result[colour].values.tolist():
            curve, style = result.sel({colour: value}), styles[value]
            x, y = curve[panel.x], curve[panel.y]
            if "replica" in y.dims:
                points(axis, x, y, style, "" if value in predicted else style["linestyle"])
            else:
                axis.plot(x, y, linestyle=style["linestyle"], color=style["color"])
    if panel.reference is not None:
        axis.plot(panel.reference[panel.x], panel.reference[panel.y], **REFERENCE)
    if "x" in panel.logarithmic:
        ticks_at(axis, x.values[:: 1 + x.size // LABELLED])
    elif np.issubdtype(x.dtype, np.integer):
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if panel.y.endswith("accuracy"):
        axis.set_ylim(0, 1.02)


def _wrapped(variable: xr.DataArray) -> str:
    """Name and symbol, on several lines if they are long."""
    name, symbol = text_of(variable, "long_name") or str(variable.name), text_of(variable, "symbol")
    *lines, last = textwrap.wrap(name, LINE)
    if symbol:
        last += " " if len(last) < LINE // 2 + 1 else "\n"
    return "\n".join([*lines, last + symbol])
