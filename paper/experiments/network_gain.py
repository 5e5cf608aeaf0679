"""Whether a convolutional network trains from weights of any size."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, judged, setting

script = stores.script("network_gain")


def accuracies(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return accuracies with and without normalization, at the best rate of each gain."""
    accuracy = tree["training"]["test_accuracy"].load()
    return {n: script.best(accuracy.sel(normalization=n, drop=True)) for n in ("none", "batch")}


def steps(tree: xr.DataTree) -> xr.DataArray:
    """Return what the largest gain costs at a fixed learning rate with batch normalization."""
    accuracy = tree["training"]["test_accuracy"].load()
    fixed = accuracy.sel(normalization="batch", learning_rate=script.RATE, drop=True)
    return fixed.sel(gain=1.0, drop=True) - fixed.isel(gain=-1, drop=True)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the range of gains, and what the largest costs."""
    gains = tree["training"]["gain"]
    return {
        "lowest": setting(gains[0]),
        "highest": setting(gains[-1]),
        "cost": averaged(steps(tree)),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether the initial scale matters less."""
    found = {
        name: values.isel(gain=values.mean("replica").argmin("gain"))
        for name, values in accuracies(tree).items()
    }
    return [
        judged(
            "The initial scale of convolutions matters less with it", "Ioffe2015",
            "accuracy at the worst gain, each at its best rate, less that without normalization",
            rf"{averaged(found['batch'])}, without {averaged(found['none'])}",
            found["batch"].reset_coords(drop=True) - found["none"].reset_coords(drop=True),
        )
    ]  # fmt: skip
