"""Do deep features forget the input? The correlation of two inputs through random layers.

Without normalization ReLU layers make all inputs alike; batch normalization subtracts what they
have in common. Maps c → c' of one layer and their iteration, in the limit of infinite width and in
networks. The store is a tree:

    map/relu/batch/theory        c' against c (or network, with the same batch of inputs)
    depth/relu/batch/theory      c against the number of layers
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn

ACTIVATIONS = {"linear": "linear", "relu": "ReLU", "erf": "erf", "tanh": "tanh"}
NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
LAYERS = {
    "relu/none": sbn.depth.Layer("relu"),
    "tanh/none": sbn.depth.Layer("tanh", weight_variance=2.25, bias_variance=0.05),
    "relu/batch": sbn.depth.Layer("relu", "batch"),
    "tanh/batch": sbn.depth.Layer("tanh", "batch"),
}
"""Layers that are iterated: the weights of tanh are large enough to keep inputs apart."""
STARTS = (0.0, 0.5, 0.9)

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"width": 300, "depth": 12, "networks": 6, "batch_size": 128},
    "paper": {"width": 1000, "depth": 30, "networks": 8, "batch_size": 512},
}


@dataclass(frozen=True)
class Options:
    """The correlation of two inputs through random layers."""

    store: Path = Path("results/depth_correlation.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    width: int | None = None
    """Units of a layer; this and the following are the preset's unless given."""
    depth: int | None = None
    """Number of layers."""
    networks: int | None = None
    """Random networks, from which the error bars come."""
    batch_size: int | None = None
    """Inputs that are normalized together."""

    def size(self, name: str) -> int:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def measured(
    layer: sbn.depth.Layer, start: np.ndarray, depth: int, networks: int, options: Options
) -> xr.Dataset:
    """Send pairs of inputs through random networks."""
    pairs = 4 if layer.normalization == "batch" else 8
    return sbn.depth.measure_correlation(
        layer, start, depth, options.size("width"), networks, pairs,
        max(options.size("batch_size"), 4 * pairs * start.size), 1.0, options.seed,
    )  # fmt: skip


def after_start(found: xr.Dataset) -> np.ndarray:
    """Return the correlations of the first fields: normalization moves them by 1/batch size."""
    return found["correlation"].isel(depth=0).mean("replica").values


def of_size(layer: sbn.depth.Layer, found: xr.Dataset) -> sbn.depth.Layer:
    """Return the same layer with the batch size of the networks, for corrections of order 1/B."""
    return sbn.depth.Layer(
        layer.activation, layer.normalization, layer.weight_variance, layer.bias_variance,
        found.attrs.get("batch_size"),
    )  # fmt: skip


def simulate(options: Options) -> xr.DataTree:
    """Compute and measure maps and their iteration."""
    results: dict[str, xr.Dataset] = {}
    points = np.array([0.0, 0.3, 0.6, 0.9])
    jobs = [(a, n) for a in ACTIVATIONS for n in NORMALIZATIONS]
    for name, normalization in tqdm(jobs, desc="maps", disable=None):
        group = f"map/{name}/{normalization}"
        found = measured(
            sbn.depth.Layer(name, normalization), points, 1, 4 * options.size("networks"), options
        )
        layer = of_size(sbn.depth.Layer(name, normalization), found)
        results[f"{group}/theory"] = sbn.depth.propagate(layer, np.linspace(0, 1, 41), 1)
        results[f"{group}/network"] = found.assign(
            theory=sbn.depth.propagate(layer, after_start(found), 1)["correlation"]
            .assign_coords(start=points)
        )  # fmt: skip
    for name, layer in tqdm(LAYERS.items(), desc="depth", disable=None):
        found = measured(
            layer, np.array(STARTS), options.size("depth"), options.size("networks"), options
        )
        layer = of_size(layer, found)
        depth = options.size("depth") * (10 if name == "relu/none" else 1)
        theory = sbn.depth.propagate(layer, after_start(found), depth)
        theory = theory.assign_coords(start=found["start"])
        if name == "relu/none":
            late = sbn.symbolic.late_correlation("relu")
            levels = theory["depth"].values[1:]
            values = [np.nan, *(float(late.subs(sbn.symbolic.depth, int(n))) for n in levels)]
            theory = theory.assign(late=("depth", values))
        results[f"depth/{name}/theory"], results[f"depth/{name}/network"] = theory, found
    return xr.DataTree.from_dict(results)


def scores(tree: xr.DataTree) -> pd.DataFrame:
    """By how many standard errors one layer of the networks differs from theory."""
    rows = {}
    for a in ACTIVATIONS:
        for n in NORMALIZATIONS:
            found = tree[f"map/{a}/{n}/network"].to_dataset().isel(depth=1)
            values = found["correlation"]
            error = values.std("replica", ddof=1) / np.sqrt(values.sizes["replica"])
            apart = (values.mean("replica") - found["theory"]) / error
            rows[f"{ACTIVATIONS[a]}, {NORMALIZATIONS[n]}"] = {
                f"c = {c:g}": apart.sel(start=c).item() for c in found["start"].values
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def fixed_points() -> pd.DataFrame:
    """Where the correlation of two inputs ends, how fast, and how gradients grow there."""
    rows = {}
    for name, layer in LAYERS.items():
        found = sbn.depth.fixed_point(layer)
        rows[name] = {
            "c*": found.correlation,
            "rate": found.slope,
            "χ": float(layer.gradient_multiplier(found.variance)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the maps, and correlations against depth."""

    def both(path: str) -> tuple[xr.Dataset, xr.Dataset]:
        return tree[f"{path}/theory"].to_dataset(), tree[f"{path}/network"].to_dataset()

    titles = {
        key: f"{ACTIVATIONS[(p := key.split('/'))[0]]}, {NORMALIZATIONS[p[1]]}" for key in LAYERS
    }
    return {
        "maps": sbn.plot.correlation_maps(
            {
                title: {label: both(f"map/{a}/{n}") for a, label in ACTIVATIONS.items()}
                for n, title in NORMALIZATIONS.items()
            }
        ),
        "depth": sbn.plot.correlation_depth({titles[key]: both(f"depth/{key}") for key in LAYERS}),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the tables."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"depth_correlation_{name}")
    print(f"standard errors from theory, one layer\n{scores(tree).round(2).to_string()}")
    print(f"\nfixed points\n{fixed_points().round(4).to_string()}")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
