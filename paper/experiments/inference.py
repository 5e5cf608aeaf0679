"""What inference should show a sample, for the loss of students that learned with batches."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("inference")


def added(tree: xr.DataTree) -> xr.DataArray:
    """Return M² times what own statistics of weight 1/M add to the loss."""
    return script.dataset(tree, "own/students")["added"].sel(share=1.0, drop=True)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the weight that shows what training did, and what it does to the loss."""
    nearest = script.dataset(tree, "weight/exact")
    small = int(nearest["batch_size"].isel(batch_size=1))
    gap = script.dataset(tree, "gap/students").sel(activation="relu")
    own = added(tree).isel(batch_size=0).sel(activation="relu")
    found = {
        "small": count(small),
        "large": count(nearest["batch_size"][-1]),
        "weight/small": number(float(nearest["weight"].sel(batch_size=small))),
        "weight/large": number(float(nearest["weight"][-1])),
        "size": count(own["batch_size"]),
    }
    for word, place in (("small", 0), ("large", -1)):
        at = gap.isel(batch_size=place)
        found[f"gap/{word}"], found[f"gap/{word}/size"] = (
            averaged(at["gap"]),
            count(at["batch_size"]),
        )
        found[f"gap/{word}/first"] = averaged(at["first"])
    for name in script.SCALES:
        found[f"own/{name}"] = number(float(own.sel(scaling=name).mean()))
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge own statistics and running averages."""
    asked = script.claims(tree)
    best = added(tree).sel(scaling="best").isel(batch_size=0).mean("replica")
    linear, relu = (number(float(best.sel(activation=name))) for name in ("linear", "relu"))
    averages = script.dataset(tree, "running/averages")["excess"].sel(growth=0.0)
    theory = script.dataset(tree, "running/theory")["excess"].sel(growth=0.0)
    ratio = (averages / theory).isel(momentum=[0, -1])
    return [
        judged(
            "Own statistics at inference lower the loss", "Summers2020",
            "loss of inference without own statistics, less that with the weight $1/M$, at the "
            "best scale and at that of training, for each activation",
            rf"they add {linear} (linear) and {relu} (ReLU) to $M^2$ times the loss at the best "
            "scale",
            *asked["own statistics of weight 1/M lower the loss"],
        ),
        judged(
            r"Running averages are statistics of $M(2-m)/m$ independent samples", "Luo2019",
            r"what they add to the loss of a linear unit, at each momentum $m$; law: order $1/M$ "
            "of such statistics",
            rf"{averaged(ratio.isel(momentum=0))} of it at $m={float(ratio['momentum'][0]):g}$, "
            rf"{averaged(ratio.isel(momentum=-1))} at $m={float(ratio['momentum'][-1]):g}$",
            *asked["running averages cost what independent statistics do"],
        ),
    ]  # fmt: skip
