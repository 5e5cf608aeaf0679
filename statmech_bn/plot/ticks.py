"""Numbers at the ticks of axes: short ones, and no two that touch.

How many numbers an axis has room for is known when it is drawn: a printed figure is narrower than
the one on a screen. Minor ticks of a logarithmic axis are given their numbers then, in an order in
which 2 and 5 come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

ORDER = "25436879"
"""Minor ticks with these first digits are given a number one after the other."""
LETTER, GAP, LINE = 0.6, 0.5, 1.2
"""Width of a character, of the space between numbers, and height of a line, by the font's size."""
MOST_WHOLE = 20
"""A linear axis over whole numbers within such a span has ticks at whole numbers alone."""


def whole_ticks(axis: Axes, values: np.ndarray) -> None:
    """Write 2, 3, 4 rather than 2.0, 2.5 on a horizontal, linear axis of a few whole numbers."""
    from matplotlib.ticker import MaxNLocator

    if axis.get_xscale() == "linear" and values.dtype.kind == "i" and np.ptp(values) < MOST_WHOLE:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def short_ticks(axis: Axes, logarithmic: str) -> None:
    """Write 0.2 rather than 2 × 10⁻¹ on logarithmic axes of less than two decades."""
    for name in logarithmic:
        side = {"x": axis.xaxis, "y": axis.yaxis}[name]
        low, high = side.get_view_interval()
        if high < 100 * low:
            plain_numbers(side)


def plain_numbers(side: Axis, every: bool = False) -> None:
    """Write numbers without powers of ten, at every minor tick or a few, where there is room."""
    from matplotlib.ticker import FuncFormatter

    side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    side.set_minor_formatter(_apart()(every))


def ticks_at(axis: Axes, values: Any) -> None:
    """Have ticks at these values only, within the limits of a horizontal logarithmic axis."""
    from matplotlib.ticker import NullLocator

    low, high = axis.get_xlim()
    axis.set_xticks([value for value in values if low <= value <= high])
    axis.xaxis.set_major_formatter(_apart()(True))
    axis.xaxis.set_minor_locator(NullLocator())


@cache
def _apart() -> Any:
    """Return the class of formatters, without which matplotlib need not be imported."""
    from matplotlib.ticker import LogFormatter

    class Apart(LogFormatter):
        """Gives ticks a number where there is room; major ones come before minor ones."""

        def __init__(self, every: bool) -> None:
            super().__init__()
            self._every = every

        def format_ticks(self, values: Sequence[float]) -> list[str]:
            """Return a text for each tick, empty for most."""
            self.set_locs(values)
            side: Any = self.axis
            low, high = sorted(side.get_view_interval())
            texts, taken = dict.fromkeys(values, ""), []
            if side.get_major_formatter() is not self:
                taken = [_extent(side, value) for value in side.get_majorticklocs()]
                values = sorted(values, key=lambda value: ORDER.find(f"{value:e}"[0]))
            for value in values:
                begin, end = _extent(side, value)
                wanted = low <= value <= high and (self._every or self(value))
                if wanted and all(end <= first or last <= begin for first, last in taken):
                    texts[value] = f"{value:g}"
                    taken.append((begin, end))
            return list(texts.values())

    return Apart


def _extent(side: Any, value: float) -> tuple[float, float]:
    """Return where the number of a tick begins and ends along its axis, in dots."""
    axes, flat = side.axes, side.axis_name == "x"
    size = axes.figure.dpi / 72 * side.get_major_ticks(1)[0].label1.get_fontsize()
    half = size * (LETTER * len(f"{value:g}") + GAP if flat else LINE) / 2
    transform = axes.get_xaxis_transform() if flat else axes.get_yaxis_transform()
    place = transform.transform([value, 0] if flat else [0, value])[0 if flat else 1]
    return place - half, place + half
