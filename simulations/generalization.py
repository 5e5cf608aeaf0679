"""How well students generalize from P = αN samples, and where batch normalization is a ridge.

Students with label noise, trained to the end: without normalization, with weight or population
normalization and gamma decay, with batch normalization at several M. The groups of the store:

    unbatched           linear and ReLU, all samples a batch, over activation × student × load
    batch_10            batch normalization, over activation × load
    replica_symmetric   theory of a ReLU student with the gamma decay of M = 10, over load
    digits              held-out images, over labels × student × load

Beside them a table: in the published picture (Luo et al. 2019) batch normalization is population
normalization with the gamma decay ζ = 3/(4M), that is ridge regression, λ_r = 2αζ.

The digits are whitened, so that a linear student's theory holds if only second moments matter. True
labels (odd or even) are, for a linear student, a teacher of length ρ and noise: what the best
linear function of all images leaves, √(1 − ρ²).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from gamma_decay import zeta
from handwritten import pixels

import statmech_bn as sbn
from statmech_bn.handwriting import handwritten
from statmech_bn.study import mean_and_error

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
"""The grid has these values; figures have these titles for them."""
BATCH_SIZES = (5, 10, 40)
SHOWN = 10
"""The figures show the gamma decay of this batch size."""
LABEL_NOISE = 0.5
SHORT = sbn.OrderParameters(overlap=0.0, length=1e-3)
"""A student without normalization starts here: it does not forget its initial weights."""
UNBATCHED = ["none", f"weight_{SHOWN}", *(f"population_{size}" for size in BATCH_SIZES)]
STUDENTS = {
    "none": "no normalization",
    f"weight_{SHOWN}": r"weight norm. + $\gamma$ decay",
    f"population_{SHOWN}": r"population norm. + $\gamma$ decay",
    **{f"batch_{size}": f"batch norm., $M = {size}$" for size in BATCH_SIZES},
}
LABELS = {"teacher": "digits, teacher", "true": "digits, odd or even"}
ON_DIGITS = ["none", f"population_{SHOWN}", f"batch_{SHOWN}"]
COMPONENTS = 40
"""N, the number of principal components of the digits that are used."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Generalization at loads from 0.1 to 10, and figures of it."""

    presets: ClassVar = {
        "quick": {
            "loads": (0.5, 2.0, 5.0),
            "digit_loads": (0.5, 4.0, 16.0),
            "dimension": 50,
            "replicas": 8,
            "epochs": 60,
        },
        "paper": {
            "loads": (0.1, 0.2, 0.35, 0.5, 0.7, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0),
            "digit_loads": (0.5, 0.7, 1.5, 2.0, 4.0, 8.0, 16.0, 32.0),
            "dimension": 150,
            "replicas": 16,
            "epochs": 800,
        },
    }
    store: Path = Path("results/generalization.zarr")
    loads: tuple[float, ...] | None = None
    """Loads α = P/N. The preset chooses this and the following if not given."""
    digit_loads: tuple[float, ...] | None = None
    """α for the digits, at most 40."""
    dimension: int | None = None
    """Dimension N of the inputs."""
    replicas: int | None = None
    """Training sets."""
    epochs: int | None = None
    """Epochs at most; far from α = 1 fewer are enough."""


def train(
    activation: str,
    student: str,
    load: float,
    dimension: int,
    replicas: int,
    epochs: int,
    seed: int,
    label_noise: float = LABEL_NOISE,
    **data: Any,
) -> xr.Dataset:
    """Train one student at one load until it has converged.

    Batches of all samples for students that need no small ones; their learning rate is two thirds
    of the largest stable one. Epochs in proportion to the slowest mode of a linear student.
    """
    normalization, _, size = student.partition("_")
    samples = round(load * dimension)
    slowest, fastest = (1 - load**-0.5) ** 2, (1 + load**-0.5) ** 2
    if normalization == "batch":
        batch_size, rate, most = int(size), 0.5 * int(size), epochs
        wanted = 40 / (load * slowest)
    else:
        batch_size, rate, most = samples, dimension / fastest, 5 * epochs
        wanted = 12 * fastest / slowest
    decays = normalization in ("weight", "population")
    setup = sbn.TeacherStudent(
        activation,
        normalization,
        batch_size,
        label_noise,
        gamma_decay=zeta("independent", activation, int(size)) if decays else 0.0,
    )
    found = sbn.offline.train(
        setup,
        load,
        rate,
        dimension,
        replicas,
        int(np.clip(wanted, 60, most)),
        seed,
        start=SHORT if normalization == "none" else sbn.OrderParameters(0.0),
        schedule=sbn.schedules.cosine(1.0) if normalization == "batch" else None,
        workers=1,
        **data,
    )
    found = found.isel(load=0, learning_rate=0)
    return found.drop_vars(["load", "samples", "learning_rate", "gamma_learning_rate"])


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the whitened components of scikit-learn's digits, and odd (1) or even (−1)."""
    images, (_, digit) = pixels(), handwritten()
    left = np.linalg.svd(images - images.mean(axis=0), full_matrices=False)[0]
    labels = 2.0 * (digit % 2) - 1
    return left[:, :COMPONENTS] * np.sqrt(len(images)), labels - labels.mean()


def train_on_digits(labels: str, student: str, load: float, **run: Any) -> xr.Dataset:
    """Train a linear student on images; the true labels are noisy enough."""
    images, true = digits()
    more: dict[str, Any] = {"label_noise": 0.0, "labels": true} if labels == "true" else {}
    found = train(
        "linear", student, load, COMPONENTS, inputs=sbn.Inputs(images, name="digits"), **more, **run
    )
    return found.drop_vars("overlap", errors="ignore")


def replica_symmetric(load: float) -> xr.Dataset:
    """Solve for a ReLU student with the gamma decay that the figures show."""
    penalty = 2 * load * zeta("independent", "relu", SHOWN)
    found = sbn.offline.replica_symmetric("relu", load, penalty, LABEL_NOISE)
    return found.isel(load=0, drop=True)[["generalization_error", "residual", "converged"]]


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed; batch normalization where a training set has at least two batches."""
    run = {name: options.size(name) for name in ("dimension", "replicas", "epochs")}
    loads, activations = options.size("loads"), list(ACTIVATIONS)
    one = partial(train, seed=options.seed, **run)
    found: dict[str, sbn.study.Part] = {
        "unbatched": (one, {"activation": activations, "student": UNBATCHED, "load": loads}),
        "replica_symmetric": (replica_symmetric, {"load": loads}),
    }
    for size in BATCH_SIZES:
        kept = [load for load in loads if load >= 2 * size / run["dimension"]]
        found[f"batch_{size}"] = (
            partial(one, student=f"batch_{size}"),
            {"activation": activations, "load": kept},
        )
    del run["dimension"]
    found["digits"] = (
        partial(train_on_digits, seed=options.seed, **run),
        {"labels": list(LABELS), "student": ON_DIGITS, "load": options.size("digit_loads")},
    )
    return found


def simulation(tree: xr.DataTree, activation: str, student: str) -> xr.Dataset:
    """Select one student's training."""
    if student in UNBATCHED:
        return tree["unbatched"].to_dataset().sel(activation=activation, student=student)
    return tree[student].to_dataset().sel(activation=activation)


def error_over_loads(load: np.ndarray, error: np.ndarray) -> xr.Dataset:
    """Make a line of theory."""
    found = xr.Dataset({"generalization_error": ("load", error)}, {"load": load})
    return sbn.dataset.describe(found)


def linear_theory(student: str, run: xr.Dataset, label_noise: float = LABEL_NOISE) -> xr.Dataset:
    """Evaluate ε_g for N → ∞; batch normalization below α = 1 with the measured growth."""
    normalization, _, size = student.partition("_")
    measured = run["growth"].mean("replica")
    alpha = np.union1d(run["load"], np.geomspace(run["load"][0], run["load"][-1], 120))
    if normalization == "batch":
        growth = np.interp(np.log(alpha), np.log(measured["load"]), measured)
        error = sbn.offline.batch_normalized(
            alpha, int(size), label_noise, growth, uneven_weights=True
        )
    else:
        decay = 0.0 if normalization == "none" else zeta("independent", "linear", int(size))
        error = sbn.offline.ridge(alpha, 2 * alpha * decay, label_noise)
    return error_over_loads(alpha, error)


def theory(tree: xr.DataTree, activation: str, student: str) -> xr.Dataset | None:
    """Return ε_g for N → ∞ where there is a theory."""
    if activation == "linear":
        return linear_theory(student, simulation(tree, activation, student))
    if student in (f"weight_{SHOWN}", f"population_{SHOWN}"):
        solved = tree["replica_symmetric"].to_dataset()
        return solved.where(solved["converged"].astype(bool), drop=True)
    return None


def digit_theory(labels: str, student: str, run: xr.Dataset) -> xr.Dataset:
    """Evaluate the held-out error of a linear student if only second moments of images matter."""
    if labels == "teacher":
        return linear_theory(student, run)
    images, true = digits()
    square = float(np.sum((images.T @ true / len(true)) ** 2))  # ρ² of white images
    left = float(true.var()) - square
    found = linear_theory(student, run, np.sqrt(left / square))
    found["generalization_error"] = square * found["generalization_error"] + left / 2
    return sbn.dataset.describe(found)


def row(error: xr.DataArray, **theories: float | xr.DataArray) -> dict[str, float]:
    """Give a mean over training sets, its standard error, and how many of them a theory is away.

    A theory that is an array has a value for each training set, and is compared set by set.
    """
    mean, spread = mean_and_error(error)
    found = {"measured": mean.item(), "standard error": spread.item()}
    for name, theory in theories.items():
        away, spread = mean_and_error((error - theory).reset_coords(drop=True))
        found[name] = float(np.mean(theory))
        found[f"{name}: errors away"] = away.item() / spread.item()
    return found


def table(tree: xr.DataTree) -> pd.DataFrame:
    """Compare linear batch normalization with its theory and with ridge regression.

    Ridge regression is population normalization with gamma decay on the same data; "uneven" is
    the theory with uneven weights of the samples, "even" without.
    """
    rows = {}
    for size in BATCH_SIZES:
        found = simulation(tree, "linear", f"batch_{size}")
        ridge = simulation(tree, "linear", f"population_{size}")["generalization_error"]
        for load in found["load"].values:
            one, growth = found.sel(load=load), float(found["growth"].sel(load=load).mean())
            even, uneven = (
                float(
                    sbn.offline.batch_normalized(
                        load, size, LABEL_NOISE, growth, uneven_weights=weights
                    )
                )
                for weights in (False, True)
            )
            beside = ridge.sel(load=load)
            rows[float(load), size] = {
                "Q/Q₀": growth,
                **row(one["generalization_error"], even=even, uneven=uneven, ridge=beside),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["α", "M"])


def replica_table(tree: xr.DataTree) -> pd.DataFrame:
    """Compare ReLU students with gamma decay with the replica-symmetric equations.

    Theory is NaN where its solution has not converged.
    """
    solved = tree["replica_symmetric"].to_dataset()
    theory = solved["generalization_error"].where(solved["converged"].astype(bool))
    error = simulation(tree, "relu", f"population_{SHOWN}")["generalization_error"]
    rows = {
        float(load): row(error.sel(load=load), theory=theory.sel(load=load).item())
        for load in error["load"].values
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("α")


def digit_table(tree: xr.DataTree) -> pd.DataFrame:
    """Compare the held-out error of students of digits with the theory of Gaussian inputs."""
    runs = tree["digits"].to_dataset()
    rows = {}
    for labels in LABELS:
        for student in ON_DIGITS:
            run = runs.sel(labels=labels, student=student)
            expected = digit_theory(labels, student, run)["generalization_error"]
            for load in run["load"].values:
                error = run["generalization_error"].sel(load=load)
                found = row(error, theory=expected.sel(load=load).item())
                found["ratio"] = found["measured"] / found["theory"]
                rows[labels, STUDENTS[student], float(load)] = found
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["labels", "student", "α"])


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare what was trained with all theories."""
    return {
        "linear students with batch normalization": table(tree),
        "ReLU students with gamma decay": replica_table(tree),
        "digits": digit_table(tree),
    }


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the errors against the load."""
    gaussian: dict[str, Any] = {
        title: {
            label: (theory(tree, activation, name), simulation(tree, activation, name))
            for name, label in STUDENTS.items()
        }
        for activation, title in ACTIVATIONS.items()
    }
    runs = tree["digits"].to_dataset()
    images: dict[str, Any] = {}
    for labels, title in LABELS.items():
        images[title] = {}
        for student in ON_DIGITS:
            run = runs.sel(labels=labels, student=student)
            images[title][STUDENTS[student]] = (digit_theory(labels, student, run), run)
    return {
        "error": lambda: sbn.plot.against("load", gaussian),
        "digits": lambda: sbn.plot.against("load", images),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
