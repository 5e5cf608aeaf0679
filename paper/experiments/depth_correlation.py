"""Whether deep features forget their input."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("depth_correlation")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return final correlations, the late power and the distance from theory."""
    theory = tree["depth/late"].to_dataset().sel(activation="relu").isel(depth=-1)
    ratio = ((1 - theory["correlation"].sel(start=0.0)) / theory["late"]).item()
    return {
        "width": count(tree["depth/network"].attrs["width"]),
        "depth": count(tree["depth/network"]["depth"][-1]),
        "none": averaged(script.last(tree, "none")),
        "batch": averaged(script.last(tree, "batch")),
        "late_depth": count(theory["depth"]),
        "late_ratio": number(ratio),
        "score": number(float(np.abs(script.scores(tree).values).max()), digits=2),
        "comparisons": count(script.scores(tree).size),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether deep features forget the input, and whether batch normalization helps."""
    deepest = tree["depth/network"]["correlation"].load().isel(depth=-1)
    kept = deepest.sel(normalization="none") - deepest.sel(normalization="batch")
    return [
        judged(
            "Batch normalization keeps inputs apart that become alike without it", "Yang2019",
            "final correlation of two inputs without normalization, less that with it, for each "
            "activation and initial correlation",
            rf"unrelated inputs have $c={averaged(script.last(tree, 'none'))}$ behind "
            rf"{int(deepest['depth'])} layers, with normalization "
            rf"{averaged(script.last(tree, 'batch'))}",
            kept,
        )
    ]  # fmt: skip
