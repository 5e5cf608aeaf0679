"""The page's figures in Bokeh: curves of the students, in the colours and dashes of `plot`.

Theory is a line, the chain a band (mean ± standard deviation over the replicas), a run that
diverges a triangle on the upper edge, as in `statmech_bn.plot.trajectories`. A student of several
units has a line for each pair of them, all in one style.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from bokeh.models import (
    ColumnDataSource,
    Legend,
    LegendItem,
    Range1d,
    Scatter,
    Span,
)
from bokeh.plotting import figure
from matplotlib.colors import to_hex

from statmech_bn.explore.curves import RATES, Students, pairs
from statmech_bn.explore.state import NORMALIZATIONS
from statmech_bn.plot.replicas import LARGEST
from statmech_bn.plot.style import student_styles
from statmech_bn.plot.trajectories import LOGARITHMIC, OFF_SCALE, VARIABLES

WIDTH, HEIGHT = 370, 270
LINE = 2.0
"""Lines are so many pixels wide."""
EMPTY: dict[str, list[float]] = {"time": [], **{name: [] for name in VARIABLES}}
POINTS: dict[str, list[float]] = {"x": [], "y": []}
TITLES = {"overlap": "overlap $$R$$", "length": "length $$L$$",
          "gamma": "scale parameter $$\\gamma$$",
          "generalization_error": "generalization error $$\\varepsilon_g$$"}  # fmt: skip


class Drawing:
    """Figures against time, and of the final error against the learning rate.

    Attributes
    ----------
    curves, bands, finals, edges : dict
        Place of a student among those shown → the source of its lines, band, final error and
        triangles; a place that is not taken has empty sources.
    """

    def __init__(self) -> None:
        places = range(len(NORMALIZATIONS))
        self.curves = {k: ColumnDataSource(EMPTY, name=f"curves{k}") for k in places}
        self.bands = {k: ColumnDataSource(EMPTY, name=f"band{k}") for k in places}
        self.finals = {k: ColumnDataSource(POINTS, name=f"final{k}") for k in places}
        self.edges = {k: ColumnDataSource(POINTS, name=f"edge{k}") for k in places}
        self.present = Span(dimension="height", location=1.0, line_color="gray", line_dash="dotted",
                            line_width=2, name="present")  # fmt: skip
        self._styled: list[tuple[int, Any, str]] = []
        self.panels = [self._against_time(name) for name in VARIABLES]
        self.final = self._final_error()
        self.legend = Legend(location="top_left", name="legend")
        self.final.add_layout(self.legend, "right")

    def show_theory(self, found: Students) -> None:
        """Draw the order parameters of each student."""
        results = [d for d in found.values() if isinstance(d, xr.Dataset)]
        shown = [part for d in results for part in pairs(d)]
        ceilings = {name: ceiling(shown, name) for name in VARIABLES}
        for place, d in enumerate(_at_places(found)):
            if d is None:
                self.curves[place].data, self.edges[place].data = dict(EMPTY), dict(POINTS)
                continue
            lines = {name: one_after_the_other(visible(part[name].values, ceilings[name])
                     for part in pairs(d)) for name in VARIABLES}  # fmt: skip
            times = one_after_the_other(d["time"].values for _ in pairs(d))
            self.curves[place].data = {"time": times, **lines}
            gone = d["diverged_at"].values[np.isfinite(d["diverged_at"].values)]
            self.edges[place].data = {"x": gone, "y": np.full(gone.size, 0.95)}
        self._style(student_styles(len(found)))
        self.legend.items = [
            LegendItem(label=name, renderers=[self._line_of(place)])
            for place, name in enumerate(found)
            if isinstance(found[name], xr.Dataset)
        ]

    def show_chain(self, found: Students) -> None:
        """Draw the bands of the chain."""
        for place, d in enumerate(_at_places(found)):
            bands = [] if d is None else [band(part) for part in pairs(d)]
            self.bands[place].data = {name: [b[name] for b in bands] for name in EMPTY}

    def show_final(self, found: Students) -> None:
        """Draw the final error of each student at each learning rate."""
        results = [d for d in found.values() if isinstance(d, xr.Dataset)]
        first = [float(d["generalization_error"].isel(learning_rate=0).max()) for d in results]
        top = OFF_SCALE * max(first, default=1.0)
        for place, d in enumerate(_at_places(found)):
            if d is None:
                self.finals[place].data = dict(POINTS)
                continue
            values = visible(d["generalization_error"].values, top)
            self.finals[place].data = {"x": d["learning_rate"].values, "y": values}

    def _against_time(self, name: str) -> Any:
        scale = "log" if name in LOGARITHMIC else "linear"
        panel = _figure(scale, "linear", "time $$t$$ (steps / $$N$$)", TITLES[name], name)
        panel.extra_y_ranges = {"edge": Range1d(1e-3, 1)}
        for place, source in self.curves.items():
            band = panel.patches("time", name, source=self.bands[place], fill_alpha=0.25,
                                 line_color=None, level="underlay")  # fmt: skip
            line = panel.line("time", name, source=source, line_width=LINE)
            mark = panel.add_glyph(self.edges[place], Scatter(x="x", y="y", marker="triangle",
                                   size=11), y_range_name="edge")  # fmt: skip
            self._styled += [(place, band, "band"), (place, line, "line"), (place, mark, "mark")]
        own = self._styled[-3 * len(self.curves) :]
        panel.y_range.renderers = [drawn for _, drawn, kind in own if kind == "line"]
        return panel

    def _final_error(self) -> Any:
        panel = _figure(
            "log", "log", "learning rate $$\\eta$$", "final $$\\varepsilon_g$$", "final"
        )
        panel.x_range = Range1d(RATES[0], RATES[-1])
        panel.add_layout(self.present)
        for place, source in self.finals.items():
            self._styled.append(
                (place, panel.line("x", "y", source=source, line_width=LINE), "line")
            )
        return panel

    def _line_of(self, place: int) -> Any:
        """Return the line by which the legend knows a student; it is in the legend's figure."""
        return [line for k, line, kind in self._styled if k == place and kind == "line"][-1]

    def _style(self, styles: list[dict[str, Any]]) -> None:
        """Give every line, band and triangle the style of its student."""
        for place, drawn, kind in self._styled:
            if place >= len(styles):
                continue
            colour = to_hex(styles[place]["color"])
            if kind == "band":
                drawn.glyph.fill_color = colour
            elif kind == "mark":
                drawn.glyph.fill_color = drawn.glyph.line_color = colour
            else:
                drawn.glyph.line_color = colour
                drawn.glyph.line_dash = dashes(styles[place]["linestyle"])


def band(d: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the outline of mean ± standard deviation over replicas, to the right and back."""
    columns = {"time": outline(d["time"].values, d["time"].values)}
    for name in VARIABLES:
        values = d[name].isel(learning_rate=0)
        values = values.where((abs(values) < LARGEST).all("replica"))
        mean, spread = values.mean("replica").values, values.std("replica", ddof=1).values
        low = np.maximum(mean - spread, mean / 100) if name in LOGARITHMIC else mean - spread
        columns[name] = outline(low, mean + spread)
    return columns


def outline(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the edges of a band as one line."""
    return np.concatenate([low, high[::-1]])


def one_after_the_other(curves: Iterable[np.ndarray]) -> np.ndarray:
    """Join the curves of one student; a NaN between two of them breaks the line."""
    return np.concatenate([part for curve in curves for part in ([np.nan], curve)][1:])


def ceiling(results: list[xr.Dataset], name: str) -> float:
    """Return the largest value to draw if a student diverges, as `plot.trajectories` does."""
    tops = [float(np.abs(d[name]).max()) for d in results]  # inf where one diverges
    kept = [top for top in tops if top < LARGEST]
    return OFF_SCALE * max(kept) if kept and len(kept) < len(tops) else LARGEST


def visible(values: np.ndarray, top: float) -> np.ndarray:
    """Return the values of one curve, NaN where they are off the scale."""
    flat = np.ravel(values)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(flat) <= top, flat, np.nan)


def dashes(style: Any) -> list[int]:
    """Return the pixels of a line style of matplotlib."""
    names = {"--": "dashed", "-.": "dashdot", ":": "dotted"}
    if style == "-":
        return []
    known: Any = mpl.rcParams
    pattern = known[f"lines.{names[style]}_pattern"] if isinstance(style, str) else style[1]
    return [max(1, round(LINE * part)) for part in pattern]


def _figure(y: Any, x: Any, across: str, up: str, name: str) -> Any:
    panel = figure(width=WIDTH, height=HEIGHT, y_axis_type=y, x_axis_type=x, name=name,
                   tools="pan,box_zoom,wheel_zoom,reset,hover,save",
                   tooltips=[("x", "$x{0.000}"), ("y", "$y{0.0000}")])  # fmt: skip
    panel.xaxis.axis_label, panel.yaxis.axis_label = across, up
    panel.toolbar.logo, panel.toolbar.autohide = None, True
    return panel


def _at_places(found: Students) -> list[xr.Dataset | None]:
    """Return the result at each place, None where there is none."""
    results = [d if isinstance(d, xr.Dataset) else None for d in found.values()]
    return results + [None] * (len(NORMALIZATIONS) - len(results))
