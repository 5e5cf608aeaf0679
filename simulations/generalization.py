"""How well students generalize from P = αN samples, and where batch normalization is a ridge.

Linear and ReLU students with label noise, trained to the end: without normalization, with weight
or population normalization and gamma decay, with batch normalization at several M. Theory beside
each. The store is a tree,

    linear/batch_10/simulation      activation / student / simulation or theory
    table                           batch normalization beside ridge regression of the same data

and the table is printed: in the published picture (Luo et al. 2019) batch normalization is
population normalization with the gamma decay ζ = 3/(4M), that is ridge regression, λ_r = 2αζ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
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
BATCH_SIZES = (5, 10, 40)
SHOWN = 10
"""The batch size whose gamma decay the figures show."""
LABEL_NOISE = 0.5
SHORT = sbn.OrderParameters(overlap=0.0, length=1e-3)
"""Without normalization the initial weights are not forgotten, so they are small."""
STUDENTS = {
    "none": "no normalization",
    f"weight_{SHOWN}": r"weight norm. + $\gamma$ decay",
    f"population_{SHOWN}": r"population norm. + $\gamma$ decay",
    **{f"batch_{size}": f"batch norm., $M = {size}$" for size in BATCH_SIZES},
}

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"loads": (0.2, 0.5, 2.0, 5.0), "dimension": 50, "replicas": 4, "epochs": 100},
    "paper": {
        "loads": (0.1, 0.2, 0.35, 0.5, 0.7, 1.4, 2.0, 3.0, 4.0, 6.0, 10.0),
        "dimension": 200,
        "replicas": 16,
        "epochs": 800,
    },
}


@dataclass(frozen=True)
class Options:
    """Generalization at loads from 0.1 to 10, and figures of it."""

    store: Path = Path("results/generalization.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a few minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    loads: tuple[float, ...] | None = None
    """α = P/N; this and the following are the preset's unless given."""
    dimension: int | None = None
    """N."""
    replicas: int | None = None
    """Training sets."""
    epochs: int | None = None
    """Epochs at most; far from α = 1 fewer are enough."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def gamma_decay(activation: str, batch_size: int) -> float:
    """Return ζ of the published picture: (3/(4M)) E[g'²u²], with the information ½ for ReLU."""
    return 3 / (4 * batch_size) * {"linear": 1.0, "relu": 0.5}[activation]


def cosine(done: float) -> float:
    """Anneal the learning rates from 1 to 0."""
    return 0.5 * (1 + float(np.cos(np.pi * done)))


def loads(student: str, options: Options) -> list[float]:
    """Return the loads at which a training set has at least two batches."""
    size = int(student.partition("_")[2]) if student.startswith("batch") else 1
    fewest = 2 * size / options.size("dimension")
    return [load for load in options.size("loads") if load >= fewest]


def train(activation: str, student: str, load: float, options: Options) -> xr.Dataset:
    """Train one student at one load until it has converged.

    Batches of all samples for students that need no small ones; their learning rate is two thirds
    of the largest stable one. Epochs in proportion to the slowest mode of a linear student.
    """
    normalization, _, size = student.partition("_")
    dimension, most = options.size("dimension"), options.size("epochs")
    samples = round(load * dimension)
    slowest, fastest = (1 - load**-0.5) ** 2, (1 + load**-0.5) ** 2
    if normalization == "batch":
        batch_size, rate, schedule = int(size), 0.5 * int(size), cosine
        epochs = 40 / (load * slowest)
    else:
        batch_size, rate, schedule = samples, dimension / fastest, None
        epochs = 12 * fastest / slowest
    decays = normalization in ("weight", "population")
    setup = sbn.TeacherStudent(
        activation,
        normalization,
        batch_size,
        LABEL_NOISE,
        gamma_decay=gamma_decay(activation, int(size)) if decays else 0.0,
    )
    found = sbn.offline.train(
        setup,
        load,
        rate,
        dimension,
        options.size("replicas"),
        int(np.clip(epochs, 60, most if normalization == "batch" else 5 * most)),
        options.seed,
        start=SHORT if normalization == "none" else sbn.OrderParameters(0.0),
        schedule=schedule,
    )
    return found.isel(learning_rate=0).drop_vars(["learning_rate", "gamma_learning_rate"])


@cache
def replica_symmetric_error(load: float, ridge: float) -> float:
    """Return ε_g of the ReLU student, NaN where the equations do not converge."""
    found = sbn.offline.replica_symmetric("relu", load, ridge, LABEL_NOISE)
    return float(found["generalization_error"].where(found["converged"])[0])


def theory(activation: str, student: str, simulation: xr.Dataset) -> xr.Dataset | None:
    """Return ε_g for N → ∞ where there is a theory; BN below α = 1 with the measured growth."""
    normalization, _, size = student.partition("_")
    decay = gamma_decay(activation, int(size)) if normalization in ("weight", "population") else 0.0
    alpha = simulation["load"].values
    if activation == "linear":
        alpha = np.union1d(alpha, np.geomspace(alpha[0], alpha[-1], 120))
        error = sbn.offline.ridge(alpha, 2 * alpha * decay, LABEL_NOISE)
        if normalization == "batch":
            measured = simulation["growth"].mean("replica")
            growth = np.interp(np.log(alpha), np.log(measured["load"]), measured)
            error = sbn.offline.batch_normalized(alpha, int(size), LABEL_NOISE, growth)
    elif decay > 0:
        error = np.array([replica_symmetric_error(load, 2 * load * decay) for load in alpha])
    else:
        return None
    attributes = simulation["generalization_error"].attrs
    values = xr.DataArray(error, {"load": alpha}, ("load",), attrs=attributes)
    return xr.Dataset({"generalization_error": values})


def table(tree: dict[str, xr.Dataset]) -> xr.Dataset:
    """Compare linear batch normalization with both theories, in standard errors over data sets.

    `from_ridge` is that of the differences to population normalization with gamma decay on the
    same data; `from_theory` that of the mean to `batch_normalized`.
    """
    rows = []
    for size in BATCH_SIZES:
        found = tree[f"linear/batch_{size}/simulation"].reset_coords(drop=True)
        other = tree[f"linear/population_{size}/simulation"].reset_coords(drop=True)
        batch, ridge = found["generalization_error"], other["generalization_error"]
        ridge = ridge.sel(load=batch["load"])
        theory = tree[f"linear/batch_{size}/theory"]["generalization_error"]
        own = theory.sel(load=batch["load"])
        number = np.sqrt(batch.sizes["replica"])
        error = batch.std("replica", ddof=1) / number
        paired = (batch - ridge).std("replica", ddof=1) / number
        rows.append(
            xr.Dataset(
                {
                    "growth": found["growth"].mean("replica"),
                    "batch": batch.mean("replica"),
                    "error": error,
                    "batch_normalized": own,
                    "from_theory": (batch.mean("replica") - own) / error,
                    "ridge": ridge.mean("replica"),
                    "from_ridge": (batch - ridge).mean("replica") / paired,
                }
            )
        )
    sizes = xr.DataArray(list(BATCH_SIZES), dims="batch_size", name="batch_size")
    return xr.concat(rows, sizes, join="outer", coords="minimal", compat="override")


def markdown(found: xr.Dataset) -> str:
    """Write the table, one row for each load and batch size."""
    lines = [
        "| α | M | Q/Q₀ | batch norm. | theory | off by (σ) "
        "| ridge, same data | off by (σ) | ridge? |",
        "|" + "---|" * 9,
    ]
    for load in found["load"].values:
        for size in found["batch_size"].values:
            row = found.sel(load=load, batch_size=size)
            v = {name: float(value) for name, value in row.data_vars.items()}
            if np.isnan(v["batch"]):
                continue  # fewer than two batches
            lines.append(
                f"| {load:g} | {size} | {v['growth']:.2f} | {v['batch']:.4f} ± {v['error']:.4f} "
                f"| {v['batch_normalized']:.4f} | {v['from_theory']:+.1f} | {v['ridge']:.4f} "
                f"| {v['from_ridge']:+.1f} | {'yes' if abs(v['from_ridge']) < 3 else 'no'} |"
            )
    return "\n".join(lines)


def simulate(options: Options) -> xr.DataTree:
    """Train all students at all loads."""
    results: dict[str, xr.Dataset] = {}
    students = {
        "linear": [*STUDENTS, *(f"population_{size}" for size in BATCH_SIZES if size != SHOWN)],
        "relu": list(STUDENTS),
    }
    jobs = [(activation, student) for activation, names in students.items() for student in names]
    for activation, student in tqdm(jobs, desc="students", disable=None):
        kept = loads(student, options)
        runs = [train(activation, student, load, options) for load in kept]
        found = xr.concat(runs, "load")
        results[f"{activation}/{student}/simulation"] = found
        expected = theory(activation, student, found)
        if expected is not None:
            results[f"{activation}/{student}/theory"] = expected
    results["table"] = table(results)
    return xr.DataTree.from_dict(results)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the errors against the load."""

    def found(activation: str, student: str) -> Any:
        group = tree[f"{activation}/{student}"]
        return tuple(
            group[kind].to_dataset() if kind in group.children else None
            for kind in ("theory", "simulation")
        )

    return {
        "error": sbn.plot.against(
            "load",
            {
                title: {label: found(activation, name) for name, label in STUDENTS.items()}
                for activation, title in ACTIVATIONS.items()
            },
        )
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, print the table."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in figures(tree).items():
        sbn.plot.save_figure(figure, options.figures / f"generalization_{name}")
    print(markdown(tree["table"].to_dataset()))
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
