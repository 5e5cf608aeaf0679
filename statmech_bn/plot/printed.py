"""Figures at the size at which they are printed, so that no scaling makes their text too small.

A column of a journal of two columns is 3.4 inches wide, the page 7. Figures are drawn larger, with
the legend at their right. In a column there is no room for it there: it goes below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from statmech_bn.plot.style import LEGEND_WIDTH
from statmech_bn.teacher_student import real

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

TEXT, SMALL = 8.0, 7.0
"""Sizes in points: of labels and titles, and of what stands at ticks and in legends."""
NARROW = 5.0
"""Inches below which the legend stands under the panels."""
LONG = 30
"""Letters of a label beside which another does not fit."""
LINE = 0.16
"""Height of a line of the legend, in inches."""
LARGEST_MARKER = 4.5
"""In points."""


def fit(figure: Figure, width: float = 3.4, height: float | None = None) -> Figure:
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

    Returns
    -------
    matplotlib.figure.Figure
        The same, with labels of 8 and other text of 7 points.

    Raises
    ------
    InvalidSetup
        The width or the height is no printable size.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup, start = sbn.TeacherStudent("linear", "batch"), sbn.OrderParameters()
    >>> theory = sbn.macroscopic(setup, [0.3, 3], np.linspace(0, 9, 10), start)
    >>> figure = fit(sbn.plot.trajectories(theory, variables=["overlap"]), width=3.4)
    >>> float(figure.get_figwidth())
    3.4
    """
    width = real("width", width, 2, 12, "Sizes are in inches: 3.4 is a column, 7 the page.")
    old_width, old_height = figure.get_size_inches()
    legends = [_below(figure, old) for old in figure.legends[:]] if width < NARROW else []
    shape = old_height / (old_width - (LEGEND_WIDTH if legends else 0.0))
    added = sum(_lines(legend) * LINE for legend in legends)
    asked = width * shape + added if height is None else real("height", height, 1, 12)
    figure.set_size_inches(width, asked)
    for axis in figure.axes:
        axis.tick_params(which="both", labelsize=SMALL)
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
            text.set_fontsize(TEXT)
        for text in axis.texts:
            text.set_fontsize(SMALL)
        for line in axis.lines:
            line.set_markersize(min(line.get_markersize(), LARGEST_MARKER))
    inner = [legend for axis in figure.axes if (legend := axis.get_legend())]
    for legend in [*figure.legends, *inner]:
        for text in (legend.get_title(), *legend.get_texts()):
            text.set_fontsize(SMALL)
    if height is None:
        figure.set_figheight(asked + _missing_height(figure))
    return figure


def _missing_height(figure: Figure) -> float:
    """Measure by how much the labels of vertical axes are longer than these, in inches."""
    figure.draw_without_rendering()
    missing = [
        axis.yaxis.label.get_window_extent().height - axis.get_window_extent().height
        for axis in figure.axes
    ]
    rows = len({round(axis.get_position().y0, 2) for axis in figure.axes})
    return rows * max(0.0, *missing) / figure.dpi


def _below(figure: Figure, old: Legend) -> Legend:
    """Put a legend under the panels, without its empty lines, in two columns if they fit."""
    texts = [text.get_text() for text in old.get_texts()]
    named = [(h, text) for h, text in zip(old.legend_handles, texts, strict=True) if text]
    old.remove()
    return figure.legend(
        *zip(*named, strict=True),
        loc="outside lower center",
        ncols=_columns(old),
        title=old.get_title().get_text() or None,
        frameon=False,
        handlelength=old.handlelength,
    )


def _lines(legend: Legend) -> int:
    """Count the lines of a legend, with its title."""
    return -(-len(legend.get_texts()) // _columns(legend)) + bool(legend.get_title().get_text())


def _columns(legend: Legend) -> int:
    """Choose the columns of a legend under the panels."""
    return 2 if all(len(text.get_text()) <= LONG for text in legend.get_texts()) else 1
