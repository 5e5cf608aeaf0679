"""Does batch normalization reduce the internal covariate shift? Distributions, gradients, noise.

Plain convolutional networks on digits, trained without normalization, with batch normalization, and
with batch normalization and noise behind it whose mean and variance are new in each step. After
each epoch:

    input_quantile    quantiles of what one channel's units see in training mode, behind
                      normalization and noise, in each layer
    input_shift       distance of a channel's distribution from that one epoch before, in units of
                      its standard deviation then, averaged over channels (Wasserstein's distance);
                      field_shift is the same before the normalization
    gradient_shift    change of a layer's gradient by a step of the layers below it, in units of the
                      gradient; gradient_cosine is the cosine of both. The noise is off there.

The one group of the store, `training`, has them over normalizations, learning rates and replicas.
The same replica is the same initial weights and order of samples in all.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import xarray as xr
from handwritten import Data, digits
from torch import nn

import statmech_bn as sbn
from statmech_bn import networks

KINDS = {"none": "no normalization", "batch": "batch norm.", "noisy": "batch norm. and noise"}
"""The grid has these values; figures have these titles for them."""
BATCH_SIZE = 32
SAMPLES = 64
"""Distributions are those of so many samples, at all positions."""
CLAIMS = {
    "inputs move less: ln shift without / with batch norm.": ("input_shift", "none", "batch"),
    "so do fields: ln shift without / with batch norm.": ("field_shift", "none", "batch"),
    "gradients do not: ln shift with / without batch norm.": ("gradient_shift", "batch", "none"),
    "noise moves inputs: ln shift with noise / without batch norm.": (
        "input_shift", "noisy", "none",
    ),
    "it learns all the same: ln loss without batch norm. / with noise": (
        "training_loss", "none", "noisy",
    ),
    "noise costs: ln loss with noise / without it": ("training_loss", "noisy", "batch"),
}  # fmt: skip
"""A claim is that the ratio of a quantity in two networks is above 1, on average over epochs."""
SHOWN = [1, 5, 10, 15, 19]
"""Of the 21 quantiles figures show these, from 7 % to 93 %."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Internal covariate shift in networks."""

    presets: ClassVar = {
        "quick": {"rates": (0.1,), "replicas": 5, "epochs": 4},
        "paper": {"rates": (0.05, 0.2), "replicas": 8, "epochs": 30},
    }
    store: Path = Path("results/network_covariate_shift.zarr")
    data: Data = "digits"
    """Images of 8 × 8 pixels, or MNIST's of 28 × 28; each set needs a store of its own."""
    depth: int = 5
    """Number of hidden layers."""
    channels: int = 8
    """Channels of a layer."""
    samples: int = 256
    """Digits in the training set."""
    rates: tuple[float, ...] | None = None
    """Learning rates. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Initializations and orders of the samples, from which the error bars come."""
    epochs: int | None = None
    """Passes through the training set."""


def train(
    normalization: str,
    learning_rate: float,
    replica: int,
    depth: int,
    channels: int,
    samples: int,
    epochs: int,
    data: Data,
    seed: int,
) -> xr.Dataset:
    """Train one network, and measure after each epoch."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = digits(samples, data), seed + replica
    noisy = normalization == "noisy"
    kind = "batch" if noisy else normalization
    model = networks.plain_network(images.shape, images.classes, depth, channels, kind, seed=seed)

    def noise(time: int) -> AbstractContextManager[None]:
        """Give every training and every measurement noise of its own."""
        if not noisy:
            return nullcontext()
        return networks.noise_behind(model, seed=2 * (epochs + 1) * seed + time)

    rows, scores = [], []
    before = None
    for epoch in range(epochs + 1):
        if epoch:
            with noise(2 * epoch):
                order = epochs * seed + epoch
                run = networks.train(model, images, learning_rate, BATCH_SIZE, 1, seed=order)
            scores += [run.isel(epoch=k) for k in ((0, 1) if epoch == 1 else (1,))]
        model.train()
        with noise(2 * epoch + 1):
            now = networks.unit_quantiles(model, images.train_inputs[:SAMPLES])
        rows.append(measure(model, images, learning_rate, now, now if before is None else before))
        before = now
    names = ["training_loss", "test_accuracy"]
    time = xr.DataArray(range(epochs + 1), dims="epoch", name="epoch")
    found = [xr.concat(rows, time), xr.concat([score[names] for score in scores], time)]
    return sbn.dataset.describe(xr.merge(found, combine_attrs="drop"))


def measure(
    model: nn.Module,
    images: networks.Images,
    learning_rate: float,
    now: xr.Dataset,
    before: xr.Dataset,
) -> xr.Dataset:
    """Find both kinds of shift, and quantiles of one channel."""
    batch = images.train_inputs[:BATCH_SIZE], images.train_labels[:BATCH_SIZE]
    gradients = networks.gradient_shift(model, *batch, learning_rate)
    distances = distance(now, before).rename(
        field_quantile="field_shift", input_quantile="input_shift"
    )
    shown = now["input_quantile"].isel(channel=0, probability=SHOWN, drop=True)
    return xr.merge([gradients, distances, shown], combine_attrs="drop")


def distance(now: xr.Dataset, before: xr.Dataset) -> xr.Dataset:
    """Return Wasserstein's distance of two distributions by the spread of the first."""
    moved = abs(now - before).mean("probability")
    return (moved / before.std("probability")).mean("channel")


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: all networks over learning rates."""
    shared: dict[str, Any] = {
        name: getattr(options, name) for name in ("depth", "channels", "samples", "data")
    }
    shared |= {"epochs": options.size("epochs"), "seed": options.seed}
    grid = {
        "normalization": list(KINDS),
        "learning_rate": options.size("rates"),
        "replica": range(options.size("replicas")),
    }
    return {"training": (partial(train, **shared), grid)}


def trained(tree: xr.DataTree) -> xr.Dataset:
    """Return all trainings, with the shifts averaged over layers."""
    found = tree["training"].to_dataset().load()
    found = found.isel(weight=slice(1, None))  # nothing moves below the first
    for name, along in (("input", "layer"), ("field", "layer"), ("gradient", "weight")):
        found[f"{name}_shift"] = found[f"{name}_shift"].mean(along, keep_attrs=True)
    return found.assign_attrs(level="microscopic")


def ratios(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return what each claim says to be positive, over learning rates and replicas."""
    learning = trained(tree).isel(epoch=slice(1, None))
    found = {}
    for claim, (name, over, under) in CLAIMS.items():
        first, second = (
            learning[name].sel(normalization=kind, drop=True).mean("epoch")
            for kind in (over, under)
        )
        found[claim] = xr.apply_ufunc(np.log, first / second)
    return found


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare what the literature claims with the runs, replica by replica."""
    rows: dict[str, tuple[float, float, str]] = {}
    for claim, ratio in ratios(tree).items():
        rates = ratio["learning_rate"].values
        for rate in rates:
            values = ratio.sel(learning_rate=rate)
            rows[f"{claim}, η = {rate:g}"] = sbn.study.judge(values, ">0", len(rates))
    columns = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the shifts and the loss through the training, and quantiles of one unit's inputs."""
    found = trained(tree)
    rate = found["learning_rate"].values[-1]
    shown = found.sel(learning_rate=rate)
    moved = shown.isel(epoch=slice(1, None))
    names = ("input_shift", "field_shift", "gradient_shift", "training_loss")
    last = shown.isel(layer=-1, replica=0)
    return {
        "shift": lambda: sbn.plot.curves(
            [sbn.plot.Panel("epoch", n, [moved], logarithmic="y") for n in names],
            "normalization",
            2,
        ),
        "quantiles": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel(
                    "epoch",
                    "input_quantile",
                    [last.sel(normalization=kind).expand_dims(replica=1)],
                    title=title,
                    logarithmic="",
                )
                for kind, title in KINDS.items()
            ],
            "probability",
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
