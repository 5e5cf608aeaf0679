r"""Which learning rates can a convolutional network be trained with, with and without normalization?

Short trainings on the digits over depths and learning rates. A run is *stable* if at its end the
training loss is finite, below that of the start, and below that of the best constant output, which
is what a network has whose units are all off. It *trains* if it has three times as many training
samples right as chance. The largest rate of the grid that does is the largest stable, or training,
learning rate. The groups of the store, over depths, learning rates and replicas:

    none          weights from N(0, 2/n)
    rescaled      also without normalization, but each layer's weights scaled so that the mean
                  square of its fields is one at the start (Mishkin & Matas 2016, arXiv:1511.06422)
    batch         batch normalization
    population    population normalization, whose statistics are measured anew before each step

The same replica is the same initial weights, up to their scale, and order of samples in all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import tyro
import xarray as xr
from matplotlib.figure import Figure
from torch import nn

import statmech_bn as sbn
from statmech_bn import networks

KINDS = {
    "none": "no normalization",
    "rescaled": "no norm., rescaled start",
    "batch": "batch norm.",
    "population": "population norm.",
}
"""Groups of the store, and their titles in the figures."""
CRITERIA = {"stable": "stable", "trains": "trains"}
DEEPEST_POPULATION = 8
"""Beyond it, measuring the population's statistics before each step takes too long."""
LEARNED = 3.0
"""Accuracy in units of chance from which on a run trains."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Learning rates of networks."""

    presets: ClassVar = {
        "quick": {
            "depths": (2, 4, 8),
            "rates": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
            "kinds": ("none", "rescaled", "batch"),
            "replicas": 5,
        },
        "paper": {
            "depths": (2, 4, 8, 16),
            "rates": tuple(np.geomspace(0.03, 30, 10).tolist()),
            "kinds": tuple(KINDS),
            "replicas": 8,
        },
    }
    store: Path = Path("results/network_learning_rate.zarr")
    """Where the results go."""
    samples: int = 256
    """Digits in the training set."""
    batch_size: int = 16
    """Samples of a step."""
    epochs: int = 4
    """Length of a training."""
    channels: int = 8
    """Channels of a layer."""
    depths: tuple[int, ...] | None = None
    """Hidden layers; this and the following are the preset's unless given."""
    rates: tuple[float, ...] | None = None
    """Learning rates."""
    kinds: tuple[str, ...] | None = None
    """Networks, among none, rescaled, batch and population."""
    replicas: int | None = None
    """Initializations and orders of the samples, from which the error bars come."""


def train(
    kind: str,
    depth: int,
    learning_rate: float,
    replica: int,
    channels: int,
    samples: int,
    batch_size: int,
    epochs: int,
    seed: int,
) -> xr.Dataset:
    """Train one network, and see what has become of it."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = digits(samples), seed + replica
    normalization = "none" if kind == "rescaled" else kind
    model = networks.plain_network(
        images.shape, images.classes, depth, channels, normalization, seed=seed
    )
    if kind == "rescaled":
        rescale(model, images.train_inputs)
    run = networks.train(
        model, images, learning_rate, batch_size, epochs, refresh_steps=1, seed=seed
    )
    start, end = (run.isel(epoch=k, drop=True) for k in (0, -1))
    frequency = torch.bincount(images.train_labels).double() / samples
    constant = -float(torch.special.xlogy(frequency, frequency).sum())
    loss = end["training_loss"]
    found = end[["training_loss", "training_accuracy", "test_accuracy", "diverged_at"]]
    return found.assign(
        stable=(loss < start["training_loss"]) & (loss < constant),
        trains=end["training_accuracy"] >= LEARNED / images.classes,
    ).astype(float)


@lru_cache(maxsize=1)
def digits(samples: int) -> networks.Images:
    """Load the digits once."""
    return networks.load("digits", samples=samples)


def rescale(model: nn.Sequential, inputs: torch.Tensor) -> None:
    """Scale the weights of one layer after the other for fields of mean square one."""
    x = inputs
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Conv2d):
                layer.weight /= layer(x).square().mean().sqrt()
            x = layer(x)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: each kind of network over depths and learning rates."""
    sizes = ("channels", "samples", "batch_size", "epochs", "seed")
    shared: dict[str, Any] = {name: getattr(options, name) for name in sizes}
    grid = {"learning_rate": options.size("rates"), "replica": range(options.size("replicas"))}
    depths = {kind: options.size("depths") for kind in options.size("kinds")}
    if "population" in depths:
        depths["population"] = [d for d in depths["population"] if d <= DEEPEST_POPULATION]
    return {kind: (partial(train, kind, **shared), {"depth": depths[kind], **grid}) for kind in depths}


def simulate(options: Options) -> xr.DataTree:
    """Compute what is missing of the store, and open it."""
    return sbn.study.simulate(parts(options), options)
