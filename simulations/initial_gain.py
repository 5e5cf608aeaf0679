"""Must weights start at the right scale? Gradients and training of deep networks against the gain.

Without normalization gradients vanish or explode with depth unless the initial gain is right, and
saturating units cannot be trained at all; with batch normalization the gain does not matter. The
groups of the store, each over gains:

    gradients    mean square gradient of each layer, and the mean field's
    training     loss and accuracy on handwritten digits, at several learning rates
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sympy as sp
import xarray as xr

import statmech_bn as sbn
from statmech_bn.study import mean_and_error

x = sp.Symbol("x", real=True)
ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "logistic": 1 / (1 + sp.exp(-x))}
TITLES = {"relu": "ReLU", "tanh": "tanh", "logistic": "logistic"}
NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
GAINS = (0.5, 1.0, 2.0, 4.0)
"""Gradients are measured in networks of these initial gains."""
TRAINED = {"depth": 10, "width": 64}
"""Networks that are trained have this shape, smaller than those whose gradients are measured."""
BATCH_SIZE = 64
RATES = (0.01, 0.1, 1.0)
"""Each gain is trained at these learning rates, of which the best is taken."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Gradients and training against the initial gain."""

    presets: ClassVar = {
        "quick": {
            "width": 64,
            "depth": 10,
            "samples": 64,
            "replicas": 6,
            "gains": (0.5, 1.4, 4.0),
            "epochs": 1,
            "runs": 2,
        },
        "paper": {
            "width": 200,
            "depth": 20,
            "samples": 200,
            "replicas": 8,
            "gains": (0.25, 0.5, 1.0, 1.4, 2.0, 4.0, 8.0),
            "epochs": 4,
            "runs": 2,
        },
    }
    store: Path = Path("results/initial_gain.zarr")
    width: int | None = None
    """Channels of a layer. The preset chooses this and the following if not given."""
    depth: int | None = None
    """Number of hidden layers."""
    samples: int | None = None
    """Inputs in the batch whose gradients are measured."""
    replicas: int | None = None
    """Random initializations, from which the error bars come."""
    gains: tuple[float, ...] | None = None
    """Initial gains of the networks that are trained."""
    epochs: int | None = None
    """Passes through the digits."""
    runs: int | None = None
    """Networks trained at each gain and learning rate."""


def gradients(
    activation: str,
    normalization: str,
    gain: float,
    depth: int,
    width: int,
    samples: int,
    replicas: int,
    seed: int,
) -> xr.Dataset:
    """Measure the gradients of random networks on Gaussian inputs."""
    generator = np.random.default_rng(seed)
    inputs, labels = sbn.depth.teacher_classes(samples, 64, 10, generator)
    unit = ACTIVATIONS[activation]
    network = sbn.depth.DeepNetwork(depth, width, inputs.shape[1], 10, unit, normalization, gain)
    return sbn.depth.gradient_squares(network, inputs, labels, replicas, seed)


def training(
    activation: str,
    normalization: str,
    gain: float,
    learning_rate: float,
    depth: int,
    width: int,
    epochs: int,
    runs: int,
    seed: int,
) -> xr.Dataset:
    """Train on the digits."""
    images, labels = sbn.depth.digits()
    unit = ACTIVATIONS[activation]
    network = sbn.depth.DeepNetwork(depth, width, images.shape[1], 10, unit, normalization, gain)
    return sbn.depth.train(network, images, labels, learning_rate, BATCH_SIZE, epochs, runs, seed)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: gradients at initialization, and training."""
    measured: dict[str, Any] = {
        name: options.size(name) for name in ("depth", "width", "samples", "replicas")
    }
    trained: dict[str, Any] = {**TRAINED, **{n: options.size(n) for n in ("epochs", "runs")}}
    networks = {"activation": list(ACTIVATIONS), "normalization": list(NORMALIZATIONS)}
    return {
        "gradients": (
            partial(gradients, seed=options.seed, **measured),
            {**networks, "gain": GAINS},
        ),
        "training": (
            partial(training, seed=options.seed, **trained),
            {**networks, "gain": options.size("gains"), "learning_rate": RATES},
        ),
    }


def growth(tree: xr.DataTree) -> xr.Dataset:
    """Return the log of the growth of the mean square gradient per layer, and the mean field's."""
    found = tree["gradients"].to_dataset().load()
    depth = found.sizes["layer"]
    middle = found.sel(layer=[2, max(3, depth - 4)]).map(np.log)
    steps = float(middle["layer"][1] - middle["layer"][0])
    return (middle.isel(layer=0, drop=True) - middle.isel(layer=1, drop=True)) / steps


def multipliers(tree: xr.DataTree) -> pd.DataFrame:
    """Table the growth of the mean square gradient per layer, measured, and the mean field's."""
    log_growth = growth(tree)
    mean = log_growth.mean("replica").map(np.exp)
    error = mean["gradient_square"] * mean_and_error(log_growth["gradient_square"])[1]
    rows = {}
    for name in ACTIVATIONS:
        for normalization, title in NORMALIZATIONS.items():
            for gain in GAINS:
                where = {"activation": name, "normalization": normalization, "gain": gain}
                rows[f"{TITLES[name]}, {title}, gain {gain:g}"] = {
                    "measured": mean["gradient_square"].sel(where).item(),
                    "standard error": error.sel(where).item(),
                    "mean field": mean["theory"].sel(where).item(),
                }
    return pd.DataFrame.from_dict(rows, orient="index")


def best_accuracy(found: xr.Dataset) -> xr.DataArray:
    """Return the accuracy, over replicas, at the learning rate that is best for each gain."""
    final = found["training_accuracy"].isel(epoch=-1).load()
    best = final.mean("replica").argmax("learning_rate")
    return final.isel(learning_rate=best)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw gradients by layer, and accuracy against the gain."""
    squares = tree["gradients"].to_dataset()
    accuracy = best_accuracy(tree["training"].to_dataset())
    return {
        "gradients": lambda: sbn.plot.gradient_squares(
            {
                f"{TITLES[a]}, {title}": {
                    gain: squares.sel(activation=a, normalization=n, gain=gain) for gain in GAINS
                }
                for n, title in NORMALIZATIONS.items()
                for a in ACTIVATIONS
            },
            len(ACTIVATIONS),
        ),
        "training": lambda: sbn.plot.training_gain(
            {
                TITLES[a]: {
                    title: accuracy.sel(activation=a, normalization=n)
                    for n, title in NORMALIZATIONS.items()
                }
                for a in ACTIVATIONS
            }
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare the growth of gradients with the mean field's."""
    return {"growth of gradients per layer": multipliers(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
