"""What of batch normalization is an initialization, and what its random features are worth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, setting

script = stores.script("network_initialization")

LOSS, ACCURACY = "ln training loss, less", "test accuracy, more"
WORDS = {
    "smart": "smart initialization", "follow": "statistics that follow", "noise": "noise of batches"
}  # fmt: skip
"""The text has these keys for what the script calls a benefit."""


def random(tree: xr.DataTree) -> xr.DataArray:
    """Return what normalization adds to the accuracy of random features, by regression."""
    return list(script.random_benefits(tree).values())[-1]


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return factors between losses and differences of accuracies, at the smallest rate."""
    gains, more = script.benefits(tree), random(tree)
    found = {
        "depth": count(script.Options.depth),
        "rate": setting(tree["training"]["learning_rate"][0]),
    }
    for key, words in WORDS.items():
        found[f"{key}/loss"] = averaged(np.exp(gains[f"{words}: {LOSS}"].isel(learning_rate=0)))
        found[f"{key}/accuracy"] = averaged(gains[f"{words}: {ACCURACY}"].isel(learning_rate=0))
    for word, place in (("shallow", 0), ("deep", -1)):
        found[f"random/{word}"] = averaged(more.isel(depth=place))
        found[f"random/{word}/depth"] = count(more["depth"][place])
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the initialization, random features and the noise of batches."""
    gains, more = script.benefits(tree), random(tree)
    smart, noise = (
        [gains[f"{WORDS[key]}: {kind}"] for kind in (LOSS, ACCURACY)] for key in ("smart", "noise")
    )
    return [
        judged(
            "It is a smart initialization: initial statistics are enough", "Balestriero2022",
            r"$\ln$ of the training loss without normalization over that with constant initial "
            r"statistics, and the accuracies' difference, at each $\eta$",
            rf"a loss {averaged(np.exp(smart[0].isel(learning_rate=0)))} times lower, an accuracy "
            rf"higher by {averaged(smart[1].isel(learning_rate=0))}",
            smart,
        ),
        judged(
            "Random features are better with it", "Balestriero2022",
            "accuracy of a regression on random layers with normalization, less that without, at "
            "each depth",
            rf"higher by {averaged(more.isel(depth=0))} at depth {int(more['depth'][0])}, by "
            rf"{averaged(more.isel(depth=-1))} at depth {int(more['depth'][-1])}",
            more,
        ),
        judged(
            "The noise of batches improves generalization", "Balestriero2022",
            r"accuracy with statistics of batches, less that with those of the training set, at "
            r"each $\eta$",
            rf"higher by {averaged(noise[1].isel(learning_rate=0))}",
            noise[1],
        ),
    ]  # fmt: skip
