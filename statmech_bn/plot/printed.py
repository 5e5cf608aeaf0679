"""Figures at the size at which they are printed, so that no scaling makes their text too small.

A column of a journal of two columns is 3.4 inches wide, the page 7. Figures are drawn larger, with
the legend at their right. In a column there is no room for it there: it goes below.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from statmech_bn.checks import instance, integer, real
from statmech_bn.errors import invalid
from statmech_bn.plot.style import LEGEND_WIDTH, legend_handle

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

TEXT, SMALL = 7.5, 6.5
"""Labels and titles have the first size in points, ticks and legends the second."""
NARROW = 5.0
"""In a figure of fewer inches the legend stands under the panels."""
COLUMNS = 4
"""A legend under the panels has at most so many columns unless told otherwise."""
LINE = 0.16
"""A line of the legend is so many inches high."""
SMALLEST = 0.4
"""A panel whose side has fewer inches has no room for its ticks."""
LARGEST_MARKER = 4.5
"""A marker has at most this size in points."""
LETTERS_PER_INCH = 12.5
"""So many letters of a label stand beside an inch of a panel's height."""
MATH = 6
"""A formula in a label counts for so many letters."""
SHORT_HANDLE = 2.4
"""A line in a legend below is so long, in units of the text's size."""


def fit(
    figure: Figure, width: float = 3.4, height: float | None = None, legend: int | None = None
) -> Figure:
    """Give a figure the width of a column or of a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Of any function of this room; it is changed. A column has room for two panels side by side,
        the page for four.
    width : float
        Inches, from 3 to 8.5.
    height : float, optional
        Inches; by default the panels keep their shape, or are as high as their labels are long.
    legend : int, optional
        Columns of the legend below the panels, less if they do not fit; 0 leaves it at their
        right. By default it is below in figures of less than 5 inches, and at the right in others.

    Returns
    -------
    matplotlib.figure.Figure
        The same, with labels of 7.5 and other text of 6.5 points.

    Raises
    ------
    InvalidSetup
        The width or the height is no printable size, or leaves no room for the panels.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup, start = sbn.TeacherStudent("linear", "batch"), sbn.OrderParameters()
    >>> theory = sbn.macroscopic(setup, [0.3, 3], np.linspace(0, 9, 10), start)
    >>> figure = fit(sbn.plot.trajectories(theory, variables=["overlap"]), width=3.4)
    >>> float(figure.get_figwidth())
    3.4
    """
    from matplotlib.figure import Figure as AnyFigure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    instance("figure", figure, AnyFigure)
    if not figure.axes:
        raise invalid("figure", "a figure with panels", figure)
    width = real("width", width, 3, 8.5, "Sizes are in inches: 3.4 is a column, 7 the page.")
    columns = COLUMNS * (width < NARROW) if legend is None else integer("legend", legend, 0)
    old_width, old_height = figure.get_size_inches()
    shape = old_height / (old_width - (LEGEND_WIDTH if columns and figure.legends else 0.0))
    asked = width * shape if height is None else real("height", height, 1, 12)
    figure.set_size_inches(width, asked)
    lines = sum(_below(figure, old, columns) for old in figure.legends[:]) if columns else 0
    if height is None:
        asked += lines * LINE
        figure.set_figheight(asked)
    if isinstance(layout := figure.get_layout_engine(), ConstrainedLayoutEngine):
        layout.set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    _set_sizes(figure)
    _wrap_labels(figure)
    if height is None:
        figure.set_figheight(asked + _missing_height(figure))
    _check_room(figure)
    return figure


def _set_sizes(figure: Figure) -> None:
    """Give text and markers their size in print."""
    for axis in figure.axes:
        axis.tick_params(which="both", labelsize=SMALL, pad=2)
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
            text.set_fontsize(TEXT)
        for text in axis.texts:
            text.set_fontsize(SMALL)
        for line in axis.lines:
            line.set_markersize(min(line.get_markersize(), LARGEST_MARKER))
    inner = [found for axis in figure.axes if (found := axis.get_legend())]
    for found in [*inner, *figure.legends]:
        for text in (found.get_title(), *found.get_texts()):
            text.set_fontsize(SMALL)


def _wrap_labels(figure: Figure) -> None:
    """Break labels of the vertical axes that are longer than these, not within their units."""
    places = [(axis, place) for axis in figure.axes if (place := axis.get_subplotspec())]
    rows = max((place.get_gridspec().nrows for _, place in places), default=1)
    characters = int(LETTERS_PER_INCH * figure.get_figheight() / rows)
    for axis, _ in places:
        words = re.findall(r"\([^)]*\)|\$[^$]*\$|[^\s$]+", axis.get_ylabel())
        lengths = [MATH if word.startswith("$") else len(word) for word in words]
        if sum(lengths) + len(lengths) <= characters or len(words) < 2:
            continue
        half = sum(lengths) / 2
        cuts = range(1, len(words))
        first = next((k for k in cuts if sum(lengths[:k]) >= half), len(words) - 1)
        text = " ".join(words[:first]) + "\n" + " ".join(words[first:])
        axis.set_ylabel(text, linespacing=1.5)  # bars over letters need room


def _lay_out(figure: Figure) -> None:
    """Find where everything goes; that there is no room for it is checked at the end."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied")
        figure.draw_without_rendering()


def _missing_height(figure: Figure) -> float:
    """Measure by how much the labels of vertical axes are longer than these, in inches."""
    _lay_out(figure)
    missing = [
        axis.yaxis.label.get_window_extent().height - axis.get_window_extent().height
        for axis in figure.axes
    ]
    rows = len({round(axis.get_position().y0, 2) for axis in figure.axes})
    return rows * max(0.0, *missing) / figure.dpi


def _check_room(figure: Figure) -> None:
    """Raise InvalidSetup unless the panels have room for their ticks."""
    _lay_out(figure)
    panels = [axis.get_window_extent() for axis in figure.axes if axis.get_subplotspec()]
    smallest = min((min(box.width, box.height) for box in panels), default=np.inf) / figure.dpi
    if smallest < SMALLEST:
        raise invalid(
            "width, height",
            f"room for panels of at least {SMALLEST:g} inches",
            f"panels of {smallest:.2f}",
            "Make it wider or higher, draw fewer panels, or put the legend below: legend=2.",
        )


def _below(figure: Figure, old: Legend, columns: int) -> int:
    """Put a legend under the panels, in as many columns as fit; returns how many lines it has."""
    title, entries = old.get_title().get_text(), list(_entries(old))
    old.remove()
    columns = min(columns, sum(map(len, entries)))  # each attempt draws the figure
    for most in range(columns, 0, -1):
        handles, lines = _arranged(entries, most)
        new = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=len(handles) // lines,
            title=title or None,
            alignment="left",
            fontsize=SMALL,
            title_fontsize=SMALL,
            frameon=False,
            handlelength=min(old.handlelength, SHORT_HANDLE),
            columnspacing=1.4,
            borderaxespad=0.2,
        )
        _lay_out(figure)
        if most == 1 or new.get_window_extent().width <= figure.bbox.width:
            break
        new.remove()
    return lines + bool(title)


def _entries(legend: Legend) -> Iterator[list[Any]]:
    """Return the handles of a legend, labelled, in the groups that empty lines make."""
    handles: list[Any] = legend.legend_handles
    group: list[Any] = []
    for handle, text in zip(handles, legend.get_texts(), strict=True):
        if text.get_text():
            handle.set_label(text.get_text())
            group.append(handle)
        elif group:
            yield group
            group = []
    if group:
        yield group


def _arranged(groups: list[list[Any]], columns: int) -> tuple[list[Any], int]:
    """Fill columns, each group in its own if there are enough; returns handles and lines."""
    number = sum(map(len, groups))
    if len(groups) > columns:
        groups = [[handle for group in groups for handle in group]]
    lines = next(n for n in range(1, number + 1) if sum(-(-len(g) // n) for g in groups) <= columns)
    empty = legend_handle(linestyle="", label=" ")
    return [h for group in groups for h in group + [empty] * (-len(group) % lines)], lines
