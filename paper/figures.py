"""All figures of the paper, at the size at which they are printed.

A new figure is one entry of `FIGURES`: which experiment draws it, under which name, and its size.
Run as ``python -m paper.figures NAME ...`` it draws these alone, otherwise all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import statmech_bn as sbn
from paper.stores import BUILD, RESULTS, experiments, open_store, script
from statmech_bn.errors import InvalidStore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.375, 7.0
"""A column and a page have these widths in inches."""


def by_rows(figure: Figure) -> float:
    """Return a height in inches that gives each row of panels the same room."""
    return 0.4 + 2.0 * figure.axes[0].get_gridspec().nrows


def gain_ticks(figure: Figure) -> None:
    """Name the gains that a narrow panel has room for."""
    for axis in figure.axes:
        axis.set_xticks([0.25, 1, 4], ["0.25", "1", "4"])


def whole_units(figure: Figure) -> None:
    """Name numbers of units and of epochs that there are."""
    for axis in figure.axes:
        if axis.get_xlabel().startswith(("units", "epoch")):
            axis.locator_params("x", integer=True)


@dataclass(frozen=True)
class Printed:
    """A figure of an experiment as the paper prints it.

    Parameters
    ----------
    experiment, name : str
        Which script draws it, and under which name.
    width : float
        In inches.
    height : float or callable
        In inches, or figure → height.
    legend : int, optional
        Columns of the legend.
    finish : callable, optional
        Changes the figure at its printed size.
    """

    experiment: str
    name: str
    width: float
    height: float | Callable[[Figure], float]
    legend: int | None = None
    finish: Callable[[Figure], None] | None = None

    def draw(self, results: Path = RESULTS) -> Figure:
        """Draw it, and nothing else of its experiment."""
        with open_store(self.experiment, results) as tree:
            figure = script(self.experiment).figures(tree)[self.name]()
        height = self.height(figure) if callable(self.height) else self.height
        figure = sbn.plot.fit(figure, self.width, height, legend=self.legend)
        if self.finish:
            self.finish(figure)
        return figure


FIGURES = {
    "alignment": Printed("gradient_alignment", "layers", COLUMN, 2.3, legend=2),
    "batch_depth": Printed("batch_depth", "remedies", PAGE, 2.3),
    "batch_size": Printed("batch_size", "error", PAGE, 2.1),
    "conditions": Printed("matrix_products", "conditions", COLUMN, 2.6, legend=2),
    "correlation": Printed("depth_correlation", "depth", COLUMN, 3.0, legend=4),
    "final_error": Printed("learning_rates", "final_error", PAGE, 2.5),
    "flips": Printed("boundary_jitter", "flips", COLUMN, 2.5, legend=2),
    "gamma_kurtosis": Printed("gamma_decay", "kurtosis", COLUMN, 2.2),
    "gamma_landscape": Printed("gamma_decay", "landscape", COLUMN, 3.4, legend=2),
    "gamma_shrinkage": Printed("gamma_decay", "shrinkage", COLUMN, 3.2, legend=4),
    "gamma_trajectories": Printed("gamma_decay", "trajectories", PAGE, 3.1, legend=4),
    "generalization": Printed("generalization", "error", PAGE, 2.7),
    "inference": Printed("inference", "loss", PAGE, 2.2, legend=4),
    "initial_gain": Printed("initial_gain", "training", COLUMN, 1.8, legend=2, finish=gain_ticks),
    "large_learning_rate": Printed("large_learning_rate", "error", PAGE, 3.3),
    "largest_step": Printed("exploding_updates", "largest", COLUMN, 1.9, legend=2),
    "late_time": Printed("late_time", "linear", PAGE, 3.4),
    "margin": Printed("boundary_jitter", "margin", PAGE, 1.9, legend=2),
    "momentum": Printed("momentum", "approach", COLUMN, 2.5, legend=3),
    "network_features": Printed("network_initialization", "features", PAGE, 2.8, legend=4),
    "network_flips": Printed("network_flips", "rates", PAGE, 3.6, legend=5),
    "network_gradients": Printed("network_signals", "initial", PAGE, by_rows, legend=4),
    "network_kinds": Printed("network_regularization", "training", PAGE, 2.4, legend=4),
    "network_places": Printed("network_placement", "place", PAGE, 2.3, legend=4),
    "network_rates": Printed("network_learning_rate", "largest", PAGE, 2.2, legend=4),
    "network_shares": Printed("network_batch_size", "closure", PAGE, 3.6, legend=2),
    "network_shift": Printed(
        "network_covariate_shift", "shift", PAGE, 3.6, legend=4, finish=whole_units
    ),
    "noise": Printed("update_noise", "network", COLUMN, 1.9, legend=2),
    "partition": Printed("partition", "cells", PAGE, 3.2, legend=3),
    "phase_diagram": Printed(
        "phase_diagram", "generalization_error_batch_size", PAGE, 3.3, legend=1
    ),
    "plateau": Printed("plateau", "length", PAGE, 2.6, legend=6),
    "power_laws": Printed("structured_inputs", "power_laws", PAGE, 2.6, legend=6),
    "residual": Printed("residual_depth", "gradient", COLUMN, 3.4, legend=2),
    "schedules": Printed("phase_diagram", "schedules", PAGE, 2.2),
    "structured": Printed("structured_inputs", "mnist", PAGE, 2.3, legend=7),
    "three_levels": Printed("learning_rates", "relu_batch", COLUMN, 3.1, legend=3),
    "units": Printed("committee", "fixed", PAGE, 2.3, legend=5, finish=whole_units),
    "updates": Printed("exploding_updates", "growth", COLUMN, 1.9, legend=3),
}
"""Each figure of the paper has a name."""


def available() -> list[str]:
    """Return the names of the figures whose experiments the paper has here."""
    return [name for name, printed in FIGURES.items() if printed.experiment in experiments()]


def produce(name: str, results: Path = RESULTS, build: Path = BUILD) -> Path:
    """Draw a figure into its file; returns the PDF."""
    figure = FIGURES[name].draw(results)
    return sbn.plot.save_figure(figure, build / "figures" / name)[1]


if __name__ == "__main__":
    try:
        for asked in sys.argv[1:] or available():
            print(produce(asked))
    except InvalidStore as error:
        sys.exit(str(error))
