"""Figures at the size at which they are printed, so that no scaling makes their text too small.

A column of a journal of two columns is 3.4 inches wide, the page 7. Figures are drawn larger, with
the legend at their right. In a column there is no room for it there: it goes below.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from statmech_bn.plot.style import LEGEND_WIDTH
from statmech_bn.teacher_student import integer, real

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

TEXT, SMALL = 7.5, 6.5
"""Sizes in points: of labels and titles, and of what stands at ticks and in legends."""
NARROW = 5.0
"""Inches below which the legend stands under the panels."""
LONG = 30
"""Letters of an entry beside which another does not fit in a column."""
LINE = 0.16
"""Height of a line of the legend, in inches."""
LARGEST_MARKER = 4.5
"""In points."""
LETTERS_PER_INCH = 12.5
"""Of a label beside the axis of a panel, where part of the height is not the axis."""
MATH = 6
"""Letters for which a formula counts in a label."""
SHORT_HANDLE = 2.4
"""Length of a line in a legend below, in units of the text's size."""


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
        Inches, from 2 to 12.
    height : float, optional
        Inches; by default the panels keep their shape, or are as high as their labels are long.
    legend : int, optional
        Columns of the legend below the panels, or 0 for a legend at their right. By default it
        stands below in narrow figures, in as many columns as fit.

    Returns
    -------
    matplotlib.figure.Figure
        The same, with labels of 7.5 and other text of 6.5 points.

    Raises
    ------
    InvalidSetup
        The width or the height is no printable size, or there are fewer than no columns.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup, start = sbn.TeacherStudent("linear", "batch"), sbn.OrderParameters()
    >>> theory = sbn.macroscopic(setup, [0.3, 3], np.linspace(0, 9, 10), start)
    >>> figure = fit(sbn.plot.trajectories(theory, variables=["overlap"]), width=3.4)
    >>> float(figure.get_figwidth())
    3.4
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width = real("width", width, 2, 12, "Sizes are in inches: 3.4 is a column, 7 the page.")
    old_width, old_height = figure.get_size_inches()
    columns = None if legend is None else integer("legend", legend, 0)
    below = columns > 0 if columns is not None else width < NARROW
    lines = sum(_below(figure, old, columns) for old in figure.legends[:]) if below else 0
    shape = old_height / (old_width - (LEGEND_WIDTH if lines else 0.0))
    asked = width * shape + lines * LINE if height is None else real("height", height, 1, 12)
    figure.set_size_inches(width, asked)
    if isinstance(layout := figure.get_layout_engine(), ConstrainedLayoutEngine):
        layout.set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
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
    _wrap_labels(figure)
    if height is None:
        figure.set_figheight(asked + _missing_height(figure))
    return figure


def _wrap_labels(figure: Figure) -> None:
    """Break labels of the vertical axes that are longer than these, between two words."""
    places = [(axis, place) for axis in figure.axes if (place := axis.get_subplotspec())]
    rows = max((place.get_gridspec().nrows for _, place in places), default=1)
    characters = int(LETTERS_PER_INCH * figure.get_figheight() / rows)
    for axis, _ in places:
        words = re.findall(r"\$[^$]*\$|[^\s$]+", axis.get_ylabel())
        lengths = [MATH if word.startswith("$") else len(word) for word in words]
        if sum(lengths) + len(lengths) <= characters or len(words) < 2:
            continue
        half = sum(lengths) / 2
        cuts = range(1, len(words))
        first = next((k for k in cuts if sum(lengths[:k]) >= half), len(words) - 1)
        text = " ".join(words[:first]) + "\n" + " ".join(words[first:])
        axis.set_ylabel(text, linespacing=1.5)  # bars over letters need room


def _missing_height(figure: Figure) -> float:
    """Measure by how much the labels of vertical axes are longer than these, in inches."""
    figure.draw_without_rendering()
    missing = [
        axis.yaxis.label.get_window_extent().height - axis.get_window_extent().height
        for axis in figure.axes
    ]
    rows = len({round(axis.get_position().y0, 2) for axis in figure.axes})
    return rows * max(0.0, *missing) / figure.dpi


def _below(figure: Figure, old: Legend, columns: int | None) -> int:
    """Put a legend under the panels, without its empty lines; returns how many lines it has."""
    texts = [text.get_text() for text in old.get_texts()]
    named = [(h, text) for h, text in zip(old.legend_handles, texts, strict=True) if text]
    title = old.get_title().get_text()
    if columns is None:
        columns = 2 if all(len(text) <= LONG for text in texts) else 1
    old.remove()
    figure.legend(
        *zip(*named, strict=True),
        loc="outside lower center",
        ncols=columns,
        title=title or None,
        fontsize=SMALL,
        title_fontsize=SMALL,
        frameon=False,
        handlelength=min(old.handlelength, SHORT_HANDLE),
        columnspacing=1.4,
        borderaxespad=0.2,
    )
    return -(-len(named) // columns) + bool(title)
