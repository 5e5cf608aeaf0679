"""Where the boundaries of a random network are, with and without batch normalization."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, mean, number, setting

script = stores.script("partition")


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
        "nearer": averaged(nearer(tree)),
        "bends": averaged(bends(tree)),
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
    offset = tree["offset"].to_dataset().load()
    square = offset["square_distance"]
    moved = square.isel(displacement=[0, -1]) - square.sel(displacement=0.0, drop=True)
    beside = places(tree)
    lowest, highest = beside["measured"].idxmin(), beside["measured"].idxmax()
    found = script.comparisons(tree)
    measured = {claim: [values - 1 for values in rows.values()] for claim, rows in found.items()}
    return [
        judged(
            r"The batch's mean minimizes the squared distance of the data to the boundary",
            "Balestriero2022",
            r"squared distance with the offset displaced by $2\sigma$, less that at the mean "
            "(layer 1); law: no offset has less, in each layer",
            r"exactly so in layer 1; behind folds "
            rf"{number(*(100 * x for x in mean(excess(tree))))}\,\% above the least",
            moved, [script.least_offset(offset), offset["excess"].sel(layer=[2, 3])],
        ),
        judged(
            "Boundaries come nearer to the data than without normalization", "Balestriero2022",
            "units with a boundary near a sample, over those without normalization, less 1, for "
            "each set of data and layer",
            rf"{averaged(nearer(tree))} times as many near the data",
            measured["BN brings boundaries near the data"],
        ),
        judged(
            "They are nearer to the data than to other places", "Balestriero2022",
            "units with a boundary near a sample, over those near any place, less 1, for each set "
            "of data and layer",
            rf"layer 1: ratio {_quoted(beside, highest)} ({highest}) to {_quoted(beside, lowest)} "
            rf"({lowest})",
            measured["nearer than to any place"],
        ),
        judged(
            r"$\sigma_B$ bends later boundaries towards the data", "Balestriero2022",
            r"units with a boundary near a sample, over those with other $\sigma$, less 1, for "
            r"each set of data and kind of $\sigma$",
            rf"{averaged(bends(tree))} times as many as with other $\sigma$",
            measured["σ bends boundaries to the data"],
        ),
    ]  # fmt: skip


def _quoted(table: pd.DataFrame, name: str) -> str:
    return number(table.loc[name, "measured"], table.loc[name, "standard error"])
