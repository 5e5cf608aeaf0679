"""Do all samples push a channel the same way? Gradients of random networks, layer by layer.

Sums of gradients over a batch of digits, relative to the sums of their absolute values: without
normalization the samples agree the more, the larger the initial gain; before a batch-normalized
layer the sums vanish. The store is a tree:

    dense/none/2.0     a dense ReLU network of gain 2 (or batch), over layers
    convolution/none   a convolutional one that sees the digits' rows as eight positions
    width/128          dense networks on unrelated inputs, with the mean-field coherence
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
GAINS = (1.4142, 1.6, 2.0)
"""√2 keeps the variance of ReLU networks."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"width": 64, "depth": 8, "replicas": 6, "samples": 64, "widths": (32, 128)},
    "paper": {"width": 128, "depth": 16, "replicas": 16, "samples": 128, "widths": (64, 256, 1024)},
}


@dataclass(frozen=True)
class Options:
    """Alignment of gradients at initialization."""

    store: Path = Path("results/gradient_alignment.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    width: int | None = None
    """Channels of a layer; this and the following are the preset's unless given."""
    depth: int | None = None
    """Number of hidden layers."""
    replicas: int | None = None
    """Random initializations, from which the error bars come."""
    samples: int | None = None
    """Inputs in the batch."""
    widths: tuple[int, ...] | None = None
    """Widths at which the coherence is compared with mean-field theory."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def simulate(options: Options) -> xr.DataTree:
    """Measure all of it."""
    generator = np.random.default_rng(options.seed)
    images, labels = sbn.depth.digits()
    chosen = generator.choice(labels.size, options.size("samples"), replace=False)
    images, labels = images[chosen], labels[chosen]
    depth, width, replicas = (options.size(name) for name in ("depth", "width", "replicas"))
    results: dict[str, xr.Dataset] = {}
    for name in tqdm(NORMALIZATIONS, desc="digits", disable=None):
        for gain in GAINS if name == "none" else GAINS[:1]:
            network = sbn.depth.DeepNetwork(depth, width, 64, normalization=name, gain=gain)
            results[f"dense/{name}/{gain:.1f}"] = sbn.depth.gradient_alignment(
                network, images, labels, replicas, options.seed
            )
        network = sbn.depth.DeepNetwork(depth // 2, width // 2, 8, normalization=name, kernel=3)
        results[f"convolution/{name}"] = sbn.depth.gradient_alignment(
            network, images.reshape(-1, 8, 8), labels, replicas, options.seed
        )
    inputs, classes = sbn.depth.teacher_classes(options.size("samples"), 64, 10, generator)
    for width in tqdm(options.size("widths"), desc="widths", disable=None):
        network = sbn.depth.DeepNetwork(depth // 2, width, 64, gain=2.0)
        results[f"width/{width}"] = sbn.depth.gradient_alignment(
            network, inputs, classes, replicas, options.seed
        )
    return xr.DataTree.from_dict(results)


def largest_sum(tree: xr.DataTree) -> float:
    """Largest alignment of any layer's fields before batch normalization: zero but for rounding."""
    nodes = (tree["dense/batch/1.4"], tree["convolution/batch"])
    return max(float(n["gradient_alignment"].max()) for n in nodes)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw alignment by layer and by what is summed over, and the coherence."""
    dense = {
        f"no norm., gain {float(name):g}": node.to_dataset()
        for name, node in tree["dense/none"].children.items()
    }
    normalized = tree["dense/batch/1.4"].to_dataset()
    widths = {int(name): node.to_dataset() for name, node in tree["width"].children.items()}
    return {
        "layers": sbn.plot.gradient_alignment(dense, normalized, options_samples(tree)),
        "axes": sbn.plot.alignment_axes(
            {t: tree[f"convolution/{n}"].to_dataset() for n, t in NORMALIZATIONS.items()}
        ),
        "coherence": sbn.plot.gradient_coherence(dict(sorted(widths.items()))),
    }


def options_samples(tree: xr.DataTree) -> int:
    """Return the number of inputs in the batch."""
    return int(tree["dense/batch/1.4"].attrs["samples"])


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the largest sum."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"gradient_alignment_{name}")
    print(f"largest |Σg|/Σ|g| before batch normalization: {largest_sum(tree):.1e}")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
