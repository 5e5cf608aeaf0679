"""Is momentum a larger learning rate? Heavy balls with normalization, and with weight decay.

For N → ∞ a heavy ball of momentum β learns like gradient descent at the rate η/(1 − β). With weight
decay a normalized student goes to an equilibrium, in which it turns by √(2ηλ/(N(1 + β))) in each
step (Wan et al. 2021), and rates that grow exponentially do the same without decay (Li & Arora
2020). The groups of the store:

    learning/flow, learning/chain         runs at the same η/(1 − β), over time and N
    rest/theory, rest/chain               angle per step at rest, over λ and β
    approach                              (Q² − Q²∞)/(Q²(0) − Q²∞) over time by theory
    growth                                runs with decay less runs with growing rates
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
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide, mean_and_error

STUDENTS = {"weight": "weight norm.", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
MOMENTA = (0.0, 0.5, 0.9)
BATCH_SIZE, LABEL_NOISE = 8, 0.5
RATE = 1.0
"""All runs have this rate η/(1 − β)."""
TIME = np.linspace(0.25, 4.0, 16)
START = sbn.OrderParameters(overlap=0.1, gamma=0.8)
SMALL, NOISE = 30, 2.0
"""N and label noise of the students with weight decay: noise alone decides about their rest."""
RELAXED, LAST = 2.0, 6.0
"""ηλt/(1 − β) between which students are at rest."""
OFF = 1.5
"""Factor by which weights are too long at first."""
GROWN = 0.3
"""Weight decay of the runs that growing rates are compared with."""
WORDS = {
    "angle": ("angle per step", r"$\theta$"),
    "weight_decay": ("weight decay", r"$\lambda$"),
    "left": ("distance from rest", r"$\delta Q^2/\delta Q^2_0$"),
    "relaxation": ("time", r"$\eta\lambda t/(1-\beta)$"),
    "momentum": ("momentum", r"$\beta$"),
}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Heavy balls by theory and by the chain."""

    presets: ClassVar = {
        "quick": {"replicas": 16, "dimensions": (30, 200), "decays": (0.1, 0.2)},
        "paper": {"replicas": 100, "dimensions": (30, 100, 1000), "decays": (0.02, 0.05, 0.1, 0.2)},
    }
    store: Path = Path("results/momentum.zarr")
    replicas: int | None = None
    """Runs of the chain. The preset chooses this and the following if not given."""
    dimensions: tuple[int, ...] | None = None
    """N of the chains that learn."""
    decays: tuple[float, ...] | None = None
    """Weight decays λ."""


def label(found: xr.Dataset) -> xr.Dataset:
    """Give variables their words."""
    for name, (words, symbol) in WORDS.items():
        if name in found.variables:
            found[name].attrs.update(long_name=words, symbol=symbol, units="1")
    return found


def flow(student: str) -> xr.Dataset:
    """Let a student learn at the rate η/(1 − β), N → ∞."""
    setup = sbn.TeacherStudent("linear", student, BATCH_SIZE, LABEL_NOISE)
    run = sbn.macroscopic(setup, RATE, TIME, START, workers=1)
    return run[["overlap"]].isel(learning_rate=0, drop=True)


def chain(student: str, dimension: int, momentum: float, replicas: int, seed: int) -> xr.Dataset:
    """Let students learn with momentum."""
    setup = sbn.TeacherStudent("linear", student, BATCH_SIZE, LABEL_NOISE)
    run = sbn.momentum.heavy_ball(
        setup, RATE * (1 - momentum), momentum, TIME, START, dimension, replicas, seed
    )
    return run[["overlap"]].isel(learning_rate=0, drop=True)


def resting_angle(student: str, weight_decay: float, momentum: float) -> xr.Dataset:
    """Return the angle per step at rest by theory."""
    rate = RATE * (1 - momentum)
    angle = sbn.momentum.equilibrium_angle(rate, weight_decay, momentum, SMALL)
    return label(xr.Dataset({"angle": angle}, attrs={"level": "macroscopic"}))


def resting(
    student: str, weight_decay: float, momentum: float, replicas: int, seed: int
) -> xr.Dataset:
    """Follow students that begin too long to their rest, and measure the angle per step there."""
    rate = RATE * (1 - momentum)
    setup = sbn.TeacherStudent(
        "linear", student, BATCH_SIZE, NOISE, weight_decay=weight_decay
    )  # fmt: skip
    rest = sbn.rates.equilibrium(setup, RATE).isel(learning_rate=0)
    start = sbn.OrderParameters(
        float(rest["overlap"]), OFF * float(rest["length"]), float(rest["gamma"])
    )  # fmt: skip
    relaxation = np.concatenate([np.linspace(0.0, 1.0, 11), np.linspace(RELAXED, LAST, 41)])
    run = sbn.momentum.heavy_ball(
        setup, rate, momentum, relaxation / weight_decay / RATE, start, SMALL, replicas, seed
    ).isel(learning_rate=0, drop=True)
    run = run.assign_coords(time=relaxation).rename(time="relaxation")
    late = run.sel(relaxation=slice(RELAXED + 0.01, None))
    square = run["length"] ** 4
    final = (late["length"] ** 4).mean()
    left = (square - final) / (square.isel(relaxation=0) - final)
    found = {
        "angle": np.sqrt((late["angle"] ** 2).mean("relaxation")),
        "left": left.sel(relaxation=slice(0.0, 1.0)),
    }
    return label(xr.Dataset(found, attrs=run.attrs))


def approach(rate: int) -> xr.Dataset:
    """Return the distance from rest as the fourth power of the length has it."""
    relaxation = np.linspace(0.0, 1.0, 51)
    found = {"left": ("relaxation", np.exp(-rate * relaxation))}
    return label(xr.Dataset(found, {"relaxation": relaxation}, {"level": "macroscopic"}))


def growing(student: str, momentum: float, replicas: int, seed: int) -> xr.Dataset:
    """Compare N weights with decay to N weights with growing rates, sample by sample."""
    rate = RATE * (1 - momentum)
    size = {"dimension": SMALL, "replicas": replicas, "seed": seed}
    first, growth, other, velocity = sbn.momentum.growth_for_decay(rate, GROWN, momentum, SMALL)
    arguments: dict[str, Any] = {**size, "time": TIME, "start": START, "level": "microscopic"}
    setups = [
        sbn.TeacherStudent("linear", student, BATCH_SIZE, LABEL_NOISE, weight_decay=decay)
        for decay in (GROWN, 0.0)
    ]
    decayed = sbn.momentum.heavy_ball(setups[0], rate, momentum, **arguments)
    scale: dict[str, Any] = {"gamma_learning_rate": rate, "gamma_momentum": momentum}
    grown = sbn.momentum.heavy_ball(
        setups[1], first, other, growth=growth, velocity=velocity, **scale, **arguments
    )
    plain = sbn.momentum.heavy_ball(setups[1], rate, momentum, **scale, **arguments)
    found = {
        f"{name}_{word}": (("replica", "time"), (run[name] - decayed[name].values).values[0])
        for name in ("overlap", "gamma")
        for word, run in (("growing", grown), ("constant", plain))
    }
    return xr.Dataset(found, {"time": TIME})


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: learning, rest, approach, and growing rates."""
    size = {"replicas": options.size("replicas"), "seed": options.seed}
    students = {"student": list(STUDENTS)}
    learning = {**students, "dimension": options.size("dimensions"), "momentum": MOMENTA}
    rests = {**students, "weight_decay": options.size("decays"), "momentum": MOMENTA}
    return {
        "learning/flow": (flow, students),
        "learning/chain": (partial(chain, **size), learning),
        "rest/theory": (resting_angle, rests),
        "rest/chain": (partial(resting, **size), rests),
        "approach": (approach, {"rate": [4]}),
        "growth": (partial(growing, **size), {**students, "momentum": MOMENTA}),
    }


def claims(tree: xr.DataTree) -> dict[str, tuple[Any, Any]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    learned = tree["learning/chain"].to_dataset()["overlap"].load()
    plain = learned.sel(momentum=0.0, drop=True)
    lag = learned.sel(momentum=list(MOMENTA[1:])) - plain
    angle = tree["rest/chain"].to_dataset()["angle"].load()
    theory = tree["rest/theory"].to_dataset()["angle"].load()
    left = tree["rest/chain"].to_dataset()["left"].load().isel(weight_decay=0, drop=True)
    middle = left.sel(relaxation=0.2, method="nearest", drop=True)
    growth = tree["growth"].to_dataset().load()
    constant = abs(growth["overlap_constant"]).max("time")
    return {
        "Momentum is the rate η/(1 − β), in the largest system": (
            plain.isel(dimension=-1) - START.overlap, lag.isel(dimension=-1),
        ),
        "... in the smallest": (plain.isel(dimension=0) - START.overlap, lag.isel(dimension=0)),
        "At rest a step turns by √(2ηλ/(1 + β))": (angle, angle / theory - 1),
        "Rest is approached at the rate 2ηλ/(1 − β)": (1 - middle, middle - np.exp(-2 * 0.2)),
        "... by Q² at the rate 4ηλ/(1 − β)": (1 - middle, middle - np.exp(-4 * 0.2)),
        "Growing rates equal weight decay": (
            constant, [growth["overlap_growing"], growth["gamma_growing"]],
        ),
    }  # fmt: skip


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw learning, the angle at rest, and the approach to it."""
    chain, rest = (
        label(tree[f"{name}/chain"].to_dataset().load()) for name in ("learning", "rest")
    )
    flow, theory = tree["learning/flow"].to_dataset(), label(tree["rest/theory"].to_dataset())
    law = label(tree["approach"].to_dataset().isel(rate=0))
    learning = [
        Panel("time", "overlap", [chain.sel(student=name, dimension=size)],
              flow.sel(student=name), f"{title}, $N={size}$", "")
        for name, title in STUDENTS.items()
        for size in (int(chain["dimension"][0]), int(chain["dimension"][-1]))
    ]  # fmt: skip
    angles, approaches = [], []
    for name, title in STUDENTS.items():
        both = [found.sel(student=name) for found in (theory, rest)]
        angles.append(Panel("weight_decay", "angle", both, None, title, "xy"))
        single = rest.sel(student=name).isel(weight_decay=0)
        approaches.append(Panel("relaxation", "left", [single], law, title, ""))
    return {
        "learning": partial(curves, learning, "momentum", 2, reference=r"flow at $\eta/(1-\beta)$"),
        "angle": partial(curves, angles, "momentum"),
        "approach": partial(curves, approaches, "momentum", reference="$e^{-4x}$"),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give angles by theory's, the rate of approach, and what becomes of the claims."""
    rest = tree["rest/chain"].to_dataset().load()
    mean, error = mean_and_error(rest["angle"] / tree["rest/theory"].to_dataset()["angle"].load())
    left = rest["left"].mean("replica").sel(relaxation=0.2, method="nearest")
    approach = left.copy(data=-np.log(left.values) / 0.2)
    growth = abs(tree["growth"].to_dataset().load()).max(("replica", "time"))
    shape = ["student", "weight_decay", "momentum"]
    return {
        "angle per step by theory's": mean.transpose(*shape).to_series().unstack(),
        "its standard error": error.transpose(*shape).to_series().unstack(),
        "rate of approach in units of ηλ/(1 − β)": (
            approach.transpose(*shape).to_series().unstack()
        ),
        "largest difference from the runs with weight decay": growth.to_dataframe(),
        "verdicts": pd.DataFrame({"verdict": {k: decide(*v) for k, v in claims(tree).items()}}),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
