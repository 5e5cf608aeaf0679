"""Spectra of products of random matrices, and what batch normalization does to them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, power

script = stores.script("matrix_products")


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
        "none": averaged(script.growth(tree, "none")),
        "batch": averaged(script.growth(tree, "batch")),
        "endless": number(exponent),
        "relu/none": power(script.last(tree, "relu", "none")),
        "relu/batch": number(script.last(tree, "relu", "batch"), digits=2),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the spectra, and whether batch normalization keeps deep networks well conditioned."""
    plain, batch = (script.growth(tree, name) for name in ("none", "batch"))
    fields = np.log10(tree["representation"]["condition_number"].load().isel(depth=-1, drop=True))
    fields = fields.sel(activation="relu", drop=True)
    without, kept = (script.last(tree, "relu", name) for name in ("none", "batch"))
    return [
        judged(
            "Products of random matrices become ill-conditioned with depth", "Bjorck2018",
            "decades that the condition number gains per factor",
            rf"{averaged(plain)} decades per factor; Fuss--Catalan moments within "
            rf"{number(score(tree), digits=2)} errors",
            plain,
        ),
        judged(
            "Batch normalization counteracts this (conjecture): linear networks", "Bjorck2018",
            "decades per factor without normalization, less those with it",
            rf"{averaged(batch)} decades per factor with it, without {averaged(plain)}",
            plain - batch,
        ),
        judged(
            "Batch normalization counteracts this (conjecture): fields of ReLU layers",
            "Bjorck2018",
            r"$\log_{10}$ of the last layer's condition number without normalization, less that "
            "with it",
            rf"typically {number(kept, digits=2)} behind "
            rf"{int(tree['representation']['depth'][-1])} layers, without {power(without)}",
            fields.sel(normalization="none") - fields.sel(normalization="batch"),
        ),
    ]  # fmt: skip
