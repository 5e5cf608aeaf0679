"""Do convolutional residual networks grow as the mean field says? Fields and gradients over depth.

Blocks x + aF(x) at their initialization, with F a convolution 3×3 of ReLU, and batch normalization
on the branch, before the sum, behind it, or nowhere; and without it with a = 0 (SkipInit) or
a = 1/√depth (De & Smith 2020). They see two kinds of images: noise, on a torus of positions, for
which the mean field holds in wide networks; and digits with zeros around them, as networks do. A
random convolution makes channels of the digits, normalized before the first block. The groups of
the store:

    theory    mean squares of fields behind the last block, and of gradients before the first
              relative to those behind the last, for each of `NETWORKS` and depth; dense layers
    network   the same, measured, for both kinds of images
    rectified/theory, rectified/network
              the same of `statmech_bn.networks.residual_network`, whose blocks are those of
              He et al. (2016): ReLU behind the sum, two normalized convolutions on the branch.
              On digits blocks halve the image twice, and gradients are summed over positions
"""

from __future__ import annotations

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
from residual_depth import NETWORKS, grown, label, logarithm
from torch import Tensor, nn

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.random.streams import stream
from statmech_bn.study import decide, mean_and_error

IMAGES = {"noise": "noise on a torus", "digits": "digits within zeros"}
"""The grid has these values; figures have these titles for them."""
SIDE = 8
"""Rows and columns of the images."""
MEASURED = ("field_square", "gradient_square")


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Convolutional residual networks beside the mean field."""

    presets: ClassVar = {
        "quick": {"depths": (1, 8, 32), "channels": 32, "samples": 32, "networks": 4},
        "paper": {
            "depths": (1, 2, 4, 8, 16, 32, 64), "channels": 64, "samples": 64, "networks": 12,
        },
    }  # fmt: skip
    store: Path = Path("results/network_residual.zarr")
    depths: tuple[int, ...] | None = None
    """Blocks. The preset chooses this and the following if not given."""
    channels: int | None = None
    """Channels of all layers."""
    samples: int | None = None
    """Images in the batch."""
    networks: int | None = None
    """Random networks, from which the error bars come."""


class Branch(nn.Module):
    """x ← x + aF(x), normalized on the branch, before the sum, behind it, or nowhere.

    Parameters
    ----------
    channels : int
    place : {"none", "branch", "before", "behind"}
        As for `statmech_bn.depth.residual_growth`.
    scale : float
        a.
    padding : {"circular", "zeros"}
        What is around the image.
    """

    def __init__(self, channels: int, place: str, scale: float, padding: str) -> None:
        super().__init__()
        self.scale = scale
        convolution = nn.Conv2d(channels, channels, 3, 1, 1, bias=False, padding_mode=padding)
        layers: dict[str, nn.Module] = {
            name: nn.Identity() for name in ("branch", "before", "behind")
        }
        if place in layers:
            layers[place] = networks.Normalization(channels)
        self.branch = nn.Sequential(layers["branch"], nn.ReLU(), convolution, layers["before"])
        self.behind = layers["behind"]

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate on images (batch, channels, rows, columns)."""
        return self.behind(x + self.scale * self.branch(x))


def inputs(images: str, channels: int, samples: int, generator: np.random.Generator) -> Tensor:
    """Make the first fields, each channel of mean 0 and variance 1."""
    if images == "noise":
        x = torch.from_numpy(generator.standard_normal((samples, channels, SIDE, SIDE))).float()
    else:
        first = torch.from_numpy(generator.standard_normal((channels, 1, 3, 3))).float()
        x = nn.functional.conv2d(digits(samples).train_inputs, first, padding=1)
    return networks.Normalization(channels)(x).detach()


def measure(
    images: str, network: str, depth: int, replica: int, channels: int, samples: int, seed: int
) -> xr.Dataset:
    """Measure a random network, in training mode."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    place, name = NETWORKS[network]
    scale = {"1": 1.0, "0": 0.0, "root": depth**-0.5}[name]
    padding = "circular" if images == "noise" else "zeros"
    generator = stream(seed, 47, replica)
    x = inputs(images, channels, samples, generator).requires_grad_()
    blocks = nn.Sequential(*(Branch(channels, place, scale, padding) for _ in range(depth)))
    with torch.no_grad():
        for weight in blocks.parameters():
            if weight.ndim == 4:
                drawn = generator.standard_normal(tuple(weight.shape))
                weight.copy_(torch.from_numpy(math.sqrt(2 / (9 * channels)) * drawn))
    last = blocks(x)
    gradient = torch.from_numpy(generator.standard_normal(tuple(last.shape))).float()
    [before] = torch.autograd.grad(last, x, gradient)
    found = {
        "field_square": last.detach().square().mean().item(),
        "gradient_square": (before.square().mean() / gradient.square().mean()).item(),
    }
    return sbn.dataset.describe(xr.Dataset(found, attrs={"level": "microscopic"}))


def measure_rectified(
    images: str, depth: int, replica: int, channels: int, samples: int, seed: int
) -> xr.Dataset:
    """Measure a network with ReLU behind the sum, in training mode."""
    torch.set_num_threads(1)
    generator = stream(seed, 48, replica)
    model = networks.residual_network((1, SIDE, SIDE), 10, depth, channels, seed=seed + replica)
    blocks = model[3 : 3 + depth]
    if images == "noise":
        first = inputs(images, channels, samples, generator).relu().requires_grad_()
        for module in blocks.modules():
            if isinstance(module, nn.Conv2d):
                module.padding_mode, module.stride = "circular", (1, 1)
            elif hasattr(module, "stride"):
                module.stride = 1
    else:
        first = model[:3](digits(samples).train_inputs).detach().requires_grad_()
    last = blocks(first)
    gradient = torch.from_numpy(generator.standard_normal(tuple(last.shape))).float()
    [before] = torch.autograd.grad(last, first, gradient)
    found = {
        "field_square": last.detach().square().mean().item(),
        "gradient_square": (before.square().sum() / gradient.square().sum()).item(),
    }
    return sbn.dataset.describe(xr.Dataset(found, attrs={"level": "microscopic"}))


def rectified(depth: int) -> xr.Dataset:
    """Return the same of wide networks."""
    found = sbn.depth.rectified_residual_growth(depth)
    ends = {"field_square": -1, "gradient_square": 0}
    data = {name: found[name].isel(depth=end, drop=True) for name, end in ends.items()}
    return xr.Dataset(data, attrs={"level": "macroscopic"})


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: growth over depth, by theory and in networks."""
    depths = options.size("depths")
    line = np.unique(np.rint(np.geomspace(depths[0], depths[-1], 25)).astype(int)).tolist()
    shared: dict[str, Any] = {n: options.size(n) for n in ("channels", "samples")}
    between, kinds = {"depth": sorted({*line, *depths})}, {"network": list(NETWORKS)}
    shared["seed"] = options.seed
    grid = {
        "images": list(IMAGES), "depth": depths, "replica": range(options.size("networks"))
    }  # fmt: skip
    return {
        "theory": (partial(grown, "relu"), {**kinds, **between}),
        "network": (partial(measure, **shared), {**kinds, **grid}),
        "rectified/theory": (rectified, between),
        "rectified/network": (partial(measure_rectified, **shared), grid),
    }


def apart(tree: xr.DataTree, name: str, group: str = "") -> xr.DataArray:
    """Return the logarithm of what networks have, less that of theory."""
    network, theory = (
        logarithm(tree[group + kind].to_dataset()[name].load()) for kind in ("network", "theory")
    )
    return network - theory.sel(depth=network["depth"])


def claims(tree: xr.DataTree, images: str) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """Return what `statmech_bn.study.decide` asks, as `residual_depth` does for dense layers."""
    at = {"images": images}
    found = tree["network"].to_dataset().load().sel(at)
    field, gradient = (logarithm(found[name]).isel(depth=-1, drop=True) for name in MEASURED)
    fields, gradients = (apart(tree, name).sel(at).isel(depth=-1) for name in MEASURED)
    late = logarithm(found["gradient_square"]).isel(depth=[-2, -1])
    late = late.diff("depth").isel(depth=0, drop=True)
    normalized, scaled = {"network": ["branch", "before"]}, {"network": ["root", "skip"]}
    plain = {"network": "none"}
    rectified = tree["rectified/network"].to_dataset()["gradient_square"].load()
    rectified = logarithm(rectified.sel(at)).isel(depth=-1, drop=True)
    return {
        "Normalized branches let fields grow by one per block": (
            field.sel(plain, drop=True) - field.sel(normalized), fields.sel(normalized),
        ),
        "... and gradients like a power of the depth": (
            gradient.sel(plain, drop=True) - gradient.sel(normalized), gradients.sel(normalized),
        ),
        "Behind the sum gradients go on growing exponentially": (
            late.sel(network="behind", drop=True) - late.sel(network="branch", drop=True),
            gradients.sel(network="behind"),
        ),
        "Scaled branches do it without normalization": (
            gradient.sel(plain, drop=True) - gradient.sel(scaled), gradients.sel(scaled),
        ),
        "ReLU behind the sum makes gradients grow more": (
            rectified - gradient.sel(network="before", drop=True),
            apart(tree, "gradient_square", "rectified/").sel(at).isel(depth=-1),
        ),
    }  # fmt: skip


def together(tree: xr.DataTree, kind: str) -> xr.Dataset:
    """Return theory or networks, the rectified ones as one more network."""
    found = label(tree[kind].to_dataset().load())
    other = tree[f"rectified/{kind}"].to_dataset().load()
    other = other.expand_dims(network=["ReLU behind the sum"])
    joined = xr.concat([found, other], "network", combine_attrs="override")
    for name in (*MEASURED, "network"):
        joined[name].attrs.update(found[name].attrs)
    return joined


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the growth of fields and gradients over depth, networks beside theory."""
    theory, network = (together(tree, kind) for kind in ("theory", "network"))
    theory = theory.assign_attrs(level="macroscopic")
    network = network.assign_attrs(level="microscopic")
    return {
        "growth": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel("depth", name, [theory, network.sel(images=key)], None, title)
                for name in MEASURED
                for key, title in IMAGES.items()
            ],
            "network",
            len(IMAGES),
        )
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare the deepest networks with theory, and say what becomes of the claims."""
    found = {}
    for name in MEASURED:
        mean, error = mean_and_error(apart(tree, name).isel(depth=-1))
        found[f"{name}, logarithm of networks less theory"] = mean.to_pandas()
        found[f"{name}, its standard error"] = error.to_pandas()
        mean, error = mean_and_error(apart(tree, name, "rectified/").isel(depth=-1))
        both = {"networks less theory": mean.to_series(), "standard error": error.to_series()}
        found[f"{name} with ReLU behind the sum, logarithm"] = pd.DataFrame(both)
    decided = {
        title: {claim: decide(*pair) for claim, pair in claims(tree, key).items()}
        for key, title in IMAGES.items()
    }
    return {**found, "verdicts": pd.DataFrame(decided)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
