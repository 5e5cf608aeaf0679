"""How a large learning rate regularizes batch normalization on a finite training set.

Below α = 1 a student interpolates, and keeps what its initial weights have outside of the data. A
large learning rate makes |w| longer, Q_∞/Q₀, next to which that part is small: it is forgotten.
ε_g against η for several M, with the growth beside it and the error predicted from the growth.
Above α = 1 nothing is kept; what a finite η adds to the annealed error is the first correction.
The groups of the store:

    load_0.5      training below α = 1, over batch size × η/M
    correction    constant learning rates above α = 1 beside annealing, over batch size × epoch
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

import statmech_bn as sbn
from statmech_bn.study import mean_and_error

LOADS = (0.3, 0.5, 0.8)
BATCH_SIZES = (5, 10, 40)
LABEL_NOISE = 0.5
CORRECTION_LOAD = 2.0


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Learning rates over more than two decades, and figures of what they do."""

    presets: ClassVar = {
        "quick": {"rates": 4, "dimension": 150, "replicas": 6, "epochs": 100},
        "paper": {"rates": 7, "dimension": 200, "replicas": 12, "epochs": 500},
    }
    store: Path = Path("results/large_learning_rate.zarr")
    rates: int | None = None
    """Number of learning rates. The preset chooses this and the following if not given."""
    dimension: int | None = None
    """Dimension N of the inputs."""
    replicas: int | None = None
    """Training sets."""
    epochs: int | None = None
    """Epochs at α = 0.5; at larger loads up to three times as many."""


def setup(batch_size: int) -> sbn.TeacherStudent:
    """Describe the student."""
    return sbn.TeacherStudent("linear", "batch", batch_size, LABEL_NOISE)


def interpolating(
    batch_size: int,
    load: float,
    relative_rates: np.ndarray,
    dimension: int,
    replicas: int,
    epochs: int,
    seed: int,
) -> xr.Dataset:
    """Train at all learning rates, given as η/M.

    γ gets a small learning rate of its own: at finite N it jitters by η_γ/N.
    """
    rates = relative_rates * batch_size
    found = sbn.offline.train(
        setup(batch_size),
        load,
        rates,
        dimension,
        replicas,
        epochs,
        seed,
        gamma_learning_rate=np.minimum(rates, dimension / 40),
        initializations=2,
        workers=1,
    ).isel(load=0)
    found = found.drop_vars(["load", "samples", "learning_rate", "gamma_learning_rate"])
    found = found.rename(learning_rate="relative_rate").assign_coords(relative_rate=relative_rates)
    return sbn.dataset.describe(found.assign_attrs(load=load))


def correction(
    batch_size: int, dimension: int, replicas: int, epochs: int, seed: int
) -> xr.Dataset:
    """Compare constant learning rates above α = 1 with annealing, on the same data.

    `excess` is the difference of ε_g at an epoch, for the effective learning rate
    η_eff/M = ηγ/(QM) at that epoch.
    """
    run = partial(
        sbn.offline.train,
        setup(batch_size),
        CORRECTION_LOAD,
        dimension=dimension,
        replicas=replicas,
        epochs=epochs,
        seed=seed,
        workers=1,
    )
    annealed = run(learning_rate=0.3 * batch_size, schedule=sbn.schedules.cosine(1.0))
    annealed = annealed.isel(load=0, learning_rate=0)
    last = [round(epochs / 2**k) for k in (4, 3, 2, 1, 0)]
    constant = run(learning_rate=3.0 * batch_size, history=last).isel(load=0, learning_rate=0)
    rate = 3.0 * constant["gamma"] / constant["length"] ** 2
    excess = constant["generalization_error"] - annealed["generalization_error"]
    found = xr.Dataset(
        {"excess_error": excess, "effective_relative_rate": rate}, attrs=constant.attrs
    )
    found = found.drop_vars(["load", "samples", "learning_rate", "gamma_learning_rate"])
    return sbn.dataset.describe(found.assign_attrs(load=CORRECTION_LOAD))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: η/M from 0.1 (0.5 near α = 1, where learning is slow) to 10."""
    run = {name: options.size(name) for name in ("dimension", "replicas")}
    epochs = options.size("epochs")
    found: dict[str, sbn.study.Part] = {}
    for load in LOADS:
        lowest, longer = (0.5, 3) if load > 0.7 else (0.1, 1)
        function = partial(
            interpolating,
            load=load,
            relative_rates=np.geomspace(lowest, 10, options.size("rates")),
            epochs=longer * epochs,
            seed=options.seed,
            **run,
        )
        found[f"load_{load:g}"] = (function, {"batch_size": BATCH_SIZES})
    function = partial(correction, epochs=epochs, seed=options.seed, **run)
    return {**found, "correction": (function, {"batch_size": BATCH_SIZES})}


def predicted(load: float, run: xr.Dataset) -> xr.Dataset:
    """Evaluate ε_g for the growth that was measured."""
    growth = run["growth"].mean(("replica", "initialization"))
    error = sbn.offline.batch_normalized(load, run["batch_size"].item(), LABEL_NOISE, growth.values)
    return sbn.dataset.describe(growth.copy(data=error).to_dataset(name="generalization_error"))


def first_correction(found: xr.Dataset) -> tuple[float, float]:
    """Return dε_g/d(η_eff/M) at η → 0 with its standard error over training sets.

    From the three smallest effective learning rates, by least squares through the origin.
    """
    last = found.isel(epoch=slice(-3, None))  # the effective rate falls
    rates = last["effective_relative_rate"].mean("replica").values
    values = last["excess_error"].transpose("replica", "epoch").values
    slopes = xr.DataArray(values @ rates / (rates @ rates), dims="replica")
    mean, error = mean_and_error(slopes)
    return float(mean), float(error)


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare training with the prediction, and give the first correction in η."""
    rows = []
    for load in LOADS:
        runs = tree[f"load_{load:g}"].to_dataset()
        for size in BATCH_SIZES:
            run = runs.sel(batch_size=size)
            expected = predicted(load, run)["generalization_error"].values
            growth = run["growth"].mean(("replica", "initialization")).values
            for k in (0, expected.size // 2, expected.size - 1):
                one = run.isel(relative_rate=k)
                mean, error = mean_and_error(one["generalization_error"].mean("initialization"))
                rows.append(
                    {
                        "α": load,
                        "M": size,
                        "η/M": one["relative_rate"].item(),
                        "Q_∞/Q₀": growth[k],
                        "training": mean.item(),
                        "standard error": error.item(),
                        "predicted": expected[k],
                        "errors away": (mean.item() - expected[k]) / error.item(),
                    }
                )
    runs = tree["correction"].to_dataset()
    slopes = {size: first_correction(runs.sel(batch_size=size)) for size in BATCH_SIZES}
    names = ["slope", "standard error"]
    return {
        "generalization error": pd.DataFrame(rows).set_index(["α", "M", "η/M"]),
        f"dε_g/d(η_eff/M) at α = {CORRECTION_LOAD:g}": pd.DataFrame.from_dict(
            slopes, orient="index", columns=names
        ).rename_axis("M"),
    }


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw error and growth against the learning rate."""
    panels: dict[str, Any] = {}
    for load in LOADS:
        runs = tree[f"load_{load:g}"].to_dataset()
        curves = {f"$M = {size}$": runs.sel(batch_size=size) for size in BATCH_SIZES}
        panels[rf"$\alpha = {load:g}$"] = {
            label: (predicted(load, run), run) for label, run in curves.items()
        }
    rows = ["generalization_error", "growth"]
    return {"error": lambda: sbn.plot.against("relative_rate", panels, rows)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
