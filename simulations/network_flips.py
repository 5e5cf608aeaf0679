r"""How many ReLU units change sides with the mini-batch? Convolutional networks, layer by layer.

A unit normalized by a batch of M Gaussian fields changes sides with probability arcsin(M^(−1/2))/π
between the batch and the population. The mean over a batch and all positions of a convolution
varies less than that of M independent fields, as positions differ: with the share ρ of a field's
variance that is the variance of its mean over positions,

    arcsin(M_eff^(−1/2))/π,   M_eff = M/ρ,   M ≤ M_eff ≤ M × positions,

as u − μ_B has the covariance 1 − ρ/M both with u and with itself; P samples, drawn without
replacement, make it M_eff = (M/ρ)(P − 1)/(P − M). Fields that are not Gaussian, and boundaries at
u = b = −β/γ off the mean, where σ_B counts too, give to first order in 1/M

    E Φ(−|u − b| √(M/(v k))),   v = Var⟨u + b(u² − 1)/2⟩,   k = (P − M)/(P − 1),

with ⟨⟩ the mean over positions. Both hold for a layer whose own statistics alone are the batch's;
in a network the layers below change sides too. (This project's.) The group of the store:

    flips    over epochs (before and after training), batch sizes, layers and replicas
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
from scipy.special import ndtr
from torch import Tensor, nn

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.dataset import describe
from statmech_bn.networks.surgery import hooked

LEARNING_RATE, BATCH_SIZE = 0.1, 32
FEW_BATCHES = 32
"""From this batch size on there are few batches, and the samples are partitioned repeatedly."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Flip rates of networks."""

    presets: ClassVar = {
        "quick": {"sizes": (4, 16, 64), "replicas": 5, "epochs": 5},
        "paper": {"sizes": (4, 8, 16, 32, 64, 128), "replicas": 12, "epochs": 20},
    }
    store: Path = Path("results/network_flips.zarr")
    depth: int = 4
    """Number of hidden layers."""
    channels: int = 8
    """Channels of a layer."""
    samples: int = 512
    """Size of the training set, the population."""
    sizes: tuple[int, ...] | None = None
    """Batch sizes. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Networks, from which the error bars come."""
    epochs: int | None = None
    """Passes through the training set."""


def flips(
    replica: int,
    sizes: tuple[int, ...],
    depth: int,
    channels: int,
    samples: int,
    epochs: int,
    seed: int,
) -> xr.Dataset:
    """Train a network; measure flip rates before and after."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = digits(samples), seed + replica
    model = networks.plain_network(images.shape, images.classes, depth, channels, seed=seed)
    before = measure(model, images.train_inputs, sizes, seed)
    networks.train(model, images, LEARNING_RATE, BATCH_SIZE, epochs, seed=seed)
    after = measure(model, images.train_inputs, sizes, seed)
    return describe(xr.concat([before, after], xr.Variable("epoch", [0, epochs])))


def measure(model: nn.Module, inputs: Tensor, sizes: tuple[int, ...], seed: int) -> xr.Dataset:
    """Measure flip rates of all layers at several batch sizes, and predict them."""
    layers = list(networks.normalization_layers(model).values())
    rates: dict[str, list[np.ndarray]] = {"flip_rate": [], "flip_rate_between": [], "own_rate": []}

    def rate(size: int, reference: str = "population") -> np.ndarray:
        partitions = 1 + size // FEW_BATCHES
        found = networks.flip_rate(model, inputs, size, reference, partitions, seed)
        return found["flip_rate"].mean("replica").values

    for size in sizes:
        rates["flip_rate"].append(rate(size))
        rates["flip_rate_between"].append(rate(size, "batch"))
        own = np.empty(len(layers))
        for k, layer in enumerate(layers):
            for other in layers:
                other.kind = "batch" if other is layer else "frozen"
            own[k] = rate(size)[k]
        for layer in layers:
            layer.kind = "batch"
        rates["own_rate"].append(own)
    coordinates = {"batch_size": list(sizes), "layer": np.arange(1, len(layers) + 1)}
    data = {name: (("batch_size", "layer"), np.array(found)) for name, found in rates.items()}
    return xr.Dataset(data, coordinates).merge(predict(model, inputs, sizes))


def predict(model: nn.Module, inputs: Tensor, sizes: tuple[int, ...]) -> xr.Dataset:
    """Predict what each layer's own statistics do, from the fields of the population."""
    seen: list[Tensor] = []

    def record(layer: Any, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0].flatten(2).double())

    layers = list(networks.normalization_layers(model).values())
    with torch.no_grad(), networks.keeping_buffers(model):
        networks.refresh_population(model, inputs)
        with networks.in_mode(model, training=False), hooked(layers, before=record):
            model(inputs)
    shape = len(sizes), len(layers)
    gaussian, predicted, ratio = np.empty(shape), np.empty(shape), np.empty(len(layers))
    population = len(inputs)
    for k, (layer, fields) in enumerate(zip(layers, seen, strict=True)):
        h, b = fields.numpy(), -(layer.bias / layer.weight).detach().double().numpy()
        spread = h.std(axis=(0, 2))
        alive = spread > 0
        u = (h - h.mean(axis=(0, 2), keepdims=True))[:, alive] / spread[alive, None]
        b = b[alive, None]
        share = u.mean(axis=2).var(axis=0)
        ratio[k] = 1 / share.mean()
        noise = (u + b * (u**2 - 1) / 2).mean(axis=2).var(axis=0)
        for j, size in enumerate(sizes):
            finite = (population - size) / (population - 1)
            gaussian[j, k] = (np.arcsin(np.sqrt(share * finite / size)) / np.pi).mean()
            scale = np.sqrt(size / (noise * finite))
            predicted[j, k] = ndtr(-np.abs(u - b) * scale[:, None]).mean()
    data = {
        "gaussian_rate": (("batch_size", "layer"), gaussian),
        "predicted_rate": (("batch_size", "layer"), predicted),
        "samples_ratio": ("layer", ratio),
    }
    return xr.Dataset(data, {"batch_size": list(sizes), "layer": np.arange(1, len(layers) + 1)})


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    sizes: dict[str, Any] = {n: getattr(options, n) for n in ("depth", "channels", "samples")}
    sizes |= {"sizes": options.size("sizes"), "epochs": options.size("epochs")}
    measured = partial(flips, seed=options.seed, **sizes)
    return {"flips": (measured, {"replica": range(options.size("replicas"))})}


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare rates with predictions: means over batch sizes of their ratios, less 1."""
    found = tree["flips"].to_dataset().load()
    naive = sbn.geometry.flip_rate(found["batch_size"].values)
    law = xr.DataArray(naive, {"batch_size": found["batch_size"]})
    pairs = {
        "all layers' statistics / M": ("flip_rate", law),
        "all layers' statistics / M_eff": ("flip_rate", found["gaussian_rate"]),
        "its own statistics / M_eff": ("own_rate", found["gaussian_rate"]),
        "its own statistics / M_eff, measured fields": ("own_rate", found["predicted_rate"]),
    }
    rows = {}
    for epoch in found["epoch"].values:
        for title, (name, prediction) in pairs.items():
            away = (found[name] / prediction - 1).mean("batch_size").sel(epoch=epoch)
            for layer in found["layer"].values:
                judged = sbn.study.judge(away.sel(layer=layer), "=0")
                rows[title, f"epoch {epoch}", f"layer {layer}"] = judged
    names = ["mean", "standard error", "verdict"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    table.index = pd.MultiIndex.from_tuples(table.index)
    return table


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw flip rates against the batch size, layer by layer."""
    found = tree["flips"].to_dataset().load()
    sizes = found["batch_size"]
    law = sbn.geometry.flip_rate(sizes.values)
    panels = []
    names = {"own_rate": "predicted_rate", "flip_rate": "gaussian_rate"}
    for epoch in found["epoch"].values:
        at = found.sel(epoch=epoch)
        when = "at the start" if epoch == 0 else f"after {epoch} epochs"
        for name, prediction in names.items():
            line = xr.Dataset({name: at[prediction].mean("replica")})
            reference = xr.Dataset({name: ("batch_size", law)}, {"batch_size": sizes})
            panels.append(sbn.plot.Panel("batch_size", name, [at, line], reference, when))
    return {
        "rates": lambda: sbn.plot.networks_beside_theory(
            panels, "layer", 2, None, r"with $M_\mathrm{eff}$", r"$\arcsin(M^{-1/2})/\pi$"
        )
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
