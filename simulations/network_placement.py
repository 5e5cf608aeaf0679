"""Where does normalization let learning rates be large? In the last layer, in the first, in all.

Dense networks on digits at initialization and in gradient descent of the squared loss, normalized

    none      nowhere
    first     behind the first hidden layer
    hidden    behind all hidden layers
    mean      in the outputs, by their mean over samples alone
    last      in the outputs, by mean and standard deviation

all with the statistics of the whole training set. For each, over widths and replicas: the largest
eigenvalue of the Fisher information, by Lanczos iterations, and the largest learning rate at which
the loss stays below the initial one in the first steps. The groups of the store are `networks`, and
`theory`, the eigenvalue of wide networks with "none" and "mean".
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
from torch.nn import functional

import statmech_bn as sbn
from statmech_bn import networks

PLACES = ("none", "first", "hidden", "mean", "last")
KNOWN = ("none", "mean")
"""Theory knows these."""
STEPS = 12
"""In so many steps of gradient descent the loss must not rise above the initial one."""
HALVINGS = 6
"""So often the interval from 1/16 to 16 times 2/λ_max is halved, in which the largest rate is."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Normalization here and there."""

    presets: ClassVar = {
        "quick": {"widths": (32, 128), "replicas": 5},
        "paper": {"widths": (32, 64, 128, 256), "replicas": 12},
    }
    store: Path = Path("results/network_placement.zarr")
    depth: int = 4
    """Number of hidden layers."""
    samples: int = 64
    """Digits in the training set."""
    widths: tuple[int, ...] | None = None
    """Units of the hidden layers. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Initializations, from which the error bars come."""


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
    place: str, width: int, replica: int, depth: int, samples: int, seed: int
) -> xr.Dataset:
    """Find the largest eigenvalue, and the largest learning rate."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images = digits(samples)
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


def theory(place: str, width: int, depth: int, samples: int) -> xr.Dataset:
    """Find the eigenvalue of wide networks."""
    x = digits(samples).train_inputs.flatten(1).double().numpy()
    value = sbn.depth.largest_fisher_eigenvalue(x, depth, width, place == "mean")
    return sbn.dataset.describe(xr.Dataset({"fisher_eigenvalue": value}))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    shared: dict[str, Any] = {"depth": options.depth, "samples": options.samples}
    widths = options.size("widths")
    grid = {"place": list(PLACES), "width": widths, "replica": range(options.size("replicas"))}
    return {
        "networks": (partial(measure, seed=options.seed, **shared), grid),
        "theory": (partial(theory, **shared), {"place": list(KNOWN), "width": widths}),
    }


def opened(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both groups."""
    found, known = (tree[name].to_dataset().load() for name in ("networks", "theory"))
    return found.assign_attrs(level="microscopic"), known.assign_attrs(level="macroscopic")


def advantages(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return what each claim says to be positive, over widths and replicas."""
    found, _ = opened(tree)
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
    found, known = opened(tree)
    quotient = found["fisher_eigenvalue"] / known["fisher_eigenvalue"]
    apart = xr.apply_ufunc(np.log, quotient)
    return {place: apart.sel(place=place, drop=True) for place in KNOWN}


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare what the literature claims with the networks, replica by replica."""
    bound = opened(tree)[0]["rate_by_bound"]
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
    columns = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw eigenvalues and largest learning rates over the width."""
    found, known = opened(tree)
    return {
        "place": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel("width", "fisher_eigenvalue", [found, known]),
                sbn.plot.Panel("width", "largest_rate", [found]),
                sbn.plot.Panel("width", "rate_by_bound", [found]),
            ],
            "place",
        )
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
