"""Where normalization must be for large learning rates."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged

script = stores.script("network_placement")

KEYS = ("mean", "last", "hidden", "first", "rates", "worth")
"""The text calls the claims of the script so, in their order."""


def ratios(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return the logarithms of the script's ratios, under the text's keys."""
    return dict(zip(KEYS, script.advantages(tree).values(), strict=True))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return ratios in the widest and the narrowest networks."""
    logarithm = ratios(tree)
    found = {
        "depth": count(script.Options.depth),
        "narrow": count(logarithm["mean"]["width"][0]),
        "wide": count(logarithm["mean"]["width"][-1]),
        "mean/narrow": averaged(np.exp(logarithm["mean"].isel(width=0))),
    }
    for key in ("mean", "hidden", "first", "rates"):
        found[key] = averaged(np.exp(logarithm[key].isel(width=-1)))
    theory = script.beside_theory(tree)["mean"].isel(width=-1)
    return found | {"theory": averaged(np.exp(theory))}


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the last layer beside the hidden ones, at the start and in training."""
    learned = script.trained_claims(script.opened(tree)[2])
    asked = {
        place: [learned[f"training, {name}: last less {place}"][0] for name in script.JUDGED]
        for place in ("none", "hidden")
    }
    best = script.at_best_rate(tree["training"]["test_accuracy"].load())
    accuracy = {place: averaged(best.sel(place=place, drop=True)) for place in script.TRAINED}
    logarithm = ratios(tree)
    wide = {key: averaged(np.exp(values.isel(width=-1))) for key, values in logarithm.items()}
    width = int(logarithm["mean"]["width"][-1])
    return [
        judged(
            r"The mean of the outputs makes the largest eigenvalue $\lambda$ of the Fisher "
            "information", "Karakida2019",
            r"$\ln$ of $\lambda$ without normalization over that without the outputs' mean, at "
            "each width",
            rf"without it {wide['mean']} times smaller at width {width}",
            logarithm["mean"],
        ),
        judged(
            "Normalization of hidden layers does not remove it", "Karakida2019",
            r"$\ln$ of $\lambda$ with all hidden layers normalized over that without the outputs' "
            "mean, at each width",
            rf"$\lambda$ is {wide['hidden']} times that without the mean",
            logarithm["hidden"],
        ),
        judged(
            "Normalization in the last layer allows larger rates", "Karakida2019",
            r"$\ln$ of the largest rate with it over that without normalization, at each width",
            rf"{wide['rates']} times larger",
            logarithm["rates"],
        ),
        judged(
            "In deep networks that are trained the last layer alone is enough", "Bjorck2018",
            r"$\ln$ of the largest rate and accuracy with the last layer normalized, less those "
            "with none; law: those with all hidden layers",
            rf"accuracy {accuracy['last']}, hidden layers {accuracy['hidden']}, first "
            rf"{accuracy['first']}, none {accuracy['none']}",
            asked["none"], asked["hidden"],
        ),
    ]  # fmt: skip
