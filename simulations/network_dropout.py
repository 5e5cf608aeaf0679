"""Does dropout do for large batches what small ones do? Behind batch normalization, on few images.

The statistics of small batches are noise that is said to regularize, and that large ones lack; Luo
et al. (2019) set a share of what normalization shows to zero instead. The residual network of
`network_regularization` learns few images of MNIST for many epochs, at larger learning rates than
there, in proportion to the batch size. Masks are new for each value in each step. Runs with the
same seed have the same initial weights and order of samples. The groups of the store:

    large    losses and accuracy at the end with large batches, over the share that is dropped
    small    the same with small batches, nothing dropped
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
import xarray as xr
from network_regularization import MOMENTUM, TOGETHER, halved, made
from torch import Tensor, nn

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.networks.surgery import hooked
from statmech_bn.study import decide, mean_and_error

RATE = 0.2
"""Steps on TOGETHER samples have this learning rate; others are in proportion."""
MEASURED = ("training_loss", "test_loss", "test_accuracy")


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Dropout in large batches beside small batches without it."""

    presets: ClassVar = {
        "quick": {"shares": (0.0, 0.1), "epochs": 20, "replicas": 5},
        "paper": {"shares": (0.0, 0.05, 0.1, 0.2, 0.4), "epochs": 60, "replicas": 10},
    }
    store: Path = Path("results/network_dropout.zarr")
    small: int = 8
    """Samples of a small batch."""
    large: int = 128
    """Samples of a large batch."""
    samples: int = 256
    """Size of the training set, at most 4000."""
    shares: tuple[float, ...] | None = None
    """Shares that are dropped, with 0. The preset chooses this and the following if not given."""
    epochs: int | None = None
    """Passes through the training set."""
    replicas: int | None = None
    """Seeds, from which the error bars come."""


def dropping(model: nn.Module, share: float, seed: int) -> AbstractContextManager[None]:
    """Set a share of what normalization shows in training to zero, and divide the rest by 1 − p."""
    generator = torch.Generator().manual_seed(seed)

    def drop(layer: Any, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not layer.training:
            return output
        kept = torch.rand(output.shape, generator=generator) >= share
        return output * kept / (1 - share)

    return hooked(list(networks.normalization_layers(model).values()), after=drop)


def train(
    batch_size: int, share: float, replica: int, samples: int, epochs: int, seed: int
) -> xr.Dataset:
    """Train one network."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = halved(samples), seed + replica
    model = made("batch", images, seed)
    with dropping(model, share, seed):
        found = networks.train(
            model, images, RATE * batch_size / TOGETHER, batch_size, epochs, momentum=MOMENTUM,
            seed=seed,
        )  # fmt: skip
    return sbn.dataset.describe(found[list(MEASURED)].isel(epoch=-1, drop=True))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    sizes: dict[str, Any] = {"samples": options.samples, "epochs": options.size("epochs")}
    trained = partial(train, seed=options.seed, **sizes)
    grid = {"replica": range(options.size("replicas"))}
    return {
        "large": (
            trained, {"batch_size": [options.large], "share": options.size("shares"), **grid},
        ),
        "small": (trained, {"batch_size": [options.small], "share": [0.0], **grid}),
    }  # fmt: skip


def opened(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both groups, with what the test loss is above the training loss."""
    both = []
    for name in ("large", "small"):
        found = tree[name].to_dataset().load()
        found["gap"] = found["test_loss"] - found["training_loss"]
        found["gap"].attrs.update(long_name="test loss less training loss", units="1")
        found["share"].attrs.update(long_name="share that is dropped", symbol="$p$", units="1")
        both.append(found.assign_attrs(level="microscopic"))
    return both[0], both[1]


def claims(tree: xr.DataTree) -> dict[str, tuple[xr.DataArray, xr.DataArray | None]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    large, small = (d.isel(batch_size=0, drop=True) for d in opened(tree))
    found: dict[str, tuple[xr.DataArray, xr.DataArray | None]] = {}
    for name, title in (("test_loss", "test loss"), ("gap", "test less training loss")):
        plain, least = large[name].sel(share=0.0, drop=True), small[name].isel(share=0, drop=True)
        found[f"Small batches have a smaller {title}"] = plain - least, None
        for share in large["share"].values[large["share"].values > 0]:
            dropped = large[name].sel(share=share, drop=True)
            found[f"p = {share:g} gives large batches that of small ones: {title}"] = (
                plain - dropped, dropped - least,
            )  # fmt: skip
    return found


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw losses of large batches over the share that is dropped, beside those of small ones."""
    large, small = opened(tree)
    size = int(small["batch_size"][0])
    level = small.mean("replica").isel(batch_size=0, share=0, drop=True)
    line = level.expand_dims(share=large["share"])
    shown = ("test_loss", "training_loss", "gap")
    panels = [sbn.plot.Panel("share", name, [large], line, "", "") for name in shown]
    reference = f"$M={size}$, nothing dropped"
    return {"losses": partial(sbn.plot.curves, panels, "batch_size", reference=reference)}


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Table what was measured, and say what became of each claim."""
    rows = {}
    for found in opened(tree):
        for share in found["share"].values:
            at = found.isel(batch_size=0).sel(share=share)
            rows[f"M = {int(at['batch_size'])}, p = {share:g}"] = {
                name: "{:.3f} ± {:.3f}".format(*map(float, mean_and_error(at[name])))
                for name in (*MEASURED, "gap")
            }
    decided = {claim: decide(*pair) for claim, pair in claims(tree).items()}
    return {
        "at the end of training": pd.DataFrame.from_dict(rows, orient="index"),
        "claims": pd.DataFrame({"verdict": decided}),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
