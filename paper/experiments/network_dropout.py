"""Dropout behind batch normalization in large batches, beside small ones."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, setting

script = stores.script("network_dropout")

SHARE = 0.1
"""The claim is judged with this share dropped, the one of both presets."""


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return losses of large batches with and without dropout, and of small ones."""
    large, small = script.opened(tree)
    found = {
        "samples": count(script.Options.samples),
        "large": count(large["batch_size"][0]),
        "small": count(small["batch_size"][0]),
        "share": setting(SHARE),
    }
    for name in ("test_loss", "gap"):
        found[f"{name}/plain"] = averaged(large[name].sel(share=0.0).isel(batch_size=0))
        found[f"{name}/dropped"] = averaged(large[name].sel(share=SHARE).isel(batch_size=0))
        found[f"{name}/small"] = averaged(small[name].isel(batch_size=0, share=0))
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge small batches, and what dropout makes of large ones."""
    asked, values = script.claims(tree), numbers(tree)
    small, large = values["small"], values["large"]
    return [
        judged(
            "Small batches generalize better", "Luo2019",
            "test loss of large batches less that of small ones",
            rf"test loss {values['test_loss/small']} at $M={small}$, {values['test_loss/plain']} "
            rf"at $M={large}$",
            asked["Small batches have a smaller test loss"][0],
        ),
        judged(
            r"\ldots{} and dropout behind the normalization does it for large ones", "Luo2019",
            rf"test loss of large batches less that with {setting(SHARE)} of the values dropped; "
            "law: that of small ones",
            rf"{values['test_loss/dropped']} at $M={large}$ with dropout",
            *asked[f"p = {SHARE:g} gives large batches that of small ones: test loss"],
        ),
    ]  # fmt: skip
