r"""What becomes of fields and gradients in a convolutional network? Layer by layer, beside theory.

A plain network on digits, with and without batch normalization, layer by layer: what all inputs
have in common, how large gradients are, and whether all samples push a channel the same way; at
initialization, beside the mean field, and while training. Fields h are those before the
normalization. The size of gradients g is P σ² ⟨g²⟩, with P positions and the variance σ² that the
normalization divides by (without it the mean square of h): zero padding and strides, which change
the fields and g by turns, leave it as it is. In wide dense networks of independent inputs it grows
by χ = 1 per layer towards the input without normalization, by χ = π/(π − 1) with it. The groups of
the store, each over layers:

    theory      the mean field of convolutional layers
    initial     networks of several widths, at initialization
    training    networks in training, after each epoch

The same replica is the same initial weights and order of samples with and without normalization.
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
from statmech_bn.dataset import describe
from statmech_bn.networks.surgery import hooked

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
LEARNING_RATE, BATCH_SIZE = 0.1, 32
CHI = {"none": 1.0, "batch": np.pi / (np.pi - 1)}
"""In wide dense networks of independent inputs gradients grow by this factor per layer."""
FIRST = 2
"""Growth is measured from this layer on: the first sees pixels."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Fields and gradients through depth."""

    presets: ClassVar = {
        "quick": {"widths": (16,), "replicas": 6, "epochs": 4},
        "paper": {"widths": (16, 64), "replicas": 16, "epochs": 12},
    }
    store: Path = Path("results/network_signals.zarr")
    depth: int = 8
    """Number of hidden layers."""
    samples: int = 24
    """Inputs in the batch that is measured."""
    training_samples: int = 512
    """Size of the training set."""
    widths: tuple[int, ...] | None = None
    """Channels of a layer at initialization, of which the first is that of the networks that
    are trained. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Networks, from which the error bars come."""
    epochs: int | None = None
    """Passes through the training set."""


def with_ratios(found: xr.Dataset, positions: xr.DataArray, normalization: str) -> xr.Dataset:
    """Add what all points have in common, and gradients relative to the last layer's."""
    total = found["channel_mean"] + found["channel_variance"]
    size = found["channel_variance"] if normalization == "batch" else total
    power = positions * size * found["gradient_square"]
    last = power.isel(layer=-1, drop=True)
    return describe(
        found.assign(
            common_share=found["channel_mean"] / total, gradient_power=power / last, square=total
        )
    )


def mean_field(
    normalization: str, depth: int, samples: int, training_samples: int, seed: int
) -> xr.Dataset:
    """Predict the signals of wide networks on the batch that is measured."""
    images = digits(training_samples)
    model = networks.plain_network(images.shape, images.classes, depth, 1, normalization)
    strides = [layer.stride[0] for layer in model if isinstance(layer, nn.Conv2d)]
    inputs, labels = images.train_inputs[:samples], images.train_labels[:samples]
    found = sbn.depth.convolution_signals(
        inputs.numpy(), labels.numpy(), strides, normalization, seed
    )
    return with_ratios(found, found["positions"], normalization)


def measure(model: nn.Module, images: networks.Images, samples: int) -> xr.Dataset:
    """Measure signals, and the correlation of two samples' fields, with a batch's statistics."""
    inputs, labels = images.train_inputs[:samples], images.train_labels[:samples]
    seen: list[tuple[float, float]] = []

    def record(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        h = arguments[0]
        own, common = h.square().mean(), h.mean(0).square().mean()
        seen.append(((samples * common / own - 1).item() / (samples - 1), h[0, 0].numel()))

    layers = list(networks.normalization_layers(model).values())
    with networks.in_mode(model, training=True), hooked(layers, before=record):
        found = networks.signals(model, inputs, labels)
    correlation, positions = np.array(seen).T
    return found.assign(correlation=("layer", correlation), positions=("layer", positions))


def initial(
    normalization: str,
    width: int,
    replica: int,
    depth: int,
    samples: int,
    training_samples: int,
    seed: int,
) -> xr.Dataset:
    """Measure a network at its initialization."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = digits(training_samples), seed + replica
    model = networks.plain_network(
        images.shape, images.classes, depth, width, normalization, seed=seed
    )
    found = measure(model, images, samples)
    return with_ratios(found, found["positions"], normalization)


def training(
    normalization: str,
    replica: int,
    depth: int,
    width: int,
    samples: int,
    training_samples: int,
    epochs: int,
    seed: int,
) -> xr.Dataset:
    """Measure a network after each epoch of training."""
    torch.set_num_threads(1)
    images, seed = digits(training_samples), seed + replica
    model = networks.plain_network(
        images.shape, images.classes, depth, width, normalization, seed=seed
    )
    found = [measure(model, images, samples)]
    scores = []
    for epoch in range(epochs):
        run = networks.train(model, images, LEARNING_RATE, BATCH_SIZE, 1, seed=1000 * seed + epoch)
        scores.append(run[["training_loss", "test_accuracy"]])
        found.append(measure(model, images, samples))
    scores = [scores[0].isel(epoch=0), *(run.isel(epoch=1) for run in scores)]
    together = xr.concat(found, xr.Variable("epoch", np.arange(epochs + 1)))
    scored = xr.concat(scores, together["epoch"])
    return with_ratios(together.merge(scored), together["positions"], normalization)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: the mean field, networks at initialization, and in training."""
    shared: dict[str, Any] = {
        name: getattr(options, name) for name in ("depth", "samples", "training_samples", "seed")
    }
    kinds, widths = {"normalization": list(NORMALIZATIONS)}, options.size("widths")
    replicas = {"replica": range(options.size("replicas"))}
    trained = partial(training, width=widths[0], epochs=options.size("epochs"), **shared)
    return {
        "theory": (partial(mean_field, **shared), kinds),
        "initial": (partial(initial, **shared), {**kinds, "width": widths, **replicas}),
        "training": (trained, {**kinds, **replicas}),
    }


def growth(found: xr.Dataset) -> xr.DataArray:
    """Return the logarithm of the growth of gradients per layer, from the last to the second."""
    power = found["gradient_power"]
    steps = power["layer"][-1].item() - FIRST
    return np.log(power.sel(layer=FIRST, drop=True) / power.isel(layer=-1, drop=True)) / steps


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Compare each claim with the networks; differences are taken replica by replica."""
    start, run, theory = (
        tree[name].to_dataset().load() for name in ("initial", "training", "theory")
    )
    start = start.isel(width=-1)
    values, end = ({n: d.sel(normalization=n) for n in NORMALIZATIONS} for d in (start, run))
    plain, normalized = values["none"], values["batch"]
    last = {n: d.isel(epoch=-1) for n, d in end.items()}
    rows: dict[str, tuple[xr.DataArray, str]] = {}

    def top(name: str) -> xr.DataArray:
        return (plain[name] - normalized[name]).isel(layer=-1)

    rows["top fields forget the input without BN: correlation, less that with"] = (
        top("correlation"), ">0",
    )  # fmt: skip
    rows["the same for what all points have in common"] = top("common_share"), ">0"
    rows["gradients sum to zero before BN: largest alignment, rounded"] = (
        normalized["gradient_alignment"].max("layer").round(4), "=0",
    )  # fmt: skip
    rows["samples push a channel the same way without BN, more than behind it"] = (
        (plain["gradient_alignment"] - normalized["alignment_behind"]).mean("layer"), ">0",
    )  # fmt: skip
    rows["and a weight"] = (plain - normalized)["alignment_weights"].mean("weight"), ">0"
    for n, title in NORMALIZATIONS.items():
        found, predicted = values[n], theory.sel(normalization=n)
        away = found["correlation"] / predicted["correlation"] - 1
        rows[f"{title}: mean correlation, relative to the mean field's, less 1"] = (
            away.mean("layer"), "=0",
        )  # fmt: skip
        rate = growth(found) - growth(predicted)
        rows[f"{title}: ln growth of gradients per layer, less the mean field's"] = rate, "=0"
        dense = growth(found) - np.log(CHI[n])
        rows[f"{title}: the same, less that of dense layers, ln {CHI[n]:.3f}"] = dense, "=0"
    moved = {
        n: abs(xr.apply_ufunc(np.log, d["square"] / end[n]["square"].isel(epoch=0)))
        for n, d in last.items()
    }
    rows["training changes ln h² more without BN"] = (
        (moved["none"] - moved["batch"]).mean("layer"), ">0",
    )  # fmt: skip
    rows["BN keeps gradients growing with depth in training: ln per layer"] = (
        growth(last["batch"]), ">0",
    )  # fmt: skip
    judged = {claim: sbn.study.judge(*row) for claim, row in rows.items()}
    names = ["mean", "standard error", "verdict"]
    return pd.DataFrame.from_dict(judged, orient="index", columns=names)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw signals by layer, at initialization and while training."""
    start, run, theory = (
        tree[name].to_dataset().load() for name in ("initial", "training", "theory")
    )
    drawn = {"correlation": "", "common_share": "", "gradient_power": "y"}
    panels = []
    for width in start["width"].values:
        found, title = start.sel(width=width), f"{width} channels"
        panels += [
            sbn.plot.Panel("layer", name, [found, theory], None, title, scale)
            for name, scale in drawn.items()
        ]
        plain = [d.sel(normalization=["none"]) for d in (found, theory)]
        panels.append(sbn.plot.Panel("layer", "gradient_coherence", plain, None, title, "y"))
    epochs = np.unique([0, 1, run["epoch"].values[-1] // 3, run["epoch"].values[-1]])
    shown = {"correlation": "", "square": "y", "gradient_power": "y", "alignment_weights": ""}
    trained = []
    for n, title in NORMALIZATIONS.items():
        found = run.sel(normalization=n, epoch=epochs)
        line = theory.sel(normalization=n).expand_dims(epoch=[0])
        for name, scale in shown.items():
            x = "weight" if name == "alignment_weights" else "layer"
            results = [found, line] if name in line else [found]
            trained.append(sbn.plot.Panel(x, name, results, None, title, scale))
    return {
        "initial": lambda: sbn.plot.networks_beside_theory(
            panels, "normalization", 4, NORMALIZATIONS, "mean field"
        ),
        "training": lambda: sbn.plot.networks_beside_theory(
            trained, "epoch", 4, theory="mean field, at the start"
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim."""
    return {"claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
