"""Products of random matrices: the Fuss–Catalan law, and how fast condition numbers grow.

A deep linear network multiplies its weight matrices. Does batch normalization between the layers
keep the product well conditioned? And what the layers say about a batch? The groups of the store:

    spectra           squared singular values of 1 to 8 factors
    product           condition numbers of linear networks' maps, over factors
    law               the law's typical condition number, and its growth in an endless product
    representation    condition numbers of a batch's fields, layer by layer
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.study import mean_and_error

NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
"""The grid has these values; figures have these titles for them."""
FACTORS = 8
SMALL = 32
"""Dimension of the matrices whose condition numbers are measured."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Spectra and condition numbers of products of random matrices."""

    presets: ClassVar = {
        "quick": {"dimension": 100, "replicas": 10, "depth": 16},
        "paper": {"dimension": 400, "replicas": 20, "depth": 40},
    }
    store: Path = Path("results/matrix_products.zarr")
    dimension: int | None = None
    """N of the spectra. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Independent products, from which the error bars come."""
    depth: int | None = None
    """Factors and layers up to which condition numbers are measured."""


def law(dimension: int) -> xr.Dataset:
    """Evaluate what theory says about condition numbers, by the law and for an endless product."""
    factors = range(1, FACTORS + 1)
    typical = [sbn.depth.typical_condition_number(s, dimension) for s in factors]
    exponents = sbn.depth.growth_exponents(dimension)
    data = {"typical": ("factors", typical), "growth": exponents[0] - exponents[-1]}
    return describe(xr.Dataset(data, {"factors": list(factors)}))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: spectra, and condition numbers of maps and of fields."""
    shared: dict[str, Any] = {"replicas": options.size("replicas"), "seed": options.seed}
    depth, networks = options.size("depth"), {"normalization": list(NORMALIZATIONS)}
    products = partial(sbn.depth.product_conditions, depth, SMALL, **shared)
    fields = partial(
        sbn.depth.representation_conditions, depth=depth, width=SMALL, samples=4 * SMALL, **shared
    )
    return {
        "spectra": (
            partial(sbn.depth.product_spectra, FACTORS, **shared),
            {"dimension": [options.size("dimension")]},
        ),
        "product": (products, networks),
        "law": (law, {"dimension": [SMALL]}),
        "representation": (fields, {"activation": list(ACTIVATIONS), **networks}),
    }


def moments(tree: xr.DataTree, order: int) -> pd.DataFrame:
    """Table a moment of the squared singular values: measured, the law's, and exact."""
    values = tree["spectra"].to_dataset()["squared_singular_value"].isel(dimension=0).load()
    measured = (values**order).mean("rank")
    rows = {}
    for s in values["factors"].values:
        predicted = sbn.symbolic.fuss_catalan(int(s))
        found = measured.sel(factors=s)
        mean, error = (float(part) for part in mean_and_error(found))
        limit = float(predicted.moment.subs(sbn.symbolic.k, order))
        exact = limit
        if order == 2:
            exact = sbn.depth.second_moments(int(s), values["dimension"].item())[-1]
        rows[int(s)] = {
            "measured": mean,
            "standard error": error,
            "law": limit,
            "at this N": exact,
            "errors away": (mean - exact) / error,
            "edge": float(predicted.edge),
            "largest": float(values.sel(factors=s).max("rank").mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def growth(tree: xr.DataTree, normalization: str) -> xr.DataArray:
    """Return the decades that the condition number gains with a factor, from the tenth on."""
    found = tree["product"].to_dataset().sel(normalization=normalization, drop=True)
    decades = found.load().map(np.log10)["condition_number"]
    steps = decades.isel(factors=-1, drop=True) - decades.isel(factors=9, drop=True)
    return steps / (decades.sizes["factors"] - 10)


def last(tree: xr.DataTree, activation: str, normalization: str) -> float:
    """Return the typical condition number of the last layer's fields."""
    fields = tree["representation"].to_dataset()["condition_number"].isel(depth=-1)
    return float(fields.sel(activation=activation, normalization=normalization).median())


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw spectra and condition numbers."""
    products, fields = (tree[group].to_dataset() for group in ("product", "representation"))
    maps = {title: products.sel(normalization=n) for n, title in NORMALIZATIONS.items()}
    plain = NORMALIZATIONS["none"]
    maps[plain] = maps[plain].assign(tree["law"].to_dataset().isel(dimension=0, drop=True))
    return {
        "spectra": lambda: sbn.plot.spectra(tree["spectra"].to_dataset().isel(dimension=0)),
        "conditions": lambda: sbn.plot.condition_numbers(
            maps,
            {
                f"{label}, {title}": fields.sel(activation=a, normalization=n)
                for a, label in ACTIVATIONS.items()
                for n, title in NORMALIZATIONS.items()
            },
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare moments with the law's."""
    return {f"moment {order}": moments(tree, order) for order in (1, 2)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
