"""The figures of the second tab: boundaries of a network's units, without and with BN.

Each layer has the colour, width and dashes of `statmech_bn.plot.partitions`; the data are points,
those of the batch filled.
"""

from __future__ import annotations

from typing import Any

import xarray as xr
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from matplotlib.colors import to_hex

from statmech_bn.explore.drawing import dashes
from statmech_bn.explore.partition import TITLES
from statmech_bn.plot.geometry import layer_lines

LAYERS = 2
SIZE = 420
WIDEST = 2.2
"""The lines of the first layer are so many pixels wide."""


class Cells:
    """One figure for the network without, and one with normalization.

    Attributes
    ----------
    boundaries : dict
        (student, layer) → the source of its boundaries.
    points : dict
        Student → the source of the data.
    """

    def __init__(self) -> None:
        self.boundaries: dict[tuple[str, int], ColumnDataSource] = {}
        self.points: dict[str, ColumnDataSource] = {}
        self.panels = [self._panel(name) for name in TITLES]

    def show(self, found: dict[str, xr.Dataset]) -> None:
        """Draw what `statmech_bn.explore.partition.partitions` returns."""
        for panel, (name, cut) in zip(self.panels, found.items(), strict=True):
            for layer in range(LAYERS):
                ends = cut["segment"].values[cut["segment_layer"].values == layer]
                xs, ys = ends[..., 0].tolist(), ends[..., 1].tolist()
                self.boundaries[name, layer].data = {"xs": xs, "ys": ys}
            x, y = cut["points"].values.T
            shade = ["white"] * len(x)
            shade[: cut.attrs["batch"]] = ["black"] * min(cut.attrs["batch"], len(x))
            self.points[name].data = {"x": x, "y": y, "shade": shade}
            (panel.x_range.start, panel.x_range.end), (panel.y_range.start, panel.y_range.end) = (
                cut["bounds"].values.tolist()
            )

    def _panel(self, name: str) -> Any:
        panel = figure(width=SIZE, height=SIZE, title=TITLES[name], name=f"cells_{name}",
                       x_range=Range1d(-3, 3), y_range=Range1d(-3, 3),
                       tools="pan,wheel_zoom,reset,save")  # fmt: skip
        for layer, style in enumerate(layer_lines(LAYERS)):
            source = ColumnDataSource({"xs": [], "ys": []}, name=f"cells_{name}_{layer}")
            self.boundaries[name, layer] = source
            lines = panel.multi_line("xs", "ys", source=source, legend_label=f"layer {layer + 1}")
            lines.glyph.line_color = to_hex(style["color"])
            lines.glyph.line_width = WIDEST * style["linewidth"]
            lines.glyph.line_dash = dashes(style["linestyle"])
        self.points[name] = ColumnDataSource({"x": [], "y": [], "shade": []}, name=f"data_{name}")
        panel.scatter("x", "y", source=self.points[name], size=4, line_color="black",
                      fill_color="shade", legend_label="data")  # fmt: skip
        panel.toolbar.logo, panel.toolbar_location = None, "above"
        panel.add_layout(panel.legend[0], "right")
        return panel
