"""How a large learning rate makes an interpolating student forget its initial weights."""

from __future__ import annotations

import numpy as np
import xarray as xr

import statmech_bn as sbn
from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting
from statmech_bn.study import mean_and_error

script = stores.script("large_learning_rate")

LOAD, SIZE = 0.5, 10


def runs(tree: xr.DataTree) -> xr.Dataset:
    """Select the runs that are quoted, averaged over the initial weights of a training set."""
    found = tree[f"load_{LOAD:g}"].to_dataset().sel(batch_size=SIZE)
    return found[["generalization_error", "growth"]].mean("initialization")


def gain(tree: xr.DataTree, load: float) -> xr.DataArray:
    """Return by how much the error falls from the smallest to the largest η."""
    error = tree[f"load_{load:g}"]["generalization_error"].mean("initialization")
    return error.isel(relative_rate=0, drop=True) - error.isel(relative_rate=-1, drop=True)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return errors and growth at the smallest and the largest η, and the best possible."""
    found = runs(tree)
    predicted = script.predicted(LOAD, tree[f"load_{LOAD:g}"].to_dataset().sel(batch_size=SIZE))
    every, scores = [], []
    for load in script.LOADS:
        group = tree[f"load_{load:g}"].to_dataset()
        for size in script.BATCH_SIZES:
            one = group.sel(batch_size=size)
            expected = script.predicted(load, one)["generalization_error"]
            measured, error = mean_and_error(one["generalization_error"].mean("initialization"))
            every.append((measured / expected - 1).values)
            scores.append(((measured - expected) / error).values)
    off = np.abs(np.concatenate(every))
    values = {
        "load": setting(LOAD),
        "batch_size": count(SIZE),
        "dimension": count(tree[f"load_{LOAD:g}"].attrs["dimension"]),
        "replicas": count(found.sizes["replica"]),
        "least_squares": number(float(sbn.offline.least_squares(LOAD, script.LABEL_NOISE))),
        "typical_off": number(100 * float(np.median(off)), digits=2),
        "missed": count(int((np.abs(np.concatenate(scores)) > 3).sum())),
        "points": count(off.size),
    }
    for name, place in (("small", 0), ("large", -1)):
        one = found.isel(relative_rate=place)
        values[f"{name}/rate"] = setting(one["relative_rate"])
        values[f"{name}/error"] = averaged(one["generalization_error"])
        values[f"{name}/growth"] = averaged(one["growth"])
        values[f"{name}/predicted"] = number(
            float(predicted["generalization_error"].isel(relative_rate=place))
        )
    slope, error = script.first_correction(tree["correction"].to_dataset().sel(batch_size=5))
    values["correction"] = number(slope, error)
    return values


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether large learning rates generalize better."""
    gains = [gain(tree, load) for load in script.LOADS]
    loads = ", ".join(f"{load:g}" for load in script.LOADS)
    return [
        judged(
            "A large learning rate makes it generalize better", "Bjorck2018",
            r"$\varepsilon_g$ at the smallest $\eta$, less that at the largest, at each "
            r"$\alpha<1$ and $M$",
            rf"$\varepsilon_g$ falls by {averaged(gain(tree, LOAD).sel(batch_size=SIZE))} at "
            rf"$\alpha={LOAD}$, $M={SIZE}$; $\alpha$ up to {loads.rpartition(', ')[2]}",
            gains,
        )
    ]  # fmt: skip
