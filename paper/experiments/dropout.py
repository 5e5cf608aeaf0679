"""What dropout in front of a batch normalization does to inference, and dropout behind it."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, judged, setting

script = stores.script("dropout")


def most(tree: xr.DataTree, place: str) -> xr.Dataset:
    """Return students that keep the least."""
    found = tree["learning/masks"].to_dataset().load()
    return found.sel(place=place, keep=float(found["keep"].min()))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the shift of the variance, and the scales at inference."""
    before, behind = (most(tree, place) for place in script.PLACES)
    return {
        "keep": setting(before["keep"]),
        "before/shift": averaged(before["shift"]),
        "behind/shift": averaged(behind["shift"]),
        "before/running": averaged(before["running"]),
        "before/recomputed": averaged(before["recomputed"]),
        "behind/running": averaged(behind["running"]),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the variance shift."""
    asked = script.claims(tree)
    before, behind = (most(tree, place) for place in script.PLACES)
    keep = setting(before["keep"])
    return [
        judged(
            "Dropout in front of a normalization shifts its variance", "Li2019",
            "1 less the ratio of the variances of inference and training; law: the ratio is $p$",
            rf"ratio {averaged(before['shift'])} at $p={keep}$",
            *asked["Dropout before normalization shifts the variance, by p"],
        ),
        judged(
            "Dropout behind it does not", "Li2019",
            "the ratio behind, less that in front; law: 1",
            rf"ratio {averaged(behind['shift'])}",
            *asked["Behind normalization there is no shift"],
        ),
        judged(
            "and is better at inference", "Li2019",
            "scale of the output at inference, with the running statistics, behind less in front",
            rf"scale {averaged(behind['running'])}, in front {averaged(before['running'])}",
            *asked["... and outputs are larger"],
        ),
    ]  # fmt: skip
