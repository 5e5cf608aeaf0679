"""What a covariance of the inputs costs, and where images differ from Gaussian inputs."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting
from statmech_bn.study import limit, mean_and_error

script = stores.script("structured_inputs")

NAMES = {"digits": "digits", "mnist": "MNIST"}
"""The text has these words for the sets of images."""


def scores(tree: xr.DataTree, name: str) -> xr.DataArray:
    """Return gaps between images and Gaussian inputs in standard errors."""
    mean, error = mean_and_error(script.gap(tree, name))
    return mean / error


def ends(tree: xr.DataTree, name: str, task: str) -> dict[str, str]:
    """Return the smallest and the largest gap of the normalizations at the end, in per cent."""
    values = 100 * script.gap(tree, name).sel(task=task).isel(time=-1)
    mean = values.mean("replica")
    places = {"low": mean.argmin("normalization"), "high": mean.argmax("normalization")}
    return {end: averaged(values.isel(normalization=place)) for end, place in places.items()}


def slower(tree: xr.DataTree) -> xr.DataArray:
    """Return by which factor the steepest spectrum lengthens learning, N → ∞."""
    return script.growth(tree, "flow").isel(exponent=-1)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return what power laws cost, and gaps with their standard errors."""
    replicas, away = tree["digits/images"].sizes["replica"], scores(tree, "digits")
    found = {
        "batch_size": count(script.BATCH_SIZE),
        "kept": setting(100 * script.KEPT),
        "exponent": setting(tree["power_laws/flow"]["exponent"][-1]),
        "replicas": count(replicas),
    }
    for name in script.NORMALIZATIONS:
        found[f"slower/{name}"] = number(float(slower(tree).sel(normalization=name)), digits=2)
    found["chance"] = number(limit(replicas, away.sel(task="linear").size), digits=2)
    for name in script.SETS:
        away = scores(tree, name)
        found[f"{name}/dimension"] = count(tree[f"{name}/images"].attrs["dimension"])
        for task in script.TASKS:
            found[f"{name}/{task}/score"] = number(float(abs(away.sel(task=task)).max()), digits=2)
        for task in ("relu", "labels"):
            found |= {f"{name}/{task}/{key}": v for key, v in ends(tree, name, task).items()}
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge normalization on wide spectra, and Gaussian equivalence."""
    steep = slower(tree)
    found = [
        judged(
            "A wide spectrum of the inputs costs a batch normalized student less", "Cai2019",
            "growth of the time to a hundredth of the error with the power $a$, without "
            "normalization less with it",
            rf"flow: {number(float(steep.sel(normalization='batch')), digits=2)} times the time, "
            rf"without {number(float(steep.sel(normalization='none')), digits=2)} times",
            script.saving(tree, "batch"),
        )
    ]  # fmt: skip
    for name, word in NAMES.items():
        away = scores(tree, name)
        for task in ("linear", "relu"):
            found.append(
                judged(
                    rf"Images teach like Gaussian inputs of their covariance ({word}, "
                    rf"{script.TASKS[task]})", "Goldt2022",
                    "error that learning from images removes, for each normalization; law: at each "
                    "time it is that on Gaussian inputs",
                    rf"largest gap: {number(float(abs(away.sel(task=task)).max()), digits=2)} "
                    "standard errors",
                    *script.equivalence(tree, name, task),
                )
            )  # fmt: skip
    return found
