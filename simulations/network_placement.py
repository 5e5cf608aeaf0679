"""Where does normalization let learning rates be large? In the last layer, in the first, in all.

Dense networks on digits at initialization and in gradient descent of the squared loss, normalized

    none      nowhere
    first     behind the first hidden layer
    hidden    behind all hidden layers
    mean      in the outputs, by their mean over samples alone
    last      in the outputs, by mean and standard deviation

all with the statistics of the whole training set. For each, over widths and replicas: the largest
eigenvalue of the Fisher information, by Lanczos iterations, and the largest learning rate at which
the loss stays below the initial one in the first steps. Then the experiment of Bjorck et al.
(2018): deeper networks trained by batches at several learning rates, normalized nowhere, in the
first layer alone, in the last alone, and in all hidden ones. A rate is too large if the test
accuracy ends below the middle between a guess and the best of that place. The groups of the store:

    networks    eigenvalues and largest rates at the start
    theory      the eigenvalue of wide networks with "none" and "mean"
    training    losses and accuracies after training, over learning rates
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
from handwritten import Data, digits
from torch import nn
from torch.nn import functional

import statmech_bn as sbn
from statmech_bn import networks

PLACES = ("none", "first", "hidden", "mean", "last")
KNOWN = ("none", "mean")
"""Theory knows these."""
STEPS = 12
"""In so many steps of gradient descent the loss must not rise above the initial one."""
TRAINED = ("none", "first", "last", "hidden")
"""Networks that are trained by batches are normalized in these places."""
BATCH_SIZE, CHANCE = 32, 0.1
"""Samples of a step, and the accuracy of a guess."""
JUDGED = ("ln of the largest rate", "accuracy")
"""Claims about them are judged by these."""
WIDTH = 32
"""Units of the layers of networks that are trained by batches."""
HALVINGS = 6
"""So often the interval from 1/16 to 16 times 2/λ_max is halved, in which the largest rate is."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Normalization here and there."""

    presets: ClassVar = {
        "quick": {
            "widths": (32, 128), "replicas": 5, "rates": (0.01, 0.1, 1.0, 10.0), "epochs": 5
        },
        "paper": {
            "widths": (32, 64, 128, 256),
            "replicas": 12,
            "rates": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
            "epochs": 20,
        },
    }  # fmt: skip
    store: Path = Path("results/network_placement.zarr")
    data: Data = "digits"
    """Images of 8 × 8 pixels, or MNIST's of 28 × 28; each set needs a store of its own."""
    depth: int = 4
    """Number of hidden layers."""
    trained_depth: int = 12
    """Number of hidden layers, 32 wide, of the networks that are trained by batches."""
    trained_samples: int = 512
    """Digits in their training set."""
    samples: int = 64
    """Digits in the training set."""
    widths: tuple[int, ...] | None = None
    """Units of the hidden layers. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Initializations, from which the error bars come."""
    rates: tuple[float, ...] | None = None
    """Learning rates of the networks that are trained by batches."""
    epochs: int | None = None
    """Passes through their training set."""


def placed(place: str, images: networks.Images, depth: int, width: int, seed: int) -> nn.Sequential:
    """Make one network, in training mode."""
    kind = "batch" if place == "hidden" else "none"
    model = networks.dense_network(images.shape, images.classes, depth, width, kind, seed=seed)
    if place == "first":
        [name, layer] = next(iter(networks.normalization_layers(model).items()))
        setattr(model, name, networks.replace_normalization(layer, "batch"))
    if place == "mean":
        model.append(Centred())
    if place == "last":
        model.append(networks.Normalization(images.classes))
    return model.train()


class Centred(nn.Module):
    """Subtract the mean over samples."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return outputs (samples, classes) without their mean."""
        return x - x.mean(0)


def measure(
    place: str, width: int, replica: int, depth: int, samples: int, data: Data, seed: int
) -> xr.Dataset:
    """Find the largest eigenvalue, and the largest learning rate."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images = digits(samples, data)
    model = placed(place, images, depth, width, seed + replica)
    found = networks.fisher_eigenvalues(model, images.train_inputs, loss="squared", tolerance=0.01)
    eigenvalue = found["fisher_eigenvalue"].item()
    low, high = math.log(2 / eigenvalue / 16), math.log(2 / eigenvalue * 16)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if descends(model, images, math.exp(middle)):
            low = middle
        else:
            high = middle
    rate = math.exp((low + high) / 2)
    return sbn.dataset.describe(
        xr.Dataset(
            {
                "fisher_eigenvalue": eigenvalue,
                "largest_rate": rate,
                "rate_by_bound": rate * eigenvalue / 2,
            }
        )
    )


def descends(model: nn.Module, images: networks.Images, learning_rate: float) -> bool:
    """Say whether gradient descent keeps the squared loss below the initial one."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), learning_rate)
    targets = functional.one_hot(images.train_labels, images.classes) - 1 / images.classes
    losses = []
    for _ in range(STEPS + 1):
        loss = ((model(images.train_inputs) - targets) ** 2).sum(1).mean() / 2
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return all(loss < losses[0] for loss in losses[1:])  # not so if one is NaN


def theory(place: str, width: int, depth: int, samples: int, data: Data) -> xr.Dataset:
    """Find the eigenvalue of wide networks."""
    x = digits(samples, data).train_inputs.flatten(1).double().numpy()
    value = sbn.depth.largest_fisher_eigenvalue(x, depth, width, place == "mean")
    return sbn.dataset.describe(xr.Dataset({"fisher_eigenvalue": value}))


def train(
    place: str,
    learning_rate: float,
    replica: int,
    depth: int,
    samples: int,
    epochs: int,
    data: Data,
    seed: int,
) -> xr.Dataset:
    """Train one network by batches; one that diverges is worth a guess."""
    torch.set_num_threads(1)
    images, seed = digits(samples, data), seed + replica
    model = placed(place, images, depth, WIDTH, seed)
    found = networks.train(model, images, learning_rate, BATCH_SIZE, epochs, seed=seed)
    last = found[["training_loss", "test_accuracy"]].isel(epoch=-1, drop=True)
    return last.assign(
        training_loss=last["training_loss"].clip(max=math.log(images.classes)),
        test_accuracy=last["test_accuracy"].clip(min=CHANCE),
    )


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    data, depth, samples = options.data, options.trained_depth, options.trained_samples
    shared: dict[str, Any] = {"depth": options.depth, "samples": options.samples, "data": data}
    widths, replicas = options.size("widths"), range(options.size("replicas"))
    grid = {"place": list(PLACES), "width": widths, "replica": replicas}
    trained = partial(train, depth=depth, samples=samples, data=data, seed=options.seed)
    rates = {"learning_rate": options.size("rates"), "replica": replicas}
    return {
        "networks": (partial(measure, seed=options.seed, **shared), grid),
        "theory": (partial(theory, **shared), {"place": list(KNOWN), "width": widths}),
        "training": (
            partial(trained, epochs=options.size("epochs")), {"place": list(TRAINED), **rates},
        ),
    }  # fmt: skip


def opened(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Return all groups."""
    names = {"networks": "microscopic", "theory": "macroscopic", "training": "microscopic"}
    found, known, trained = (
        tree[name].to_dataset().load().assign_attrs(level=level) for name, level in names.items()
    )
    return found, known, trained


def largest_rate(accuracy: xr.DataArray) -> xr.DataArray:
    """Logarithm of the rate above which the accuracy stays below the middle, interpolated.

    The middle is that between a guess and the accuracy at the rate that is best on average.
    """
    middle = (CHANCE + accuracy.mean("replica").max("learning_rate")) / 2

    def crossing(values: np.ndarray, middle: float, rate: np.ndarray) -> float:
        good = np.flatnonzero(values >= middle)
        if not good.size or good[-1] == len(values) - 1:
            return float(rate[-1] if good.size else rate[0])
        both = [good[-1] + 1, good[-1]]
        return float(np.interp(middle, values[both], rate[both]))

    return xr.apply_ufunc(
        crossing,
        accuracy,
        middle,
        np.log(accuracy["learning_rate"]),
        input_core_dims=[["learning_rate"], [], ["learning_rate"]],
        vectorize=True,
        output_dtypes=[float],
    )


def at_best_rate(accuracy: xr.DataArray) -> xr.DataArray:
    """Return accuracies at the learning rate at which their mean is largest, at each place."""
    best = accuracy.mean("replica").argmax("learning_rate")
    return accuracy.isel(learning_rate=best, drop=True)


def trained_claims(trained: xr.Dataset) -> dict[str, tuple[xr.DataArray, str]]:
    """Return what Bjorck et al. see: the last layer alone does what all do, the first does not."""
    accuracy = trained["test_accuracy"]
    best = at_best_rate(accuracy)
    found: dict[str, tuple[xr.DataArray, str]] = {}
    for name, values in zip(JUDGED, (largest_rate(accuracy), best), strict=True):
        at = {place: values.sel(place=place, drop=True) for place in TRAINED}
        found |= {
            f"training, {name}: last less none": (at["last"] - at["none"], ">0"),
            f"training, {name}: last less first": (at["last"] - at["first"], ">0"),
            f"training, {name}: last less hidden": (at["last"] - at["hidden"], "=0"),
        }
    return found


def advantages(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return what each claim says to be positive, over widths and replicas."""
    found, _, _ = opened(tree)
    eigenvalue, rate = found["fisher_eigenvalue"], found["largest_rate"]

    def ratio(of: xr.DataArray, first: str, second: str) -> xr.DataArray:
        quotient = of.sel(place=first, drop=True) / of.sel(place=second, drop=True)
        return xr.apply_ufunc(np.log, quotient)

    return {
        "the mean of the outputs makes λ_max: ln λ, none / mean": ratio(eigenvalue, "none", "mean"),
        "with all of the outputs' statistics too: ln λ, none / last": ratio(
            eigenvalue, "none", "last"
        ),
        "hidden layers do not do it: ln λ, hidden / mean": ratio(eigenvalue, "hidden", "mean"),
        "nor does the first: ln λ, first / mean": ratio(eigenvalue, "first", "mean"),
        "rates are larger with the last layer: ln η, last / none": ratio(rate, "last", "none"),
        "the last is worth more than the hidden ones: ln η, last / hidden": ratio(
            rate, "last", "hidden"
        ),
    }


def beside_theory(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return ln λ_max less that of wide networks, for each place that theory knows."""
    found, known, _ = opened(tree)
    quotient = found["fisher_eigenvalue"] / known["fisher_eigenvalue"]
    apart = xr.apply_ufunc(np.log, quotient)
    return {place: apart.sel(place=place, drop=True) for place in KNOWN}


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare what the literature claims with the networks, replica by replica."""
    found, _, trained = opened(tree)
    bound = found["rate_by_bound"]
    claims = {
        **{claim: (values, ">0") for claim, values in advantages(tree).items()},
        **{
            f"λ_max of wide networks: ln λ less theory, {place}": (values, "=0")
            for place, values in beside_theory(tree).items()
        },
        **{
            f"2/λ_max is the largest rate: ηλ/2, {place}": (bound.sel(place=place), "=1")
            for place in PLACES
        },
    }
    rows: dict[str, tuple[float, float, str]] = {}
    widths = bound["width"].values
    for claim, (values, expected) in claims.items():
        for width in widths:
            label = f"{claim}, width {width}"
            rows[label] = sbn.study.judge(values.sel(width=width), expected, len(widths))
    for claim, (values, expected) in trained_claims(trained).items():
        rows[claim] = sbn.study.judge(values, expected)
    columns = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw eigenvalues and largest learning rates over the width, and accuracies over rates."""
    found, known, trained = opened(tree)
    return {
        "training": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel("learning_rate", name, [trained], logarithmic="x")
                for name in ("test_accuracy", "training_loss")
            ],
            "place",
        ),
        "place": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel("width", "fisher_eigenvalue", [found, known]),
                sbn.plot.Panel("width", "largest_rate", [found]),
                sbn.plot.Panel("width", "rate_by_bound", [found]),
            ],
            "place",
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
