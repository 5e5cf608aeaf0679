r"""Does a network train from weights of any size? Gains of convolutions, with and without BN.

The convolutions' weights of a plain network on digits are multiplied by a gain a at the start. A
batch-normalized network then computes the same, up to the ε in √(σ_B² + ε), and its gradient with
respect to the weights is 1/a of what it was: it is the network of gain 1 with the learning rate
η/a² of these weights. Without normalization every layer multiplies fields by a. The groups of the
store:

    start       first pass and first step against the gain
    training    loss and accuracy after short training, over gains and learning rates
    scaled      batch normalization with a²η for the convolutions, and a²ε: nothing may depend on a

Gains are powers of two, which multiply numbers without rounding, so that equal means equal in every
bit. The same replica is the same initial weights, up to the gain, and order of samples everywhere.
"""

from __future__ import annotations

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
from torch.nn.utils import parametrize

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.dataset import describe

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
BATCH_SIZE = 32
RATE = 0.3
"""What is compared at a fixed learning rate has this one."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Training against the initial gain."""

    presets: ClassVar = {
        "quick": {
            "gains": (0.125, 0.5, 1.0, 2.0, 8.0), "rates": (0.03, 0.3), "replicas": 5, "epochs": 3
        },
        "paper": {
            "gains": tuple(2.0**k for k in range(-4, 5)),
            "rates": (0.03, 0.1, 0.3, 1.0),
            "replicas": 8,
            "epochs": 6,
        },
    }  # fmt: skip
    store: Path = Path("results/network_gain.zarr")
    depth: int = 4
    """Number of hidden layers."""
    channels: int = 8
    """Channels of a layer."""
    samples: int = 256
    """Size of the training set."""
    gains: tuple[float, ...] | None = None
    """Powers of two, with 1 among them. The preset chooses this and the following if not given."""
    rates: tuple[float, ...] | None = None
    """Learning rates, with 0.3 among them."""
    replicas: int | None = None
    """Initializations, from which the error bars come."""
    epochs: int | None = None
    """Passes through the training set."""


class Scaled(nn.Module):
    """A weight that is a gain times what is trained: the same as a learning rate times gain²."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, trained: Tensor) -> Tensor:
        """Return the weight."""
        return self.gain * trained


def network(
    normalization: str, gain: float, depth: int, channels: int, scaled: bool, seed: int
) -> nn.Sequential:
    """Make a network whose convolutions have a gain, and a²η and a²ε with it if scaled."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    model = networks.plain_network((1, 8, 8), 10, depth, channels, normalization, seed=seed)
    for layer in convolutions(model):
        if scaled:
            parametrize.register_parametrization(layer, "weight", Scaled(gain))
        else:
            layer.weight.data *= gain
    if scaled:
        for layer in networks.normalization_layers(model).values():
            layer.epsilon *= gain**2
    return model


def convolutions(model: nn.Module) -> list[Any]:
    """Return the layers that have a gain."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def squared_length(model: nn.Module) -> float:
    """Sum of squares of the convolutions' weights."""
    return sum(layer.weight.detach().square().sum().item() for layer in convolutions(model))


def first(
    normalization: str,
    gain: float,
    replica: int,
    depth: int,
    channels: int,
    samples: int,
    seed: int,
) -> xr.Dataset:
    """Compare the first pass with that of gain 1, and measure the first step."""
    images = digits(samples)
    inputs, labels = images.train_inputs[:BATCH_SIZE], images.train_labels[:BATCH_SIZE]

    def outputs(gain: float, exact: bool) -> tuple[nn.Module, Tensor]:
        model = network(normalization, gain, depth, channels, False, seed + replica)
        for layer in networks.normalization_layers(model).values():
            layer.epsilon *= gain**2 if exact else 1.0
        return model, model.train()(inputs)

    size = outputs(1.0, True)[1].detach()
    change = {}
    for name, exact in (("output_change", False), ("exact_change", True)):
        model, logits = outputs(gain, exact)
        change[name] = ((logits.detach() - size).norm() / size.norm()).item()
    weights = [layer.weight for layer in convolutions(model)]
    slopes = torch.autograd.grad(functional.cross_entropy(logits, labels), weights)
    square = sum(slope.square().sum().item() for slope in slopes)
    step = np.sqrt(square / squared_length(model))
    return describe(xr.Dataset({**change, "relative_step": step}))


def train(
    normalization: str,
    gain: float,
    learning_rate: float,
    replica: int,
    depth: int,
    channels: int,
    samples: int,
    epochs: int,
    seed: int,
    scaled: bool = False,
) -> xr.Dataset:
    """Train from a gain."""
    images, seed = digits(samples), seed + replica
    model = network(normalization, gain, depth, channels, scaled, seed)
    start = squared_length(model) / gain**2
    run = networks.train(model, images, learning_rate, BATCH_SIZE, epochs, seed=seed)
    found = run[["training_loss", "training_accuracy", "test_accuracy"]].isel(epoch=-1, drop=True)
    rate = learning_rate * (gain**2 if scaled else 1.0)
    effective = rate * start / squared_length(model)
    return describe(found.assign(effective_rate=effective if np.isfinite(effective) else np.inf))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: the start, training, and training that must not depend on the gain."""
    shared: dict[str, Any] = {
        name: getattr(options, name) for name in ("depth", "channels", "samples", "seed")
    }
    trained = partial(train, epochs=options.size("epochs"), **shared)
    kinds, rates = {"normalization": list(NORMALIZATIONS)}, options.size("rates")
    runs = {"gain": options.size("gains"), "replica": range(options.size("replicas"))}
    return {
        "start": (partial(first, **shared), {**kinds, **runs}),
        "training": (trained, {**kinds, **runs, "learning_rate": rates}),
        "scaled": (
            partial(trained, normalization="batch", scaled=True),
            {**runs, "learning_rate": [RATE]},
        ),
    }


def opened(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Return the groups, with the symbol that the gain has here."""
    start, run, scaled = (
        tree[name].to_dataset().load() for name in ("start", "training", "scaled")
    )
    for found in (start, run, scaled):
        found["gain"].attrs["symbol"] = "$a$"
    return start, run, scaled


def best(accuracy: xr.DataArray) -> xr.DataArray:
    """Return the accuracy at the learning rate that is best for each gain, on average."""
    return accuracy.isel(learning_rate=accuracy.mean("replica").argmax("learning_rate"))


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare each claim with the networks; differences are taken replica by replica."""
    start, run, scaled = opened(tree)
    scaled = scaled.isel(learning_rate=0)
    accuracy, exact = run["test_accuracy"], start.sel(normalization="batch")
    logarithm = xr.apply_ufunc(np.log, start["relative_step"])
    gains = np.log(start["gain"])
    power = ((logarithm - logarithm.mean("gain")) * (gains - gains.mean())).sum("gain")
    power = power / ((gains - gains.mean()) ** 2).sum()
    same = abs(scaled - scaled.sel(gain=1.0)).max("gain")
    chosen = {n: best(accuracy.sel(normalization=n)) for n in NORMALIZATIONS}
    fixed = accuracy.sel(normalization="batch", learning_rate=RATE)
    rate = run["effective_rate"].sel(normalization="batch", learning_rate=RATE)
    low = float(run["gain"][0])
    kept = np.log(rate.sel(gain=low) / rate.sel(gain=1.0)) / np.log(low**-2)
    rows = {
        "the first pass does not depend on the gain, at a²ε": (
            exact["exact_change"].max("gain"), "=0",
        ),
        "nor at a fixed ε": (exact["output_change"].max("gain"), "=0"),
        "BN: power of the gain in the relative step": (power.sel(normalization="batch"), "=-2"),
        "no normalization: the same": (power.sel(normalization="none"), "=-2"),
        "BN with a²η, a²ε: largest change of the trained loss": (same["training_loss"], "=0"),
        "BN takes more gains than none: accuracy at the best η, mean over gains": (
            (chosen["batch"] - chosen["none"]).mean("gain"), ">0",
        ),
        "BN at a fixed η: accuracy at the largest gain, less that at 1": (
            fixed.isel(gain=-1) - fixed.sel(gain=1.0), "=0",
        ),
        "the same at the smallest": (fixed.isel(gain=0) - fixed.sel(gain=1.0), "=0"),
        "BN forgets a small gain: share of ln(η/a²) that is left": (kept, "=1"),
    }  # fmt: skip
    judged = {claim: sbn.study.judge(*row) for claim, row in rows.items()}
    names = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(judged, orient="index", columns=names)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw accuracy, the first step and effective learning rates against the gain."""
    start, run, scaled = opened(tree)
    gains = run["gain"]
    panels = [
        sbn.plot.Panel("gain", "test_accuracy", [run.sel(normalization=n)], None, title, "x")
        for n, title in NORMALIZATIONS.items()
    ]
    panels.append(
        sbn.plot.Panel("gain", "test_accuracy", [scaled], None, r"batch norm., $a^2\eta$", "x")
    )
    normalized = run.sel(normalization="batch", learning_rate=[RATE])
    line = xr.Dataset({"effective_rate": RATE / gains**2}).assign_coords(gain=gains)
    panels.append(
        sbn.plot.Panel(
            "gain",
            "effective_rate",
            [normalized],
            line,
            "batch norm., at the end",
        )
    )
    steps = start["relative_step"].sel(normalization="batch", gain=1.0).mean().item() / gains**2
    first = [
        sbn.plot.Panel(
            "gain",
            "relative_step",
            [start],
            xr.Dataset({"relative_step": steps}).assign_coords(gain=gains),
        ),
        sbn.plot.Panel("gain", "output_change", [start.sel(gain=gains[gains != 1])]),
    ]
    return {
        "training": lambda: sbn.plot.networks_beside_theory(
            panels, "learning_rate", 4, reference=r"at the start, $\eta/a^2$"
        ),
        "start": lambda: sbn.plot.networks_beside_theory(
            first, "normalization", 2, NORMALIZATIONS, reference=r"$\propto a^{-2}$"
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
