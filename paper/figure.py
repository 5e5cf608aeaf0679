"""Figures at the size at which they are printed: one column or the page's width, small text.

A figure script names its store, draws with the experiment's own `figures`, and calls `plot.fit`.
Run as ``python -m paper.figures.NAME`` it draws its file alone.
"""

from __future__ import annotations

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
BUILD = ROOT / "paper" / "build"


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
