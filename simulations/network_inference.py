"""Does inference with the example's own statistics show what training did? In networks.

Classifiers of digits, one of a dense layer and a convolutional one, trained with batches of M.
Then, on the test set, with statistics of

    training mode    M test samples, cut in many ways
    inference        the training set (the population), of which the example's own statistics take
                     the share a, and γ times 1 or 1 + 5a/4: to order 1/M, a = 1/M shows on average
                     what training did in a layer of independent values (`statmech_bn.inference`).
                     In convolutions M_eff = M/V_μ values count, with the variance V_μ of an image's
                     mean in a channel: then γ times 1 + 5aV_μ/4, with the layer's mean V_μ
    running          averages of momentum m over batches, with the weights of the end

An image's own statistics are those over its positions: it has a share of 1/M in those of its batch,
whatever the number of positions is that count as independent. The groups of the store:

    own        loss of inference over aM for both scales, and of training mode
    running    loss with running averages over m, less that with the population's statistics
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import xarray as xr
from handwritten import digits
from network_batch_size import NETWORKS, RATES, TOGETHER, classifier
from torch import Tensor, nn
from torch.nn import functional

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.networks.surgery import exchanged
from statmech_bn.random.streams import stream
from statmech_bn.study import decide, mean_and_error

SHARES = (0.0, 0.5, 1.0, 1.5, 2.0)
"""aM of the losses of inference."""
SCALES = {
    "trained": r"$\gamma$ of training",
    "derived": r"$(1+5a/4)\gamma$",
    "effective": r"$(1+5aV_\mu/4)\gamma$",
}
"""What inference multiplies by; figures have these titles."""
MOMENTA = (0.01, 0.1, 0.3, 1.0)
TRAINED_SAMPLES, MEASURED = 512, 256
"""Digits in the training set, and how many of them measure the variances V_μ."""
WORDS = {
    "share": ("weight of the own statistics", "$aM$"),
    "scale": ("scale of inference", ""),
    "momentum": ("momentum of the averages", "$m$"),
    "loss_added": ("added to the test loss", r"$\Delta\mathcal{L}$"),
    "running_excess": ("added to the test loss", r"$\Delta\mathcal{L}$"),
}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Training mode and inference mode of networks."""

    presets: ClassVar = {
        "quick": {"sizes": (4, 16), "epochs": 5, "orders": 4, "replicas": 6},
        "paper": {"sizes": (4, 8, 16, 64), "epochs": 40, "orders": 40, "replicas": 12},
    }
    store: Path = Path("results/network_inference.zarr")
    sizes: tuple[int, ...] | None = None
    """Batch sizes. The preset chooses this and the following if not given."""
    epochs: int | None = None
    """Passes through the training set."""
    orders: int | None = None
    """Orders in which the test set is cut into batches, and the training set for averages."""
    replicas: int | None = None
    """Initializations and orders of the samples, from which the error bars come."""


class OwnStatistics(nn.Module):
    """φ = cγ(h − μ)/σ + β with the example's own share a in μ and σ².

    Parameters
    ----------
    layer : Normalization
        It has γ, β and the population's statistics.
    share : float
        a.
    scale : float
        c.
    """

    def __init__(self, layer: networks.Normalization, share: float, scale: float) -> None:
        super().__init__()
        self.layer, self.share, self.scale = layer, share, scale

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (batch, channels, *positions)."""
        flat = x.flatten(2) if x.ndim > 2 else x[:, :, None]
        layer, a = self.layer, self.share
        own = flat.mean(2, keepdim=True)
        population, variance = layer.running_mean[:, None], layer.running_var[:, None]
        mean = (1 - a) * population + a * own
        among = flat.var(2, correction=0, keepdim=True)
        square = (1 - a) * variance + a * among + a * (1 - a) * (own - population) ** 2
        shown = (flat - mean) * torch.rsqrt(square + layer.epsilon)
        return (self.scale * layer.weight[:, None] * shown + layer.bias[:, None]).view_as(x)


@lru_cache(maxsize=256)
def trained(network: str, batch_size: int, epochs: int, seed: int) -> nn.Module:
    """Train one network, which must not be changed: both groups measure the same ones."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    model = classifier(network, "batch", None, seed)
    images, rate = digits(TRAINED_SAMPLES), RATES[network] * batch_size / TOGETHER
    networks.train(model, images, rate, batch_size, epochs, seed=seed)
    networks.refresh_population(model, images.train_inputs)
    return model.requires_grad_(False)


def own(
    network: str, batch_size: int, replica: int, epochs: int, orders: int, seed: int
) -> xr.Dataset:
    """Measure the losses of training mode and of inference on the test set."""
    model = trained(network, batch_size, epochs, seed + replica)
    images, generator = digits(TRAINED_SAMPLES), stream(seed, 49, replica)
    inputs, labels = images.test_inputs, images.test_labels
    measured = networks.layer_statistics(
        copy.deepcopy(model).requires_grad_(), images.train_inputs[:MEASURED], batch_size
    )
    counted: dict[str, Any] = {
        "trained": 0.0,
        "derived": 1.0,
        "effective": measured["mean_variance"].values,
    }
    losses = np.empty((len(SHARES), len(SCALES)))
    for k, n in np.ndindex(losses.shape):
        share, mixed = SHARES[k] / batch_size, copy.deepcopy(model)
        layers = list(networks.normalization_layers(mixed).values())
        factors = 1 + 1.25 * share * counted[list(SCALES)[n]] * np.ones(len(layers))
        new = zip(layers, factors.tolist(), strict=True)
        exchanged(mixed, {layer: OwnStatistics(layer, share, factor) for layer, factor in new})
        losses[k, n] = functional.cross_entropy(mixed(inputs), labels).item()
    batches = []
    with networks.in_mode(model, training=True), networks.keeping_buffers(model):
        for chosen in cut(len(labels), batch_size, orders, generator):
            batches.append(functional.cross_entropy(model(inputs[chosen]), labels[chosen]).item())
    return sbn.dataset.describe(
        xr.Dataset(
            {
                "test_loss": (("share", "scale"), losses),
                "mode_gap": np.mean(batches) - losses[0, 0],
            },
            {"share": list(SHARES), "scale": list(SCALES)},
        )
    )


def running(
    network: str, batch_size: int, replica: int, epochs: int, orders: int, seed: int
) -> xr.Dataset:
    """Measure what running averages of each momentum cost, by the mean over many moments."""
    model = trained(network, batch_size, epochs, seed + replica)
    images, generator = digits(TRAINED_SAMPLES), stream(seed, 50, replica)
    exact = networks.evaluate(model, images.test_inputs, images.test_labels)[0]
    batches = list(cut(TRAINED_SAMPLES, batch_size, orders, generator))
    every = max(1, TRAINED_SAMPLES // batch_size // 4)
    excess = []
    for momentum in MOMENTA:
        averaged, losses = copy.deepcopy(model), []
        for layer in networks.normalization_layers(averaged).values():
            layer.momentum = momentum
        for step, chosen in enumerate(batches, 1):
            averaged.train()(images.train_inputs[chosen])
            if step % every == 0:
                found = networks.evaluate(averaged, images.test_inputs, images.test_labels)
                losses.append(found[0] - exact)
        excess.append(np.mean(losses[len(losses) // 4 :]))
    data = {"running_excess": ("momentum", excess)}
    return sbn.dataset.describe(xr.Dataset(data, {"momentum": list(MOMENTA)}))


def cut(samples: int, size: int, orders: int, generator: np.random.Generator) -> list[Tensor]:
    """Cut a set into batches, in several orders; the rest that fills no batch is left out."""
    whole = samples // size * size
    shuffled = [torch.from_numpy(generator.permutation(samples)[:whole]) for _ in range(orders)]
    return [batch for order in shuffled for batch in order.split(size)]


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    shared: dict[str, Any] = {name: options.size(name) for name in ("epochs", "orders")}
    grid = {
        "network": list(NETWORKS),
        "batch_size": options.size("sizes"),
        "replica": range(options.size("replicas")),
    }
    shared["seed"] = options.seed
    return {"own": (partial(own, **shared), grid), "running": (partial(running, **shared), grid)}


def opened(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both groups; losses of inference also less that without own statistics."""
    found, averages = (tree[name].to_dataset().load() for name in ("own", "running"))
    plain = found["test_loss"].sel(share=0, scale="trained", drop=True)
    found = found.assign(loss_added=found["test_loss"] - plain)
    for name, (words, symbol) in WORDS.items():
        for each in (found, averages):
            if name in each.variables:
                each[name].attrs.update(long_name=words, symbol=symbol, units="1")
    return found.assign_attrs(level="microscopic"), averages.assign_attrs(level="microscopic")


def claims(tree: xr.DataTree, network: str) -> dict[str, tuple[xr.DataArray, xr.DataArray | None]]:
    """Return what `statmech_bn.study.decide` asks for one network: claim → effect and rest."""
    found, averages = (d.sel(network=network, drop=True) for d in opened(tree))
    gap, at = found["mode_gap"], {"share": 1.0, "scale": "effective"}
    closed = found["loss_added"].sel(at, drop=True)
    scaled = found["loss_added"].sel(share=1.0, scale="trained", drop=True)
    mean = gap.mean("replica")
    towards = mean / abs(mean)
    excess, sizes = averages["running_excess"], averages["batch_size"]
    samples = sizes * (2 - averages["momentum"]) / averages["momentum"]
    counted = excess * samples
    one = counted.isel(momentum=-1, drop=True)
    return {
        "Training mode has another loss than inference": (towards * gap, None),
        "Own statistics of weight 1/M, with 1 + 5/(4M_eff) on γ, show what training did": (
            towards * closed, closed - gap,
        ),
        "They lower the loss": (-closed, None),
        "... without a factor on γ": (-scaled, None),
        "Running averages cost more, the larger their momentum": (
            excess.isel(momentum=-1, drop=True) - excess.isel(momentum=0, drop=True), None,
        ),
        "... as independent statistics of M(2 − m)/m samples": (
            excess, (counted - one).isel(momentum=slice(None, -1)),
        ),
    }  # fmt: skip


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw what own statistics and running averages add to the loss of inference."""
    found, averages = opened(tree)
    named = found.assign_coords(scale=("scale", list(SCALES.values()), found["scale"].attrs))
    panels, lines = [], []
    for network, title in NETWORKS.items():
        for size in found["batch_size"].values:
            at = named.sel(network=network, batch_size=size)
            gap = at["mode_gap"].mean("replica") + 0 * at["share"]
            line = xr.Dataset({"loss_added": gap}, {"share": at["share"]})
            panels.append(
                sbn.plot.Panel("share", "loss_added", [at], line, f"{title}, $M={size}$", "")
            )
        lines.append(
            sbn.plot.Panel(
                "momentum", "running_excess", [averages.sel(network=network)], None, title, "x"
            )
        )
    columns = found.sizes["batch_size"]
    return {
        "own": lambda: sbn.plot.curves(panels, "scale", columns, reference="training mode"),
        "running": lambda: sbn.plot.curves(lines, "batch_size"),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Table the losses that are added, and say what became of each claim."""
    found, averages = opened(tree)
    rows = {}
    for network in NETWORKS:
        for size in found["batch_size"].values:
            at = found.sel(network=network, batch_size=size)
            own = at["loss_added"].sel(share=1.0)
            listed = {
                "training mode": at["mode_gap"],
                "own, γ of training": own.sel(scale="trained"),
                "own, (1 + 5/4M)γ": own.sel(scale="derived"),
                "own, (1 + 5/4M_eff)γ": own.sel(scale="effective"),
                **{
                    f"running, m = {m:g}": averages["running_excess"].sel(
                        network=network, batch_size=size, momentum=m
                    )
                    for m in MOMENTA
                },
            }
            rows[network, size] = {
                name: "{:+.4f} ± {:.4f}".format(*map(float, mean_and_error(values)))
                for name, values in listed.items()
            }
    decided = {
        title: {claim: decide(*pair) for claim, pair in claims(tree, network).items()}
        for network, title in NETWORKS.items()
    }
    return {
        "loss, less that of inference with the population's statistics": pd.DataFrame(rows).T,
        "verdicts": pd.DataFrame(decided),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
