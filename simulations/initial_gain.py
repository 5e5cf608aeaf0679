"""Must weights start at the right scale? Gradients and training of deep networks against the gain.

Without normalization gradients vanish or explode with depth unless the initial gain is right, and
saturating units cannot be trained at all; with batch normalization the gain does not matter. The
store is a tree:

    gradients/tanh/none/1.0   mean square gradient of each layer at one gain, and the mean field's
    training/tanh/none        loss and accuracy on handwritten digits, over gains
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import sympy as sp
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn
from statmech_bn.dataset import describe

x = sp.Symbol("x", real=True)
ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "logistic": 1 / (1 + sp.exp(-x))}
TITLES = {"relu": "ReLU", "tanh": "tanh", "logistic": "logistic"}
NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
GAINS = (0.5, 1.0, 2.0, 4.0)

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "width": 64, "depth": 10, "samples": 64, "replicas": 4, "gains": (0.5, 1.4, 4.0),
        "epochs": 1, "runs": 2,
    },
    "paper": {
        "width": 200, "depth": 20, "samples": 200, "replicas": 8,
        "gains": (0.25, 0.5, 1.0, 1.4, 2.0, 4.0, 8.0), "epochs": 4, "runs": 2,
    },
}  # fmt: skip
TRAINED = {"depth": 10, "width": 64}
"""Shape of the networks that are trained, smaller than those whose gradients are measured."""
RATES = (0.01, 0.1, 1.0)
"""Learning rates, of which the best is taken for each gain."""


@dataclass(frozen=True)
class Options:
    """Gradients and training against the initial gain."""

    store: Path = Path("results/initial_gain.zarr")
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
    samples: int | None = None
    """Inputs in the batch whose gradients are measured."""
    replicas: int | None = None
    """Random initializations, from which the error bars come."""
    gains: tuple[float, ...] | None = None
    """Initial gains of the networks that are trained."""
    epochs: int | None = None
    """Passes through the digits."""
    runs: int | None = None
    """Networks trained at each gain and learning rate."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def training(activation: str, normalization: str, options: Options) -> xr.Dataset:
    """Train on the digits from several gains at several learning rates."""
    images, labels = sbn.depth.digits()
    found = []
    for gain in tqdm(options.size("gains"), desc="gains", disable=None, leave=False):
        network = sbn.depth.DeepNetwork(
            **TRAINED, inputs=images.shape[1], activation=ACTIVATIONS[activation],
            normalization=normalization, gain=gain,
        )  # fmt: skip
        runs = [
            sbn.depth.train(
                network, images, labels, rate, 64, options.size("epochs"),
                options.size("runs"), options.seed,
            )
            for rate in RATES
        ]  # fmt: skip
        found.append(
            xr.concat(
                runs, xr.Variable("learning_rate", list(RATES)), combine_attrs="drop_conflicts"
            )
        )
    gains = xr.Variable("gain", list(options.size("gains")))
    return describe(xr.concat(found, gains, combine_attrs="drop_conflicts"))


def simulate(options: Options) -> xr.DataTree:
    """Measure gradients, and train."""
    generator = np.random.default_rng(options.seed)
    inputs, labels = sbn.depth.teacher_classes(options.size("samples"), 64, 10, generator)
    results: dict[str, xr.Dataset] = {}
    jobs = [(a, n) for a in ACTIVATIONS for n in NORMALIZATIONS]
    for name, normalization in tqdm(jobs, desc="activations", disable=None):
        for gain in GAINS:
            network = sbn.depth.DeepNetwork(
                options.size("depth"), options.size("width"), inputs.shape[1], 10,
                ACTIVATIONS[name], normalization, gain,
            )  # fmt: skip
            results[f"gradients/{name}/{normalization}/{gain}"] = sbn.depth.gradient_squares(
                network, inputs, labels, options.size("replicas"), options.seed
            )
        results[f"training/{name}/{normalization}"] = training(name, normalization, options)
    return xr.DataTree.from_dict(results)


def multipliers(tree: xr.DataTree) -> pd.DataFrame:
    """Growth of the mean square gradient per layer, measured, and the mean field's."""
    rows = {}
    for name in ACTIVATIONS:
        for normalization, title in NORMALIZATIONS.items():
            for gain in GAINS:
                found = tree[f"gradients/{name}/{normalization}/{gain}"].to_dataset()
                depth = found.sizes["layer"]
                middle = found.sel(layer=[2, max(3, depth - 4)])
                steps = float(middle["layer"][1] - middle["layer"][0])
                below, above = np.log(
                    middle["gradient_square"].transpose("layer", "replica").values
                )
                growth = (below - above) / steps
                theory = np.log(middle["theory"].values)
                rows[f"{TITLES[name]}, {title}, gain {gain:g}"] = {
                    "measured": float(np.exp(growth.mean())),
                    "standard error": float(
                        np.exp(growth.mean()) * growth.std(ddof=1) / np.sqrt(growth.size)
                    ),
                    "mean field": float(np.exp((theory[0] - theory[1]) / steps)),
                }
    return pd.DataFrame.from_dict(rows, orient="index")


def best_accuracy(found: xr.Dataset) -> xr.DataArray:
    """Accuracy after training at the learning rate that is best for each gain, over replicas."""
    final = found["training_accuracy"].isel(epoch=-1)
    best = final.mean("replica").argmax("learning_rate")
    return final.isel(learning_rate=best)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw gradients by layer, and accuracy against the gain."""
    panels = [(a, n) for n in NORMALIZATIONS for a in ACTIVATIONS]
    return {
        "gradients": sbn.plot.gradient_squares(
            {
                f"{TITLES[a]}, {NORMALIZATIONS[n]}": {
                    gain: tree[f"gradients/{a}/{n}/{gain}"].to_dataset() for gain in GAINS
                }
                for a, n in panels
            },
            len(ACTIVATIONS),
        ),
        "training": sbn.plot.training_gain(
            {
                TITLES[a]: {
                    title: best_accuracy(tree[f"training/{a}/{n}"].to_dataset())
                    for n, title in NORMALIZATIONS.items()
                }
                for a in ACTIVATIONS
            }
        ),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the multipliers."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"initial_gain_{name}")
    print(f"growth of gradients per layer\n{multipliers(tree).round(4).to_string()}")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
