"""Spectra of products of random matrices, and what batch normalization does to them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper.number import Claim, count, number, power
from simulations import matrix_products as script


def growth(tree: xr.DataTree, normalization: str) -> tuple[float, float]:
    """Return the decades that the condition number gains with a factor, from the tenth on."""
    values = tree["product"]["condition_number"].sel(normalization=normalization)
    decades = np.log10(values.transpose("factors", "replica").values)
    steps = (decades[-1] - decades[9]) / (len(decades) - 10)
    return float(steps.mean()), float(steps.std(ddof=1) / np.sqrt(steps.size))


def last(tree: xr.DataTree, activation: str, normalization: str) -> float:
    """Return the typical condition number of the last layer's fields."""
    fields = tree["representation"]["condition_number"].isel(depth=-1)
    return float(fields.sel(activation=activation, normalization=normalization).median())


def score(tree: xr.DataTree) -> float:
    """Return how far second moments are from their exact values, in standard errors at most."""
    return float(script.moments(tree, 2)["errors away"].abs().max())


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return growth and typical condition numbers."""
    exponent = tree["law"]["growth"].item() / np.log(10)
    return {
        "small": count(script.SMALL),
        "depth": count(tree["representation"]["depth"][-1]),
        "factors": count(script.FACTORS),
        "score": number(score(tree), digits=2),
        "none": number(*growth(tree, "none")),
        "batch": number(*growth(tree, "batch")),
        "endless": number(exponent),
        "relu/none": power(last(tree, "relu", "none")),
        "relu/batch": number(last(tree, "relu", "batch"), digits=2),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the spectra, and whether batch normalization keeps deep networks well conditioned."""
    plain, batch = growth(tree, "none"), growth(tree, "batch")
    maps = (plain[0] - batch[0]) / np.hypot(plain[1], batch[1]) > 3 and batch[0] < plain[0] / 2
    without, kept = (last(tree, "relu", name) for name in ("none", "batch"))
    fields = kept < without / 10
    return [
        Claim(
            "Products of random matrices become ill-conditioned with depth", "Bjorck2018",
            "holds" if plain[0] > 3 * plain[1] else "not seen",
            rf"{number(*plain)} decades per factor; Fuss--Catalan moments within "
            rf"{number(score(tree), digits=2)} errors",
        ),
        Claim(
            "Batch normalization counteracts this (conjecture)", "Bjorck2018",
            "holds" if maps and fields else ("corrected" if maps or fields else "fails"),
            rf"linear maps: {number(*batch)} decades per factor with it; fields of ReLU layers: "
            rf"{number(kept, digits=2)}, without {power(without)}",
        ),
    ]  # fmt: skip
