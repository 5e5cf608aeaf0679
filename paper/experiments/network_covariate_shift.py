"""Whether batch normalization reduces the internal covariate shift, and whether that matters."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, judged, setting

script = stores.script("network_covariate_shift")

KEYS = ("inputs", "fields", "gradients", "noise", "learns", "costs")
"""The text calls the claims of the script so, in their order."""


def ratios(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return the logarithms of the script's ratios, under the text's keys."""
    return dict(zip(KEYS, script.ratios(tree).values(), strict=True))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return ratios of shifts and losses at the largest learning rate."""
    found = {
        key: averaged(np.exp(values.isel(learning_rate=-1))) for key, values in ratios(tree).items()
    }
    return found | {"rate": setting(tree["training"]["learning_rate"][-1])}


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the shift of inputs, that of gradients, and what noise says of them."""
    logarithm = ratios(tree)
    last = {k: averaged(np.exp(v.isel(learning_rate=-1))) for k, v in logarithm.items()}
    return [
        judged(
            "It reduces the internal covariate shift of inputs", "Ioffe2015",
            r"$\ln$ of the shift of units' inputs per epoch without normalization over that with "
            r"it, at each $\eta$",
            rf"by a factor of {last['inputs']}; fields before it by {last['fields']}",
            logarithm["inputs"],
        ),
        judged(
            "The shift of gradients is larger with it", "Santurkar2018",
            r"$\ln$ of what a step of the layers below changes of a gradient with normalization "
            r"over that without, at each $\eta$",
            rf"{last['gradients']} times",
            logarithm["gradients"],
        ),
        judged(
            "With noise behind it, under which inputs move more than without normalization, "
            "networks learn better all the same", "Santurkar2018",
            r"$\ln$ of the loss without normalization over that with noise, at each $\eta$",
            rf"the shift is {last['noise']} times, the loss 1/{last['learns']} of those without",
            logarithm["learns"],
        ),
    ]  # fmt: skip
