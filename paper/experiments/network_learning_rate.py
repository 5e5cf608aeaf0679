"""Which learning rates train a convolutional network."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("network_learning_rate")


def advantages(tree: xr.DataTree, kind: str, criterion: str) -> list[xr.DataArray]:
    """Return ln of the largest rate with batch normalization over that of a kind, by depth.

    Replicas that have no such rate on the grid are left out, and depths of less than two others.
    """
    found = script.networks_of(tree)
    rates = [np.log(script.largest_rate(found[name], criterion)) for name in ("batch", kind)]
    every = [
        (rates[0] - rates[1]).sel(depth=depth).dropna("replica") for depth in rates[1]["depth"]
    ]
    return [values for values in every if values.size > 1]


def accuracies(tree: xr.DataTree) -> list[tuple[xr.DataArray, xr.DataArray]]:
    """Compare accuracies by depth.

    Returns
    -------
    list of tuples
        What a larger rate adds with batch normalization, and what batch normalization adds at the
        best rate of the network without it.
    """
    plain, batch = (script.networks_of(tree)[kind]["test_accuracy"] for kind in ("none", "batch"))
    found = []
    for depth in plain["depth"].values:
        own, other = (d.sel(depth=depth) for d in (plain, batch))
        best, larger = (d.mean("replica").idxmax().item() for d in (own, other))
        same = other.sel(learning_rate=best, drop=True)
        found.append(
            (other.sel(learning_rate=larger, drop=True) - same, same - own.sel(learning_rate=best))
        )
    return found


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return factors between the largest stable rates, and accuracies."""
    depths = tree["none"]["depth"].values
    found = {"shallow": count(depths[0]), "deep": count(depths[-1])}
    factors = [float(np.exp(v.mean())) for v in advantages(tree, "none", "stable")]
    found |= {"low": number(min(factors), digits=2), "high": number(max(factors), digits=2)}
    larger, same = accuracies(tree)[-1]
    return found | {"larger": averaged(larger), "same": averaged(same)}


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge learning rates of convolutional networks, and what they are good for."""
    rates = [
        values
        for kind in ("none", "rescaled")
        for criterion in script.CRITERIA
        for values in advantages(tree, kind, criterion)
    ]
    factors = [float(np.exp(values.mean())) for values in rates]
    larger, same = zip(*accuracies(tree), strict=True)
    gains = [float(values.mean()) for values in same]
    return [
        judged(
            "Convolutional networks can be trained at larger rates with it", "Bjorck2018",
            r"$\ln$ of the largest rate with normalization, less that without, for rates that are "
            "stable and that train, at each depth and for both starts",
            rf"{number(min(factors), digits=2)} to {number(max(factors), digits=2)} times larger",
            rates,
        ),
        judged(
            "At the same small rate both networks are as accurate; what helps is the larger rate",
            "Bjorck2018",
            "accuracy with normalization at its best rate, less that at the best rate of the "
            "network without; law: at this rate normalization adds nothing",
            rf"at the same rate it adds {number(min(gains), digits=2)} to "
            rf"{number(max(gains), digits=2)} to the accuracy; at a larger one at most "
            rf"{number(max(float(values.mean()) for values in larger), digits=2)} more",
            larger, same,
        ),
    ]  # fmt: skip
