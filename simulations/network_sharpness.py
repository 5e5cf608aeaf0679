r"""How sharp is the minimum that a network is trained to? Learning rate, batch size, normalization.

Largest eigenvalue λ of the Hessian of the loss on all training samples, with respect to all
parameters, before and during trainings on the digits that have as many steps for all batch sizes.
With batch normalization, whose statistics are then those of all samples, the loss does not change
with the length of a layer's weights, and λ falls as 1/|w|². What is left is the scale-free
sharpness, the eigenvalue with respect to the convolutions' weights in units of each layer's |w|: for
one layer alone |w|²λ. The groups of the store, over batch sizes, learning rates, replicas and steps:

    none     weights from N(0, 2/n)
    batch    batch normalization

The same replica is the same initial weights and order of samples in both.
"""

from __future__ import annotations

import copy
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
from torch.nn.utils import parametrize

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.errors import invalid

KINDS = {"none": "no normalization", "batch": "batch norm."}
"""Groups of the store, and their titles in the figures."""
EIGENVALUES, TOLERANCE = 3, 0.01


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Sharpness of trained networks."""

    presets: ClassVar = {
        "quick": {
            "batch_sizes": (8, 128),
            "rates": (0.1, 0.4),
            "checkpoints": 2,
            "replicas": 5,
        },
        "paper": {
            "batch_sizes": (8, 32, 128),
            "rates": (0.1, 0.2, 0.4),
            "checkpoints": 4,
            "replicas": 8,
        },
    }
    store: Path = Path("results/network_sharpness.zarr")
    """Where the results go."""
    depth: int = 3
    """Hidden layers."""
    channels: int = 8
    """Channels of a layer."""
    samples: int = 128
    """Digits in the training set."""
    time: float = 25.6
    """Length of a training, steps times learning rate."""
    batch_sizes: tuple[int, ...] | None = None
    """Divisors of the samples; this and the following are the preset's unless given."""
    rates: tuple[float, ...] | None = None
    """Learning rates."""
    checkpoints: int | None = None
    """How often it stops for measurements, after whole epochs."""
    replicas: int | None = None
    """Initializations and orders of the samples, from which the error bars come."""


class Scaled(nn.Module):
    """Parametrize weights w by w/|w| at a given |w|."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, direction: torch.Tensor) -> torch.Tensor:
        """Return w."""
        return self.norm * direction

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """Return w/|w|."""
        return weight / self.norm


def train(
    normalization: str,
    batch_size: int,
    learning_rate: float,
    replica: int,
    depth: int,
    channels: int,
    samples: int,
    time: float,
    checkpoints: int,
    seed: int,
) -> xr.Dataset:
    """Train one network, and measure on the way."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = digits(samples), seed + replica
    model = networks.plain_network(
        images.shape, images.classes, depth, channels, normalization, seed=seed
    )
    epochs = time / (learning_rate * checkpoints) * batch_size / samples
    if abs(epochs - round(epochs)) > 1e-6 * epochs:
        raise invalid("time", "whole epochs between checkpoints", epochs)
    found = [measure(model, images)]
    for part in range(checkpoints):
        order = checkpoints * seed + part
        networks.train(model, images, learning_rate, batch_size, round(epochs), seed=order)
        found.append(measure(model, images))
    times = xr.DataArray(np.linspace(0, time, checkpoints + 1), dims="training_time")
    return sbn.dataset.describe(xr.concat(found, times.rename("training_time")))


def measure(model: nn.Module, images: networks.Images) -> xr.Dataset:
    """Find loss and accuracy, both kinds of sharpness, and the squared length of the weights."""
    data = images.train_inputs, images.train_labels
    loss, _ = networks.evaluate(model, *data)
    _, accuracy = networks.evaluate(model, images.test_inputs, images.test_labels)
    relative, square = in_units_of_norms(model)
    if math.isfinite(loss):
        model.train()  # with the statistics of all samples, which are differentiated
        relative.train()
        largest = networks.sharpness(model, *data, EIGENVALUES, tolerance=TOLERANCE)["sharpness"]
        scale_free = networks.sharpness(relative, *data, tolerance=TOLERANCE)["sharpness"].item()
    else:  # diverged
        largest = xr.DataArray(np.full(EIGENVALUES, np.inf), dims="rank")
        largest, scale_free = largest.assign_coords(rank=np.arange(1, EIGENVALUES + 1)), np.inf
    found = {"sharpness": largest, "scale_free_sharpness": scale_free, "weight_square": square}
    return xr.Dataset({**found, "training_loss": loss, "test_accuracy": accuracy})


def in_units_of_norms(model: nn.Module) -> tuple[nn.Module, float]:
    """Copy a model whose only free parameters are w/|w| of its convolutions; also return Σ|w|²."""
    relative, square = copy.deepcopy(model).requires_grad_(False), 0.0
    for layer in [m for m in relative.modules() if isinstance(m, nn.Conv2d)]:
        norm = layer.weight.norm().item()
        square += norm**2
        parametrize.register_parametrization(layer, "weight", Scaled(norm))
        layer.parametrizations.weight.original.requires_grad_(True)
    return relative, square


@lru_cache(maxsize=1)
def digits(samples: int) -> networks.Images:
    """Load the digits once."""
    return networks.load("digits", samples=samples)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: both networks over batch sizes and learning rates."""
    sizes = ("depth", "channels", "samples", "time", "seed")
    shared: dict[str, Any] = {name: getattr(options, name) for name in sizes}
    shared["checkpoints"] = options.size("checkpoints")
    grid = {
        "batch_size": options.size("batch_sizes"),
        "learning_rate": options.size("rates"),
        "replica": range(options.size("replicas")),
    }
    return {kind: (partial(train, kind, **shared), grid) for kind in KINDS}


def simulate(options: Options) -> xr.DataTree:
    """Compute what is missing of the store, and open it."""
    return sbn.study.simulate(parts(options), options)
