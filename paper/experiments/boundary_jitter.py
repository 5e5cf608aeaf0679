"""How boundaries jitter from batch to batch, and whether that widens margins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("boundary_jitter")

SIZES = (8, 16)
"""The text quotes classifiers of these batch sizes; the claims are judged at all of them."""


def quoted(found: pd.Series) -> str:
    """Print what was measured."""
    return number(found["measured"], found["standard error"])


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return flip rates by the arcsine law, and gains of margin and accuracy."""
    rows = script.claims(tree).set_index(["claim", "where"])
    places = {"gaussian": "gaussian", "digits": "digits"}
    places |= {f"layer_{k}": f"network, layer {k}" for k in (1, 2, 3)}
    found = {key: quoted(rows.loc[script.ARCSINE, where]) for key, where in places.items()}
    found["digits_own"] = quoted(rows.loc["E Φ(−|u|√((M−1)/k)) change sides", "digits"])
    for size in SIZES:
        where = f"two moons, M = {size}"
        for key, claim in (
            ("margin", "jitter widens the margin"),
            ("low", "of the lowest tenth, too"),
            ("accuracy", "and improves generalization"),
        ):
            found[f"{key}/{size}"] = quoted(rows.loc[claim, where])
    table = script.margin_gain(tree)
    found["margin/set"] = number(table.loc[SIZES[0], "set"], table.loc[SIZES[0], "set: error"])
    found |= {"batch_size": count(SIZES[0]), "double": count(SIZES[1])}
    found["replicas"] = count(tree["margin"].sizes["replica"])
    found["steps"] = count(tree["margin"].attrs["steps"])
    return found


def gains(tree: xr.DataTree, variable: str) -> xr.DataArray:
    """Return what jitter adds, pair by pair of classifiers, at all M less than the whole set."""
    found = tree["margin"][variable].load()
    gain = found.sel(statistics="batch", drop=True) - found.sel(statistics="set", drop=True)
    return gain.isel(batch_size=slice(-1))


def listed(gain: xr.DataArray) -> str:
    """Print all of them."""
    each = (
        rf"{averaged(gain.sel(batch_size=size))} (${size}$)" for size in gain["batch_size"].values
    )
    return ", ".join(each)


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge jitter, its flips, and margins."""
    rows = script.claims(tree).set_index(["claim", "where"])
    one, deep = (rows.loc[script.ARCSINE, w] for w in ("gaussian", "network, layer 3"))
    units = tree["unit"].to_dataset().load()
    scaled = units["jitter"] * np.sqrt(units["batch_size"])
    margin, accuracy = (gains(tree, name) for name in ("margin", "accuracy"))
    return [
        judged(
            r"Boundaries jitter by $\sigma/(\sqrt M|w|)$, which acts like dropout",
            "Balestriero2022",
            r"share of samples of a batch that change sides, for each unit and $M$; law: $\sqrt M$ "
            r"times the jitter is $\sigma/|w|$",
            rf"Gaussian fields, $\beta=0$: {quoted(rows.loc[script.JITTER, 'gaussian'])} of it, "
            rf"$\beta=\gamma$: {quoted(rows.loc[script.JITTER, 'gaussian_shifted'])}; flips "
            rf"{quoted(one)} of $\arcsin(M^{{-1/2}})/\pi$, in layer 3 {quoted(deep)}",
            units["inside"], scaled - 1,
        ),
        judged(
            "The jitter widens margins", "Balestriero2022",
            r"mean margin with jitter, less that without, at each $M$",
            rf"by {listed(margin)} at $M$ in parentheses",
            margin,
        ),
        judged(
            "It improves generalization", "Balestriero2022",
            r"accuracy with jitter, less that without, at each $M$",
            rf"by {listed(accuracy)} at $M$ in parentheses",
            accuracy,
        ),
    ]  # fmt: skip
