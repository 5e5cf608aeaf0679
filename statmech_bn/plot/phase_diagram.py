"""Phase diagrams: a final value as lightness over the learning rate and another parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import count, instance, real
from statmech_bn.errors import invalid
from statmech_bn.plot.nesting import check_nesting
from statmech_bn.plot.style import axis_label, make_panels, paper_style

if TYPE_CHECKING:  # matplotlib and seaborn take longer to import than the rest of the package
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIVERGED: dict[str, Any] = {
    "hatch": "////",
    "facecolor": "0.97",
    "edgecolor": "0.35",
    "linewidth": 0,
}
MISSED: dict[str, Any] = {"hatch": "....", "facecolor": "0.97", "edgecolor": "0.75", "linewidth": 0}
"""Cells that diverge are hatched, those of an infinite value that do not are dotted."""


def phase_diagram(
    panels: Mapping[str, xr.Dataset],
    variable: str = "generalization_error",
    against: str = "batch_size",
    columns: int = 3,
    limits: tuple[float, float] = (0.0, np.inf),
) -> Figure:
    """Draw a variable over the learning rate and another parameter, one panel for each student.

    All panels share one logarithmic scale of lightness. What diverges is hatched; what is infinite
    without diverging, such as the time to an overlap that is not reached, is dotted.

    Parameters
    ----------
    panels : mapping
        Title → Dataset with `variable` and ``diverged_at`` over (`against`, ``learning_rate``).
    variable : str
    against : str
        Dimension of the vertical axis, one row of cells for each of its values.
    columns : int
    limits : tuple of float
        Values beyond are drawn like these. An error without label noise falls below what the
        solver resolves, and one that is about to diverge has no bound.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidSetup
        No panel, a Dataset without the variable or with other dimensions, or no positive value.
    """
    instance("variable", variable, str)
    instance("against", against, str)
    columns = count("columns", columns)
    low_limit, high_limit = _limits(limits)
    dims = (against, "learning_rate")
    check_nesting("panels", panels, (Mapping,), {variable: dims, "diverged_at": dims})
    grids = {title: _grid(found, variable, against) for title, found in panels.items()}
    shown = np.concatenate([values[np.isfinite(values)] for values, _ in grids.values()] or [[]])
    if not (shown > 0).any():
        raise invalid("panels", f"Datasets with a finite {variable} > 0", list(panels))
    with paper_style():
        import matplotlib as mpl
        import seaborn as sns

        low = max(low_limit, shown[shown > 0].min())
        norm = mpl.colors.LogNorm(low, min(high_limit, shown.max()), clip=True)
        colours = sns.color_palette("rocket_r", as_cmap=True)
        columns = min(columns, len(panels))
        figure, axes = make_panels(len(panels), columns, (2.6, 2.3), sharex=True, sharey=True)
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            values, diverged = grids[title]
            image = _draw(
                axis, found, against, np.maximum(values, low), diverged, norm=norm, cmap=colours
            )
            axis.set(title=title, xscale="log")
        for k, axis in enumerate(axes):
            if k % columns == 0:
                axis.set_ylabel(axis_label(found[against]))
            if k + columns >= len(axes):
                axis.set_xlabel(axis_label(found["learning_rate"]))
        beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}
        extend = beyond.get((shown.min() < norm.vmin, shown.max() > norm.vmax), "neither")
        label = axis_label(found[variable])
        figure.colorbar(image, ax=axes, label=label, pad=0.02, extend=extend)
        _legend(figure, grids.values())
    return figure


def _grid(found: xr.Dataset, variable: str, against: str) -> tuple[np.ndarray, np.ndarray]:
    """Return values over (against, learning rate), and where it diverges."""
    dims = (against, "learning_rate")
    for name in (variable, "diverged_at"):
        if name not in found or set(found[name].dims) != set(dims):
            raise invalid("panels", f"a Dataset with {name} over {dims}", dict(found.sizes))
    values, diverged_at = (found[n].transpose(*dims).values for n in (variable, "diverged_at"))
    return values, ~np.isnan(diverged_at)


def _draw(
    axis: Axes,
    found: xr.Dataset,
    against: str,
    values: np.ndarray,
    diverged: np.ndarray,
    **style: Any,
) -> Any:
    """Draw one panel; returns what the colour bar is of."""
    rates = np.log(found["learning_rate"].values)
    middles = (rates[1:] + rates[:-1]) / 2
    ends = [2 * rates[0] - middles[0]], [2 * rates[-1] - middles[-1]]
    x = np.exp(np.concatenate((ends[0], middles, ends[1])))
    rows = np.arange(len(values) + 1) - 0.5
    seen = np.isfinite(values) & ~diverged
    image = axis.pcolormesh(x, rows, np.ma.array(values, mask=~seen), **style)
    for mask, look in ((diverged, DIVERGED), (~seen & ~diverged, MISSED)):
        for row, first, last in _runs(mask):
            axis.fill_between(x[[first, last]], row - 0.5, row + 0.5, **look)
    axis.set_yticks(rows[:-1] + 0.5, [f"{value:g}" for value in found[against].values])
    axis.tick_params(axis="y", length=0)
    axis.set(xlim=(x[0], x[-1]), ylim=(rows[0], rows[-1]))
    return image


def _limits(limits: Any) -> tuple[float, float]:
    """Return the least value and the largest, which may be infinite."""
    if not isinstance(limits, (tuple, list)) or len(limits) != 2:
        raise invalid("limits", "two numbers, the least and the largest", limits)
    low = real("limits", limits[0], minimum=0.0)
    high = limits[1] if limits[1] == np.inf else real("limits", limits[1])
    if not low < high:
        raise invalid("limits", "increasing numbers", limits)
    return low, high


def _runs(mask: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield row, first column and the column after the last, of each run of true cells."""
    for row, cells in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], cells.astype(int), [0]))))
        for first, last in edges.reshape(-1, 2):
            yield row, int(first), int(last)


def _legend(figure: Figure, grids: Any) -> None:
    from matplotlib.patches import Patch

    handles = []
    if any(diverged.any() for _, diverged in grids):
        handles.append(Patch(label="diverges", **DIVERGED))
    if any((~np.isfinite(values) & ~diverged).any() for values, diverged in grids):
        handles.append(Patch(label="not reached", **MISSED))
    if handles:
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
