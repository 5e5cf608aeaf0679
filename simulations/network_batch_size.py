"""How far population normalization with gamma decay closes the gap to batch normalization.

Two classifiers of digits, one of a single dense layer, where the theory has least to leave out, and
a convolutional one. Normalizations: batch (BN), population (PN), and PN with the gamma decay ζ of
either theory for batches of M, measured for each channel anew in each epoch. In PN every step
measures the statistics of the whole training set, and differentiates them there.

Runs with the same seed have the same initial weights and the same order of samples, so that gaps
are taken seed by seed. The groups of the store, each over kind × batch size M × replica:

    own/       a step is on M samples, which make the statistics; η grows with M
    ghosts/    a step is on 64 samples; BN's statistics are those of M of them: all kinds have the
               same noise of the gradient, and differ in that of the statistics alone
"""

from __future__ import annotations

from collections.abc import Mapping
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
from statmech_bn.random.streams import stream
from statmech_bn.study import mean_and_error

NETWORKS = {"dense": "one dense layer", "convolutional": "three convolutions"}
KINDS = {
    "batch": "BN",
    "population": "PN",
    "independent": r"PN + independent $\gamma$ decay",
    "correlated": r"PN + correlated $\gamma$ decay",
}
GROUPS = {"own": "batches of $M$", "ghosts": "statistics over $M$ of 64"}
THEORIES = ("independent", "correlated")
QUANTITIES = {"mean_gamma": "|γ|", "training_loss": "training loss", "test_loss": "test loss"}
WIDTH, DEPTH, CHANNELS = 16, 3, 8
"""The dense layer has so many units, the convolutional network so many layers and channels."""
RATES = {"dense": 0.1, "convolutional": 0.3}
"""Steps on TOGETHER samples have these learning rates; those on others are in proportion."""
TOGETHER = 64
"""A step with ghost batches is on so many samples."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Accuracy, loss and |γ| of networks against the batch size."""

    presets: ClassVar = {
        "quick": {
            "sizes": (16, 64), "ghost_sizes": (4, 16), "samples": 256, "epochs": 10, "replicas": 5
        },
        "paper": {
            "sizes": (8, 32, 128),
            "ghost_sizes": (4, 8, 16, 32),
            "samples": 256,
            "epochs": 40,
            "replicas": 8,
        },
    }  # fmt: skip
    store: Path = Path("results/network_batch_size.zarr")
    sizes: tuple[int, ...] | None = None
    """Batch sizes. The preset chooses these and the following if not given."""
    ghost_sizes: tuple[int, ...] | None = None
    """Samples of a batch of 64 that make the statistics, divisors of 64."""
    samples: int | None = None
    """Size of the training set."""
    epochs: int | None = None
    """Passes through the training set."""
    replicas: int | None = None
    """Seeds, from which the error bars come."""


def classifier(network: str, normalization: str, ghost_size: int | None, seed: int) -> nn.Module:
    """Make one of the two networks, its weights from the seed alone."""
    if network == "convolutional":
        return networks.plain_network(
            (1, 8, 8), 10, DEPTH, CHANNELS, normalization, ghost_size, seed
        )
    hidden, top = nn.Linear(64, WIDTH, bias=False), nn.Linear(WIDTH, 10)
    generator = stream(seed, 43)
    with torch.no_grad():
        for layer, gain in ((hidden, 2.0), (top, 1.0)):
            drawn = generator.standard_normal(tuple(layer.weight.shape))
            layer.weight.copy_(torch.from_numpy(drawn * np.sqrt(gain / layer.in_features)))
        top.bias.zero_()
    normalized = networks.Normalization(WIDTH, normalization, ghost_size)
    return nn.Sequential(nn.Flatten(), hidden, normalized, nn.ReLU(), top)


def trained(
    network: str,
    normalization: str,
    batch_size: int,
    ghost_size: int | None,
    samples: int,
    epochs: int,
    seed: int,
    **decay: Any,
) -> tuple[nn.Module, xr.Dataset]:
    """Train one network, at a learning rate in proportion to the samples of a step."""
    torch.set_num_threads(1)
    model = classifier(network, normalization, ghost_size, seed)
    rate = RATES[network] * batch_size / TOGETHER
    found = networks.train(
        model, digits(samples), rate, batch_size, epochs,
        exact_population=True, seed=seed, **decay,
    )  # fmt: skip
    mean = found["layer_gamma"].mean("layer")
    found = found.drop_vars("layer_gamma_decay").assign(mean_gamma=mean)
    return model, sbn.dataset.describe(found)


def run(
    kind: str,
    batch_size: int,
    replica: int,
    network: str,
    ghosts: bool,
    samples: int,
    epochs: int,
    seed: int,
) -> xr.Dataset:
    """Train one network of one kind; the batch size is that of the statistics."""
    normalization = kind if kind == "batch" else "population"
    step, ghost_size = (TOGETHER, batch_size) if ghosts else (batch_size, None)
    decay = {"gamma_decay": kind if kind in THEORIES else 0.0, "imitated_size": batch_size}
    return trained(
        network, normalization, step, ghost_size, samples, epochs, seed + replica, **decay
    )[1]


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is trained."""
    trained: dict[str, Any] = {name: options.size(name) for name in ("samples", "epochs")}
    replicas = range(options.size("replicas"))
    sizes = {"own": options.size("sizes"), "ghosts": options.size("ghost_sizes")}
    return {
        f"{group}/{network}": (
            partial(run, network=network, ghosts=group == "ghosts", seed=options.seed, **trained),
            {"kind": list(KINDS), "batch_size": sizes[group], "replica": replicas},
        )
        for group in GROUPS
        for network in NETWORKS
    }


def gap(found: xr.Dataset, quantity: str, kind: str = "batch") -> xr.DataArray:
    """Return what one kind has more than PN, seed by seed."""
    values = found[quantity].load()
    return values.sel(kind=kind, drop=True) - values.sel(kind="population", drop=True)


def ratio(part: xr.DataArray, whole: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Divide means over replicas, with the standard error to first order (delta method).

    NaN where the whole is not seen beyond three standard errors.
    """
    mean, error = mean_and_error(whole)
    mean = mean.where(np.abs(mean) > 3 * error)
    share = part.mean("replica") / mean
    return share, mean_and_error(part - share * whole)[1] / np.abs(mean)


def shares(parts: Mapping[str, xr.DataArray], whole: xr.DataArray) -> xr.Dataset:
    """Divide several parts by a whole, all of them over (batch_size, replica).

    Returns
    -------
    xarray.Dataset
        ``gap`` and ``gap_error``, the whole, over batch_size; ``share`` and ``share_error`` over
        (source, batch_size), NaN where the whole is not seen.
    """
    sources = xr.Variable("source", list(parts))
    divided = zip(*(ratio(part, whole) for part in parts.values()), strict=True)
    share, share_error = (xr.concat(found, sources) for found in divided)
    mean, error = mean_and_error(whole)
    found = {"gap": mean, "gap_error": error, "share": share, "share_error": share_error}
    return xr.Dataset(found)


def closure(found: xr.Dataset, quantity: str) -> xr.Dataset:
    """Find which share of the gap between PN and BN each theory's decay closes.

    Parameters
    ----------
    found : xarray.Dataset
        Of one network, at one epoch.
    quantity : str
        "mean_gamma", "training_loss" or "test_loss".

    Returns
    -------
    xarray.Dataset
        As from `shares`, the sources being the theories.
    """
    return shares(
        {theory: gap(found, quantity, theory) for theory in THEORIES}, gap(found, quantity)
    )


def verdict(share: float, error: float) -> str:
    """Say in words what a share of a gap is, within three standard errors."""
    if np.isnan(share):
        return "no gap seen"
    none, all_of_it = abs(share) <= 3 * error, abs(share - 1) <= 3 * error
    if none and all_of_it:
        return "undecided"
    if none or all_of_it:
        return "all" if all_of_it else "none"
    if share < 0:
        return "the opposite"
    return "a part" if share < 1 else "too much"


def table(found: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Table gaps, and shares with their verdicts, from quantity → Dataset from `shares`."""
    rows = []
    for quantity, each in found.items():
        for size in each["batch_size"].values:
            at = each.sel(batch_size=size)
            row = {"": QUANTITIES[quantity], "M": size}
            row["BN − PN"] = f"{at['gap']:.4f} ± {at['gap_error']:.4f}"
            for source in at["source"].values:
                share, error = (
                    at[name].sel(source=source).item() for name in ("share", "share_error")
                )
                said = "" if np.isnan(share) else f"{share:.2f} ± {error:.2f}, "
                row[source] = said + verdict(share, error)
            rows.append(row)
    return pd.DataFrame(rows).set_index(["", "M"])


def closures(tree: xr.DataTree, group: str, network: str) -> pd.DataFrame:
    """Table the gaps after training, and the share that each theory closes, with verdicts."""
    last = tree[f"{group}/{network}"].to_dataset().isel(epoch=-1)
    return table({quantity: closure(last, quantity) for quantity in QUANTITIES})


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw what was trained against the batch size, and the closed shares."""
    drawn, closed = {}, {}
    for group, title in GROUPS.items():
        found = {
            label: tree[f"{group}/{n}"].to_dataset().isel(epoch=-1) for n, label in NETWORKS.items()
        }
        drawn[group] = partial(sbn.plot.network_kinds, found, KINDS, title)
        for label, runs in found.items():
            closed[f"{label},\n{title}"] = {q: closure(runs, q) for q in QUANTITIES}
    drawn["closure"] = partial(
        sbn.plot.gap_shares, closed, QUANTITIES, {t: KINDS[t] for t in THEORIES}
    )
    smallest = {
        label: tree[f"ghosts/{n}"].to_dataset().isel(batch_size=0) for n, label in NETWORKS.items()
    }
    drawn["epochs"] = partial(
        sbn.plot.gap_epochs,
        smallest,
        {kind: label for kind, label in KINDS.items() if kind != "population"},
    )
    return drawn


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the shares of the gap between PN and BN that PN with gamma decay closes."""
    return {
        f"Share of the gap between PN and BN that is closed: {title}, {group}": closures(
            tree, group, network
        )
        for group in GROUPS
        for network, title in NETWORKS.items()
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
