"""How large a step survives depth? One gradient step in all layers of a random network at once.

Handwritten digits, ReLU. Without normalization fields grow exponentially with the layer after a
large step; with batch normalization they do not. The store is a tree:

    step/none        moments of every layer's fields and the loss, over learning rates (or batch)
    largest/none     largest step that lowers the loss, and that does not double it, over depths
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
from statmech_bn.dataset import describe

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
FACTORS = (1.0, 2.0)
"""Of the loss, from which on a step is too large: it descends, it does not explode."""
LARGE = 300.0
"""Learning rates from here on are those whose growth is compared with 2 ln η."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"width": 64, "depth": 10, "depths": (1, 2, 4, 8), "replicas": 4, "samples": 64},
    "paper": {
        "width": 128, "depth": 20, "depths": (1, 2, 3, 5, 8, 12, 18, 26), "replicas": 8,
        "samples": 128,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """One step in all layers at once."""

    store: Path = Path("results/exploding_updates.zarr")
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
    depths: tuple[int, ...] | None = None
    """Depths for which the largest step is found, in networks half as wide."""
    replicas: int | None = None
    """Random initializations, from which the error bars come."""
    samples: int | None = None
    """Digits in the batch."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def batch(options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch of digits."""
    images, labels = sbn.depth.digits()
    generator = np.random.default_rng(options.seed)
    chosen = generator.choice(labels.size, options.size("samples"), replace=False)
    return images[chosen], labels[chosen]


def simulate(options: Options) -> xr.DataTree:
    """Take the steps."""
    images, labels = batch(options)
    rates = np.concatenate([[0.0], np.geomspace(0.03, 10_000, 12)])
    replicas, results = options.size("replicas"), {}
    for name in tqdm(NORMALIZATIONS, desc="steps", disable=None):
        network = sbn.depth.DeepNetwork(
            options.size("depth"), options.size("width"), images.shape[1], normalization=name
        )
        found = sbn.depth.step_moments(network, images, labels, rates, replicas, options.seed)
        results[f"step/{name}"] = found.assign(growth=sbn.depth.growth_per_layer(found))
        steps = []
        for depth in tqdm(options.size("depths"), desc="depths", disable=None, leave=False):
            shallow = sbn.depth.DeepNetwork(
                depth, options.size("width") // 2, images.shape[1], normalization=name
            )
            steps.append(
                xr.concat(
                    [
                        sbn.depth.largest_step(
                            shallow, images, labels, replicas, options.seed, factor
                        )
                        for factor in FACTORS
                    ],
                    xr.Variable("factor", list(FACTORS)),
                )
            )
        depths = xr.Variable("depth", list(options.size("depths")))
        results[f"largest/{name}"] = describe(xr.concat(steps, depths).to_dataset())
    return xr.DataTree.from_dict(results)


def growth_exponent(tree: xr.DataTree, name: str) -> tuple[float, float]:
    """Slope of the growth per layer against ln η at large η, and its standard error."""
    growth = tree[f"step/{name}"]["growth"].load()
    growth = growth.sel(learning_rate=growth["learning_rate"] >= LARGE)
    fits = [
        np.polyfit(np.log(growth["learning_rate"]), growth.sel(replica=r), 1)[0]
        for r in growth["replica"]
        if growth.sel(replica=r).notnull().all()
    ]
    return float(np.mean(fits)), float(np.std(fits, ddof=1) / np.sqrt(len(fits)))


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw moments by layer, and growth, loss and largest step."""
    steps = {title: tree[f"step/{n}"].to_dataset() for n, title in NORMALIZATIONS.items()}
    largest = {title: tree[f"largest/{n}"].to_dataset() for n, title in NORMALIZATIONS.items()}
    return {
        "moments": sbn.plot.step_moments(steps),
        "growth": sbn.plot.step_growth(steps),
        "largest": sbn.plot.largest_step(largest),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the exponents."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"exploding_updates_{name}")
    for name, title in NORMALIZATIONS.items():
        slope, error = growth_exponent(tree, name)
        print(f"{title}: growth per layer ∝ {slope:.3f} ± {error:.3f} ln η")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
