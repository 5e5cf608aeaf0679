"""How boundaries jitter from batch to batch, and whether that widens margins."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from paper.number import VERDICTS, Claim, count, number
from simulations import boundary_jitter as script

SIZE = 8
"""The batch size of the classifiers that are quoted."""


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
    for size in (SIZE, 2 * SIZE):
        where = f"two moons, M = {size}"
        for key, claim in (
            ("margin", "jitter widens the margin"),
            ("low", "of the lowest tenth, too"),
            ("accuracy", "and improves generalization"),
        ):
            found[f"{key}/{size}"] = quoted(rows.loc[claim, where])
    table = script.margin_gain(tree)
    found["margin/set"] = number(table.loc[SIZE, "set"], table.loc[SIZE, "set: error"])
    found |= {"batch_size": count(SIZE), "double": count(2 * SIZE)}
    found["replicas"] = count(tree["margin"].sizes["replica"])
    found["steps"] = count(tree["margin"].attrs["steps"])
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge jitter, its flips, and margins."""
    rows = script.claims(tree).set_index(["claim", "where"])
    one, deep = (rows.loc[script.ARCSINE, w] for w in ("gaussian", "network, layer 3"))
    moons = f"two moons, M = {SIZE}"
    wider, better = (
        rows.loc[claim, moons]
        for claim in ("jitter widens the margin", "and improves generalization")
    )
    exact, kept = (found["verdict"] == "reproduced" for found in (one, deep))
    return [
        Claim(
            "Jittering boundaries act like dropout", "Balestriero2022",
            ("holds" if kept else "corrected") if exact else "fails",
            rf"flip rate {quoted(one)} of $\arcsin(M^{{-1/2}})/\pi$ for a Gaussian unit, "
            rf"{quoted(deep)} in layer 3",
        ),
        Claim(
            "The jitter widens margins", "Balestriero2022", VERDICTS[wider["verdict"]],
            rf"by {quoted(wider)} at $M={SIZE}$",
        ),
        Claim(
            "It improves generalization", "Balestriero2022", VERDICTS[better["verdict"]],
            rf"accuracy changes by {quoted(better)} at $M={SIZE}$",
        ),
    ]  # fmt: skip
