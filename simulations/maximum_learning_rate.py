"""How large may a learning rate be? The maximum of each state, and where students diverge.

Three questions, linear and ReLU:

    trajectories/linear/batch/macroscopic    η_max and η_eff of the states that a student visits
    frontier/linear/mesoscopic               the η at which an unnormalized student explodes
    six_decades/relu/weight/mesoscopic       learning rates up to 10⁶

An unnormalized student explodes at the η at which a long one neither grows nor shrinks. Far out
its error is a power of its length alone, so the chain starts there, at L = 10⁵⁰, and the root of
its rate of growth is found by bisection, for every replica by itself: no threshold is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
import xarray as xr
from matplotlib.figure import Figure
from scipy.optimize import brentq
from tqdm import tqdm

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
"""The groups of the store, and their titles in the figures."""
STUDENTS = {"none": "no normalization", "weight": "weight norm.", "batch": "batch norm."}
LEVELS = ("macroscopic", "mesoscopic")
BATCH_SIZE = 8
LABEL_NOISE = 0.5
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
RATES = (0.5, 2.0, 8.0)
"""Of the trajectories."""
SCALE_RATE = 1.0
"""η_γ: the step of γ is not normalized, and has a maximum of its own."""
LARGEST = {"none": 1e3, "weight": np.inf, "batch": np.inf}
"""Rates of the six decades: the unnormalized student has long diverged at 10³."""
FAR_OUT, FAR_TIME = sbn.OrderParameters(overlap=0.05, length=1e50), 0.5
"""Start and time of the bisection; within it the length changes by less than e^(4M)."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"sizes": (1, 8, 32), "dimension": 1000, "replicas": 4, "rates": 7},
    "paper": {"sizes": (1, 2, 4, 8, 16, 32, 64), "dimension": 10_000, "replicas": 12, "rates": 13},
}


@dataclass(frozen=True)
class Options:
    """Maximum learning rates, by theory and by the chain."""

    store: Path = Path("results/maximum_learning_rate.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a minute or two."""
    seed: int = 0
    """All random numbers follow from it."""
    dimension: int | None = None
    """N of the chain; this and the following are the preset's unless given."""
    replicas: int | None = None
    """Runs of the chain."""
    rates: int | None = None
    """Number of learning rates between 1 and 10⁶."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name, None)
        return PRESETS[self.preset][name] if given is None else given


def setup(activation: str, student: str, batch_size: int = BATCH_SIZE) -> sbn.TeacherStudent:
    """Describe one student."""
    return sbn.TeacherStudent(activation, student, batch_size, label_noise=LABEL_NOISE)


def simulate(options: Options) -> xr.DataTree:
    """Compute trajectories, the frontier of divergence, and six decades of learning rates."""
    dimension, replicas = options.size("dimension"), options.size("replicas")
    chain = {"dimension": dimension, "replicas": replicas, "seed": options.seed}
    decades = np.geomspace(1.0, 1e6, options.size("rates"))
    steps = np.unique(np.geomspace(1, 30 * dimension, 80).round())
    time = np.concatenate([[0.0], steps / dimension])
    results: dict[str, xr.Dataset] = {}
    groups = [f"{activation}/{student}" for activation in ACTIVATIONS for student in STUDENTS]
    for group in tqdm(groups, desc="students", disable=None):
        activation, student = group.split("/")
        described = setup(activation, student)
        own = None if described.normalization == "none" else SCALE_RATE
        runs: dict[str, tuple[Any, Any, float | None]] = {
            "trajectories": (RATES, time, None),
            "six_decades": (decades[decades < LARGEST[student]], [1.0, 10.0], own),
        }
        for name, (rates, times, scale_rate) in runs.items():
            arguments: dict[str, Any] = {"start": START, "gamma_learning_rate": scale_rate}
            results[f"{name}/{group}/macroscopic"] = sbn.macroscopic(
                described, rates, times, **arguments
            )
            results[f"{name}/{group}/mesoscopic"] = sbn.mesoscopic(
                described, rates, times, **arguments, **chain
            )
        for level in LEVELS:
            found = results[f"trajectories/{group}/{level}"]
            found["maximum_rate"] = sbn.rates.maximum(described, found)
            found["effective_rate"] = sbn.rates.effective(described, found, found["learning_rate"])
    for activation in tqdm(ACTIVATIONS, desc="frontier", disable=None):
        exact, measured = frontier(options, activation)
        results[f"frontier/{activation}/macroscopic"] = exact
        results[f"frontier/{activation}/mesoscopic"] = measured
    return xr.DataTree.from_dict(results)


def frontier(options: Options, activation: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Find the η at which an unnormalized student explodes, by theory and with the chain."""
    sizes, dimension = options.size("sizes"), options.size("dimension")
    law = sbn.symbolic.divergence_learning_rate(activation).subs(sbn.symbolic.lamda, 0)
    exact = [float(law.subs(sbn.symbolic.M, size)) for size in sizes]
    seeds = range(options.seed, options.seed + options.size("replicas"))
    measured = [[explosion(activation, size, dimension, seed) for size in sizes] for seed in seeds]
    of_chain = {"level": "mesoscopic", "dimension": dimension, "seed": options.seed}
    coordinates = {"batch_size": list(sizes)}
    return (
        describe(
            xr.Dataset(
                {"divergence_rate": ("batch_size", exact)}, coordinates, {"level": "macroscopic"}
            )
        ),
        describe(
            xr.Dataset(
                {"divergence_rate": (("replica", "batch_size"), measured)}, coordinates, of_chain
            )
        ),
    )


def explosion(activation: str, batch_size: int, dimension: int, seed: int) -> float:
    """Bisect for the η at which a long unnormalized student neither grows nor shrinks."""
    described = setup(activation, "none", batch_size)

    def growth(log_rate: float) -> float:
        run = sbn.mesoscopic(described, np.exp(log_rate), [FAR_TIME], FAR_OUT, dimension, seed=seed)
        return float(np.log(run["length"].item() / FAR_OUT.length))

    return float(np.exp(brentq(growth, np.log(batch_size), np.log(4 * batch_size), xtol=1e-4)))


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the rates along trajectories, the frontier, and six decades."""

    def found(name: str, activation: str, student: str) -> list[xr.Dataset]:
        return [tree[f"{name}/{activation}/{student}/{level}"].to_dataset() for level in LEVELS]

    drawn = {}
    for activation in ACTIVATIONS:
        panels = [
            Panel("overlap", rate, found("trajectories", activation, student), None, title, "y")
            for rate, titles in (
                ("maximum_rate", STUDENTS.values()),
                ("effective_rate", [""] * len(STUDENTS)),
            )
            for student, title in zip(STUDENTS, titles, strict=True)
        ]
        drawn[f"along_{activation}"] = curves(panels, "learning_rate", columns=len(STUDENTS))
    levels = [
        describe(
            xr.concat(
                [tree[f"frontier/{a}/{level}"].to_dataset() for a in ACTIVATIONS],
                xr.DataArray(list(ACTIVATIONS.values()), dims="activation", name="activation"),
            )
        )
        for level in LEVELS
    ]
    for level in levels:
        level["divergence_per_sample"] = level["divergence_rate"] / level["batch_size"]
        describe(level)
    drawn["frontier"] = curves(
        [
            Panel("batch_size", "divergence_rate", levels),
            Panel("batch_size", "divergence_per_sample", levels, logarithmic="x"),
        ],
        "activation",
    )
    drawn["six_decades"] = sbn.plot.final_error(
        {
            title: {
                label: found("six_decades", activation, student)
                for student, label in STUDENTS.items()
            }
            for activation, title in ACTIVATIONS.items()
        }
    )
    return drawn


def main(options: Options) -> None:
    """Simulate, write the store, draw."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"maximum_learning_rate_{name}")
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
