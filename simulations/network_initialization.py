"""Is batch normalization a good initialization? Fixed statistics, learned ones, those of batches.

Balestriero & Baraniuk (2022) find two benefits of batch normalization: it places the boundaries of
the units where the data are, which is an initialization that is smart, and the noise of batches
widens margins. Dense networks on digits take them apart:

    none          weights from N(0, 2/n)
    initial       statistics of the training set at the initial weights, from then on constant
    population    statistics of the training set at the weights of the moment
    batch         statistics of the batch

The groups of the store:

    training      all of them trained, over learning rates and replicas
    features      random layers of which only the last is trained, over depths and replicas: by
                  steps, and to the end by a regression. As weights do not change, initial
                  statistics are those of the moment
    theory        the regression with the kernel of infinitely wide layers

The same replica is the same initial weights and order of samples in all.
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
from handwritten import Data, digits
from torch import nn

import statmech_bn as sbn
from statmech_bn import networks

KINDS = ("none", "initial", "population", "batch")
RANDOM = {"none": "no normalization", "initial": "initial statistics"}
"""Random features have these normalizations; figures have these titles for them."""
STEPS = {
    "smart initialization": ("none", "initial"),
    "statistics that follow": ("initial", "population"),
    "noise of batches": ("population", "batch"),
}
"""A benefit is claimed of the second kind beside the first."""
BATCH_SIZE = 16
RIDGE = 1e-2
"""The regression's penalty, in units of the mean square of a feature that varies."""
TOP_RATE = 5.0
"""Learning rate of the last layer alone, times the number of features."""


CHANCE = np.log(10)
"""A training that diverges is worth no more than a guess, which has this loss."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Benefits of batch normalization, one by one."""

    presets: ClassVar = {
        "quick": {
            "rates": (0.03,), "depths": (1, 8), "replicas": 5, "epochs": 5, "feature_width": 256
        },
        "paper": {
            "rates": (0.01, 0.03), "depths": (1, 4, 16), "replicas": 8, "epochs": 20,
            "feature_width": 1024,
        },
    }  # fmt: skip
    store: Path = Path("results/network_initialization.zarr")
    data: Data = "digits"
    """Images of 8 × 8 pixels, or MNIST's of 28 × 28; each set needs a store of its own."""
    depth: int = 8
    """Number of hidden layers of the networks that are trained."""
    width: int = 32
    """Units of their layers."""
    samples: int = 256
    """Digits in the training set."""
    rates: tuple[float, ...] | None = None
    """Learning rates. The preset chooses this and the following if not given."""
    depths: tuple[int, ...] | None = None
    """Numbers of random layers."""
    replicas: int | None = None
    """Initializations and orders of the samples, from which the error bars come."""
    epochs: int | None = None
    """Passes through the training set."""
    feature_width: int | None = None
    """Units of random layers."""


def made(
    normalization: str, images: networks.Images, depth: int, width: int, seed: int
) -> nn.Sequential:
    """Make one network."""
    kind = "frozen" if normalization == "initial" else normalization
    model = networks.dense_network(images.shape, images.classes, depth, width, kind, seed=seed)
    if normalization == "initial":
        networks.fix_statistics(model, images.train_inputs)
    return model


def train(
    normalization: str,
    learning_rate: float,
    replica: int,
    depth: int,
    width: int,
    samples: int,
    epochs: int,
    data: Data,
    seed: int,
) -> xr.Dataset:
    """Train all layers."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = digits(samples, data), seed + replica
    model = made(normalization, images, depth, width, seed)
    exact = normalization == "population"
    found = networks.train(
        model, images, learning_rate, BATCH_SIZE, epochs, exact_population=exact, seed=seed
    )
    return found[["training_loss", "test_accuracy", "test_loss"]]


def features(
    normalization: str,
    depth: int,
    replica: int,
    feature_width: int,
    samples: int,
    epochs: int,
    data: Data,
    seed: int,
) -> xr.Dataset:
    """Train the last of random layers."""
    torch.set_num_threads(1)
    images, seed = digits(samples, data), seed + replica
    model = made(normalization, images, depth, feature_width, seed).eval()
    below, top = model[:-1], nn.Sequential(nn.Flatten(), model[-1])
    with torch.no_grad():
        x = [below(part)[:, :, None, None] for part in (images.train_inputs, images.test_inputs)]
    seen = networks.Images("features", x[0], images.train_labels, x[1], images.test_labels)
    run = networks.train(top, seen, TOP_RATE / feature_width, BATCH_SIZE, epochs, seed=seed)
    flat = torch.cat(x).flatten(1).double()
    found = scores((flat @ flat.T / feature_width).numpy(), images)
    found["trained_accuracy"] = run["test_accuracy"].isel(epoch=-1, drop=True)
    return sbn.dataset.describe(found)


def theory(normalization: str, depth: int, samples: int, data: Data) -> xr.Dataset:
    """Take the kernel of infinitely wide layers."""
    images = digits(samples, data)
    x = torch.cat([images.train_inputs, images.test_inputs]).flatten(1).double().numpy()
    kind = "batch" if normalization == "initial" else "none"
    kernel = sbn.depth.relu_features(x, depth, kind, samples)
    return scores(kernel, images)


def scores(kernel: np.ndarray, images: networks.Images) -> xr.Dataset:
    """Regress on the labels, with an offset; also measure how much all samples have in common."""
    own = len(images.train_labels)
    left = kernel - kernel[:own].mean(axis=0)
    left -= left[:, :own].mean(axis=1)[:, None]
    targets = np.eye(images.classes)[images.train_labels.numpy()]
    penalty = RIDGE * np.trace(left[:own, :own]) * np.eye(own) / own
    weights = np.linalg.solve(left[:own, :own] + penalty, targets - targets.mean(axis=0))
    outputs = left[own:, :own] @ weights + targets.mean(axis=0)
    right = outputs.argmax(axis=1) == images.test_labels.numpy()
    spread = np.trace(left[:own, :own]) / np.trace(kernel[:own, :own])
    return sbn.dataset.describe(
        xr.Dataset({"regression_accuracy": right.mean(), "shared_output": 1 - spread})
    )


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    common: dict[str, Any] = {"samples": options.samples, "data": options.data}
    learned = common | {"epochs": options.size("epochs"), "seed": options.seed}
    replicas, depths = range(options.size("replicas")), options.size("depths")
    width = options.size("feature_width")
    return {
        "training": (
            partial(train, depth=options.depth, width=options.width, **learned),
            {
                "normalization": list(KINDS),
                "learning_rate": options.size("rates"),
                "replica": replicas,
            },
        ),
        "features": (
            partial(features, feature_width=width, **learned),
            {"normalization": list(RANDOM), "depth": depths, "replica": replicas},
        ),
        "theory": (partial(theory, **common), {"normalization": list(RANDOM), "depth": depths}),
    }


def opened(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the groups; of the trainings also the end."""
    found = {name: tree[name].to_dataset().load() for name in ("training", "features", "theory")}
    levels = {"training": "microscopic", "features": "microscopic", "theory": "macroscopic"}
    found = {name: d.assign_attrs(level=levels[name]) for name, d in found.items()}
    return found | {"end": found["training"].isel(epoch=-1)}


def benefits(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return what each step of the normalization adds, over learning rates and replicas."""
    end = opened(tree)["end"]
    end["logarithm"] = np.log(end["training_loss"].clip(max=CHANCE))
    found = {}
    for claim, (without, given) in STEPS.items():
        before, after = (end.sel(normalization=kind, drop=True) for kind in (without, given))
        found[f"{claim}: ln training loss, less"] = before["logarithm"] - after["logarithm"]
        found[f"{claim}: test accuracy, more"] = after["test_accuracy"] - before["test_accuracy"]
    return found


def random_benefits(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return what initial statistics add to the accuracy of random features, over depths."""
    random = opened(tree)["features"]
    initial, none = (random.sel(normalization=kind, drop=True) for kind in ("initial", "none"))
    more = initial - none
    titles = {"trained": "by steps", "regression": "to the end"}
    return {
        f"random features, last layer trained {title}: accuracy, more": more[f"{name}_accuracy"]
        for name, title in titles.items()
    }


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare what the literature claims with the runs, replica by replica."""
    found = opened(tree)
    rows: dict[str, tuple[float, float, str]] = {}
    rates, depths = found["end"]["learning_rate"].values, found["features"]["depth"].values
    for claim, gain in benefits(tree).items():
        for rate in rates:
            values = gain.sel(learning_rate=rate)
            rows[f"{claim}, η = {rate:g}"] = sbn.study.judge(values, ">0", len(rates))
    for claim, gain in random_benefits(tree).items():
        for depth in depths:
            values = gain.sel(depth=depth)
            rows[f"{claim}, depth {depth}"] = sbn.study.judge(values, ">0", len(depths))
    beside = (found["features"] - found["theory"])["regression_accuracy"]
    for kind, title in RANDOM.items():
        for depth in depths:
            label = f"random features, accuracy less that of the kernel, depth {depth}, {title}"
            value = beside.sel(normalization=kind, depth=depth)
            rows[label] = sbn.study.judge(value, "=0", len(depths))
    columns = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw losses and accuracies through the training, and what random features are worth."""
    found = opened(tree)
    rates = found["training"]["learning_rate"].values
    shown = found["training"].sel(learning_rate=rates[len(rates) // 2])
    both = [found["features"], found["theory"]]
    return {
        "training": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel("epoch", "training_loss", [shown], logarithmic="y"),
                sbn.plot.Panel("epoch", "test_accuracy", [shown], logarithmic=""),
            ],
            "normalization",
        ),
        "features": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel("depth", "trained_accuracy", both[:1], None, "by steps", "x"),
                sbn.plot.Panel("depth", "regression_accuracy", both, None, "by regression", "x"),
                sbn.plot.Panel("depth", "shared_output", both, logarithmic="x"),
            ],
            "normalization",
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
