"""Do learning rates and condition numbers matter less with normalization? Learning times say it.

Gaussian inputs have eigenvalues from 1 to 1/κ, spread evenly in their logarithm and then scaled to
mean 1, with as much of the teacher in each. The *learning time* is when ε_g has fallen to a
hundredth of its start; where it does not in the time given, or the student diverges, it is missing.
Cai, Li & Shen (2019) prove for least squares by gradient descent that batch normalization converges
at any learning rate, with a condition number that is no larger. The groups of the store:

    flow, chain     learning times over κ and η
    modes           condition number of the mean dynamics near the teacher, over κ
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from structured_inputs import NORMALIZATIONS, first_passage

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide

BLOCKS = 8
BATCH_SIZE = 16
SHARE = 0.01
"""ε_g is to fall to this part of its start."""
NEAR_BEST = 3.0
"""A learning rate is good if its learning time is at most so many times the shortest."""
START = sbn.OrderParameters(overlap=0.1)


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Learning times over the learning rate, for several condition numbers."""

    presets: ClassVar = {
        "quick": {
            "condition_numbers": (1.0, 100.0), "rates": 9, "dimension": 100, "replicas": 4,
            "duration": 120.0,
        },
        "paper": {
            "condition_numbers": (1.0, 3.0, 10.0, 30.0, 100.0), "rates": 17, "dimension": 200,
            "replicas": 16, "duration": 200.0,
        },
    }  # fmt: skip
    store: Path = Path("results/condition_number.zarr")
    condition_numbers: tuple[float, ...] | None = None
    """Ratios κ of the largest to the smallest eigenvalue. The preset chooses this and the following
    if not given."""
    rates: int | None = None
    """Learning rates between 0.1 and 1000."""
    dimension: int | None = None
    """N of the chain."""
    replicas: int | None = None
    """Runs of the chain."""
    duration: float | None = None
    """Final time."""


def spectrum(condition_number: float) -> sbn.Spectrum:
    """Return eigenvalues of mean 1 between which there is this ratio."""
    eigenvalues = np.geomspace(1.0, 1.0 / condition_number, BLOCKS)
    return sbn.Spectrum(eigenvalues / eigenvalues.mean(), fractions=np.full(BLOCKS, 1 / BLOCKS))


def setup(normalization: str) -> sbn.TeacherStudent:
    """Describe one student; there is no label noise, so that all could learn the teacher."""
    return sbn.TeacherStudent("linear", normalization, BATCH_SIZE)


def learning_time(
    normalization: str, condition_number: float, rates: np.ndarray, level: str, **arguments: Any
) -> xr.Dataset:
    """Let students learn at all rates, and read their learning times off."""
    run = getattr(sbn, level)(
        setup(normalization), rates, start=START, inputs=spectrum(condition_number), workers=1,
        **arguments,
    )  # fmt: skip
    error, time = run["generalization_error"], run["time"].values
    passage = partial(first_passage, time=time, share=SHARE)
    found = xr.apply_ufunc(passage, error, input_core_dims=[["time"]], vectorize=True)
    found.attrs = {"long_name": "time to a hundredth", "units": "steps / N"}

    return describe(xr.Dataset({"hundredth": found}, attrs=run.attrs))


def near_teacher(normalization: str, condition_number: float) -> xr.Dataset:
    """Return the condition number of the mean dynamics, all directions and those of the teacher."""
    found = sbn.rates.modes(setup(normalization), spectrum(condition_number))
    rates = found["relaxation_rate"].values
    moving = rates[rates > 0]
    data = {
        "all_directions": float(found["condition_number"]),
        "along_teacher": moving.max() / moving.min(),
    }
    described = xr.Dataset(data, attrs=found.attrs)
    described["all_directions"].attrs.update(long_name="condition number, all directions")
    described["along_teacher"].attrs.update(long_name="condition number, along the teacher")
    return described


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: learning times by flow and chain, and modes."""
    rates = np.geomspace(0.1, 1000.0, options.size("rates"))
    time = np.concatenate([[0.0], np.geomspace(0.05, options.size("duration"), 100)])
    grid = {"normalization": NORMALIZATIONS, "condition_number": options.size("condition_numbers")}
    size = {name: options.size(name) for name in ("dimension", "replicas")}
    flow = partial(learning_time, rates=rates, time=time, level="macroscopic")
    chain = partial(
        learning_time, rates=rates, time=time, level="mesoscopic", seed=options.seed, **size
    )
    return {"flow": (flow, grid), "chain": (chain, grid), "modes": (near_teacher, grid)}


def best(tree: xr.DataTree, level: str = "chain") -> xr.DataArray:
    """Return the shortest learning time over η."""
    return tree[level].to_dataset()["hundredth"].load().min("learning_rate")


def good_rates(tree: xr.DataTree) -> xr.DataArray:
    """Return the ratio of the largest to the smallest good learning rate of the flow."""
    times = tree["flow"].to_dataset()["hundredth"].load()
    good = times <= NEAR_BEST * times.min("learning_rate")
    rate = times["learning_rate"]
    found = rate.where(good).max("learning_rate") / rate.where(good).min("learning_rate")
    return found.rename("good_rates")


def verdicts(tree: xr.DataTree) -> dict[str, str]:
    """Say what becomes of the claims, by the rule of `statmech_bn.study.decide`."""
    times = tree["chain"].to_dataset()["hundredth"].load()
    shortest = best(tree).isel(condition_number=slice(1, None))
    slower = shortest / best(tree).isel(condition_number=0, drop=True)
    found = {}
    for name in NORMALIZATIONS[1:]:
        learned = times.sel(normalization=name).notnull().mean("learning_rate")
        gain = learned - times.sel(normalization="none").notnull().mean("learning_rate")
        found[f"more learning rates learn than without normalization, {name}"] = decide(gain)
        gain = (slower.sel(normalization="none") - slower.sel(normalization=name)).dropna(
            "condition_number"
        )
        found[f"the condition number costs less at the best rate, {name}"] = (
            decide(gain) if gain.size else "not seen"
        )
    return found


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw learning times over η, for each condition number."""
    levels = [tree[name].to_dataset() for name in ("flow", "chain")]
    panels = [
        Panel(
            "learning_rate", "hundredth",
            [found.sel(condition_number=number) for found in levels],
            None, rf"$\kappa = {number:g}$", "xy",
        )
        for number in levels[0]["condition_number"].values
    ]  # fmt: skip
    return {"learning_time": partial(curves, panels, "normalization")}


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the shortest learning times, the ranges of good rates, and the verdicts."""
    modes = tree["modes"].to_dataset()
    return {
        "shortest learning time, flow": best(tree, "flow").to_pandas(),
        f"ratio of learning rates within {NEAR_BEST:g} of the best, flow": good_rates(
            tree
        ).to_pandas(),
        **{modes[name].attrs["long_name"]: modes[name].to_pandas() for name in modes},
        "verdicts": pd.DataFrame({"verdict": verdicts(tree)}),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
