"""How large a step survives depth? One gradient step in all layers of a random network at once.

Handwritten digits, ReLU. Without normalization fields grow exponentially with the layer after a
large step; with batch normalization they do not. The groups of the store:

    step       moments of every layer's fields, their growth and the loss, over learning rates
    largest    largest step that lowers the loss, and that does not double it, over depths
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from handwritten import batch

import statmech_bn as sbn
from statmech_bn.study import mean_and_error

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
RATES = (0.0, *np.geomspace(0.03, 10_000, 12).tolist())
FACTORS = (1.0, 2.0)
"""A step is too large if it multiplies the loss by more: it must descend, or not explode."""
LARGE = 300.0
"""The growth at learning rates from this one on is compared with 2 ln η."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """One step in all layers at once."""

    presets: ClassVar = {
        "quick": {"width": 64, "depth": 10, "depths": (1, 2, 4, 8), "replicas": 6, "samples": 64},
        "paper": {
            "width": 128,
            "depth": 20,
            "depths": (1, 2, 3, 5, 8, 12, 18, 26),
            "replicas": 24,
            "samples": 128,
        },
    }
    store: Path = Path("results/exploding_updates.zarr")
    width: int | None = None
    """Channels of a layer. The preset chooses this and the following if not given."""
    depth: int | None = None
    """Number of hidden layers."""
    depths: tuple[int, ...] | None = None
    """Depths for which the largest step is found, in networks half as wide."""
    replicas: int | None = None
    """Random initializations, from which the error bars come."""
    samples: int | None = None
    """Digits in the batch."""


def step(
    normalization: str, depth: int, width: int, samples: int, replicas: int, seed: int
) -> xr.Dataset:
    """Take steps of all sizes, and see how fields grow with the layer."""
    images, labels = batch(samples, np.random.default_rng(seed))
    network = sbn.depth.DeepNetwork(depth, width, images.shape[1], normalization=normalization)
    found = sbn.depth.step_moments(network, images, labels, RATES, replicas, seed)
    return found.assign(growth=sbn.depth.growth_per_layer(found))


def largest(
    normalization: str,
    depth: int,
    factor: float,
    width: int,
    samples: int,
    replicas: int,
    seed: int,
) -> xr.Dataset:
    """Find the largest step after which the loss is less than `factor` times that before."""
    images, labels = batch(samples, np.random.default_rng(seed))
    network = sbn.depth.DeepNetwork(depth, width, images.shape[1], normalization=normalization)
    found = sbn.depth.largest_step(network, images, labels, replicas, seed, factor)
    return found.to_dataset()


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: steps of all sizes, and the largest that are stable."""
    shared: dict[str, Any] = {name: options.size(name) for name in ("samples", "replicas")}
    shared["seed"] = options.seed
    depth, width = options.size("depth"), options.size("width")
    networks = {"normalization": list(NORMALIZATIONS)}
    return {
        "step": (partial(step, depth=depth, width=width, **shared), networks),
        "largest": (
            partial(largest, width=width // 2, **shared),
            {**networks, "depth": options.size("depths"), "factor": FACTORS},
        ),
    }


def growth_exponents(tree: xr.DataTree, normalization: str) -> xr.DataArray:
    """Return the slope of the growth per layer against ln η at large η, over replicas."""
    growth = tree["step"]["growth"].sel(normalization=normalization, drop=True).load()
    growth = growth.sel(learning_rate=growth["learning_rate"] >= LARGE)
    growth = growth.transpose("learning_rate", "replica").dropna("replica")
    slopes = np.polyfit(np.log(growth["learning_rate"]), growth, 1)[0]
    return growth.isel(learning_rate=0, drop=True).copy(data=slopes)


def growth_exponent(tree: xr.DataTree, normalization: str) -> tuple[float, float]:
    """Return the mean of `growth_exponents` and its standard error."""
    mean, error = mean_and_error(growth_exponents(tree, normalization))
    return float(mean), float(error)


def step_ratio(tree: xr.DataTree, factor: float) -> xr.DataArray:
    """Return how many times larger a step batch normalization takes, for each depth."""
    steps = tree["largest"].to_dataset().sel(factor=factor)
    typical = steps.map(np.log).mean("replica").map(np.exp)["largest_step"]
    return typical.sel(normalization="batch") / typical.sel(normalization="none")


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw moments by layer, and growth, loss and largest step."""
    steps, stable = (
        {
            title: tree[group].to_dataset().sel(normalization=name)
            for name, title in NORMALIZATIONS.items()
        }
        for group in ("step", "largest")
    )
    return {
        "moments": lambda: sbn.plot.step_moments(steps),
        "growth": lambda: sbn.plot.step_growth(steps),
        "largest": lambda: sbn.plot.largest_step(stable),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say how fields grow with the layer."""
    rows = {title: growth_exponent(tree, name) for name, title in NORMALIZATIONS.items()}
    names = ["exponent", "standard error"]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    return {"growth per layer, in units of ln η": found}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
