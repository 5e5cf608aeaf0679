"""How sharp is the minimum that a network is trained to? Learning rate, batch size, normalization.

Largest eigenvalue λ of the Hessian of the loss on all training samples, with respect to all
parameters, before and during trainings on the digits that have as many steps for all batch sizes.
With batch normalization, whose statistics are then those of all samples, the loss does not change
with the length of a layer's weights, and λ falls as 1/|w|². What is left is the scale-free
sharpness, the eigenvalue with respect to the convolutions' weights in units of each layer's |w|,
which for one layer alone is |w|²λ. The groups of the store, over batch sizes, learning rates,
replicas and the time of training:

    none     weights from N(0, 2/n)
    batch    batch normalization

The same replica is the same initial weights and order of samples in both.
"""

from __future__ import annotations

import copy
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
from torch import nn
from torch.nn.utils import parametrize

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.errors import invalid

KINDS = {"none": "no normalization", "batch": "batch norm."}
"""The store has these groups; figures have these titles for them."""
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
    depth: int = 3
    """Hidden layers."""
    channels: int = 8
    """Channels of a layer."""
    samples: int = 128
    """Digits in the training set."""
    time: float = 25.6
    """Length of a training, steps times learning rate."""
    batch_sizes: tuple[int, ...] | None = None
    """Divisors of the samples. The preset chooses this and the following if not given."""
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
    layers: list[Any] = [m for m in relative.modules() if isinstance(m, nn.Conv2d)]
    for layer in layers:
        norm = layer.weight.norm().item()
        square += norm**2
        parametrize.register_parametrization(layer, "weight", Scaled(norm))
        layer.parametrizations.weight.original.requires_grad_(True)
    return relative, square


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


def trained(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return both networks over (batch_size, learning_rate, replica, training_time).

    With ``stability``, the largest eigenvalue by the bound 2/η.
    """
    found = {}
    for kind in KINDS:
        d = tree[kind].to_dataset().load()
        d = d.assign(sharpness=d["sharpness"].sel(rank=1, drop=True))
        d["stability"] = (d["sharpness"] * d["learning_rate"] / 2).transpose(*d["sharpness"].dims)
        found[kind] = sbn.dataset.describe(d.assign_attrs(level="microscopic"))
        names = {"long_name": "largest eigenvalue", "symbol": r"$\lambda_1$"}
        found[kind]["sharpness"].attrs.update(names)
    return found


def exponents(values: xr.DataArray) -> xr.Dataset:
    """Fit ln values = a ln η + b ln M + const. in each replica.

    Parameters
    ----------
    values : xarray.DataArray
        Over (batch_size, learning_rate, replica).

    Returns
    -------
    xarray.Dataset
        ``rate`` a and ``size`` b, over replica.
    """
    stacked = values.stack(point=("batch_size", "learning_rate")).transpose("point", "replica")
    logarithms = [np.log(stacked[name].values) for name in ("learning_rate", "batch_size")]
    design = np.stack([*logarithms, np.ones(stacked.sizes["point"])], axis=1)
    a, b, _ = np.linalg.lstsq(design, np.log(stacked.values), rcond=None)[0]
    return xr.Dataset({"rate": ("replica", a), "size": ("replica", b)})


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare what the literature claims with the runs, replica by replica."""
    found, judge = trained(tree), sbn.study.judge
    rows: dict[str, tuple[float, float, str]] = {}
    for kind, title in KINDS.items():
        end = found[kind].isel(training_time=-1)
        powers = exponents(end["sharpness"])
        rows[f"λ falls with η: −d ln λ/d ln η, {title}"] = judge(-powers["rate"], ">0")
        rows[f"λ rises with M: d ln λ/d ln M, {title}"] = judge(powers["size"], ">0")
        total = powers["rate"] + powers["size"]
        rows[f"only η/M matters: sum of both exponents, {title}"] = judge(total, "=0")
    end = found["batch"].isel(training_time=-1)
    free, square = (exponents(end[name]) for name in ("scale_free_sharpness", "weight_square"))
    rows["scale-free: −d ln λ̃/d ln η, batch norm."] = judge(-free["rate"], ">0")
    rows["weights grow with η: d ln |w|²/d ln η, batch norm."] = judge(square["rate"], ">0")
    logarithms = {kind: found[kind][["sharpness"]].map(np.log) for kind in KINDS}
    apart = (logarithms["none"] - logarithms["batch"])["sharpness"]
    ratio = apart.mean(["batch_size", "learning_rate"])
    for when, k in (("start", 0), ("end", -1)):
        claim = f"smoother: ln λ without / with batch norm., at the {when}"
        rows[claim] = judge(ratio.isel(training_time=k), ">0")
    for kind, title in KINDS.items():
        whole = found[kind]["stability"].isel(batch_size=-1)
        for rate in whole["learning_rate"].values:
            stability = whole.sel(learning_rate=rate)
            claim = f"ηλ/2 of gradient descent, η = {rate:g}, {title}"
            rows[f"edge of stability: largest {claim}"] = judge(
                stability.max("training_time"), "=1"
            )
            rows[f"edge of stability: last {claim}"] = judge(stability.isel(training_time=-1), "=1")
        smallest = found[kind]["stability"].isel(batch_size=0, training_time=-1)
        claim = f"noise keeps below it: 1 − ηλ/2, smallest M, {title}"
        rows[claim] = judge(1 - smallest.mean("learning_rate"), ">0")
    columns = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw both kinds of sharpness at the end, and that of gradient descent on the way."""
    found = trained(tree)
    ends = {kind: d.isel(training_time=-1) for kind, d in found.items()}
    rates = ends["none"]["learning_rate"]
    bound = xr.Dataset({"sharpness": 2 / rates})
    edge = xr.Dataset({"stability": xr.ones_like(found["none"]["training_time"])})
    return {
        "end": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel("learning_rate", name, [ends[kind]], reference, title)
                for name, reference in (("sharpness", bound), ("scale_free_sharpness", None))
                for kind, title in KINDS.items()
            ],
            "batch_size",
            2,
            r"$2/\eta$",
        ),
        "descent": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel(
                    "training_time", "stability", [d.isel(batch_size=-1)], edge, KINDS[kind], "y"
                )
                for kind, d in found.items()
            ],
            "learning_rate",
            reference="edge of stability",
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
