"""What the random mean of batches does to a network, and what their random standard deviation.

The networks of `network_batch_size`, with both statistics of the batch (BN), with its mean alone,
with its standard deviation alone, and with neither (PN); what is not the batch's is the training
set's. Steps are on 64 samples, statistics over M of them. The groups of the store:

    training/   each kind trained, over kind × M × replica
    pull/       the last layer of a network trained with PN, given batches of M there alone, over
                M × replica: what random statistics add to the loss, and to its slope in γ as a
                gamma decay ζ_eff = Σ_c γ_c Δ(∂L/∂γ_c) / 2Σ_c γ_c²; beside both theories

The theories take labels from the network itself, and one channel at a time. So the pull is measured
for those labels and for the true ones, and with one channel random and all of them.
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
from network_batch_size import (
    NETWORKS,
    QUANTITIES,
    THEORIES,
    TOGETHER,
    digits,
    gap,
    shares,
    table,
    trained,
)
from torch import Tensor
from torch.nn import functional

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.random.streams import stream
from statmech_bn.study import mean_and_error

KINDS = {
    "batch": r"BN: $\mu_B$ and $\sigma_B$",
    "mean": r"only $\mu_B$ random",
    "spread": r"only $\sigma_B$ random",
    "population": "PN: neither",
}
PARTS = {"mean": "mean", "spread": "spread", "both": "batch"}
"""Each part of the theory belongs to one of these kinds of normalization."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """The parts of batch statistics in networks."""

    presets: ClassVar = {
        "quick": {
            "sizes": (4, 16), "samples": 256, "epochs": 10, "orders": 10, "replicas": 5
        },
        "paper": {
            "sizes": (4, 8, 16, 32), "samples": 256, "epochs": 40, "orders": 60, "replicas": 8
        },
    }  # fmt: skip
    store: Path = Path("results/network_statistics.zarr")
    sizes: tuple[int, ...] | None = None
    """Samples that make the statistics. The preset chooses this and the following if not given."""
    samples: int | None = None
    """Size of the training set, a multiple of the sizes."""
    epochs: int | None = None
    """Passes through the training set."""
    orders: int | None = None
    """Orders in which the training set is cut into batches, to measure the pull."""
    replicas: int | None = None
    """Seeds, from which the error bars come."""


def training(
    kind: str,
    batch_size: int,
    replica: int,
    network: str,
    samples: int,
    epochs: int,
    seed: int,
) -> xr.Dataset:
    """Train one network with one or both statistics of M samples."""
    return trained(network, kind, TOGETHER, batch_size, samples, epochs, seed + replica)[1]


def pull(
    batch_size: int,
    replica: int,
    network: str,
    samples: int,
    epochs: int,
    orders: int,
    seed: int,
) -> xr.Dataset:
    """Measure what random statistics of the last layer do to a network trained with PN."""
    model, _ = trained(network, "population", TOGETHER, None, samples, epochs, seed + replica)
    images = digits(samples)
    found = channels_of(model, images, batch_size, orders, seed + replica)
    layers = networks.normalization_layers(model)
    name, gamma = list(layers)[-1], list(layers.values())[-1].weight.detach()
    for statistics in THEORIES:
        zeta = [
            networks.decay_coefficients(
                model, images.train_inputs, batch_size, statistics, part, samples
            )[name]
            for part in PARTS
        ]
        added = (torch.stack(zeta) * gamma**2).sum(1)
        if statistics == "independent":  # as correlated ones would have it, but for the skewness
            found["excess_loss_independent"] = "part", added.numpy()
        found[f"pull_{statistics}"] = "part", (added / (gamma**2).sum()).numpy()
    return sbn.dataset.describe(found)


def channels_of(
    model: Any, images: networks.Images, batch_size: int, orders: int, seed: int
) -> xr.Dataset:
    """Give the last layer batches of M; its channels one by one, and all together."""
    layers: Any = networks.normalization_layers(model)
    name, layer = list(layers.items())[-1]
    below, above = model[: int(name)], model[int(name) + 1 :]
    generator = stream(seed, 44)
    with torch.no_grad():
        fields = below(images.train_inputs)
        target = model(images.train_inputs).softmax(1)
    labels = {"true": functional.one_hot(images.train_labels, 10).float(), "model": target}
    sums = np.zeros((2, len(labels), 2, len(PARTS)))
    for _ in range(orders):
        order = torch.from_numpy(generator.permutation(len(fields)))
        kinds = {"none": "frozen", **PARTS}
        found = {
            part: slopes(layer, kind, batch_size, fields[order], above, labels, order)
            for part, kind in kinds.items()
        }
        sums += np.stack([found[part] - found["none"] for part in PARTS], axis=-1)
    mean = sums / orders
    mean[1] /= 2 * (layer.weight.detach() ** 2).sum().item()
    dims = ("labels", "channels", "part")
    data = {"excess_loss": (dims, mean[0]), "pull": (dims, mean[1])}
    coordinates = {"labels": list(labels), "channels": ["alone", "together"], "part": list(PARTS)}
    return xr.Dataset(data, coordinates)


def slopes(
    layer: Any,
    kind: str,
    batch_size: int,
    fields: Tensor,
    above: torch.nn.Module,
    labels: dict[str, Tensor],
    order: Tensor,
) -> np.ndarray:
    """Return the loss and Σ_c γ_c ∂L/∂γ_c over (labels, channels).

    Where channels are random alone, both are sums over which of them is.
    """
    ghosts = None if kind == "frozen" else batch_size
    random: Any = networks.replace_normalization(layer, kind, ghosts).train()
    with torch.no_grad():
        fixed = networks.replace_normalization(layer, "frozen")(fields)
    with networks.keeping_buffers(random):
        output = random(fields)
    count = output.shape[1]
    choice = torch.eye(count, dtype=torch.bool)[:, None, :, *[None] * (output.ndim - 2)]
    each = torch.where(choice, output, fixed).flatten(0, 1)
    alone, together = above(each), above(output)
    found = np.zeros((2, len(labels), 2))
    for i, target in enumerate(labels.values()):
        wanted = target[order]
        losses = (
            count * functional.cross_entropy(alone, wanted.repeat(count, 1)),
            functional.cross_entropy(together, wanted),
        )
        for j, loss in enumerate(losses):
            [slope] = torch.autograd.grad(loss, random.weight, retain_graph=True)
            found[:, i, j] = loss.item(), (slope * random.weight).sum().item()
    return found


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is trained and measured."""
    common: dict[str, Any] = {name: options.size(name) for name in ("samples", "epochs")}
    common["seed"] = options.seed
    grid = {"batch_size": options.size("sizes"), "replica": range(options.size("replicas"))}
    orders = options.size("orders")
    made: dict[str, sbn.study.Part] = {}
    for n in NETWORKS:
        kinds = {"kind": list(KINDS), **grid}
        made[f"training/{n}"] = partial(training, network=n, **common), kinds
        made[f"pull/{n}"] = partial(pull, network=n, orders=orders, **common), grid
    return made


def contributions(found: xr.Dataset, quantity: str) -> xr.Dataset:
    """Find which share of the gap between PN and BN each statistic makes, and both add up to.

    Returns
    -------
    xarray.Dataset
        As from `network_batch_size.shares`, the sources being "mean", "spread" and "sum".
    """
    parts = {kind: gap(found, quantity, kind) for kind in ("mean", "spread")}
    return shares({**parts, "sum": parts["mean"] + parts["spread"]}, gap(found, quantity))


def additivity(tree: xr.DataTree, network: str) -> pd.DataFrame:
    """Table the gaps after training, and the share of each statistic, with verdicts."""
    last = tree[f"training/{network}"].to_dataset().isel(epoch=-1)
    return table({quantity: contributions(last, quantity) for quantity in QUANTITIES})


def pulls(tree: xr.DataTree, network: str) -> pd.DataFrame:
    """Table M times the pull on γ: both theories, as they are meant to be met, and as it is met."""
    found = tree[f"pull/{network}"].to_dataset().load()
    columns = {
        "labels of the network, one channel random": ("model", "alone"),
        "true labels, all channels random": ("true", "together"),
    }
    rows = []
    for part in found["part"].values:
        for size in found["batch_size"].values:
            at = size * found.sel(part=part, batch_size=size)
            row: dict[str, Any] = {"random": part, "M": size}
            for theory in THEORIES:
                row[theory] = f"{at[f'pull_{theory}'].mean():.4f}"
            for name, (labels, channels) in columns.items():
                values = at["pull"].sel(labels=labels, channels=channels)
                mean, error = (part.item() for part in mean_and_error(values))
                row[name] = f"{mean:.4f} ± {error:.4f}"
            rows.append(row)
    return pd.DataFrame(rows).set_index(["random", "M"])


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw what was trained, the shares of both statistics, and the pull beside theory."""
    last = {
        title: tree[f"training/{n}"].to_dataset().isel(epoch=-1) for n, title in NETWORKS.items()
    }
    made = {
        title: {quantity: contributions(found, quantity) for quantity in QUANTITIES}
        for title, found in last.items()
    }
    sources = {kind: KINDS[kind] for kind in ("mean", "spread")} | {"sum": "the sum of both"}
    pulled = {title: tree[f"pull/{n}"].to_dataset() for n, title in NETWORKS.items()}
    return {
        "training": lambda: sbn.plot.network_kinds(last, KINDS, "statistics over $M$ of 64"),
        "shares": lambda: sbn.plot.gap_shares(made, QUANTITIES, sources),
        "pull": lambda: sbn.plot.statistics_pull(pulled, "pull"),
        "excess_loss": lambda: sbn.plot.statistics_pull(pulled, "excess_loss"),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the share that each statistic has in the gap, and the pull on γ."""
    shared = "share of the gap between PN and BN after training"
    found = {f"{title}: {shared}": additivity(tree, n) for n, title in NETWORKS.items()}
    return found | {
        f"{title}: M ζ of the last layer": pulls(tree, n) for n, title in NETWORKS.items()
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
