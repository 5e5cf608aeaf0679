"""Is batch normalization population normalization plus gamma decay? And how much decay.

Two theories of order 1/M say where the scale γ stops: one takes the statistics of a batch to be
independent of the samples that they normalize, the other counts each sample among the M that make
them. Here γ is measured. The store is a tree:

    shrinkage/relu               the chain's γ at rest, over batch sizes, and both theories
    parts/relu/mean              the γ of least loss if only μ_B fluctuates (or spread: σ_B; both)
    inputs/laplace               the network's γ at rest for other inputs, and for real digits
    landscape/relu               the loss as a function of γ
    trajectories/relu/batch/...  learning, beside population normalization with each decay
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
INFORMATION = {"linear": 1.0, "relu": 0.5}
"""E[g'²], by which the decay of a linear unit is to be multiplied for a homogeneous one."""
PARTS = {"linear": "linear", "relu": "ReLU", "tanh": "tanh"}
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
"""Learning rate of weights that are to stay where they are."""
SETTLED = 20.0
"""Time after which γ has forgotten its start."""
INPUT_BATCH, LANDSCAPE_BATCH, TRAJECTORY_BATCH = 64, 8, 16
START, TRAJECTORY_NOISE, TRAJECTORY_RATE = sbn.OrderParameters(0.05, 1.0, 1.0), 0.5, 1.0

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"sizes": (4, 16, 64, 256), "samples": 2e6, "steps": 4_000, "replicas": 8},
    "paper": {
        "sizes": (3, 4, 6, 8, 16, 32, 64, 128, 256, 512, 1024),
        "samples": 1e8,
        "steps": 60_000,
        "replicas": 16,
    },
}


@dataclass(frozen=True)
class Options:
    """The scale of batch normalization at rest, measured and predicted."""

    store: Path = Path("results/gamma_decay.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    sizes: tuple[int, ...] | None = None
    """Batch sizes; these and the following are the preset's unless given."""
    samples: float | None = None
    """Samples of each point."""
    steps: int | None = None
    """Steps of the network for each kind of inputs."""
    replicas: int | None = None
    """Independent runs, from which the error bars come."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def zeta(statistics: str, activation: str, batch_size: int) -> float:
    """Coefficient of gamma decay of a homogeneous unit under Gaussian fields."""
    derived = sbn.symbolic.gamma_decay(statistics, "linear", "gaussian").zeta
    linear = derived.subs({sbn.symbolic.M: batch_size, sbn.symbolic.gamma: 1})
    return INFORMATION[activation] * float(linear)


def shrinkage(activation: str, options: Options) -> xr.Dataset:
    """Let the chain's γ come to rest at R = 1 for each batch size."""
    sizes, replicas, dimension = options.size("sizes"), options.size("replicas"), 100
    measured = []
    for size in tqdm(sizes, desc=f"chain, {activation}", disable=None, leave=False):
        duration = max(3 * SETTLED, options.size("samples") / (replicas * size * dimension))
        run = sbn.mesoscopic(
            sbn.TeacherStudent(activation, "batch", size), HELD,
            np.arange(SETTLED, duration, 0.5), AT_REST, dimension, replicas, options.seed + size,
            gamma_learning_rate=1.0,
        )  # fmt: skip
        measured.append(run["gamma"].isel(learning_rate=0, drop=True).mean("time"))
    found = xr.concat(measured, xr.Variable("batch_size", np.array(sizes))).to_dataset()
    theory = sbn.stationary_gamma(activation, sizes)
    return with_theory(found, theory.sel(part="both")).assign(exact=theory["gamma_exact"])


def with_theory(measured: xr.Dataset, theory: xr.Dataset) -> xr.Dataset:
    """Put the γ of both theories beside the measured one."""
    predicted = {
        statistics: theory["gamma"].sel(statistics=statistics).reset_coords(drop=True)
        for statistics in ("independent", "correlated")
    }
    return measured.assign(
        {**predicted, "population": theory["gamma_population"].reset_coords(drop=True)}
    )


def parts(activation: str, part: str, options: Options) -> xr.Dataset:
    """Find the γ of least loss where only μ_B, only σ_B, or both fluctuate."""
    sizes = [size for size in options.size("sizes") if 8 <= size <= 256]
    theory = sbn.stationary_gamma(activation, sizes).sel(part=part)
    replicas, measured = options.size("replicas"), []
    for size in sizes:
        near = theory["gamma"].sel(batch_size=size, statistics="correlated").item()
        losses = sbn.batch_loss(
            activation, size, near + np.array([-1, 0, 1]) * (0.05 + 1 / size), part,
            batches=int(options.size("samples") / 4 / replicas / size) + 1,
            replicas=replicas, seed=options.seed,
        )  # fmt: skip
        measured.append(sbn.loss_minimum(losses))
    found = xr.concat(measured, xr.Variable("batch_size", np.array(sizes))).to_dataset()
    return with_theory(found, theory)


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
    from sklearn.datasets import load_digits  # not needed by the other inputs

    images = load_digits().data
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


def other_inputs(name: str, field: Field, options: Options) -> xr.Dataset:
    """Let the network's γ come to rest for inputs that are not Gaussian; γ in units of σ_P."""
    dimension, size, replicas = field.teacher.size, INPUT_BATCH, options.size("replicas")
    duration = options.size("steps") / replicas / dimension
    run = sbn.microscopic(
        sbn.TeacherStudent("linear", "batch", size), HELD,
        np.arange(SETTLED, SETTLED + duration), sbn.OrderParameters(1.0, 1.0, field.spread),
        dimension, replicas, options.seed,
        gamma_learning_rate=1.0, inputs=field.inputs, teacher=field.teacher,
    )  # fmt: skip
    gamma = run["gamma"].isel(learning_rate=0, drop=True).mean("time") / field.spread
    attributes = {"inputs": name, "batch_size": size, "excess_kurtosis": field.excess_kurtosis}
    return gamma.to_dataset(name="gamma").assign_attrs(attributes)


def landscape(activation: str, options: Options) -> xr.Dataset:
    """Measure the loss at R = 1 against γ, beside the population's and both penalties ζγ²."""
    gamma, size = np.linspace(0, 1.6, 17), LANDSCAPE_BATCH
    replicas = options.size("replicas")
    losses = sbn.batch_loss(
        activation, size, gamma, batches=int(options.size("samples") / 8 / replicas / size) + 1,
        replicas=replicas, seed=options.seed,
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


def student(activation: str, name: str) -> tuple[sbn.TeacherStudent, float]:
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


def trajectories(activation: str, name: str, options: Options) -> dict[str, xr.Dataset]:
    """Let one student learn: N → ∞, and the chain."""
    setup, rate = student(activation, name)
    dimension = 1000
    time = np.geomspace(0.1, 40, 61).round(3)  # whole steps
    theory = sbn.macroscopic(setup, rate, time, START, TRAJECTORY_RATE)
    chain = sbn.mesoscopic(
        setup, rate, time, START, dimension, 4 * options.size("replicas"), options.seed,
        TRAJECTORY_RATE,
    )  # fmt: skip
    if name == "batch":
        theory, chain = (
            d.assign(
                effective_gamma_decay=sbn.effective_gamma_decay(d),
                independent=zeta("independent", activation, setup.batch_size),
                correlated=zeta("correlated", activation, setup.batch_size),
            )
            for d in (theory, chain)
        )
    return {"macroscopic": theory, "mesoscopic": chain}


def simulate(options: Options) -> xr.DataTree:
    """Measure all of it."""
    jobs: dict[str, Callable[[], xr.Dataset | dict[str, xr.Dataset]]] = {}
    for a in ACTIVATIONS:
        jobs[f"shrinkage/{a}"] = partial(shrinkage, a, options)
        jobs[f"landscape/{a}"] = partial(landscape, a, options)
        for name in STUDENTS:
            jobs[f"trajectories/{a}/{name}"] = partial(trajectories, a, name, options)
    for a in PARTS:
        for part in ("mean", "spread", "both"):
            jobs[f"parts/{a}/{part}"] = partial(parts, a, part, options)
    for name, field in fields().items():
        jobs[f"inputs/{name}"] = partial(other_inputs, name, field, options)
    results: dict[str, xr.Dataset] = {}
    for group, job in tqdm(jobs.items(), desc="gamma decay", disable=None):
        found = job()
        levels = found if isinstance(found, dict) else {"": found}
        results.update({f"{group}/{level}".rstrip("/"): d for level, d in levels.items()})
    return xr.DataTree.from_dict(results)


def distances(tree: xr.DataTree, activation: str) -> pd.DataFrame:
    """Root mean square over time of what separates each student from batch normalization, N → ∞.

    The length counts by its logarithm; "all" is the root of the sum of squares of R, log L and γ.
    """
    branch = tree[f"trajectories/{activation}"]
    states = {
        name: branch[f"{name}/macroscopic"].to_dataset().isel(learning_rate=0, drop=True)
        for name in STUDENTS
    }
    states = {name: d.assign(length=np.log(d["length"])) for name, d in states.items()}
    batch = states.pop("batch")
    rows = {}
    for name, found in states.items():
        squares = {v: float(((found[v] - batch[v]) ** 2).mean()) for v in sbn.plot.VARIABLES}
        squares["all"] = sum(squares[v] for v in ("overlap", "length", "gamma"))
        rows[STUDENTS[name]] = {variable: square**0.5 for variable, square in squares.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def scores(tree: xr.DataTree, activation: str) -> pd.DataFrame:
    """M(1 − γ) of the chain, and by how many standard errors each theory misses it."""
    found = tree[f"shrinkage/{activation}"].to_dataset().dropna("batch_size")
    size, replicas = found["batch_size"], found.sizes["replica"]
    error = size * found["gamma"].std("replica", ddof=1) / np.sqrt(replicas)
    measured = (size * (1 - found["gamma"])).mean("replica")
    table = {"measured": measured, "standard error": error}
    for name in ("independent", "correlated", "exact"):
        table[name] = size * (1 - found[name])
        table[f"{name}: errors away"] = (measured - table[name]) / error
    return pd.DataFrame({name: column.values for name, column in table.items()}, index=size.values)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the shrinkage, its parts, other inputs, the loss landscape and the trajectories."""

    def found(path: str) -> xr.Dataset:
        return tree[path].to_dataset()

    return {
        "shrinkage": sbn.plot.shrinkage(
            {t: found(f"shrinkage/{a}") for a, t in ACTIVATIONS.items()}
        ),
        "parts": sbn.plot.shrinkage_parts(
            {
                title: {part: found(f"parts/{a}/{part}") for part in ("mean", "spread", "both")}
                for a, title in PARTS.items()
            }
        ),
        "kurtosis": sbn.plot.shrinkage_kurtosis(
            [node.to_dataset() for node in tree["inputs"].children.values()]
        ),
        "landscape": sbn.plot.loss_landscape(
            {title: found(f"landscape/{a}") for a, title in ACTIVATIONS.items()}
        ),
        "trajectories": sbn.plot.differences(
            {
                title: {
                    label: [found(f"trajectories/{a}/{name}/{level}") for level in LEVELS]
                    for name, label in STUDENTS.items()
                }
                for a, title in ACTIVATIONS.items()
            },
            STUDENTS["batch"],
        ),
        "effective": sbn.plot.effective_decay(
            {
                title: [found(f"trajectories/{a}/batch/{level}") for level in LEVELS]
                for a, title in ACTIVATIONS.items()
            }
        ),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the tables."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"gamma_decay_{name}")
    for activation, title in ACTIVATIONS.items():
        tables = {
            "M(1 − γ), and by how many standard errors each theory misses it": scores,
            "distance from batch normalization": distances,
        }
        for caption, table in tables.items():
            print(f"\n{title}: {caption}\n{table(tree, activation).round(4).to_string()}")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
