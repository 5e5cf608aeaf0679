"""Which learning rates train a network? With normalization and without, over depths.

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

import statmech_bn as sbn
from statmech_bn import networks

KINDS = {
    "none": "no normalization",
    "rescaled": "no norm., rescaled start",
    "batch": "batch norm.",
    "population": "population norm.",
}
"""The store has these groups; figures have these titles for them."""
BOUNDED_BY_DEPTH = {"none": ">0", "rescaled": ">0", "batch": "=0", "population": "=0"}
"""These are the claims of what depth does to the largest rate, and to the share that diverges."""
CRITERIA = {"stable": "the loss falls", "trains": "it learns"}
"""Figures name these variables so."""
DEEPEST_POPULATION = 8
"""In deeper networks it takes too long to measure the population's statistics before each step."""
LEARNED = 3.0
"""A run trains if its accuracy is at least so many times that of chance."""


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
    samples: int = 256
    """Digits in the training set."""
    batch_size: int = 16
    """Samples of a step."""
    epochs: int = 4
    """Length of a training."""
    channels: int = 8
    """Channels of a layer."""
    depths: tuple[int, ...] | None = None
    """Hidden layers. The preset chooses this and the following if not given."""
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
    run = networks.train(model, images, learning_rate, batch_size, epochs, seed=seed)
    start, end = (run.isel(epoch=k, drop=True) for k in (0, -1))
    frequency = torch.bincount(images.train_labels).double() / samples
    constant = -float(torch.special.xlogy(frequency, frequency).sum())
    loss, first = float(end["training_loss"]), float(start["training_loss"])
    found = end[["training_loss", "training_accuracy", "test_accuracy", "diverged_at"]]
    found = found.assign(
        stable=float(loss < min(first, constant)),
        trains=float(end["training_accuracy"] >= LEARNED / images.classes),
    )
    return sbn.dataset.describe(found)


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
    return {
        kind: (partial(train, kind, **shared), {"depth": depths[kind], **grid}) for kind in depths
    }


def networks_of(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the kinds of networks that a store has, in the order of `KINDS`."""
    return {kind: tree[kind].to_dataset().load() for kind in KINDS if kind in tree.children}


def largest_rate(found: xr.Dataset, criterion: str) -> xr.DataArray:
    """Return the largest rate that is stable, or trains, over (depth, replica); NaN without one."""
    largest = found["learning_rate"].where(found[criterion] == 1).max("learning_rate")
    names = {"long_name": "largest learning rate", "symbol": r"$\eta_{\max}$", "units": "1"}
    return largest.assign_attrs(names)


def fall_with_depth(rates: xr.DataArray) -> xr.DataArray:
    """Fit −d ln η_max/d ln depth in each replica that has a largest rate at all depths."""
    rates = rates.dropna("replica").transpose("depth", "replica")
    slopes, _ = np.polyfit(np.log(rates["depth"]), np.log(rates), 1)
    return xr.DataArray(-slopes, dims="replica")


def most(kept: xr.DataArray, values: xr.DataArray) -> bool:
    """Say whether half of the replicas, and two, are left at least; else nothing is claimed."""
    left = kept.sizes["replica"]
    return left > 1 and 2 * left >= values.sizes["replica"]


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare what the literature claims with the runs, replica by replica."""
    found = networks_of(tree)
    rows: dict[str, tuple[float, float, str]] = {}
    for criterion in CRITERIA:
        largest = {kind: largest_rate(d, criterion) for kind, d in found.items()}
        for kind, rates in largest.items():
            if most(rates.dropna("replica"), rates) and rates.sizes["depth"] > 1:
                claim = f"−d ln η_max/d ln depth, {criterion}, {KINDS[kind]}"
                rows[claim] = sbn.study.judge(fall_with_depth(rates), BOUNDED_BY_DEPTH[kind])
        for kind, expected in (("none", ">0"), ("rescaled", ">0"), ("population", "=0")):
            if kind not in found:
                continue
            times = largest["batch"] / largest[kind]
            ratio = times.copy(data=np.log(times))
            for depth in ratio["depth"].values:
                values = ratio.sel(depth=depth).dropna("replica")
                if most(values, ratio):
                    claim = f"ln η_max batch norm. / {KINDS[kind]}, {criterion}, depth {depth}"
                    rows[claim] = sbn.study.judge(values, expected)
    accuracy = {kind: d["test_accuracy"] for kind, d in found.items()}
    for depth in accuracy["none"]["depth"].values:
        plain, normalized = (accuracy[kind].sel(depth=depth) for kind in ("none", "batch"))
        rate, larger = (d.mean("replica").idxmax().item() for d in (plain, normalized))
        best, same, other = (
            d.sel(learning_rate=r)
            for d, r in ((plain, rate), (normalized, rate), (normalized, larger))
        )
        judged = {
            "with − without batch norm., each at its best η": (other - best, ">0"),
            "with − without batch norm., at the best η without": (same - best, "=0"),
            "with batch norm., best η − the best η without": (other - same, ">0"),
        }
        for claim, (values, expected) in judged.items():
            rows[f"accuracy {claim}, depth {depth}"] = sbn.study.judge(values, expected)
    for kind, d in found.items():
        share = d["diverged_at"].notnull().mean("learning_rate")
        more = share.isel(depth=-1) - share.isel(depth=0)
        claim = f"share diverged, deepest − shallowest, {KINDS[kind]}"
        rows[claim] = sbn.study.judge(more, BOUNDED_BY_DEPTH[kind])
    columns = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw accuracy against the learning rate, and the largest rate against depth."""
    found = {KINDS[kind]: d for kind, d in networks_of(tree).items()}
    return {
        "accuracy": lambda: sbn.plot.rate_accuracy(found),
        "largest": lambda: sbn.plot.largest_rates(
            {
                title: {label: largest_rate(d, name) for label, d in found.items()}
                for name, title in CRITERIA.items()
            }
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
