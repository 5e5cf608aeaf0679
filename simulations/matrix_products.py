"""Products of random matrices: the Fuss–Catalan law, and how fast condition numbers grow.

A deep linear network multiplies its weight matrices. Does batch normalization between the layers
keep the product well conditioned? And what the layers say about a batch? The store is a tree:

    spectra                  squared singular values of 1 to 8 factors
    product/none             condition number of a linear network's map (or batch)
    representation/relu/none condition number of a batch's fields, layer by layer
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

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
FACTORS = 8

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"dimension": 100, "replicas": 10, "depth": 16},
    "paper": {"dimension": 400, "replicas": 20, "depth": 40},
}
SMALL = 32
"""Dimension of the matrices whose condition numbers are measured."""


@dataclass(frozen=True)
class Options:
    """Spectra and condition numbers of products of random matrices."""

    store: Path = Path("results/matrix_products.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    dimension: int | None = None
    """N of the spectra; this and the following are the preset's unless given."""
    replicas: int | None = None
    """Independent products, from which the error bars come."""
    depth: int | None = None
    """Factors and layers up to which condition numbers are measured."""

    def size(self, name: str) -> int:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def simulate(options: Options) -> xr.DataTree:
    """Draw the products."""
    depth, replicas, seed = options.size("depth"), options.size("replicas"), options.seed
    results = {
        "spectra": sbn.depth.product_spectra(FACTORS, options.size("dimension"), replicas, seed)
    }
    for name in tqdm(NORMALIZATIONS, desc="condition numbers", disable=None):
        found = sbn.depth.product_conditions(depth, SMALL, replicas, seed, name)
        if name == "none":
            typical = [sbn.depth.typical_condition_number(s, SMALL) for s in range(1, FACTORS + 1)]
            exponents = sbn.depth.growth_exponents(SMALL)
            growth = exponents[0] - exponents[-1]
            found = found.assign(
                typical=("factors", np.append(typical, np.full(depth - FACTORS, np.nan))),
                growth=growth,
            )
        results[f"product/{name}"] = found
        for activation in ACTIVATIONS:
            results[f"representation/{activation}/{name}"] = sbn.depth.representation_conditions(
                activation, depth, SMALL, 4 * SMALL, replicas, seed, name
            )
    return xr.DataTree.from_dict(results)


def moments(tree: xr.DataTree, order: int) -> pd.DataFrame:
    """First or second moment of the squared singular values: measured, the law's, and exact."""
    values = tree["spectra"].to_dataset()["squared_singular_value"].load()
    measured = (values**order).mean("rank")
    rows = {}
    for s in values["factors"].values:
        law = sbn.symbolic.fuss_catalan(int(s))
        found = measured.sel(factors=s)
        error = float(found.std("replica", ddof=1)) / np.sqrt(found.sizes["replica"])
        limit, mean = float(law.moment.subs(sbn.symbolic.k, order)), float(found.mean())
        exact = limit
        if order == 2:
            exact = sbn.depth.second_moments(int(s), tree["spectra"].attrs["dimension"])[-1]
        rows[int(s)] = {
            "measured": mean, "standard error": error, "law": limit, "at this N": exact,
            "errors away": (mean - exact) / error, "edge": float(law.edge),
            "largest": float(values.sel(factors=s).max("rank").mean()),
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw spectra and condition numbers."""
    return {
        "spectra": sbn.plot.spectra(tree["spectra"].to_dataset()),
        "conditions": sbn.plot.condition_numbers(
            {t: tree[f"product/{n}"].to_dataset() for n, t in NORMALIZATIONS.items()},
            {
                f"{label}, {title}": tree[f"representation/{a}/{n}"].to_dataset()
                for a, label in ACTIVATIONS.items()
                for n, title in NORMALIZATIONS.items()
            },
        ),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the moments."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"matrix_products_{name}")
    for order in (1, 2):
        print(f"moment {order}\n{moments(tree, order).round(4).to_string()}\n")
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
