"""Where does a student learn? Final error and learning time over six decades of learning rates.

Students without normalization, with weight and with batch normalization, linear and ReLU, at
N → ∞: over learning rate × batch size × label noise, and under learning-rate schedules, there with
the chain at finite N as well. The groups of the store:

    maps                     final values, over activation × student × batch size × label noise
    schedules/macroscopic    linear students under schedules, over student × schedule
    schedules/mesoscopic     the same, the chain
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import statmech_bn as sbn

STUDENTS = {
    "none": "no normalization",
    "weight": "weight norm.",
    "batch": "batch norm.",
}
ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
SCHEDULES = {
    "constant": "constant",
    "step": "steps",
    "cosine": "cosine",
    "inverse_time": r"$1/t$",
    "warm_up": "warm-up, cosine",
}
"""Values of the grids, and their titles in the figures."""
LIMITS = {"generalization_error": (1e-5, 1.0), "learning_time": (0.0, np.inf)}
"""Values beyond these limits are drawn like the limits."""
LEARNED = 0.9
"""The learning time is that at which R reaches this overlap."""
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
BATCH_SIZE, LABEL_NOISE = 32, 0.5
"""Schedules have this batch size and noise, and so have the maps over the other parameter."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Phase diagrams, and schedules at learning rates from 0.1 to 100."""

    presets: ClassVar = {
        "quick": {
            "rates": 25,
            "batch_sizes": (4, 32),
            "noises": (0.0, 0.5),
            "dimension": 200,
            "replicas": 4,
        },
        "paper": {
            "rates": 61,
            "batch_sizes": (4, 6, 8, 16, 32, 64, 128, 256),
            "noises": (0.0, 0.1, 0.2, 0.5, 1.0, 2.0),
            "dimension": 1000,
            "replicas": 16,
        },
    }
    store: Path = Path("results/phase_diagram.zarr")
    duration: float = 1000.0
    """Final time of the maps, in steps/N."""
    scheduled: float = 100.0
    """Final time under a schedule, in steps/N."""
    rates: int | None = None
    """Number of learning rates. The preset chooses this and the following if not given."""
    batch_sizes: tuple[int, ...] | None = None
    """Batch sizes of the maps, at least 4."""
    noises: tuple[float, ...] | None = None
    """Label noise of the maps."""
    dimension: int | None = None
    """N of the chain."""
    replicas: int | None = None
    """Runs of the chain."""


def learning_time(run: xr.Dataset, overlap: float) -> xr.DataArray:
    """Find when R first reaches a value, linear in log t between recorded times; inf if never."""
    time, reached = np.log(run["time"].values), (run["overlap"] >= overlap).values
    after = reached.argmax(axis=1)
    before, rows = np.maximum(after - 1, 0), np.arange(after.size)
    low, high = (run["overlap"].values[rows, k] for k in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(after > before, (overlap - low) / (high - low), 1.0)
        found = np.exp(time[before] + part * (time[after] - time[before]))
    return run["diverged_at"].copy(data=np.where(reached.any(axis=1), found, np.inf))


def finish(
    activation: str,
    student: str,
    batch_size: int,
    label_noise: float,
    learning_rate: np.ndarray,
    duration: float,
) -> xr.Dataset:
    """Compute the final values of one student at all learning rates, and its learning times."""
    setup = sbn.TeacherStudent(activation, student, batch_size, label_noise)
    time = np.geomspace(1e-3, duration, 121)
    run = sbn.macroscopic(setup, learning_rate, time, START, workers=1)
    found = run.isel(time=-1, drop=True).assign(learning_time=learning_time(run, LEARNED))
    return sbn.dataset.describe(found.assign_attrs(learned=LEARNED))


def schedules(duration: float) -> dict[str, sbn.schedules.Schedule | None]:
    """Return the schedules for runs of some duration."""
    make = sbn.schedules
    return {
        "constant": None,
        "step": make.step([duration / 2, 3 * duration / 4], 0.1),
        "cosine": make.cosine(duration),
        "inverse_time": make.inverse_time(duration / 20),
        "warm_up": make.warm_up(duration / 20, then=make.cosine(0.95 * duration)),
    }


def learn(student: str, schedule: str, level: str, duration: float, **arguments: Any) -> xr.Dataset:
    """Let one linear student learn under a schedule, at all learning rates."""
    setup = sbn.TeacherStudent("linear", student, BATCH_SIZE, LABEL_NOISE)
    return getattr(sbn, level)(
        setup,
        time=np.geomspace(0.1, duration, 41),
        start=START,
        schedule=schedules(duration)[schedule],
        workers=1,
        **arguments,
    )


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: the maps, and the runs under schedules at two levels."""
    rates = options.size("rates")
    maps = {
        "activation": list(ACTIVATIONS),
        "student": list(STUDENTS),
        "batch_size": options.size("batch_sizes"),
        "label_noise": options.size("noises"),
    }
    wide = np.geomspace(1e-3, 1e3, rates)
    narrow = np.geomspace(0.1, 100, rates // 2)
    finite: dict[str, Any] = {
        "dimension": options.size("dimension"),
        "replicas": options.size("replicas"),
        "seed": options.seed,
    }
    levels: dict[str, dict[str, Any]] = {
        "macroscopic": {"learning_rate": narrow},
        "mesoscopic": {"learning_rate": narrow[::3], **finite},
    }
    scheduled = {"student": list(STUDENTS), "schedule": list(SCHEDULES)}
    return {
        "maps": (partial(finish, learning_rate=wide, duration=options.duration), maps),
        **{
            f"schedules/{level}": (
                partial(learn, level=level, duration=options.scheduled, **more),
                scheduled,
            )
            for level, more in levels.items()
        },
    }


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the maps over batch size and over noise, and the schedules."""
    final = tree["maps"].to_dataset().load()
    maps = {
        f"{activation}, {student}": final.sel(activation=a, student=s)
        for a, activation in ACTIVATIONS.items()
        for s, student in STUDENTS.items()
    }
    slices: dict[str, dict[str, float]] = {
        "batch_size": {"label_noise": LABEL_NOISE},
        "label_noise": {"batch_size": BATCH_SIZE},
    }
    drawn = {}
    for variable in ("generalization_error", "learning_time"):
        for against, fixed in slices.items():
            panels = {title: found.sel(fixed) for title, found in maps.items()}
            drawn[f"{variable}_{against}"] = partial(
                sbn.plot.phase_diagram, panels, variable, against, limits=LIMITS[variable]
            )

    def schedules_drawn() -> Figure:
        levels = [
            tree[f"schedules/{level}"].to_dataset() for level in ("macroscopic", "mesoscopic")
        ]
        figure = sbn.plot.final_error(
            {
                title: {
                    label: [level.sel(student=student, schedule=name) for level in levels]
                    for name, label in SCHEDULES.items()
                }
                for student, title in STUDENTS.items()
            }
        )
        figure.axes[0].set_ylim(3e-5, 3.0)  # near 2M a chain is on its way to infinity
        return figure

    return {**drawn, "schedules": schedules_drawn}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures)
