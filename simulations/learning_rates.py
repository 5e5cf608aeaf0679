"""Which learning rates can a student take? Three decades of them, with and without normalization.

A student without normalization diverges above η = 2M; normalized ones never do, because a large
step only makes them longer, which shrinks the next step. Linear and ReLU students at three levels,
which are the groups of the store: macroscopic, mesoscopic, microscopic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from gamma_decay import zeta

import statmech_bn as sbn

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
STUDENTS = {
    "none": "no normalization",
    "weight": "weight norm.",
    "weight_gamma_decay": r"weight norm. + $\gamma$ decay",
    "batch": "batch norm.",
}
"""The grid has these values; figures have these titles for them."""
LEVELS = ("macroscopic", "mesoscopic", "microscopic")
BATCH_SIZE = 32
LABEL_NOISE = 0.5
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Learning at learning rates from 0.15 to 150, and figures of it."""

    presets: ClassVar = {
        "quick": {"rates": 7, "dimension": 200, "replicas": 16, "networks": 4},
        "paper": {"rates": 13, "dimension": 500, "replicas": 64, "networks": 6},
    }
    store: Path = Path("results/learning_rates.zarr")
    duration: float = 30.0
    """Final time, in steps/N."""
    rates: int | None = None
    """Number of learning rates. The preset chooses this and the following if not given."""
    dimension: int | None = None
    """N, of the chain and of the network: both then follow the same law."""
    replicas: int | None = None
    """Runs of the chain."""
    networks: int | None = None
    """Runs of the network."""


def setup(activation: str, student: str) -> sbn.TeacherStudent:
    """Describe one student; its γ decay is the one that batch statistics are worth at order 1/M."""
    return sbn.TeacherStudent(
        activation,
        normalization="weight" if student == "weight_gamma_decay" else student,
        batch_size=BATCH_SIZE,
        label_noise=LABEL_NOISE,
        gamma_decay=(
            zeta("correlated", activation, BATCH_SIZE) if student == "weight_gamma_decay" else 0.0
        ),
    )


def learn(activation: str, student: str, level: str, **arguments: Any) -> xr.Dataset:
    """Let one student learn at all learning rates."""
    return getattr(sbn, level)(setup(activation, student), start=START, workers=1, **arguments)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: all students at all levels."""
    dimension = options.size("dimension")
    first, last = max(1.0, 0.01 * dimension), options.duration * dimension
    time = np.unique(np.geomspace(first, last, 61).round()) / dimension  # whole steps
    shared: dict[str, Any] = {
        "learning_rate": np.geomspace(0.15, 150, options.size("rates")),
        "time": time,
    }
    finite: dict[str, Any] = {"dimension": dimension, "seed": options.seed}
    levels: dict[str, dict[str, Any]] = {
        "macroscopic": {},
        "mesoscopic": {**finite, "replicas": options.size("replicas")},
        "microscopic": {**finite, "replicas": options.size("networks")},
    }
    grid = {"activation": list(ACTIVATIONS), "student": list(STUDENTS)}
    return {
        level: (partial(learn, level=level, **shared, **more), grid)
        for level, more in levels.items()
    }


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the final errors, and how the students got there."""

    def found(activation: str, student: str) -> list[xr.Dataset]:
        where = {"activation": activation, "student": student}
        return [tree[level].to_dataset().sel(where) for level in LEVELS]

    drawn = {
        "final_error": partial(
            sbn.plot.final_error,
            {
                title: {label: found(activation, student) for student, label in STUDENTS.items()}
                for activation, title in ACTIVATIONS.items()
            },
        )
    }
    for activation in ACTIVATIONS:
        for student in ("none", "weight_gamma_decay", "batch"):
            theory, chain, network = (
                d.isel(learning_rate=slice(0, None, 3)) for d in found(activation, student)
            )
            shown = [v for v in sbn.plot.VARIABLES if v != "gamma" or student != "none"]
            drawn[f"{activation}_{student}"] = partial(
                sbn.plot.trajectories, theory, chain, network, shown
            )
    return drawn


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures)
