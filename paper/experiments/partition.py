"""Where the boundaries of a random network are, with and without batch normalization."""

from __future__ import annotations

import pandas as pd
import xarray as xr

import statmech_bn as sbn
from paper.number import VERDICTS, Claim, count, number, setting
from simulations import partition as script


def excess(tree: xr.DataTree) -> xr.DataArray:
    """Return by how much Σd² of the mean field is above the least, behind folds."""
    return tree["offset"]["excess"].sel(layer=[2, 3]).mean(("layer", "data"))


def nearer(tree: xr.DataTree) -> xr.DataArray:
    """Return boundaries near the data with batch normalization over those without it."""
    ratios = [
        script.ratio(*(script.near(tree, name, s).mean("layer") for s in ("batch", "none")))
        for name in script.TITLES
    ]
    return sum(ratios) / len(ratios)


def bends(tree: xr.DataTree) -> xr.DataArray:
    """Return boundaries near the data with the batch's σ over those with other σ."""
    spreads = tree["spread"].to_dataset()
    ratios = [
        script.ratio(spreads["batch"].sel(data=name), spreads[kind].sel(data=name))
        for name in script.CLOUDS
        for kind in script.SPREADS[1:]
    ]
    return sum(ratios) / len(ratios)


def places(tree: xr.DataTree) -> pd.DataFrame:
    """Return boundaries of layer 1 near the data over those near any place, by data set."""
    table = script.claims(tree)
    rows = table[table["quantity"] == "data/anywhere, layer 1"]
    return rows.set_index("data")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the excess behind folds and the densities of boundaries."""
    folds = 100 * tree["offset"]["excess"].sel(layer=[2, 3]).mean("replica")
    found = {
        "networks": count(tree["offset"].sizes["replica"]),
        "excess_low": number(float(folds.min()), digits=2),
        "excess_high": number(float(folds.max()), digits=2),
        "drawn": setting(script.DRAWN),
        "near": setting(script.NEAR),
        "nearer": number(*sbn.study.judge(nearer(tree), ">1")[:2]),
        "bends": number(*sbn.study.judge(bends(tree), ">1")[:2]),
    }
    beside = places(tree)
    for name, title in script.TITLES.items():
        row = beside.loc[title]
        found[f"{name}/place"] = number(row["measured"], row["standard error"])
    pieces = script.piece_errors(tree).xs(2, level="layer")["same piece"]
    found["same_piece_low"] = number(100 * pieces.min(), digits=2)
    found["same_piece_high"] = number(100 * pieces.max(), digits=2)
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge what batch normalization does to the partition."""
    table = script.claims(tree)
    flat = table[table["quantity"] == "(c* − μ)/σ, layer 1"]
    exact = (flat["verdict"] == "reproduced").all()
    missed, missed_error, _ = sbn.study.judge(excess(tree), ">0")
    misses = float(excess(tree).min()) > 1e-6  # one network is enough against an equality
    value, error, seen = sbn.study.judge(nearer(tree), ">1")
    beside = places(tree)
    lowest, highest = beside["measured"].idxmin(), beside["measured"].idxmax()
    everywhere = (beside["measured"] > 1).all()
    bent, bent_error, bending = sbn.study.judge(bends(tree), ">1")
    return [
        Claim(
            r"The batch's mean minimizes the squared distance of the data to the boundary",
            "Balestriero2022",
            "fails" if not exact else ("corrected" if misses else "holds"),
            rf"exactly so in layer 1; behind folds {number(100 * missed, 100 * missed_error)}\,\% "
            r"above the least",
        ),
        Claim(
            "Boundaries come nearer to the data than without normalization", "Balestriero2022",
            VERDICTS[seen], rf"{number(value, error)} times as many near the data",
        ),
        Claim(
            "They are nearer to the data than to other places", "Balestriero2022",
            "holds" if everywhere else "corrected",
            rf"ratio {_quoted(beside, highest)} ({highest}) to {_quoted(beside, lowest)} "
            rf"({lowest})",
        ),
        Claim(
            r"$\sigma_B$ bends later boundaries towards the data", "Balestriero2022",
            VERDICTS[bending], rf"{number(bent, bent_error)} times as many as with other $\sigma$",
        ),
    ]  # fmt: skip


def _quoted(table: pd.DataFrame, name: str) -> str:
    return number(table.loc[name, "measured"], table.loc[name, "standard error"])
