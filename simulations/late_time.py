"""What is left of the learning rate after a long time? Nothing, for a normalized student.

Noise makes a normalized student longer, and a longer one turns less. Whatever η is, L⁴ grows like
η²t, so that η_eff = ηγ/L² falls like t^(−1/2) and 1 − R follows it, both without η. Weight and
batch normalization, linear and ReLU, each with its own constants. The store:

    linear/batch/macroscopic     over five decades of time
    linear/batch/mesoscopic      the chain, until earlier, at two dimensions: mesoscopic, smaller
    linear/batch/asymptote       `statmech_bn.rates.late_time`

At finite N a student has N − 1 directions to err in, of N: the chain approaches the flow as 1/N.
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
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
"""The groups of the store, and their titles in the figures."""
STUDENTS = {"weight": "weight norm.", "batch": "batch norm."}
VARIABLES = ("length_per_root_rate", "effective_rate", "misalignment")
BATCH_SIZE = 8
LABEL_NOISE = 0.5
RATES = (0.3, 3.0, 30.0)
SCALE_RATE = 1.0
"""η_γ of all, or the noise of γ at finite N would grow with η."""
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
FIRST, LAST = 1.0, 1e5

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"dimension": 50, "replicas": 8, "duration": 300.0},
    "paper": {"dimension": 100, "replicas": 64, "duration": 3000.0},
}


@dataclass(frozen=True)
class Options:
    """The late time of normalized students, by the flow and the chain."""

    store: Path = Path("results/late_time.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a minute or two."""
    seed: int = 0
    """All random numbers follow from it."""
    dimension: int | None = None
    """N of the chain, even; this and the following are the preset's unless given."""
    replicas: int | None = None
    """Runs of the chain."""
    duration: float | None = None
    """Final time of the chain."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def setup(activation: str, student: str) -> sbn.TeacherStudent:
    """Describe one student."""
    return sbn.TeacherStudent(activation, student, BATCH_SIZE, label_noise=LABEL_NOISE)


def simulate(options: Options) -> xr.DataTree:
    """Compute all students at both levels, and their asymptotes."""
    dimension, replicas = options.size("dimension"), options.size("replicas")
    time = np.geomspace(FIRST, LAST, 51)
    early = time[time <= options.size("duration")]
    results: dict[str, xr.Dataset] = {}
    groups = [f"{activation}/{student}" for activation in ACTIVATIONS for student in STUDENTS]
    for group in tqdm(groups, desc="students", disable=None):
        described = setup(*group.split("/"))
        results[f"{group}/macroscopic"] = sbn.macroscopic(described, RATES, time, START, SCALE_RATE)
        for level, size in (("mesoscopic", dimension), ("smaller", dimension // 2)):
            results[f"{group}/{level}"] = sbn.mesoscopic(
                described, RATES, early, START, size, replicas, options.seed, SCALE_RATE
            )
        for level in ("macroscopic", "mesoscopic", "smaller"):
            add_rates(described, results[f"{group}/{level}"])
        results[f"{group}/asymptote"] = sbn.rates.late_time(described, time)
    return xr.DataTree.from_dict(results)


def add_rates(described: sbn.TeacherStudent, result: xr.Dataset) -> None:
    """Add what the asymptote is about."""
    rate = result["learning_rate"]
    result["effective_rate"] = sbn.rates.effective(described, result, rate)
    result["misalignment"] = 1 - result["overlap"]
    result["length_per_root_rate"] = result["length"] / np.sqrt(rate)
    describe(result)


def infinite_dimension(larger: xr.Dataset, smaller: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Extrapolate the chain in 1/N from N and N/2; returns the mean and its standard error."""
    means, errors = [], []
    for result in (larger, smaller):
        values = result[list(VARIABLES)]
        means.append(values.mean("replica"))
        errors.append(values.std("replica", ddof=1) / np.sqrt(values.sizes["replica"]))
    mean = 2 * means[0] - means[1]
    return mean, np.sqrt(4 * errors[0] ** 2 + errors[1] ** 2)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw length, effective rate and misalignment of every student."""
    drawn = {}
    for activation, name in ACTIVATIONS.items():
        panels = []
        for student, title in STUDENTS.items():
            group = tree[f"{activation}/{student}"]
            levels = [group[level].to_dataset() for level in ("macroscopic", "mesoscopic")]
            asymptote = group["asymptote"].to_dataset()
            panels += [
                Panel("time", variable, levels, asymptote, text)
                for variable, text in zip(VARIABLES, (f"{name}, {title}", "", ""), strict=True)
            ]
        drawn[activation] = curves(
            panels, "learning_rate", columns=len(VARIABLES), reference="asymptote"
        )
    return drawn


def main(options: Options) -> None:
    """Simulate, write the store, draw."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"late_time_{name}")
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
