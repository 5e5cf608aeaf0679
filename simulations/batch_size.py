"""Which batch size generalizes best? Batch normalization on finite training sets, ε_g against M.

Small batches shrink the output, like a ridge: too little for noisy labels at large M, too much at
small M. Linear students at several loads, annealed to the end. The group of the store:

    simulation    training, over load × batch size; the same data for all sizes of a load

Beside it `batch_normalized`, with and without uneven weights of the samples, and the published
ridge (λ_r = 2αζ with ζ = 3/(4M)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from gamma_decay import zeta

import statmech_bn as sbn

LOADS = (3.0, 5.0, 10.0)
LABEL_NOISE = 0.5
THEORIES = {
    "ridge": r"ridge, $\lambda_r = 2\alpha\zeta$",
    "shrunken": "least squares, shrunken",
    "uneven": "batch norm.",
}
"""Figures have a line for each of these theories, under this title."""
NEAR = 3.0
"""The parabola is fitted to sizes within this factor of the best one by theory."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Generalization at batch sizes from 3 to 100, and figures of it."""

    presets: ClassVar = {
        "quick": {"sizes": (3, 6, 12, 24, 48, 96), "dimension": 50, "replicas": 8, "epochs": 60},
        "paper": {
            "sizes": (3, 4, 5, 7, 9, 12, 16, 22, 30, 45, 65, 100),
            "dimension": 150,
            "replicas": 16,
            "epochs": 250,
        },
    }
    store: Path = Path("results/batch_size.zarr")
    sizes: tuple[int, ...] | None = None
    """Batch sizes M. The preset chooses this and the following if not given."""
    dimension: int | None = None
    """Dimension N of the inputs."""
    replicas: int | None = None
    """Training sets."""
    epochs: int | None = None
    """Epochs at α = 3; at other loads in proportion to the time of the slowest mode."""


def train(
    load: float, batch_size: int, dimension: int, replicas: int, epochs: int, seed: int
) -> xr.Dataset:
    """Anneal at one load and batch size."""
    slowness = LOADS[0] * (1 - LOADS[0] ** -0.5) ** 2 / (load * (1 - load**-0.5) ** 2)
    setup = sbn.TeacherStudent("linear", "batch", batch_size, LABEL_NOISE)
    found = sbn.offline.train(
        setup,
        load,
        0.5 * batch_size,
        dimension,
        replicas,
        int(max(40, slowness * epochs)),
        seed,
        schedule=sbn.schedules.cosine(1.0),
        workers=1,
    )
    found = found.isel(load=0, learning_rate=0)
    return found.drop_vars(["load", "samples", "learning_rate", "gamma_learning_rate"])


def predict(load: float, theory: str, batch_sizes: np.ndarray) -> xr.Dataset:
    """Evaluate a theory at many batch sizes."""
    if theory == "ridge":
        decay = zeta("independent", "linear", 1)
        error = sbn.offline.ridge(load, 2 * load * decay / batch_sizes, LABEL_NOISE)
    else:
        uneven = theory == "uneven"
        error = sbn.offline.batch_normalized(load, batch_sizes, LABEL_NOISE, uneven_weights=uneven)
    found = xr.Dataset({"generalization_error": ("batch_size", error)}, {"batch_size": batch_sizes})
    return sbn.dataset.describe(found)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: all loads and batch sizes."""
    run = {name: options.size(name) for name in ("dimension", "replicas", "epochs")}
    grid = {"load": LOADS, "batch_size": options.size("sizes")}
    return {"simulation": (partial(train, seed=options.seed, **run), grid)}


def vertex(batch_size: np.ndarray, error: np.ndarray, centre: float) -> float:
    """Return where a parabola in log M is least, within the range of batch sizes."""
    logs = np.log(batch_size)
    distance = np.abs(logs - np.log(centre))
    near = distance <= max(np.log(NEAR), np.sort(distance)[2])  # no fewer than three
    square, slope, _ = np.polyfit(logs[near], error[near], 2)
    best = -slope / (2 * square) if square > 0 else logs[error.argmin()]
    return float(np.exp(np.clip(best, logs[0], logs[-1])))


def optimum(simulation: xr.Dataset, centre: float) -> tuple[float, float]:
    """Return the best batch size of one load and its standard error over training sets.

    The logarithm's error is found by leaving out each training set in turn (jackknife).
    """
    size = simulation["batch_size"].values
    error = simulation["generalization_error"].transpose("replica", "batch_size").values
    number = len(error)
    means = (np.delete(error, k, axis=0).mean(axis=0) for k in range(number))
    left_out = np.log([vertex(size, mean, centre) for mean in means])
    best = vertex(size, error.mean(axis=0), centre)
    return best, float(best * np.sqrt((number - 1) * left_out.var()))


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare the best batch sizes of the simulation with those of theory, load by load.

    Both come from the same parabola; beside them are theory's own minimum, and M* without uneven
    weights.
    """
    rows = {}
    simulation = tree["simulation"].to_dataset()
    sizes = simulation["batch_size"].values
    for load in simulation["load"].values:
        curve = predict(load, "uneven", np.geomspace(sizes[0], sizes[-1], 400))
        least = float(curve["generalization_error"].idxmin("batch_size"))
        best, error = optimum(simulation.sel(load=load), least)
        own = predict(load, "uneven", sizes)["generalization_error"].values
        expected = vertex(sizes, own, least)
        rows[float(load)] = {
            "M": best,
            "standard error": error,
            "M, theory": expected,
            "errors away": (best - expected) / error if error > 0 else np.inf,
            "theory's minimum": least,
            "M*": float(sbn.offline.best_batch_size(load, LABEL_NOISE)),
        }
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("α")
    return {"best batch size": found}


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the errors against the batch size."""
    simulation = tree["simulation"].to_dataset()
    sizes = simulation["batch_size"].values
    fine = np.geomspace(sizes[0], sizes[-1], 200)
    panels: dict[str, Any] = {}
    for load in simulation["load"].values:
        lines = {name: predict(load, name, fine) for name in THEORIES}
        best = lines["uneven"]["generalization_error"].argmin("batch_size").item()
        panels[rf"$\alpha = {load:g}$"] = {
            THEORIES["ridge"]: (lines["ridge"], None),
            THEORIES["shrunken"]: (lines["shrunken"], None),
            THEORIES["uneven"]: (lines["uneven"], simulation.sel(load=load)),
            "best batch size": (None, lines["uneven"].isel(batch_size=[best])),
        }
    return {"error": lambda: sbn.plot.against("batch_size", panels)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
