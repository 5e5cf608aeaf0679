"""Where residual networks need their normalization."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("residual_depth")


def deepest(tree: xr.DataTree, name: str, activation: str = "relu") -> xr.DataArray:
    """Return fields or gradients of the deepest networks, over places and networks."""
    return tree["network"][name].load().isel(depth=-1).sel(activation=activation)


def power(tree: xr.DataTree) -> xr.DataArray:
    """Return d ln(gradients)/d ln(depth) between the two deepest networks with branches of BN."""
    late = np.log(tree["network"]["gradient_square"].load().isel(depth=[-2, -1]))
    late = late.sel(network="branch", activation="relu")
    return late.diff("depth").isel(depth=0) / np.log(late["depth"][1] / late["depth"][0])


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return growths behind the deepest networks."""
    fields, gradients = (deepest(tree, name) for name in script.MEASURED)
    found = {
        "depth": count(fields["depth"]),
        "power": averaged(power(tree)),
        "fields": averaged(fields.sel(network="branch")),
    }
    for name in ("branch", "before", "root"):
        found[f"gradients/{name}"] = averaged(gradients.sel(network=name))
    found["gradients/behind"] = number(float(gradients.sel(network="behind").mean()), digits=2)
    theory = tree["theory"]["gradient_square"].sel(activation="relu", network="behind")
    return found | {"theory/behind": number(float(theory.isel(depth=-1)), digits=2)}


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge normalized and scaled branches."""
    asked = script.claims(tree)
    fields, gradients = (deepest(tree, name) for name in script.MEASURED)
    blocks = int(fields["depth"])
    return [
        judged(
            "Normalized branches let fields grow by one per block", "De2020",
            r"$\ln$ of the fields' mean square behind the last block without normalization, less "
            "that with it; law: mean field",
            rf"ReLU: mean square {averaged(fields.sel(network='branch'))} behind {blocks} blocks",
            *asked["Normalized branches let fields grow by one per block"],
        ),
        judged(
            "so that gradients grow like a power of the depth", "De2020",
            r"$\ln$ of the gradients' growth without normalization, less that with it; law: mean "
            "field",
            rf"by {averaged(gradients.sel(network='branch'))} through {blocks} blocks",
            *asked["... and gradients like a power of the depth"],
        ),
        judged(
            r"A branch scaled by 0 or $1/\sqrt{\text{depth}}$ does it without normalization",
            "De2020",
            r"$\ln$ of the gradients' growth with $a=1$, less that with $a=0$ and "
            r"$1/\sqrt{\text{depth}}$; law: mean field",
            rf"by {averaged(gradients.sel(network='root'))} for $1/\sqrt{{\text{{depth}}}}$",
            *asked["Scaled branches do it without normalization"],
        ),
    ]  # fmt: skip
