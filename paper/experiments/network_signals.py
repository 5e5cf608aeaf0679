"""Fields and gradients through the layers of a convolutional network."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("network_signals")


def initial(tree: xr.DataTree, normalization: str) -> xr.Dataset:
    """Return the widest networks at initialization."""
    return tree["initial"].to_dataset().load().isel(width=-1).sel(normalization=normalization)


def growths(tree: xr.DataTree, normalization: str) -> tuple[xr.DataArray, float]:
    """Return ln of the growth of gradients per layer, and the mean field's."""
    theory = tree["theory"].to_dataset().load().sel(normalization=normalization)
    return script.growth(initial(tree, normalization)), float(script.growth(theory))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return correlations of the last layer, and the growth of gradients."""
    found = {
        "depth": count(tree["initial"].sizes["layer"]),
        "width": count(tree["initial"]["width"][-1]),
    }
    for name in script.NORMALIZATIONS:
        growth, theory = growths(tree, name)
        found[f"{name}/growth"] = averaged(np.exp(growth))
        found[f"{name}/mean_field"] = number(np.exp(theory), digits=4)
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge in convolutional networks what is claimed of deep ones."""
    plain, batch = (initial(tree, name) for name in ("none", "batch"))
    top = [found["correlation"].isel(layer=-1) for found in (plain, batch)]
    pushed = [found[name].mean("layer") for found, name in (
        (plain, "gradient_alignment"), (batch, "alignment_behind"))]  # fmt: skip
    growth, theory = growths(tree, "batch")
    return [
        judged(
            "Convolutional features, too, become alike without it and not with it", "Yang2019",
            "correlation of two images in the last layer without normalization, less that with it",
            rf"{averaged(top[0])}, with normalization {averaged(top[1])}",
            top[0] - top[1],
        ),
        judged(
            "All images push a channel the same way without it", "Bjorck2018",
            r"$|\sum g|/\sum|g|$ without normalization, less that behind batch normalization; "
            "law: 1 without",
            rf"{averaged(pushed[0])}, behind normalization {averaged(pushed[1])}",
            pushed[0] - pushed[1], pushed[0] - 1,
        ),
        judged(
            "Gradients of convolutional networks explode with it", "Yang2019",
            r"$\ln$ of the growth of gradients per layer",
            rf"by {averaged(np.exp(growth))} per layer; mean field "
            rf"{number(np.exp(theory), digits=4)}",
            growth,
        ),
    ]  # fmt: skip
