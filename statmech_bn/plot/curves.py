"""Any variable of a result against any other, one colour for each value of one dimension.

As in `statmech_bn.plot`, theory is a line and simulation is points with error bars (mean and
standard error over replicas, in both directions); labels come from the variables' attributes. A
reference law, which knows nothing of the colours, is a dashed grey line over them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import count, dataset, instance, sequence
from statmech_bn.errors import invalid
from statmech_bn.plot.replicas import converged_mean_and_error
from statmech_bn.plot.style import (
    axis_label,
    check_results,
    legend_handle,
    level_handles,
    level_marker,
    make_panels,
    palette,
    paper_style,
    result_level,
    three_digits,
)
from statmech_bn.plot.ticks import short_ticks, whole_ticks
from statmech_bn.plot.together import some_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE: dict[str, Any] = {
    "color": "0.45",
    "linestyle": (0, (4, 3)),
    "linewidth": 2.0,
    "zorder": 4,
}
DASHES: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
MARKERS = "osDvp"
FEW, APART = 8, 3.5
"""Curves of at most so many points stand so many typographic points apart, where no line is."""
NARROW, RADIUS = 120.0, 5.0
"""A panel is at least so many typographic points wide, and a marker has this radius."""


@dataclass(frozen=True)
class Panel:
    """What one panel shows.

    Parameters
    ----------
    x, y : str
        Names of variables or coordinates.
    results : sequence of xarray.Dataset
        Results of any levels, with the dimension of the colours, one along the curves, and
        ``replica`` for simulations.
    reference : xarray.Dataset, optional
        With x and y over one dimension.
    title : str
    logarithmic : str
        Which axes are: "", "x", "y" or "xy".
    """

    x: str
    y: str
    results: Sequence[xr.Dataset]
    reference: xr.Dataset | None = None
    title: str = ""
    logarithmic: str = "xy"


def curves(
    panels: Sequence[Panel],
    colour: str,
    columns: int | None = None,
    reference: str = "",
    points: int = 14,
) -> Figure:
    """Draw one variable against another.

    Parameters
    ----------
    panels : sequence of Panel
    colour : str
        The dimension whose values are told apart by colours.
    columns : int, optional
        Panels in a row; by default all.
    reference : str
        What the legend calls the reference.
    points : int
        How many points of a simulated curve are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidSetup
        No result, or one without a variable or the dimension of the colours.
    """
    check_panels(panels)
    results = [result for panel in panels for result in panel.results]
    for panel in panels:
        check_results(panel.results, [panel.x, panel.y])
    if not results:
        raise invalid("panels", "at least one result", panels)
    if not isinstance(colour, str) or any(colour not in result.dims for result in results):
        raise invalid("colour", "a dimension of every result", colour)
    values = list(dict.fromkeys(v for result in results for v in result[colour].values.tolist()))
    columns = len(panels) if columns is None else count("columns", columns)
    points, reference = count("points", points), instance("reference", reference, str)
    with paper_style():
        drawn = dict(zip(values, _curve_styles(len(values)), strict=True))
        rows = [panels[k : k + columns] for k in range(0, len(panels), columns)]
        aligned = all(len({panel.y for panel in row}) == 1 for row in rows)
        shared = {"sharey": "row"} if aligned else {}
        figure, axes = make_panels(len(panels), columns, (3.2, 2.6), **shared)
        for k, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
            for result in panel.results:
                _draw(axis, result, panel, colour, drawn, points)
            _make_room(axis, panel, colour)
            if panel.reference is not None:
                axis.plot(panel.reference[panel.x], panel.reference[panel.y], **REFERENCE)
            axis.set(
                title=panel.title,
                xscale="log" if "x" in panel.logarithmic else "linear",
                yscale="log" if "y" in panel.logarithmic else "linear",
                xlabel=axis_label(panel.results[0][panel.x]),
                ylabel=axis_label(panel.results[0][panel.y]),
            )
            short_ticks(axis, panel.logarithmic)
            whole_ticks(axis, np.concatenate([np.ravel(r[panel.x]) for r in panel.results]))
            if aligned and k % columns > 0:
                axis.set_ylabel("")
                axis.tick_params(which="both", labelleft=False)
        solved = {result_level(result) == "macroscopic" for result in results}
        handles = [
            legend_handle(
                label=v if isinstance(v, str) else three_digits(v), **_entry(style, solved)
            )
            for v, style in drawn.items()
        ]
        extra = [legend_handle(linestyle="", label=""), *level_handles(results)]
        if reference:
            extra.append(legend_handle(label=reference, **REFERENCE))
        figure.legend(
            handles=[*some_of(handles), *extra],
            loc="outside right center",
            title=axis_label(results[0][colour]),
            alignment="left",
        )
    return figure


def check_panels(panels: Any) -> None:
    """Raise InvalidSetup unless these are panels, each with results that have its variables."""
    for panel in sequence("panels", panels):
        instance("panels", panel, Panel)
        references = [] if panel.reference is None else [panel.reference]
        for result in [*sequence("panels, results", panel.results), *references]:
            dataset("panels, results", result, {panel.x: (), panel.y: ()})


def _draw(
    axis: Axes,
    result: xr.Dataset,
    panel: Panel,
    colour: str,
    styles: dict[Any, dict[str, Any]],
    points: int,
) -> None:
    """Draw every curve of one result."""
    from matplotlib.transforms import ScaledTranslation

    level, aside = result_level(result), _are_aside(result, panel, colour)
    for k, value in enumerate(result[colour].values.tolist()):
        curve, style = result.isel({colour: k}), styles[value]
        (x, x_error), (y, y_error) = (
            [part.values for part in converged_mean_and_error(curve[name])]
            for name in (panel.x, panel.y)
        )
        if level == "macroscopic":
            axis.plot(x, y, **_line(style))
            continue
        shown = slice(None, None, max(1, x.size // points))
        place = k - (result.sizes[colour] - 1) / 2 if aside else 0.0
        bars: dict[str, Any] = {"xerr": x_error[shown], "yerr": y_error[shown]}
        marker = level_marker(level, style["marker"])
        beside = ScaledTranslation(APART * place / 72, 0, axis.figure.dpi_scale_trans)
        bars["transform"] = axis.transData + beside
        axis.errorbar(x[shown], y[shown], color=style["color"], **bars, **marker)
        # axes do not count what is drawn aside
        for sign in (-1.0, 1.0):
            ends = x + sign * np.nan_to_num(x_error), y + sign * np.nan_to_num(y_error)
            axis.update_datalim(np.column_stack(ends)[shown])
        axis.autoscale_view()


def _are_aside(result: xr.Dataset, panel: Panel, colour: str) -> bool:
    """Say whether points stand side by side: few may coincide, and no line says where they are."""
    sizes = result[panel.x].sizes
    few = math.prod(n for dim, n in sizes.items() if dim not in {"replica", colour}) <= FEW
    return few and all(result_level(other) != "macroscopic" for other in panel.results)


def _make_room(axis: Axes, panel: Panel, colour: str) -> None:
    """Widen the margins where points stand aside, which axes do not count."""
    together = [r.sizes[colour] for r in panel.results if _are_aside(r, panel, colour)]
    if together:
        aside = APART * (max(together) - 1) / 2 + RADIUS
        axis.set_xmargin(max(axis.get_xmargin(), aside / (NARROW - 2 * aside)))
        axis.autoscale_view()


def _curve_styles(number: int) -> list[dict[str, Any]]:
    return [
        {"color": colour, "linestyle": DASHES[k % 5], "marker": MARKERS[k % 5]}
        for k, colour in enumerate(palette(number))
    ]


def _line(style: dict[str, Any]) -> dict[str, Any]:
    return {"color": style["color"], "linestyle": style["linestyle"]}


def _entry(style: dict[str, Any], solved: set[bool]) -> dict[str, Any]:
    """Return how a legend shows curves: a line where a level is solved, points if simulated."""
    marker = style["marker"] if False in solved else ""
    return {**style, "linestyle": style["linestyle"] if True in solved else "", "marker": marker}
