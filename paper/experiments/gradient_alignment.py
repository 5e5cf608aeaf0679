"""Whether all samples push a channel the same way."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting

script = stores.script("gradient_alignment")


def alignment(tree: xr.DataTree, gain: float) -> xr.DataArray:
    """Return |Σg|/Σ|g| of networks without normalization, averaged over layers."""
    return tree["dense/none"]["gradient_alignment"].sel(gain=gain).mean("layer")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return alignments at each gain, behind normalization and by chance."""
    dense = tree["dense/none"]["gradient_alignment"].sel(gain=script.GAINS[0]).mean("replica")
    behind = tree["dense/batch"]["alignment_behind"].isel(gain=0).mean("layer")
    found = {
        "samples": count(tree["dense/batch"].attrs["samples"]),
        "chance": number(tree["dense/batch"].attrs["samples"] ** -0.5, digits=2),
        "largest_sum": number(script.largest_sum(tree), digits=1),
        "behind": averaged(behind),
        "layers_low": number(float(dense.min()), digits=2),
        "layers_high": number(float(dense.max()), digits=2),
    }
    for name, gain in (("low", script.GAINS[0]), ("high", script.GAINS[-1])):
        found[f"{name}/alignment"] = averaged(alignment(tree, gain))
    return found | {"high/gain": setting(script.GAINS[-1])}


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether gradients without batch normalization depend on the input."""
    every = tree["dense/none"]["gradient_alignment"].load().mean("layer")
    low, high = (averaged(alignment(tree, gain)) for gain in (script.GAINS[0], script.GAINS[-1]))
    chance = tree["dense/batch"].attrs["samples"] ** -0.5
    zero = [
        node["gradient_alignment"].load()
        for node in (tree["dense/batch"], tree["convolution"].sel(normalization="batch"))
    ]
    return [
        judged(
            "Without normalization all samples push a channel the same way", "Bjorck2018",
            r"$|\sum g|/\sum|g|$, less that by chance, at each gain; law: 1",
            rf"$|\sum g|/\sum|g|$ is {low} at gain $\sqrt2$, {high} at gain "
            rf"{setting(script.GAINS[-1])}; by chance {number(chance, digits=2)}",
            every - chance, every - 1,
        ),
        judged(
            "Before a batch-normalized layer these sums vanish", "Bjorck2018",
            r"$|\sum g|/\sum|g|$ without normalization, less that before it; law: 0",
            rf"at most {number(script.largest_sum(tree), digits=1)}",
            alignment(tree, script.GAINS[0]) - zero[0].mean("layer"), zero,
        ),
    ]  # fmt: skip
