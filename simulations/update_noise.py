"""How noisy is a step? Learning rate over batch size, in the teacher–student model and in depth.

One step of the chain from a fixed state, whose growth of |w|² is η² C/M; and the covariance of
batch gradients in a deep network, with and without replacement. The groups of the store:

    step             change of L² times N, over batch sizes and learning rates, and the flow's
    network/none     trace of the covariance of batch gradients over batch sizes, and its theory
    network/batch    the same with batch normalization, where there is no theory
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import sympy as sp
import xarray as xr

import statmech_bn as sbn
from statmech_bn.study import mean_and_error

STUDENTS = {"none": "no normalization", "weight": "weight norm.", "batch": "batch norm."}
NETWORKS = {"none": "no normalization", "batch": "batch norm."}
RATES = (0.3, 1.0, 3.0)
STATE, LABEL_NOISE = sbn.OrderParameters(overlap=0.3), 0.5
DIMENSION = 100_000
"""N of the chain: the mean gradient adds a share of only M/N to |Δw|²."""

SAMPLES = 128
"""The network's batches are drawn from P samples; those of P/2 or fewer are shown."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Noise of one step."""

    presets: ClassVar = {
        "quick": {"sizes": (8, 16, 64), "replicas": 2000, "draws": 40, "groups": 10},
        "paper": {"sizes": (8, 16, 32, 64, 128), "replicas": 20_000, "draws": 100, "groups": 8},
    }
    store: Path = Path("results/update_noise.zarr")
    sizes: tuple[int, ...] | None = None
    """Batch sizes. The preset chooses this and the following if not given."""
    replicas: int | None = None
    """Steps of the chain."""
    draws: int | None = None
    """Batches of the network in each group."""
    groups: int | None = None
    """Groups of batches, from which the error bars come."""


def growth(student: str) -> tuple[float, sp.Expr]:
    """Derive how L² grows in the fixed state: at order η, and at order η² as a function of M."""
    s = sbn.symbolic
    state = {s.R: STATE.overlap, s.L: STATE.length, s.gamma: STATE.gamma, s.Delta: LABEL_NOISE}
    change = 2 * s.L * s.order_parameter_flow(student, "linear")[s.L]
    change = sp.expand(change.subs({**state, s.zeta: 0, s.lamda: 0}))
    return float(change.coeff(s.eta, 1)), change.coeff(s.eta, 2)


def one_step(
    student: str,
    batch_size: int,
    laws: Mapping[str, tuple[float, sp.Expr]],
    replicas: int,
    seed: int,
) -> xr.Dataset:
    """Let the chain of a linear student take one step from a fixed state, many times."""
    run = sbn.mesoscopic(
        sbn.TeacherStudent("linear", student, batch_size, LABEL_NOISE),
        RATES, [1 / DIMENSION], STATE, DIMENSION, replicas, seed + batch_size, workers=1,
    )  # fmt: skip
    change = DIMENSION * (run["length"].isel(time=0, drop=True) ** 2 - STATE.length**2)
    rate, (drift, noise) = change["learning_rate"], laws[student]
    theory = float(noise.subs(sbn.symbolic.M, batch_size)) * rate**2
    return xr.Dataset({"step_noise": change - drift * rate, "theory": theory})


def network(normalization: str, batch_size: int, draws: int, groups: int, seed: int) -> xr.Dataset:
    """Draw batches of one size, and measure how much their gradients vary."""
    inputs, labels = sbn.depth.teacher_classes(SAMPLES, 20, 5, np.random.default_rng(seed))
    deep = sbn.depth.DeepNetwork(4, 20, 20, 5, normalization=normalization)
    return sbn.depth.gradient_noise(deep, inputs, labels, [batch_size], draws, groups, seed)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: the steps, and the networks' batches."""
    sizes = options.size("sizes")
    laws = {name: growth(name) for name in STUDENTS}  # not in threads, which SymPy does not like
    step = partial(one_step, laws=laws, replicas=options.size("replicas"), seed=options.seed)
    drawn = partial(
        network, draws=options.size("draws"), groups=options.size("groups"), seed=options.seed
    )
    smaller = [size for size in sizes if size < SAMPLES] + [SAMPLES * 3 // 4]
    return {
        "step": (step, {"student": list(STUDENTS), "batch_size": sizes}),
        **{f"network/{name}": (partial(drawn, name), {"batch_size": smaller}) for name in NETWORKS},
    }


def largest_score(values: xr.DataArray, theory: xr.DataArray) -> float:
    """Return the largest distance of the measured means from theory, in standard errors."""
    mean, error = mean_and_error(values)
    return float(np.abs((mean - theory) / error).max())


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the noise of both systems."""
    return {
        "step": lambda: sbn.plot.step_noise(
            {title: tree["step"].to_dataset().sel(student=n) for n, title in STUDENTS.items()}
        ),
        "network": lambda: sbn.plot.gradient_noise(
            {t: tree[f"network/{n}"].to_dataset() for n, t in NETWORKS.items()}
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the largest distance from theory of each student, and of networks."""
    rows = {}
    for name, title in STUDENTS.items():
        found = tree["step"].to_dataset().sel(student=name)
        rows[f"one step, {title}"] = largest_score(found["step_noise"], found["theory"])
    found = tree["network/none"].to_dataset()
    for way in ("with", "without"):
        score = largest_score(found[f"noise_{way}"], found[f"theory_{way}"])
        rows[f"deep network, {way} replacement"] = score
    return {"standard errors from theory": pd.DataFrame({"at most": rows})}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
