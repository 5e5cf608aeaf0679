"""Whether weights must start at the right scale, and how gradients grow with depth."""

from __future__ import annotations

import xarray as xr

from paper.number import Claim, count, number, setting
from simulations import initial_gain as script


def accuracy(tree: xr.DataTree, activation: str, normalization: str) -> tuple[float, float]:
    """Return the least and the largest accuracy over initial gains, each at its best η."""
    best = script.best_accuracy(tree["training"].to_dataset()).mean("replica")
    over_gains = best.sel(activation=activation, normalization=normalization)
    return float(over_gains.min()), float(over_gains.max())


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return accuracies and multipliers of gradients."""
    gains = tree["training"]["gain"]
    found = {
        "depth": count(script.TRAINED["depth"]),
        "lowest_gain": setting(gains[0]),
        "highest_gain": setting(gains[-1]),
    }
    multipliers = script.multipliers(tree)
    for name in script.ACTIVATIONS:
        for normalization in script.NORMALIZATIONS:
            low, high = accuracy(tree, name, normalization)
            found[f"{name}/{normalization}/low"] = number(low, digits=2)
            found[f"{name}/{normalization}/high"] = number(high, digits=2)
        row = multipliers.loc[f"{script.TITLES[name]}, batch norm., gain 1"]
        found[f"{name}/multiplier"] = number(row["measured"], row["standard error"])
        found[f"{name}/mean_field"] = number(row["mean field"], digits=4)
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge what is claimed of the initial scale, of saturating units and of gradients."""
    ranges = {(a, n): accuracy(tree, a, n) for a in script.ACTIVATIONS for n in ("none", "batch")}
    spread = {
        n: max(ranges[a, n][1] - ranges[a, n][0] for a in script.ACTIVATIONS)
        for n in ("none", "batch")
    }
    saturating = {n: ranges["logistic", n][1] for n in ("none", "batch")}
    row = script.multipliers(tree).loc["ReLU, batch norm., gain 1"]
    grown = number(row["measured"], row["standard error"])
    grows = row["measured"] - 1 > 3 * row["standard error"]
    return [
        Claim(
            "The initial scale of the weights matters less", "Ioffe2015",
            "holds" if spread["batch"] < spread["none"] / 2 else "not seen",
            rf"accuracies differ by {number(spread['batch'], digits=2)} over the gains, without "
            rf"by {number(spread['none'], digits=2)}",
        ),
        Claim(
            "Saturating units can be trained in deep networks", "Ioffe2015",
            "holds" if saturating["batch"] > 2 * saturating["none"] else "not seen",
            rf"logistic, {script.TRAINED['depth']} layers: "
            rf"{number(saturating['batch'], digits=2)}, without "
            rf"{number(saturating['none'], digits=2)}",
        ),
        Claim(
            "Gradients flow well through deep networks", "Ioffe2015",
            "corrected" if grows else "holds",
            rf"they grow by {grown} per ReLU layer",
        ),
        Claim(
            "Its gradients explode with depth", "Yang2019", "holds" if grows else "not seen",
            rf"by {grown} per ReLU layer; mean field {number(row['mean field'], digits=4)}",
        ),
    ]  # fmt: skip
