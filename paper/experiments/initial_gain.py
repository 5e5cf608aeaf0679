"""Whether weights must start at the right scale, and how gradients grow with depth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting

script = stores.script("initial_gain")

WITH, WITHOUT = {"normalization": "batch"}, {"normalization": "none"}


def accuracy(tree: xr.DataTree, activation: str, normalization: str) -> tuple[float, float]:
    """Return the least and the largest accuracy over initial gains, each at its best η."""
    best = script.best_accuracy(tree["training"].to_dataset()).mean("replica")
    over_gains = best.sel(activation=activation, normalization=normalization)
    return float(over_gains.min()), float(over_gains.max())


def together(values: xr.DataArray) -> xr.DataArray:
    """Take all conditions as replicas: few are trained of each."""
    return xr.DataArray(values.values.ravel(), dims="replica")


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
    accuracy = script.best_accuracy(tree["training"].to_dataset())
    worst = accuracy.isel(gain=accuracy.mean("replica").argmin("gain"))
    logistic = accuracy.sel(activation="logistic", drop=True)
    trained = together(logistic.sel(WITH)), together(logistic.sel(WITHOUT))
    growth = script.growth(tree)["gradient_square"]
    plain, batch = growth.sel(WITHOUT), growth.sel(WITH)
    factors = np.exp(plain.mean("replica"))
    row = script.multipliers(tree).loc["ReLU, batch norm., gain 1"]
    grown = number(row["measured"], row["standard error"])
    return [
        judged(
            "The initial scale of the weights matters less", "Ioffe2015",
            "accuracy at the worst gain, each at its best rate, less that without normalization, "
            "over activations and replicas together",
            "; ".join(
                rf"{script.TITLES[name]} {averaged(worst.sel(activation=name, **WITH))}, without "
                rf"{averaged(worst.sel(activation=name, **WITHOUT))}"
                for name in script.ACTIVATIONS
            ),
            together(worst.sel(WITH) - worst.sel(WITHOUT)),
        ),
        judged(
            "Saturating units can be trained in deep networks", "Ioffe2015",
            "accuracy of logistic units, each gain at its best rate, less that without "
            "normalization, over gains and replicas together",
            rf"logistic, {script.TRAINED['depth']} layers: "
            rf"{averaged(trained[0])} over gains, without {averaged(trained[1])}",
            trained[0] - trained[1],
        ),
        judged(
            "Gradients flow well through deep networks", "Ioffe2015",
            r"$|\ln\chi|$ without normalization, less that with it, for each activation and gain, "
            r"where gradients grow by $\chi$ per layer; law: $\ln\chi=0$",
            rf"they grow by {grown} per ReLU layer; without normalization, over activations and "
            rf"gains, by {number(float(factors.min()), digits=2)} to "
            rf"{number(float(factors.max()), digits=2)}",
            np.abs(plain) - np.abs(batch), batch.sel(gain=1.0),
        ),
        judged(
            "Its gradients explode with depth", "Yang2019",
            r"$\ln\chi$ for each activation",
            rf"by {grown} per ReLU layer; mean field {number(row['mean field'], digits=4)}",
            batch.sel(gain=1.0),
        ),
    ]  # fmt: skip
