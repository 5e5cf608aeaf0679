"""Where does a student learn? Final error and learning time over six decades of learning rates.

Students without normalization, with weight and with batch normalization, linear and ReLU, at
N → ∞: over learning rate × batch size × label noise, and under learning-rate schedules, there with
the chain at finite N as well. The store is a tree:

    maps/relu/batch                             activation / student: final values over the grid
    schedules/batch/cosine/macroscopic          student / schedule / level: linear students
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

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
"""The groups of the store, and their titles in the figures."""
LIMITS = {"generalization_error": (1e-5, 1.0), "learning_time": (0.0, np.inf)}
"""What lies beyond is drawn like these."""
LEARNED = 0.9
"""The overlap that takes the learning time."""
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
BATCH_SIZE, LABEL_NOISE = 32, 0.5
"""Of the schedules, and of the maps over the respective other parameter."""

PRESETS: dict[str, dict[str, Any]] = {
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


@dataclass(frozen=True)
class Options:
    """Phase diagrams, and schedules at learning rates from 0.1 to 100."""

    store: Path = Path("results/phase_diagram.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a minute or two."""
    seed: int = 0
    """All random numbers of the chain follow from it."""
    duration: float = 1000.0
    """Final time of the maps, in steps/N."""
    scheduled: float = 100.0
    """Final time under a schedule, in steps/N."""
    rates: int | None = None
    """Number of learning rates; this and the following are the preset's unless given."""
    batch_sizes: tuple[int, ...] | None = None
    """Of the maps; at least 4."""
    noises: tuple[float, ...] | None = None
    """Label noise of the maps."""
    dimension: int | None = None
    """N of the chain."""
    replicas: int | None = None
    """Runs of the chain."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


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


def phase_map(
    activation: str, student: str, rates: np.ndarray, sizes: Any, noises: Any, duration: float
) -> xr.Dataset:
    """Compute the final values of one student over learning rate × batch size × label noise."""
    time = np.geomspace(1e-3, duration, 121)
    rows = []
    for size in sizes:
        columns = []
        for noise in noises:
            setup = sbn.TeacherStudent(activation, student, int(size), label_noise=float(noise))
            run = sbn.macroscopic(setup, rates, time, START)
            found = run.isel(time=-1, drop=True).assign(learning_time=learning_time(run, LEARNED))
            columns.append(found.assign_coords(label_noise=float(noise)))
        column = xr.concat(columns, "label_noise", combine_attrs="override")
        rows.append(column.assign_coords(batch_size=int(size)))
    found = xr.concat(rows, "batch_size", combine_attrs="override")
    del found.attrs["setup"]  # its batch size and noise are coordinates
    found.attrs.update(activation=activation, normalization=student, learned=LEARNED)
    return sbn.dataset.describe(found)


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


def simulate(options: Options) -> xr.DataTree:
    """Compute the maps and the runs under schedules."""
    sizes, noises = options.size("batch_sizes"), options.size("noises")
    wide = np.geomspace(1e-3, 1e3, options.size("rates"))
    results: dict[str, xr.Dataset] = {}
    groups = [(activation, student) for activation in ACTIVATIONS for student in STUDENTS]
    for activation, student in tqdm(groups, desc="maps", disable=None):
        found = phase_map(activation, student, wide, sizes, noises, options.duration)
        results[f"maps/{activation}/{student}"] = found
    rates = np.geomspace(0.1, 100, options.size("rates") // 2)
    time = np.geomspace(0.1, options.scheduled, 41)
    for student in tqdm(STUDENTS, desc="schedules", disable=None):
        setup = sbn.TeacherStudent("linear", student, BATCH_SIZE, label_noise=LABEL_NOISE)
        for name, schedule in schedules(options.scheduled).items():
            group = f"schedules/{student}/{name}"
            results[f"{group}/macroscopic"] = sbn.macroscopic(
                setup, rates, time, START, schedule=schedule
            )
            results[f"{group}/mesoscopic"] = sbn.mesoscopic(
                setup,
                rates[::3],
                time,
                START,
                options.size("dimension"),
                options.size("replicas"),
                options.seed,
                schedule=schedule,
            )
    return xr.DataTree.from_dict(results)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the maps over batch size and over noise, and the schedules."""
    maps = {
        f"{ACTIVATIONS[a]}, {STUDENTS[s]}": tree[f"maps/{a}/{s}"].to_dataset().load()
        for a in ACTIVATIONS
        for s in STUDENTS
    }
    slices: dict[str, dict[str, float]] = {
        "batch_size": {"label_noise": LABEL_NOISE},
        "label_noise": {"batch_size": BATCH_SIZE},
    }
    drawn = {}
    for variable in ("generalization_error", "learning_time"):
        for against, fixed in slices.items():
            panels = {title: found.sel(fixed) for title, found in maps.items()}
            drawn[f"{variable}_{against}"] = sbn.plot.phase_diagram(
                panels, variable, against, limits=LIMITS[variable]
            )
    drawn["schedules"] = sbn.plot.final_error(
        {
            title: {
                label: [
                    tree[f"schedules/{student}/{name}/{level}"].to_dataset()
                    for level in ("macroscopic", "mesoscopic")
                ]
                for name, label in SCHEDULES.items()
            }
            for student, title in STUDENTS.items()
        }
    )
    drawn["schedules"].axes[0].set_ylim(3e-5, 3.0)  # near 2M a chain is on its way to infinity
    return drawn


def main(options: Options) -> None:
    """Simulate, write the store, draw."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"phase_diagram_{name}")
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
