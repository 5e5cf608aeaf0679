"""Is batch normalization population normalization plus gamma decay? And how much decay.

Two theories of order 1/M say where the scale γ stops: one takes the statistics of a batch to be
independent of the samples that they normalize, the other counts each sample among the M that make
them. Here γ is measured. The groups of the store:

    shrinkage       the chain's γ at rest, and both theories, over activation × batch size
    parts           the γ of least loss if only μ_B fluctuates (mean), only σ_B (spread), or both
    inputs          the network's γ at rest for other inputs, and for real digits
    landscape       the loss as a function of γ, over activation
    trajectories/   learning, with batch normalization and with population normalization and each
                    decay, over activation × student, at two levels: macroscopic, mesoscopic
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from handwritten import pixels

import statmech_bn as sbn
from statmech_bn.study import mean_and_error

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
INFORMATION = {"linear": 1.0, "relu": 0.5}
"""The decay of a homogeneous unit is this E[g'²] times that of a linear one."""
PARTS = {"linear": "linear", "relu": "ReLU", "tanh": "tanh"}
FLUCTUATING = ("mean", "spread", "both")
STUDENTS = {
    "population": "PN",
    "independent": r"PN + independent $\gamma$ decay",
    "correlated": r"PN + correlated $\gamma$ decay",
    "slowed": r"PN + correlated $\gamma$ decay, $\eta$ reduced",
    "batch": "BN",
}
LEVELS = ("macroscopic", "mesoscopic")
AT_REST = sbn.OrderParameters(overlap=1.0, length=1.0, gamma=1.0)
HELD = 1e-12
"""Weights that are to stay where they are have this learning rate."""
SETTLED = 20.0
"""γ has forgotten its start after this time, in steps/N."""
INPUT_BATCH, LANDSCAPE_BATCH, TRAJECTORY_BATCH = 64, 8, 16
START, TRAJECTORY_NOISE, TRAJECTORY_RATE = sbn.OrderParameters(0.05, 1.0, 1.0), 0.5, 1.0


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """The scale of batch normalization at rest, measured and predicted."""

    presets: ClassVar = {
        "quick": {"sizes": (4, 16, 64, 256), "samples": 2e6, "steps": 4_000, "replicas": 8},
        "paper": {
            "sizes": (3, 4, 6, 8, 16, 32, 64, 128, 256, 512, 1024),
            "samples": 1e8,
            "steps": 60_000,
            "replicas": 16,
        },
    }
    store: Path = Path("results/gamma_decay.zarr")
    sizes: tuple[int, ...] | None = None
    """Batch sizes. The preset chooses these and the following if not given."""
    samples: float | None = None
    """Samples of each point."""
    steps: int | None = None
    """Steps of the network for each kind of inputs."""
    replicas: int | None = None
    """Independent runs, from which the error bars come."""


@cache
def zeta(statistics: str, activation: str, batch_size: int) -> float:
    """Return ζ, the coefficient of gamma decay, of a homogeneous unit under Gaussian fields."""
    derived = sbn.symbolic.gamma_decay(statistics, "linear", "gaussian").zeta
    linear = derived.subs({sbn.symbolic.M: batch_size, sbn.symbolic.gamma: 1})
    return INFORMATION[activation] * float(linear)


def shrinkage(
    activation: str, batch_size: int, samples: float, replicas: int, seed: int
) -> xr.Dataset:
    """Let the chain's γ come to rest at R = 1."""
    dimension = 100
    duration = max(3 * SETTLED, samples / (replicas * batch_size * dimension))
    run = sbn.mesoscopic(
        sbn.TeacherStudent(activation, "batch", batch_size), HELD,
        np.arange(SETTLED, duration, 0.5), AT_REST, dimension, replicas, seed + batch_size,
        gamma_learning_rate=1.0, workers=1,
    )  # fmt: skip
    theory = sbn.stationary_gamma(activation, batch_size)
    return beside_theory(at_rest(run), theory, "both").assign(exact=theory["gamma_exact"])


def at_rest(run: xr.Dataset) -> xr.DataArray:
    """Average γ over the recorded times."""
    return run["gamma"].isel(learning_rate=0, drop=True).mean("time")


def beside_theory(gamma: xr.DataArray, theory: xr.Dataset, part: str) -> xr.Dataset:
    """Put the γ of both theories, and that of an infinite batch, beside the measured one."""
    predicted = {
        statistics: theory["gamma"].sel(statistics=statistics, part=part).reset_coords(drop=True)
        for statistics in ("independent", "correlated")
    }
    found = {"gamma": gamma, **predicted, "population": theory["gamma_population"]}
    return sbn.dataset.describe(xr.Dataset(found))


def least_loss(
    activation: str, part: str, batch_size: int, samples: float, replicas: int, seed: int
) -> xr.Dataset:
    """Find the γ of least loss where only μ_B, only σ_B, or both fluctuate."""
    theory = sbn.stationary_gamma(activation, batch_size)
    near = theory["gamma"].sel(statistics="correlated", part=part).item()
    losses = sbn.batch_loss(
        activation, batch_size, near + np.array([-1, 0, 1]) * (0.05 + 1 / batch_size), part,
        batches=int(samples / 4 / replicas / batch_size) + 1,
        replicas=replicas, seed=seed, workers=1,
    )  # fmt: skip
    return beside_theory(sbn.loss_minimum(losses), theory, part)


@dataclass(frozen=True)
class Field:
    """Inputs and a teacher, whose field has a known spread and excess kurtosis."""

    inputs: sbn.Inputs
    teacher: np.ndarray
    spread: float
    excess_kurtosis: float


def fields() -> dict[str, Field]:
    """Return inputs with independent components, of which the teacher looks at one or at four.

    The excess kurtosis of a sum of k components is that of one of them, divided by k.
    """
    draws: dict[str, tuple[Callable[..., np.ndarray], float]] = {
        "uniform": (lambda g, shape: g.uniform(-np.sqrt(3), np.sqrt(3), shape), -1.2),
        "laplace": (lambda g, shape: g.laplace(0, np.sqrt(0.5), shape), 3.0),
        "student_t": (lambda g, shape: np.sqrt(0.8) * g.standard_t(10, shape), 1.0),
    }
    found = {}
    for name, (draw, excess) in draws.items():

        def source(generator: np.random.Generator, *shape: int, draw: Any = draw) -> np.ndarray:
            return draw(generator, shape)

        inputs = sbn.Inputs(source, name=name)
        found[name] = Field(inputs, np.array([1.0, 0, 0, 0]), 1.0, excess)
        found[f"{name}_sum"] = Field(inputs, np.ones(4), 1.0, excess / 4)
    return {**found, **digits()}


def digits() -> dict[str, Field]:
    """Return the handwritten digits of scikit-learn, along principal components and summed up."""
    images = pixels()
    images = (images - images.mean(axis=0)) / images.std()
    axes = np.linalg.svd(images, full_matrices=False)[2]
    teachers = {"component_1": axes[0], "component_20": axes[19], "sum": np.ones(images.shape[1])}
    found = {}
    for name, teacher in teachers.items():
        field = images @ teacher / np.linalg.norm(teacher)
        excess = (field**4).mean() / (field**2).mean() ** 2 - 3
        inputs = sbn.Inputs(images, name="digits")
        found[f"digits_{name}"] = Field(inputs, teacher, field.std().item(), excess.item())
    return found


def other_inputs(inputs: str, steps: int, replicas: int, seed: int) -> xr.Dataset:
    """Let the network's γ come to rest for inputs that are not Gaussian; γ in units of σ_P."""
    field = fields()[inputs]
    dimension = field.teacher.size
    run = sbn.microscopic(
        sbn.TeacherStudent("linear", "batch", INPUT_BATCH), HELD,
        np.arange(SETTLED, SETTLED + steps / replicas / dimension),
        sbn.OrderParameters(1.0, 1.0, field.spread), dimension, replicas, seed,
        gamma_learning_rate=1.0, workers=1, inputs=field.inputs, teacher=field.teacher,
    )  # fmt: skip
    found = {
        "gamma": at_rest(run) / field.spread,
        "excess_kurtosis": field.excess_kurtosis,
        "batch_size": INPUT_BATCH,
    }
    return sbn.dataset.describe(xr.Dataset(found))


def landscape(activation: str, samples: float, replicas: int, seed: int) -> xr.Dataset:
    """Measure the loss at R = 1 against γ, beside the population's and both penalties ζγ²."""
    gamma, size = np.linspace(0, 1.6, 17), LANDSCAPE_BATCH
    losses = sbn.batch_loss(
        activation, size, gamma, batches=int(samples / 8 / replicas / size) + 1,
        replicas=replicas, seed=seed, workers=1,
    )  # fmt: skip
    error = sbn.symbolic.generalization_error(activation).subs(sbn.symbolic.R, 1)
    population = [float(error.subs(sbn.symbolic.gamma, value)) for value in gamma]
    losses["population"] = ("gamma", population)
    for statistics in ("independent", "correlated"):
        decay = zeta(statistics, activation, size) * losses["gamma"] ** 2
        losses[statistics] = losses["population"] + decay
    whole = sbn.symbolic.gamma_decay("correlated", "linear", "gaussian").penalty
    slope = INFORMATION[activation] * whole.diff(sbn.symbolic.gamma).subs(sbn.symbolic.M, size)
    losses["penalty"] = losses["population"] + float(slope) * losses["gamma"]
    return losses


def describe_student(activation: str, name: str) -> tuple[sbn.TeacherStudent, float]:
    """Describe one student of the trajectories, and its learning rate."""
    size, rate = TRAJECTORY_BATCH, TRAJECTORY_RATE
    if name == "slowed":
        rate *= 1 - 2 * zeta("correlated", "linear", size)
    statistics = "correlated" if name == "slowed" else name
    setup = sbn.TeacherStudent(
        activation, "batch" if name == "batch" else "population", size, TRAJECTORY_NOISE,
        0.0 if name in ("batch", "population") else zeta(statistics, activation, size),
    )  # fmt: skip
    return setup, rate


def learn(activation: str, student: str, level: str, **arguments: Any) -> xr.Dataset:
    """Let one student learn, at its learning rate.

    The γ decay of batch normalization varies with the state; that of the others is the ζ that they
    are given, constant in time.
    """
    setup, rate = describe_student(activation, student)
    time = np.geomspace(0.1, 40, 61).round(3)  # whole steps
    run = getattr(sbn, level)(
        setup, rate, time, START, gamma_learning_rate=TRAJECTORY_RATE, workers=1, **arguments
    )
    decay = (
        sbn.effective_gamma_decay(run)
        if student == "batch"
        else xr.full_like(run["gamma"], setup.gamma_decay)
    )
    found = run.isel(learning_rate=0).assign(
        effective_gamma_decay=decay.isel(learning_rate=0),
        independent=zeta("independent", activation, setup.batch_size),
        correlated=zeta("correlated", activation, setup.batch_size),
        batch_size=setup.batch_size,
    )
    return sbn.dataset.describe(found)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is measured."""
    replicas, sizes = options.size("replicas"), options.size("sizes")
    finite = {"replicas": replicas, "seed": options.seed}
    sampled = {"samples": options.size("samples"), **finite}
    activations = {"activation": list(ACTIVATIONS)}
    students = {**activations, "student": list(STUDENTS)}
    chain = {"dimension": 1000, "replicas": 4 * replicas, "seed": options.seed}
    return {
        "shrinkage": (partial(shrinkage, **sampled), {**activations, "batch_size": sizes}),
        "parts": (
            partial(least_loss, **sampled),
            {
                "activation": list(PARTS),
                "part": FLUCTUATING,
                "batch_size": [size for size in sizes if 8 <= size <= 256],
            },
        ),
        "inputs": (
            partial(other_inputs, steps=options.size("steps"), **finite),
            {"inputs": list(fields())},
        ),
        "landscape": (partial(landscape, **sampled), activations),
        "trajectories/macroscopic": (partial(learn, level="macroscopic"), students),
        "trajectories/mesoscopic": (partial(learn, level="mesoscopic", **chain), students),
    }


def distances(tree: xr.DataTree, activation: str) -> pd.DataFrame:
    """Return the root mean square over time of each student's distance from batch norm., N → ∞.

    The length counts by its logarithm; "all" is the root of the sum of squares of R, log L and γ.
    """
    states = tree["trajectories/macroscopic"].to_dataset().sel(activation=activation)
    states = states[list(sbn.plot.VARIABLES)].assign(length=np.log(states["length"]))
    others = states.drop_sel(student="batch")
    squares = ((others - states.sel(student="batch", drop=True)) ** 2).mean("time")
    squares["all"] = sum(squares[v] for v in ("overlap", "length", "gamma"))
    rows = [STUDENTS[name] for name in others["student"].values]
    return pd.DataFrame({name: v.values**0.5 for name, v in squares.items()}, index=rows)


def scores(tree: xr.DataTree, activation: str) -> pd.DataFrame:
    """Table M(1 − γ) of the chain, and by how many standard errors each theory misses it."""
    found = tree["shrinkage"].to_dataset().sel(activation=activation).dropna("batch_size")
    size = found["batch_size"]
    measured, error = mean_and_error(size * (1 - found["gamma"]))
    table = {"measured": measured, "standard error": error}
    for name in ("independent", "correlated", "exact"):
        table[name] = size * (1 - found[name])
        table[f"{name}: errors away"] = (measured - table[name]) / error
    return pd.DataFrame({name: column.values for name, column in table.items()}, index=size.values)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the shrinkage, its parts, other inputs, the loss landscape and the trajectories."""

    shrunk, fluctuating, losses = (
        tree[group].to_dataset() for group in ("shrinkage", "parts", "landscape")
    )
    levels = [tree[f"trajectories/{level}"].to_dataset() for level in LEVELS]

    def learned(activation: str, student: str) -> list[xr.Dataset]:
        return [level.sel(activation=activation, student=student) for level in levels]

    return {
        "shrinkage": lambda: sbn.plot.shrinkage(
            {title: shrunk.sel(activation=a) for a, title in ACTIVATIONS.items()}
        ),
        "parts": lambda: sbn.plot.shrinkage_parts(
            {
                title: {part: fluctuating.sel(activation=a, part=part) for part in FLUCTUATING}
                for a, title in PARTS.items()
            }
        ),
        "kurtosis": lambda: sbn.plot.shrinkage_kurtosis(tree["inputs"].to_dataset()),
        "landscape": lambda: sbn.plot.loss_landscape(
            {title: losses.sel(activation=a) for a, title in ACTIVATIONS.items()}
        ),
        "trajectories": lambda: sbn.plot.differences(
            {
                title: {label: learned(a, name) for name, label in STUDENTS.items()}
                for a, title in ACTIVATIONS.items()
            },
            STUDENTS["batch"],
        ),
        "effective": lambda: sbn.plot.effective_decay(
            {title: learned(a, "batch") for a, title in ACTIVATIONS.items()}
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare γ at rest and the trajectories with both theories."""
    captions = {
        "M(1 − γ), and by how many standard errors each theory misses it": scores,
        "distance from batch normalization": distances,
    }
    return {
        f"{title}: {caption}": compare(tree, activation)
        for activation, title in ACTIVATIONS.items()
        for caption, compare in captions.items()
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
