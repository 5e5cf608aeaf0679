"""How far does a step turn the weights of a network with weight decay? Momentum, at rest.

Behind a convolution with batch normalization only the direction of a channel's weights counts. With
weight decay λ, learning rate η and momentum β their length comes to rest, where each step turns
them by √(2ηλ/(1 + β)), whatever the loss (Wan et al. 2021); the fourth power of the length goes
there at the rate 4ηλ/(1 − β) per step, as long as the noise of gradients stays the same. Where the
length still changes, a step turns the weights by

    θ² = (1 + d ln|w|²/dτ) θ∞²,    θ∞² = 2ηλ/(1 + β),  τ = 2ηλt/(1 − β),

since what gradients add to |w|² and decay does not take makes it grow. Small convolutional networks
learn digits; channels are followed one by one. Scales, shifts and the last layer have no decay. The
groups of the store:

    rest       angle per step, averaged over channels of a layer and the late half of the steps, by
               θ∞, and its balance θ²/θ∞² − d ln|w|²/dτ, which should be 1
    approach   the squared length of the weights through the training, in units of its late mean, of
               the first values of λ and β
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import xarray as xr
from handwritten import digits
from torch import Tensor, nn
from torch.nn import functional

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.random.streams import stream
from statmech_bn.study import decide, mean_and_error

MOMENTA = (0.0, 0.5, 0.9)
RATE = 0.2
"""All runs have this rate η/(1 − β)."""
BATCH_SIZE, SAMPLES, DEPTH, CHANNELS = 16, 512, 3, 4
"""Samples of a step and of the training set; layers of the network, and their channels."""
RELAXATIONS = 4.0
"""Runs last so many times (1 − β)/4ηλ steps, in which differences of |w|⁴ fall by e."""
MIDDLE = 1.0
"""How far the lengths still are from rest is judged at this 4ηλt."""
WORDS = {
    "weight_decay": ("weight decay", r"$\lambda$"),
    "momentum": ("momentum", r"$\beta$"),
    "angle_ratio": ("angle per step by theory", r"$\theta/\theta_\infty$"),
    "balance": (
        "angle less growth",
        r"$\theta^2/\theta_\infty^2-\mathrm{d}\ln|w|^2/\mathrm{d}\tau$",
    ),
    "relaxation": ("steps", r"$4\eta\lambda t/(1-\beta)$"),
    "length_square": ("squared length", r"$|w|^2/|w|^2_\infty$"),
}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Rest of normalized weights with weight decay and momentum."""

    presets: ClassVar = {
        "quick": {"decays": (0.02, 0.04), "replicas": 5},
        "paper": {"decays": (0.0025, 0.005, 0.01, 0.02, 0.04), "replicas": 10},
    }
    store: Path = Path("results/network_rotation.zarr")
    decays: tuple[float, ...] | None = None
    """Weight decays λ. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Initializations and orders of the samples, from which the error bars come."""


def followed(weight_decay: float, momentum: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Train one network; return squared lengths and angles, (steps, layers, channels)."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, order = digits(SAMPLES), stream(seed, 51)
    model = networks.plain_network(images.shape, images.classes, DEPTH, CHANNELS, seed=seed)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    others = [p for p in model.parameters() if not any(p is w for w in weights)]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": weight_decay}, {"params": others}
    ]  # fmt: skip
    optimizer = torch.optim.SGD(groups, RATE * (1 - momentum), momentum)
    steps = math.ceil(RELAXATIONS / (4 * RATE * weight_decay))
    squares, angles = np.empty((2, steps, DEPTH, CHANNELS))
    model.train()
    for step in range(steps):
        chosen = torch.from_numpy(order.choice(SAMPLES, BATCH_SIZE, replace=False))
        before = [direction(w) for w in weights]
        optimizer.zero_grad()
        loss = functional.cross_entropy(
            model(images.train_inputs[chosen]), images.train_labels[chosen]
        )
        loss.backward()
        optimizer.step()
        for layer, (weight, old) in enumerate(zip(weights, before, strict=True)):
            squares[step, layer] = weight.detach().flatten(1).square().sum(1)
            apart = (direction(weight) - old).norm(dim=1)
            angles[step, layer] = 2 * torch.asin(apart / 2)
    return squares, angles


def direction(weight: Tensor) -> Tensor:
    """Return the weights of each channel over their length, in double precision."""
    return functional.normalize(weight.detach().flatten(1).double())


def rest(weight_decay: float, momentum: float, replica: int, seed: int) -> xr.Dataset:
    """Measure the angle per step by that at rest, and its balance with the growth of lengths."""
    squares, angles = followed(weight_decay, momentum, seed + replica)
    half = len(angles) // 2
    at_rest = math.sqrt(2 * RATE * (1 - momentum) * weight_decay / (1 + momentum))
    time = 2 * RATE * weight_decay * (len(angles) - half)
    growth = np.log(squares[-1] / squares[half - 1]).mean(axis=1) / time
    late = np.sqrt((angles[half:] ** 2).mean(axis=(0, 2))) / at_rest
    return xr.Dataset(
        {"angle_ratio": ("layer", late), "balance": ("layer", late**2 - growth)},
        {"layer": np.arange(1, DEPTH + 1)},
    )


def approach(weight_decay: float, momentum: float, replica: int, seed: int) -> xr.Dataset:
    """Follow the mean squared length of a layer's weights to its rest."""
    squares, _ = followed(weight_decay, momentum, seed + replica)
    mean = squares.mean(axis=2)
    late = mean[len(mean) // 2 :].mean(axis=0)
    shown = np.unique(np.linspace(0, len(mean) - 1, 61).astype(int))
    time = 4 * RATE * weight_decay * (shown + 1)
    return xr.Dataset(
        {"length_square": (("relaxation", "layer"), mean[shown] / late)},
        {"relaxation": time.round(6), "layer": np.arange(1, DEPTH + 1)},
    )


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    decays, replicas = options.size("decays"), range(options.size("replicas"))
    grid = {"weight_decay": decays, "momentum": MOMENTA, "replica": replicas}
    one = {**grid, "weight_decay": decays[:1], "momentum": MOMENTA[:1]}
    return {
        "rest": (partial(rest, seed=options.seed), grid),
        "approach": (partial(approach, seed=options.seed), one),
    }


def opened(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both groups, with their words."""
    both = [tree[name].to_dataset().load() for name in ("rest", "approach")]
    for found in both:
        for name, (words, symbol) in WORDS.items():
            if name in found.variables:
                found[name].attrs.update(long_name=words, symbol=symbol, units="1")
    turned, followed = (sbn.dataset.describe(d).assign_attrs(level="microscopic") for d in both)
    return turned, followed


def claims(tree: xr.DataTree) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    turned, _ = opened(tree)
    ratio, balance = turned["angle_ratio"], turned["balance"]
    left, law = remaining(tree)
    return {
        "A step turns by √(2ηλ/(1 + β)) at rest": (ratio, ratio - 1),
        "... and as the length says where it still changes": (balance, balance - 1),
        "|w|⁴ goes to rest at the rate 4ηλ": (1 - left, left - law),
    }


def remaining(tree: xr.DataTree) -> tuple[xr.DataArray, float]:
    """Return what is left at `MIDDLE` of the way of |w|⁴ to its rest, and by the law."""
    one = opened(tree)[1].isel(weight_decay=0, momentum=0)
    way = (one["length_square"] ** 2).mean("layer") - 1
    at = way.sel(relaxation=MIDDLE, method="nearest")
    first = way.isel(relaxation=0)
    return at / first, math.exp(float(first["relaxation"] - at["relaxation"]))


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the angle at rest by theory, and the way to the rest."""
    turned, followed = opened(tree)
    time = followed["relaxation"].values
    law = xr.Dataset(
        {"length_square": ("relaxation", np.sqrt(1 + (at_first(followed) - 1) * np.exp(-time)))},
        {"relaxation": time},
    )
    one = followed.isel(weight_decay=0, momentum=0)
    return {
        "rest": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel(
                    "weight_decay", "angle_ratio", [turned.sel(layer=k)], None, f"layer {k}", "x"
                )
                for k in turned["layer"].values
            ],
            "momentum",
        ),
        "approach": lambda: sbn.plot.curves(
            [sbn.plot.Panel("relaxation", "length_square", [one], law, logarithmic="")],
            "layer",
            reference=r"rate $4\eta\lambda$",
        ),
    }


def at_first(followed: xr.Dataset) -> float:
    """Return the fourth power of the first length, the mean over layers and replicas."""
    return (followed["length_square"].isel(relaxation=0) ** 2).mean().item()


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Table the angles, and say what became of the claims."""
    turned, _ = opened(tree)
    columns: dict[str, pd.Series] = {}
    for name, title in (("angle_ratio", "by theory"), ("balance", "balance")):
        mean, error = mean_and_error(turned[name])
        columns |= {title: mean.to_series(), f"{title}, error": error.to_series()}
    found = pd.DataFrame(columns)
    decided = {claim: decide(*pair) for claim, pair in claims(tree).items()}
    return {
        "angle per step by theory": found,
        "verdicts": pd.DataFrame({"verdict": decided}),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
