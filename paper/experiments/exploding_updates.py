"""What one large step in all layers does to the fields of a deep network."""

from __future__ import annotations

import xarray as xr

from paper.number import Claim, count, number
from simulations import exploding_updates as script


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
    (plain, plain_error), (batch, batch_error) = (
        script.growth_exponent(tree, name) for name in ("none", "batch")
    )
    unbroken, descends = (script.step_ratio(tree, factor) for factor in (2.0, 1.0))
    deepest = int(descends["depth"][-1])
    larger = float(descends[-1]) > 1
    return [
        Claim(
            "Large steps make fields explode with depth without normalization", "Bjorck2018",
            "holds" if plain > 3 * plain_error else "not seen",
            rf"growth per layer $={number(plain, plain_error)}\ln\eta$; predicted 2",
        ),
        Claim(
            "With batch normalization they do not", "Bjorck2018",
            "holds" if abs(batch) < max(3 * batch_error, 0.02) else "fails",
            rf"growth per layer $={number(batch, batch_error)}\ln\eta$",
        ),
        Claim(
            "It therefore allows larger steps", "Bjorck2018",
            "holds" if larger else "corrected",
            rf"largest step that descends: {number(float(descends[0]), digits=2)} times larger at "
            rf"depth {int(descends['depth'][0])}, {number(float(descends[-1]), digits=2)} at "
            rf"depth {deepest}; that does not explode: {number(float(unbroken[-1]), digits=2)}",
        ),
    ]  # fmt: skip
