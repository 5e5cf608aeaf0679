"""How large may a learning rate be? The maximum of each state, and where students diverge.

Three questions, linear and ReLU. The groups of the store, each with macroscopic and mesoscopic:

    trajectories    η_max and η_eff of the states that a student visits
    frontier        the η at which an unnormalized student explodes
    six_decades     normalized students at learning rates up to 10⁶
    three_decades   the unnormalized one up to 10³, where it has long diverged

An unnormalized student explodes at the η at which a long one neither grows nor shrinks. Far out
its error is a power of its length alone, so the chain starts there, at L = 10⁵⁰, and the root of
its rate of growth is found by bisection, for every replica by itself: no threshold is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from scipy.optimize import brentq

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
STUDENTS = {"none": "no normalization", "weight": "weight norm.", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
LEVELS = ("macroscopic", "mesoscopic")
BATCH_SIZE = 8
LABEL_NOISE = 0.5
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
RATES = (0.5, 2.0, 8.0)
"""Trajectories have these learning rates."""
SCALE_RATE = 1.0
"""γ has this learning rate: its step is not normalized, and has a maximum of its own."""
LARGEST = 1e3
"""The unnormalized student has learning rates below this one."""
FAR_OUT, FAR_TIME = sbn.OrderParameters(overlap=0.05, length=1e50), 0.5
"""The bisection starts here, and runs until this time: the length changes by less than e^(4M)."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Maximum learning rates, by theory and by the chain."""

    presets: ClassVar = {
        "quick": {"sizes": (1, 8, 32), "dimension": 1000, "replicas": 4, "rates": 7},
        "paper": {
            "sizes": (1, 2, 4, 8, 16, 32, 64),
            "dimension": 10_000,
            "replicas": 12,
            "rates": 13,
        },
    }
    store: Path = Path("results/maximum_learning_rate.zarr")
    dimension: int | None = None
    """N of the chain. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Runs of the chain."""
    rates: int | None = None
    """Number of learning rates between 1 and 10⁶."""
    sizes: tuple[int, ...] | None = None
    """Batch sizes of the frontier."""


def setup(activation: str, student: str, batch_size: int = BATCH_SIZE) -> sbn.TeacherStudent:
    """Describe one student."""
    return sbn.TeacherStudent(activation, student, batch_size, label_noise=LABEL_NOISE)


def learn(activation: str, student: str, level: str, **arguments: Any) -> xr.Dataset:
    """Let one student learn at several learning rates."""
    return getattr(sbn, level)(setup(activation, student), start=START, workers=1, **arguments)


def visit(activation: str, student: str, **arguments: Any) -> xr.Dataset:
    """Let one student learn, and find η_max and η_eff of the states that it visits."""
    result = learn(activation, student, **arguments)
    described = setup(activation, student)
    result["maximum_rate"] = sbn.rates.maximum(described, result)
    result["effective_rate"] = sbn.rates.effective(described, result, result["learning_rate"])
    return result


def divergence(activation: str, batch_size: int) -> xr.Dataset:
    """Evaluate the η at which an unnormalized student explodes, by theory."""
    law = sbn.symbolic.divergence_learning_rate(activation)
    exact = float(law.subs({sbn.symbolic.lamda: 0, sbn.symbolic.M: batch_size}))
    return describe(xr.Dataset({"divergence_rate": exact}, attrs={"level": "macroscopic"}))


def explosion(
    activation: str, batch_size: int, dimension: int, replicas: int, seed: int
) -> xr.Dataset:
    """Bisect for the η at which a long unnormalized student neither grows nor shrinks."""
    described = setup(activation, "none", batch_size)

    def growth(log_rate: float, own: int) -> float:
        run = sbn.mesoscopic(
            described, np.exp(log_rate), [FAR_TIME], FAR_OUT, dimension, seed=own, workers=1
        )
        return float(np.log(run["length"].item() / FAR_OUT.length))

    low, high, seeds = np.log(batch_size), np.log(4 * batch_size), range(seed, seed + replicas)
    roots = [brentq(growth, low, high, args=(own,), xtol=1e-4) for own in seeds]
    return describe(
        xr.Dataset(
            {"divergence_rate": ("replica", np.exp(roots))},
            attrs={"level": "mesoscopic", "dimension": dimension, "seed": seed},
        )
    )


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: trajectories, the frontier, and decades of learning rates."""
    chain: dict[str, Any] = {
        "dimension": options.size("dimension"),
        "replicas": options.size("replicas"),
        "seed": options.seed,
    }
    steps = np.unique(np.geomspace(1, 30 * chain["dimension"], 80).round())
    along = partial(visit, learning_rate=RATES, time=np.r_[0.0, steps / chain["dimension"]])
    rates = np.geomspace(1.0, 1e6, options.size("rates"))
    late = partial(learn, time=[1.0, 10.0])
    normalized = partial(late, learning_rate=rates, gamma_learning_rate=SCALE_RATE)
    unnormalized = partial(late, student="none", learning_rate=rates[rates < LARGEST])
    units = {"activation": list(ACTIVATIONS)}
    studies: dict[str, sbn.study.Part] = {
        "trajectories": (along, {**units, "student": list(STUDENTS)}),
        "six_decades": (normalized, {**units, "student": [s for s in STUDENTS if s != "none"]}),
        "three_decades": (unnormalized, units),
    }
    batches = {**units, "batch_size": options.size("sizes")}
    found: dict[str, sbn.study.Part] = {
        "frontier/macroscopic": (divergence, batches),
        "frontier/mesoscopic": (partial(explosion, **chain), batches),
    }
    for name, (function, grid) in studies.items():
        found[f"{name}/macroscopic"] = partial(function, level="macroscopic"), grid
        found[f"{name}/mesoscopic"] = partial(function, level="mesoscopic", **chain), grid
    return found


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the rates along trajectories, the frontier, and six decades."""

    def found(name: str, **where: str) -> list[xr.Dataset]:
        return [tree[f"{name}/{level}"].to_dataset().sel(where) for level in LEVELS]

    drawn = {}
    for activation in ACTIVATIONS:
        visited = [found("trajectories", activation=activation, student=s) for s in STUDENTS]
        panels = [
            Panel("overlap", rate, levels, None, title, "y")
            for rate, titles in (
                ("maximum_rate", STUDENTS.values()),
                ("effective_rate", [""] * len(STUDENTS)),
            )
            for levels, title in zip(visited, titles, strict=True)
        ]
        drawn[f"along_{activation}"] = partial(
            curves, panels, "learning_rate", columns=len(STUDENTS)
        )
    named = {"activation": list(ACTIVATIONS.values())}
    levels = [tree[f"frontier/{level}"].to_dataset().assign_coords(named) for level in LEVELS]
    for level in levels:
        level["divergence_per_sample"] = level["divergence_rate"] / level["batch_size"]
        describe(level)
    drawn["frontier"] = partial(
        curves,
        [
            Panel("batch_size", "divergence_rate", levels),
            Panel("batch_size", "divergence_per_sample", levels, logarithmic="x"),
        ],
        "activation",
    )
    drawn["six_decades"] = partial(
        sbn.plot.final_error,
        {
            title: {
                label: found("three_decades", activation=activation)
                if student == "none"
                else found("six_decades", activation=activation, student=student)
                for student, label in STUDENTS.items()
            }
            for activation, title in ACTIVATIONS.items()
        },
    )
    return drawn


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures)
