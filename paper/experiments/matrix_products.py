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
    """Judge the spectra, and whether batch normalization keeps products well conditioned."""
    plain, batch = growth(tree, "none"), growth(tree, "batch")
    apart = (plain[0] - batch[0]) / np.hypot(plain[1], batch[1])
    fields = last(tree, "relu", "none"), last(tree, "relu", "batch")
    return [
        Claim(
            "Products of random matrices become ill-conditioned with depth", "Bjorck2018",
            "holds" if plain[0] > 3 * plain[1] else "not seen",
            rf"{number(*plain)} decades per factor; Fuss--Catalan moments within "
            rf"{number(score(tree), digits=2)} errors",
        ),
        Claim(
            "Batch normalization keeps linear networks well conditioned", "Bjorck2018",
            "holds" if apart > 3 and batch[0] < plain[0] / 2 else "fails",
            rf"{number(*batch)} decades per factor with it",
        ),
        Claim(
            "It keeps the fields of ReLU layers well conditioned", "Bjorck2018",
            "holds" if fields[1] < fields[0] / 10 else "not seen",
            rf"condition number of the last fields {number(fields[1], digits=2)}, without "
            rf"{power(fields[0])}",
        ),
    ]  # fmt: skip
