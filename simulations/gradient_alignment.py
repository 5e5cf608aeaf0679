"""Do all samples push a channel the same way? Gradients of random networks, layer by layer.

Sums of gradients over a batch of digits, relative to the sums of their absolute values: without
normalization the samples agree the more, the larger the initial gain; before a batch-normalized
layer the sums vanish. The groups of the store, each over layers:

    dense/none     dense ReLU networks, over gains
    dense/batch    with batch normalization, where the gain drops out
    convolution    convolutional ones that see the digits' rows as eight positions
    width          dense ones on unrelated inputs, with the mean-field coherence, over widths
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from handwritten import batch

import statmech_bn as sbn

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
GAINS = (1.4142, 1.6, 2.0)
"""√2 keeps the variance of ReLU networks."""
PIXELS, CLASSES = 64, 10


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Alignment of gradients at initialization."""

    presets: ClassVar = {
        "quick": {"width": 64, "depth": 8, "replicas": 6, "samples": 64, "widths": (32, 128)},
        "paper": {
            "width": 128,
            "depth": 16,
            "replicas": 16,
            "samples": 128,
            "widths": (64, 256, 1024),
        },
    }
    store: Path = Path("results/gradient_alignment.zarr")
    width: int | None = None
    """Channels of a layer. The preset chooses this and the following if not given."""
    depth: int | None = None
    """Number of hidden layers."""
    replicas: int | None = None
    """Random initializations, from which the error bars come."""
    samples: int | None = None
    """Inputs in the batch."""
    widths: tuple[int, ...] | None = None
    """Widths at which the coherence is compared with mean-field theory."""


def dense(
    gain: float, normalization: str, depth: int, width: int, samples: int, replicas: int, seed: int
) -> xr.Dataset:
    """Measure a dense network."""
    inputs = batch(samples, np.random.default_rng(seed))
    network = sbn.depth.DeepNetwork(depth, width, PIXELS, CLASSES, "relu", normalization, gain)
    return sbn.depth.gradient_alignment(network, *inputs, replicas, seed)


def convolution(
    normalization: str, depth: int, width: int, samples: int, replicas: int, seed: int
) -> xr.Dataset:
    """Measure a convolutional network on rows of eight pixels."""
    images, labels = batch(samples, np.random.default_rng(seed))
    network = sbn.depth.DeepNetwork(depth, width, 8, CLASSES, normalization=normalization, kernel=3)
    return sbn.depth.gradient_alignment(network, images.reshape(-1, 8, 8), labels, replicas, seed)


def unrelated(width: int, depth: int, samples: int, replicas: int, seed: int) -> xr.Dataset:
    """Measure a dense network without normalization on Gaussian inputs."""
    generator = np.random.default_rng(seed)
    batch(samples, generator)  # the inputs are drawn after the digits, not from the same numbers
    inputs = sbn.depth.teacher_classes(samples, PIXELS, CLASSES, generator)
    network = sbn.depth.DeepNetwork(depth, width, PIXELS, CLASSES, gain=2.0)
    return sbn.depth.gradient_alignment(network, *inputs, replicas, seed)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: dense and convolutional networks, and several widths."""
    shared: dict[str, Any] = {name: options.size(name) for name in ("samples", "replicas")}
    shared["seed"] = options.seed
    depth, width = options.size("depth"), options.size("width")
    layers = partial(dense, depth=depth, width=width, **shared)
    return {
        "dense/none": (partial(layers, normalization="none"), {"gain": GAINS}),
        "dense/batch": (partial(layers, normalization="batch"), {"gain": GAINS[:1]}),
        "convolution": (
            partial(convolution, depth=depth // 2, width=width // 2, **shared),
            {"normalization": list(NORMALIZATIONS)},
        ),
        "width": (
            partial(unrelated, depth=depth // 2, **shared),
            {"width": options.size("widths")},
        ),
    }


def largest_sum(tree: xr.DataTree) -> float:
    """Return the largest alignment of fields before batch normalization: zero but for rounding."""
    convolved = tree["convolution"].to_dataset().sel(normalization="batch")
    nodes = (tree["dense/batch"], convolved)
    return max(float(node["gradient_alignment"].max()) for node in nodes)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw alignment by layer and by what is summed over, and the coherence."""
    plain, convolved, unlike = (
        tree[group].to_dataset() for group in ("dense/none", "convolution", "width")
    )
    normalized = tree["dense/batch"].to_dataset().isel(gain=0)
    gains = {f"no norm., gain {gain:.2g}": plain.sel(gain=gain) for gain in GAINS}
    return {
        "layers": lambda: sbn.plot.gradient_alignment(
            gains, normalized, normalized.attrs["samples"]
        ),
        "axes": lambda: sbn.plot.alignment_axes(
            {title: convolved.sel(normalization=n) for n, title in NORMALIZATIONS.items()}
        ),
        "coherence": lambda: sbn.plot.gradient_coherence(
            {int(width): unlike.sel(width=width) for width in unlike["width"].values}
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the largest sum before batch normalization, which is zero but for rounding."""
    return {
        "sums before batch normalization": pd.DataFrame({"largest |Σg|/Σ|g|": [largest_sum(tree)]})
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
