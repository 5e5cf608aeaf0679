"""What all figures share: labels from attributes, colours ordered by lightness, panels, files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import instance, sequence
from statmech_bn.errors import InvalidStore, invalid
from statmech_bn.files import user_path

if TYPE_CHECKING:  # matplotlib and seaborn take longer to import than the rest of the package
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

OTHER_FORMATS = (".jpg", ".jpeg", ".svg", ".eps", ".ps", ".tif", ".tiff", ".webp", ".gif", ".pgf")
"""Suffixes of formats that figures are not written in."""

LEVELS: dict[str, tuple[str, dict[str, Any]]] = {
    "macroscopic": ("theory", {}),
    "mesoscopic": ("chain", {"markersize": 2.8}),
    "microscopic": ("network", {"markersize": 6.0, "markerfacecolor": "None"}),
}
"""Each level has a name in a legend and a style: the network's open symbols enclose the chain's
small ones where both agree."""

LEGEND_WIDTH = 1.6
"""A legend at the right of the panels has a width of so many inches."""

PAPER = {
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same everywhere
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "lines.linewidth": 1.2,
    "axes.formatter.min_exponent": 3,  # 20 rather than 2 × 10¹, which would touch its neighbour
}


def save_figure(figure: Figure, stem: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a figure as PNG (200 dpi) and as PDF with embedded fonts, the same bytes every time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    stem : path-like
        Path without the suffix, which is left out if it is given; missing folders are made.

    Returns
    -------
    tuple of pathlib.Path
        The PNG and the PDF.

    Raises
    ------
    InvalidSetup
        The path is no path of a file, or has the suffix of another format.
    InvalidStore
        The files cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from matplotlib.figure import Figure
    >>> with TemporaryDirectory() as folder:
    ...     print([path.suffix for path in save_figure(Figure(), folder + "/empty")])
    ['.png', '.pdf']
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure as AnyFigure

    instance("figure", figure, AnyFigure)
    whole = user_path(stem, "stem")
    if not whole.name:
        raise invalid("stem", "a path that ends in a name", stem)
    if whole.suffix.lower() in OTHER_FORMATS:
        raise invalid("stem", "a path without a suffix", stem, "PNG and PDF are written.")
    if whole.suffix.lower() in (".png", ".pdf"):
        whole = whole.with_suffix("")
    png, pdf = Path(f"{whole}.png"), Path(f"{whole}.pdf")
    try:
        png.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context({"pdf.fonttype": 42}):
            figure.savefig(png, dpi=200)
            with _panels_where_they_are(figure):
                figure.savefig(pdf, metadata={"CreationDate": None})
    except OSError as error:
        raise InvalidStore(f"The figure cannot be written: {error}.") from error
    return png, pdf


@contextmanager
def _panels_where_they_are(figure: Figure) -> Iterator[None]:
    """Lay nothing out again, which takes half of the time of drawing."""
    layout = figure.get_layout_engine()
    if layout is not None:
        figure.set_layout_engine("none")
    try:
        yield
    finally:
        if layout is not None:
            figure.set_layout_engine(layout)


def axis_label(variable: xr.DataArray) -> str:
    """Name, symbol and units of a variable."""
    name, symbol, units = (text_of(variable, key) for key in ("long_name", "symbol", "units"))
    text = f"{name or variable.name} {symbol}".strip()
    return text if units in ("", "1") else f"{text} ({units.replace('N', '$N$')})"


def text_of(variable: xr.DataArray, key: str) -> str:
    """Return an attribute of a variable, empty unless it is a text."""
    text = variable.attrs.get(key, "")
    return text if isinstance(text, str) else ""


def level_marker(level: str, marker: str) -> dict[str, Any]:
    """Say how points of a level are drawn."""
    return {"marker": marker, "linestyle": "", **LEVELS[level][1]}


def legend_handle(color: Any = "0.25", **style: Any) -> Any:
    """Make an entry of a legend by hand."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, **style)


def palette(number: int) -> list[Any]:
    """Return colours of falling lightness; the palest are left out."""
    import seaborn as sns

    return sns.color_palette("rocket_r", number + 1)[1:]


def three_digits(value: float) -> str:
    """Write a number for a legend, with powers of ten as axes have them."""
    digits, _, power = f"{value:.3g}".partition("e")
    factor = "" if digits == "1" else rf"{digits}\times "
    return rf"${factor}10^{{{int(power)}}}$" if power else digits


def student_styles(number: int) -> list[dict[str, Any]]:
    """Return a colour, a line style and a marker for each student."""
    dashes = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
    markers = "osDvp"
    return [
        {"color": colour, "linestyle": dashes[k % 5], "marker": markers[k % 5]}
        for k, colour in enumerate(palette(number))
    ]


def make_panels(
    number: int, columns: int, size: tuple[float, float], **shared: Any
) -> tuple[Figure, list[Axes]]:
    """Make panels of one size and room for a legend at the right, in a figure outside pyplot."""
    rows = -(-number // columns)
    figure = _figure_class()(
        (size[0] * columns + LEGEND_WIDTH, size[1] * rows), layout="constrained"
    )
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())
    for axis in axes[number:]:
        axis.remove()
    return figure, axes[:number]


@cache
def _figure_class() -> type[Figure]:
    """Return figures that keep their style when they are drawn, which is when ticks are named."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    class PaperFigure(Figure):
        """A figure that is drawn in the style in which it was made."""

        def draw(self, renderer: Any) -> None:
            """Draw it; what cannot be read as a formula is drawn as it is."""
            for text in self.findobj(Text):
                if not all(map(_is_readable, text.get_text().split("\n"))):
                    text.set_parse_math(False)
            with paper_style():
                super().draw(renderer)

        def legend(self, *arguments: Any, **more: Any) -> Legend:
            """Add a legend; one that is too high is broken into columns, and gets the room."""
            found = super().legend(*arguments, **more)
            if "right" not in str(more.get("loc")) or "ncols" in more:
                return found
            columns = math.ceil(found.get_window_extent().height / self.bbox.height)
            if columns == 1:
                return found
            found.remove()
            self.set_figwidth(self.get_figwidth() + (columns - 1) * LEGEND_WIDTH)
            return super().legend(*arguments, **more, ncols=columns)

        def __reduce__(self) -> Any:  # a class within a function is not found by pickle
            return (_unpickled, (), self.__getstate__())

    return PaperFigure


@lru_cache(maxsize=1024)
def _is_readable(line: str) -> bool:
    """Return whether a line, which may be from a file, has no formula or one that can be drawn."""
    from matplotlib.mathtext import MathTextParser

    if line.count("$") < 2:
        return True
    try:
        MathTextParser("path").parse(line)
    except (ValueError, RecursionError):
        return False
    return True


def _unpickled() -> Figure:
    return _figure_class()()


def paper_style() -> Any:
    """Return the context in which figures are drawn."""
    import matplotlib as mpl
    import seaborn as sns

    settings: Any = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **PAPER}
    return mpl.rc_context(settings)


def check_results(results: Sequence[xr.Dataset], variables: Sequence[str]) -> None:
    """Raise InvalidSetup unless every result is of a level and has the variables."""
    sequence("results", results, "Give at least one Dataset.")
    if not all(isinstance(name, str) for name in sequence("variables", variables)):
        raise invalid("variables", "a list of names", variables)
    for result in results:
        if not isinstance(result, xr.Dataset):
            fix = "Give results one after the other, those of a list as *results."
            if isinstance(result, xr.DataTree):
                fix = "A node of a tree is one by node.to_dataset()."
            raise invalid("results", "Datasets", result, fix)
        result_level(result)
        for name in variables:
            if name not in result:
                raise invalid("variables", f"names among {', '.join(map(str, result))}", name)


def result_level(result: xr.Dataset) -> str:
    """Return the level of a result, or raise InvalidSetup."""
    level = result.attrs.get("level")
    if not isinstance(level, str) or level not in LEVELS:
        expected = f"an attribute that is one of {', '.join(LEVELS)}"
        raise invalid("level", expected, level, "Keep them: result.mean(..., keep_attrs=True).")
    return level


def dimensions(results: Sequence[xr.Dataset]) -> list[int]:
    """Return the N of results, ascending, of those whose attributes say it."""
    said = (result.attrs.get("dimension") for result in results)
    return sorted({int(size) for size in said if isinstance(size, Integral)})


def level_handles(results: Sequence[xr.Dataset], unlike: Sequence[str] = ()) -> list[Any]:
    """Make legend entries of the levels, with the dimensions of results, and of divergence.

    What is not the same for all results is named as well.
    """
    handles = []
    for level, (name, _) in LEVELS.items():
        found = [d for d in results if result_level(d) == level]
        sizes = dimensions(found)
        if found and level == "macroscopic":
            handles.append(legend_handle(label=rf"{name}, $N\to\infty$"))
        elif found:
            size = f", $N = {', '.join(map(str, sizes))}$" if sizes else ""
            handles.append(legend_handle(label=name + size, **level_marker(level, "o")))
    if any("diverged_at" in d and d["diverged_at"].notnull().any() for d in results):
        handles.append(legend_handle(label="diverges", linestyle="", marker="^", markersize=7))
    if unlike:
        handles.append(legend_handle(linestyle="", label="they differ in\n" + ",\n".join(unlike)))
    return handles


def mark_diverged(axis: Axes, positions: np.ndarray, colour: Any) -> None:
    """Put triangles on the upper edge; NaN is a position for none."""
    positions = positions[~np.isnan(positions)]
    if positions.size:  # a line without points would upset the layout
        axis.plot(
            positions,
            np.ones(positions.size),
            "^",
            color=colour,
            markersize=7,
            transform=axis.get_xaxis_transform(),
            clip_on=False,
            zorder=5,
        )
