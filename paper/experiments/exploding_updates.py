"""What one large step in all layers does to the fields of a deep network."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("exploding_updates")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return exponents of growth and ratios of the largest steps."""
    found = {"depth": count(tree["step"].sizes["layer"])}
    for name in script.NORMALIZATIONS:
        found[f"{name}/exponent"] = number(*script.growth_exponent(tree, name))
    for name, factor in (("descends", 1.0), ("unbroken", 2.0)):
        ratio = script.step_ratio(tree, factor)
        found[f"{name}/shallow"] = number(float(ratio[0]), digits=2)
        found[f"{name}/deep"] = number(float(ratio[-1]), digits=2)
    found["shallow"] = count(ratio["depth"][0])
    found["deep"] = count(ratio["depth"][-1])
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge what large steps do with and without batch normalization."""
    plain, batch = (script.growth_exponents(tree, name) for name in ("none", "batch"))
    steps = np.log(tree["largest"]["largest_step"].load())
    ratio = steps.sel(normalization="batch") - steps.sel(normalization="none")
    unbroken, descends = (script.step_ratio(tree, factor) for factor in (2.0, 1.0))
    return [
        judged(
            r"Large steps make fields explode with depth without normalization (by $\eta^2$ per "
            r"layer)", "Bjorck2018",
            r"$d(\text{growth per layer})/d\ln\eta$ at large $\eta$; law: 2",
            rf"growth per layer $={averaged(plain)}\ln\eta$",
            plain, plain - 2,
        ),
        judged(
            "With batch normalization they do not", "Bjorck2018",
            "the same slope without normalization, less that with it; and minus that with it",
            rf"growth per layer $={averaged(batch)}\ln\eta$",
            [plain - batch, -batch],
        ),
        judged(
            "It therefore allows larger steps", "Bjorck2018",
            r"$\ln$ of the largest step with normalization, less that without, at each depth, for "
            "steps that descend and for those that do not explode",
            rf"largest step that descends: {number(float(descends[0]), digits=2)} times larger at "
            rf"depth {int(descends['depth'][0])}, {number(float(descends[-1]), digits=2)} at "
            rf"depth {int(descends['depth'][-1])}; that does not explode: "
            rf"{number(float(unbroken[-1]), digits=2)}",
            ratio,
        ),
    ]  # fmt: skip
