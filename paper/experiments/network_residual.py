"""Convolutional residual networks beside the mean field of dense ones."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged

script = stores.script("network_residual")

IMAGES = "digits"
"""The claims are judged on these."""


def beside_theory(tree: xr.DataTree, network: str, images: str) -> xr.DataArray:
    """Return gradients of the deepest networks, by the mean field's."""
    apart = script.apart(tree, "gradient_square").isel(depth=-1)
    return np.exp(apart.sel(network=network, images=images))


def rectified(tree: xr.DataTree, images: str) -> xr.DataArray:
    """Return gradients with ReLU behind the sum by those without."""
    both = (
        tree[kind]["gradient_square"].load().isel(depth=-1).sel(images=images)
        for kind in ("rectified/network", "network")
    )
    with_relu, without = both
    return with_relu / without.sel(network="before", drop=True)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return growths behind the deepest networks, by the mean field's."""
    found = {
        "depth": count(tree["network"]["depth"][-1]),
        "rectified": averaged(rectified(tree, "noise")),
    }
    for images in script.IMAGES:
        for network in ("branch", "behind"):
            found[f"{images}/{network}"] = averaged(beside_theory(tree, network, images))
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge normalized and scaled branches of convolutions."""
    asked, blocks = script.claims(tree, IMAGES), count(tree["network"]["depth"][-1])
    field, gradient = (
        tree["network"][name].load().isel(depth=-1).sel(images=IMAGES) for name in script.MEASURED
    )
    return [
        judged(
            "Normalized branches let fields of convolutional networks grow by one per block",
            "De2020",
            r"$\ln$ of the fields' mean square behind the last block without normalization, less "
            "that with it, on digits; law: mean field of dense layers",
            rf"mean square {averaged(field.sel(network='branch'))} behind {blocks} blocks",
            *asked["Normalized branches let fields grow by one per block"],
        ),
        judged(
            "so that their gradients grow like a power of the depth", "De2020",
            r"$\ln$ of the gradients' growth without normalization, less that with it; law: mean "
            "field of dense layers",
            rf"by {averaged(gradient.sel(network='branch'))} through {blocks} blocks, "
            rf"{averaged(beside_theory(tree, 'branch', IMAGES))} of the mean field",
            *asked["... and gradients like a power of the depth"],
        ),
        judged(
            r"A branch scaled by 0 or $1/\sqrt{\text{depth}}$ does it in convolutional networks",
            "De2020",
            r"$\ln$ of the gradients' growth with $a=1$, less that with $a=0$ and "
            r"$1/\sqrt{\text{depth}}$; law: mean field of dense layers",
            rf"by {averaged(gradient.sel(network='root'))} for $1/\sqrt{{\text{{depth}}}}$",
            *asked["Scaled branches do it without normalization"],
        ),
    ]  # fmt: skip
