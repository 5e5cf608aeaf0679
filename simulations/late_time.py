"""What is left of the learning rate after a long time? Nothing, for a normalized student.

Noise makes a normalized student longer, and a longer one turns less. Whatever η is, L⁴ grows like
η²t, so that η_eff = ηγ/L² falls like t^(−1/2) and 1 − R follows it, both without η. Weight and
batch normalization, linear and ReLU, each with its own constants. The groups of the store:

    macroscopic             over five decades of time
    mesoscopic, smaller     the chain, until earlier, at N and at N/2
    asymptote               `statmech_bn.rates.late_time`

At finite N a student has N − 1 directions to err in, of N: the chain approaches the flow as 1/N.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves
from statmech_bn.study import mean_and_error

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
STUDENTS = {"weight": "weight norm.", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
VARIABLES = ("length_per_root_rate", "effective_rate", "misalignment")
BATCH_SIZE = 8
LABEL_NOISE = 0.5
RATES = (0.3, 3.0, 30.0)
SCALE_RATE = 1.0
"""All runs have this η_γ; otherwise the noise of γ at finite N would grow with η."""
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
FIRST, LAST = 1.0, 1e5


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """The late time of normalized students, by the flow and the chain."""

    presets: ClassVar = {
        "quick": {"dimension": 50, "replicas": 8, "duration": 300.0},
        "paper": {"dimension": 100, "replicas": 64, "duration": 3000.0},
    }
    store: Path = Path("results/late_time.zarr")
    dimension: int | None = None
    """N of the chain, even. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Runs of the chain."""
    duration: float | None = None
    """Final time of the chain."""


def setup(activation: str, student: str) -> sbn.TeacherStudent:
    """Describe one student."""
    return sbn.TeacherStudent(activation, student, BATCH_SIZE, label_noise=LABEL_NOISE)


def learn(activation: str, student: str, level: str, **arguments: Any) -> xr.Dataset:
    """Let one student learn, and add what the asymptote is about."""
    described = setup(activation, student)
    result = getattr(sbn, level)(
        described, RATES, start=START, gamma_learning_rate=SCALE_RATE, workers=1, **arguments
    )
    rate = result["learning_rate"]
    result["effective_rate"] = sbn.rates.effective(described, result, rate)
    result["misalignment"] = 1 - result["overlap"]
    result["length_per_root_rate"] = result["length"] / np.sqrt(rate)
    return describe(result)


def asymptote(activation: str, student: str, time: np.ndarray) -> xr.Dataset:
    """Return what all learning rates of one student come to."""
    return sbn.rates.late_time(setup(activation, student), time)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: all students at both levels, and their asymptotes."""
    dimension = options.size("dimension")
    time = np.geomspace(FIRST, LAST, 51)
    chain = partial(
        learn,
        level="mesoscopic",
        time=time[time <= options.size("duration")],
        replicas=options.size("replicas"),
        seed=options.seed,
    )
    grid = {"activation": list(ACTIVATIONS), "student": list(STUDENTS)}
    return {
        "macroscopic": (partial(learn, level="macroscopic", time=time), grid),
        "mesoscopic": (partial(chain, dimension=dimension), grid),
        "smaller": (partial(chain, dimension=dimension // 2), grid),
        "asymptote": (partial(asymptote, time=time), grid),
    }


def infinite_dimension(larger: xr.Dataset, smaller: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Extrapolate the chain in 1/N from N and N/2; returns the mean and its standard error."""
    means, errors = xr.Dataset(), xr.Dataset()
    for name in VARIABLES:
        (mean, error), (less, more) = (mean_and_error(run[name]) for run in (larger, smaller))
        means[name], errors[name] = 2 * mean - less, np.sqrt(4 * error**2 + more**2)
    return means, errors


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw length, effective rate and misalignment of every student."""
    drawn = {}
    for activation, name in ACTIVATIONS.items():
        panels = []
        for student, title in STUDENTS.items():
            where = {"activation": activation, "student": student}
            *levels, law = (
                tree[group].to_dataset().sel(where)
                for group in ("macroscopic", "mesoscopic", "asymptote")
            )
            panels += [
                Panel("time", variable, levels, law, text)
                for variable, text in zip(VARIABLES, (f"{name}, {title}", "", ""), strict=True)
            ]
        drawn[activation] = partial(
            curves, panels, "learning_rate", columns=len(VARIABLES), reference="asymptote"
        )
    return drawn


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures)
