"""Which learning rates can a student take? Three decades of them, with and without normalization.

A student without normalization diverges above η = 2M; normalized ones never do, because a large
step only makes them longer, which shrinks the next step. Four students, linear and ReLU, at three
levels. The store is a tree with one group for each result, say

    relu/batch/macroscopic       activation / student / level

`statmech_bn.open` opens the tree; each group has its setup in its attributes.
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

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
"""The groups of the store, and their titles in the figures."""
STUDENTS = {
    "none": "no normalization",
    "weight": "weight norm.",
    "weight_gamma_decay": r"weight norm. + $\gamma$ decay",
    "batch": "batch norm.",
}
LEVELS = ("macroscopic", "mesoscopic", "microscopic")
BATCH_SIZE = 32
LABEL_NOISE = 0.5
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"rates": 7, "dimension": 200, "replicas": 16, "networks": 4},
    "paper": {"rates": 13, "dimension": 500, "replicas": 64, "networks": 6},
}


@dataclass(frozen=True)
class Options:
    """Learning at learning rates from 0.15 to 150, and figures of it."""

    store: Path = Path("results/learning_rates.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a few minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    duration: float = 30.0
    """Final time, in steps/N."""
    rates: int | None = None
    """Number of learning rates; this and the following are the preset's unless given."""
    dimension: int | None = None
    """N, of the chain and of the network: both then follow the same law."""
    replicas: int | None = None
    """Runs of the chain."""
    networks: int | None = None
    """Runs of the network."""

    def size(self, name: str) -> int:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def setup(activation: str, student: str) -> sbn.TeacherStudent:
    """Describe one student; its γ decay is the one that batch statistics are worth at order 1/M."""
    shrinkage = 3 / (8 * BATCH_SIZE)  # ζ for a linear unit, whose E[g'²u²] is 1
    return sbn.TeacherStudent(
        activation,
        normalization="weight" if student == "weight_gamma_decay" else student,
        batch_size=BATCH_SIZE,
        label_noise=LABEL_NOISE,
        gamma_decay=(
            shrinkage * {"linear": 1.0, "relu": 0.5}[activation]
            if student == "weight_gamma_decay"
            else 0.0
        ),
    )


def simulate(options: Options) -> xr.DataTree:
    """Compute all students at all levels."""
    rates = np.geomspace(0.15, 150, options.size("rates"))
    dimension = options.size("dimension")
    first, last = max(1.0, 0.01 * dimension), options.duration * dimension
    time = np.unique(np.geomspace(first, last, 61).round()) / dimension  # whole steps
    results: dict[str, xr.Dataset] = {}
    groups = [f"{activation}/{student}" for activation in ACTIVATIONS for student in STUDENTS]
    for group in tqdm(groups, desc="students", disable=None):
        described = setup(*group.split("/"))
        results[f"{group}/macroscopic"] = sbn.macroscopic(described, rates, time, START)
        results[f"{group}/mesoscopic"] = sbn.mesoscopic(
            described, rates, time, START, dimension, options.size("replicas"), options.seed
        )
        results[f"{group}/microscopic"] = sbn.microscopic(
            described, rates, time, START, dimension, options.size("networks"), options.seed
        )
    return xr.DataTree.from_dict(results)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the final errors, and how the students got there."""

    def found(activation: str, student: str) -> list[xr.Dataset]:
        return [tree[f"{activation}/{student}/{level}"].to_dataset() for level in LEVELS]

    drawn = {
        "final_error": sbn.plot.final_error(
            {
                title: {label: found(activation, student) for student, label in STUDENTS.items()}
                for activation, title in ACTIVATIONS.items()
            }
        )
    }
    for activation in ACTIVATIONS:
        for student in ("none", "weight_gamma_decay", "batch"):
            theory, chain, network = (
                d.isel(learning_rate=slice(0, None, 3)) for d in found(activation, student)
            )
            shown = [v for v in sbn.plot.VARIABLES if v != "gamma" or student != "none"]
            drawn[f"{activation}_{student}"] = sbn.plot.trajectories(theory, chain, network, shown)
    return drawn


def main(options: Options) -> None:
    """Simulate, write the store, draw."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"learning_rates_{name}")
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
