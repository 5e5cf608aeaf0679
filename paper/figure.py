"""Figures at the size at which they are printed: one column or the page's width, small text.

A figure script names its store, draws with the experiment's own `figures`, and calls `fit`. Run as
``python -m paper.figures.NAME`` it draws its file alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

import statmech_bn as sbn
from paper.stores import RESULTS, ROOT, open_store
from statmech_bn.errors import InvalidStore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.375, 7.0
"""Widths in inches."""
TEXT, SMALL = 7.5, 6.5
"""Sizes in points, of labels and of ticks and legends."""
BUILD = ROOT / "paper" / "build"


def fit(figure: Figure, width: float, height: float, legend: int = 0) -> Figure:
    """Give a figure its printed size.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    width, height : float
        In inches.
    legend : int
        Columns of the legend below the panels; 0 leaves it at their right.
    """
    figure.set_size_inches(width, height)
    for axis in figure.axes:
        axis.tick_params(which="both", labelsize=SMALL, pad=2)
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
            text.set_fontsize(TEXT)
        for text in [*axis.texts, *(inner for inner in _texts(axis.get_legend()))]:
            text.set_fontsize(SMALL)
        for line in axis.lines:
            line.set_markersize(min(line.get_markersize(), 4.5))
    _wrap_labels(figure)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    for old in figure.legends[:]:
        texts = old.get_texts()
        entries = [
            (handle, text.get_text())
            for handle, text in zip(old.legend_handles, texts, strict=True)
            if text.get_text() or not legend
        ]
        title = old.get_title().get_text()
        old.remove()
        figure.legend(
            *zip(*entries, strict=True),
            loc="outside lower center" if legend else "outside right center",
            ncols=max(1, legend), title=title or None, alignment="center" if legend else "left",
            fontsize=SMALL, title_fontsize=SMALL, frameon=False, handlelength=2.4,
            columnspacing=1.4, borderaxespad=0.2,
        )  # fmt: skip
    return figure


def _wrap_labels(figure: Figure) -> None:
    """Break labels of the vertical axes that are longer than these."""
    rows = max(axis.get_subplotspec().get_gridspec().nrows for axis in _panels(figure))
    characters = int(12.5 * figure.get_figheight() / rows)
    for axis in _panels(figure):
        words = re.findall(r"\$[^$]*\$|[^\s$]+", axis.get_ylabel())
        lengths = [6 if word.startswith("$") else len(word) for word in words]
        if sum(lengths) + len(lengths) <= characters:
            continue
        half = sum(lengths) / 2
        first = next(k for k in range(1, len(words) + 1) if sum(lengths[:k]) >= half)
        first = min(first, len(words) - 1)
        axis.set_ylabel(" ".join(words[:first]) + "\n" + " ".join(words[first:]))


def _panels(figure: Figure) -> list:
    """Return the axes that are no colour bars."""
    return [axis for axis in figure.axes if axis.get_subplotspec() is not None]


def _texts(legend: object) -> list:
    return list(legend.get_texts()) if legend is not None else []


def drawn(name: str, tree: xr.DataTree, figure: str) -> Figure:
    """Let an experiment draw one of its figures."""
    return import_module(f"simulations.{name}").figures(tree)[figure]


def produce(
    store: str,
    draw: Callable[[xr.DataTree], Figure],
    script: str,
    results: Path = RESULTS,
) -> Path:
    """Draw the figure of a script from its store; returns the PDF."""
    with open_store(store, results) as tree:
        path = sbn.plot.save_figure(draw(tree), BUILD / "figures" / Path(script).stem)[1]
    return path


def main(store: str, draw: Callable[[xr.DataTree], Figure], script: str) -> None:
    """Draw the figure of a script that is run by itself."""
    try:
        print(produce(store, draw, script))
    except InvalidStore as error:
        sys.exit(str(error))
