"""Whether all samples push a channel the same way."""

from __future__ import annotations

import xarray as xr

from paper.number import Claim, averaged, count, mean, number, setting
from simulations import gradient_alignment as script


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
    low, high = (mean(alignment(tree, gain)) for gain in (script.GAINS[0], script.GAINS[-1]))
    chance = tree["dense/batch"].attrs["samples"] ** -0.5
    verdict = "holds" if low[0] > 0.9 else ("corrected" if low[0] > 2 * chance else "fails")
    zero = script.largest_sum(tree)
    return [
        Claim(
            "Without normalization all samples push a channel the same way", "Bjorck2018", verdict,
            rf"$|\sum g|/\sum|g|$ is {number(*low)} at gain $\sqrt2$, {number(*high)} at gain "
            rf"{setting(script.GAINS[-1])}; by chance {number(chance, digits=2)}",
        ),
        Claim(
            "Before a batch-normalized layer these sums vanish", "Bjorck2018",
            "holds" if zero < 1e-9 else "fails",
            rf"at most {number(zero, digits=1)}",
        ),
    ]  # fmt: skip
