r"""What do units cost that a student has more than its teacher? Committees under label noise.

A student of K units of erf learns from a teacher of two, with label noise Δ. Where the student can
do what the teacher does, it fluctuates around a minimum of the error, H its Hessian by a row of
weights. At a learning rate η that is small, gradients of batches of M samples have the covariance
Δ²H/M, so that the weights have ηΔ²/(2M) in each direction in which the error bends, and

    ε_g = a Δ²,     a = (η/4M) Tr H = (η/4M) Σ_k v_k² (γ_k²/Q_kk) E[g'(φ_k)²],

with γ_k²/Q_kk → 1 without normalization. The student's own error adds to the noise, 2ε_g to Δ²,
which makes it aΔ²/(1 − 2a). What students of several K have in the end follows from which v, γ
and Q they go to. If K* units are the teacher's and all others silent (w = 0), without normalization

    ε_g = (ηΔ²/2πM) (K − K* + K*/√3)                                     (Goldt et al. 2019),

as E[g'(h)²] = (2/π)/√(1 + 2Q). With a second layer that learns, units share what one unit of the
teacher does, and Σ v_k² is smaller the more they are. A scale γ_k = 0 silences a unit for good, and
Q grows, so that η/Q falls like t^(−1/2): noise of the weights dies out. Batch statistics add a
penalty that depends on M only (`statmech_bn.coupled_gamma_decay`).

The *active units* are (Σ p)²/Σ p² with p_k = v_k² E[g(φ_k)²]. The groups of the store:

    student_units, label_noise      runs over K and Δ, chain and (not batch) flow
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide

NORMALIZATIONS = ("none", "weight", "batch")
READOUTS = ("fixed", "learned")
TEACHER_UNITS = 2
BATCH_SIZE, RATE, LENGTH = 16, 2.0, 0.5
TIMES = 201
LAST = TIMES // 10
"""So many times at the end are averaged over."""
ROUNDING = 1e-16
"""Smaller errors are rounding."""
SYMBOLS = {
    "noise_error": ("error by noise of the weights", r"$a\Delta^2/(1-2a)$", "1"),
    "active_units": ("active units", r"$(\Sigma p)^2/\Sigma p^2$", "1"),
    "falling": ("power of time of the error", r"$d\ln\varepsilon_g/d\ln t$", "1"),
    "student_units": ("units of the student", "$K$", "1"),
}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Final errors over the number of units and the label noise."""

    presets: ClassVar = {
        "quick": {
            "units": (2, 4), "noises": (0.0, 0.3), "dimension": 50, "replicas": 4,
            "duration": 700.0,
        },
        "paper": {
            "units": (2, 3, 4, 6), "noises": (0.0, 0.1, 0.2, 0.3), "dimension": 200,
            "replicas": 8, "duration": 2000.0,
        },
    }  # fmt: skip
    store: Path = Path("results/committee.zarr")
    units: tuple[int, ...] | None = None
    """K. The preset chooses this and the following if not given."""
    noises: tuple[float, ...] | None = None
    """Δ, at the K in the middle; the largest is that of the runs over K."""
    dimension: int | None = None
    """N."""
    replicas: int | None = None
    """Random starts."""
    duration: float | None = None
    """Final time, times η."""


def setup(
    normalization: str, readout: str, student_units: int, label_noise: float
) -> sbn.TeacherStudent:
    """Describe a student of K units of erf, and a teacher of two that are orthogonal."""
    return sbn.TeacherStudent(
        "erf", normalization, BATCH_SIZE, label_noise, student_units=student_units,
        teacher_units=TEACHER_UNITS, readout=readout,
    )  # fmt: skip


def squares(student: sbn.TeacherStudent, run: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return γ²/Q (1 without normalization) and the variance of φ, (…, K)."""
    q = np.diagonal(run["student_student"].values, axis1=-2, axis2=-1)
    if not student.normalizer.has_scale:
        return np.ones_like(q), q
    variance = run["gamma"].values ** 2
    return variance / q, variance


def noise_error(student: sbn.TeacherStudent, learning_rate: float, run: xr.Dataset) -> np.ndarray:
    """Return aΔ²/(1 − 2a) of the states of a run."""
    ratio, variance = squares(student, run)
    bend = 2 / np.pi / np.sqrt(1 + 2 * variance)
    trace = (run["readout"].values ** 2 * ratio * bend).sum(axis=-1)
    a = learning_rate * trace / (4 * student.batch_size)
    return a * student.label_noise**2 / (1 - 2 * a)


def active_units(student: sbn.TeacherStudent, run: xr.Dataset) -> np.ndarray:
    """Return (Σ p)²/Σ p²; E[g(φ)²] is the arcsine of Saad & Solla 1995."""
    _, variance = squares(student, run)
    part = run["readout"].values ** 2 * np.arcsin(variance / (1 + variance))
    return part.sum(axis=-1) ** 2 / (part**2).sum(axis=-1)


def final_errors(
    normalization: str, readout: str, student_units: int, label_noise: float,
    dimension: int, replicas: int, duration: float, seed: int,
) -> xr.Dataset:  # fmt: skip
    """Let students learn from random starts, and measure what they end at."""
    student = setup(normalization, readout, student_units, label_noise)
    time = np.linspace(0, duration / RATE, TIMES)
    second = 1.0 if readout == "fixed" else TEACHER_UNITS / student_units
    rows, theory = [], []
    for replica in range(replicas):
        own = 1000 * seed + replica
        start = sbn.OrderParameters.random(student, dimension, own, LENGTH, readout=second)
        run = sbn.mesoscopic(student, RATE, time, start, dimension, seed=own, workers=1)
        error = np.maximum(run["generalization_error"].values.reshape(TIMES), ROUNDING)
        last = run.isel(replica=0, learning_rate=0, time=slice(-LAST, None))
        half = slice(TIMES // 2 - LAST // 2, TIMES // 2 + LAST // 2)
        rows.append((
            error[-LAST:].mean(),
            noise_error(student, RATE, last).mean(),
            active_units(student, last).mean(),
            np.log(error[-LAST:].mean() / error[half].mean())
            / np.log(time[-LAST:].mean() / time[half].mean()),
        ))  # fmt: skip
        if normalization != "batch":  # whose averages are not closed, and take minutes
            flow = sbn.macroscopic(student, RATE, time, start, workers=1)
            theory.append(flow["generalization_error"].values[0, -LAST:].mean())
    names = ("generalization_error", "noise_error", "active_units", "falling")
    data = {name: ("replica", values) for name, values in zip(names, np.array(rows).T, strict=True)}
    data["theory"] = ("replica", np.array(theory) if theory else np.full(replicas, np.nan))
    return named(xr.Dataset(data, {"replica": np.arange(replicas)}, run.attrs))


def named(found: xr.Dataset) -> xr.Dataset:
    """Say what the variables are."""
    describe(found)
    for name, words in SYMBOLS.items():
        if name in found:
            found[name].attrs.update(zip(("long_name", "symbol", "units"), words, strict=True))
    return found


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: runs over K, and over Δ."""
    fixed = {name: options.size(name) for name in ("dimension", "replicas", "duration")}
    fixed["seed"] = options.seed
    units, noises = options.size("units"), options.size("noises")
    axes = {"readout": READOUTS, "normalization": NORMALIZATIONS}
    over_units = partial(final_errors, label_noise=max(noises), **fixed)
    over_noise = partial(final_errors, student_units=units[len(units) // 2], **fixed)
    return {
        "student_units": (over_units, {**axes, "student_units": units}),
        "label_noise": (over_noise, {**axes, "label_noise": noises}),
    }


def law_of_silent_units(units: xr.DataArray, label_noise: float) -> xr.DataArray:
    """Return the error if all but K* units are silent, without normalization."""
    cost = RATE * label_noise**2 / (2 * np.pi * BATCH_SIZE)
    return cost * (units - TEACHER_UNITS + TEACHER_UNITS / np.sqrt(3))


def growth(runs: xr.Dataset) -> xr.DataArray:
    """Return the slope of ln ε_g in K, one for each replica."""
    logarithm = np.log(runs["generalization_error"])
    centred = logarithm["student_units"] - logarithm["student_units"].mean()
    return (logarithm * centred).sum("student_units", skipna=False) / (centred**2).sum()


def claims(tree: xr.DataTree) -> dict[str, tuple[xr.DataArray, xr.DataArray | None]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    runs, noisy = (tree[name].to_dataset().load() for name in ("student_units", "label_noise"))
    slope = growth(runs)
    fixed, learned = ({name: slope.sel(readout=r, normalization=name) for name in NORMALIZATIONS}
                      for r in READOUTS)  # fmt: skip
    silent = law_of_silent_units(runs["student_units"], float(noisy["label_noise"].max()))
    plain = runs.sel(readout="fixed", normalization="none")
    of_noise = {}
    for name in NORMALIZATIONS:
        error = runs["generalization_error"].sel(normalization=name)
        of_noise[name] = error, error - runs["noise_error"].sel(normalization=name)
    clean = noisy["generalization_error"].sel(label_noise=0.0)
    largest = runs.isel(student_units=-1).sel(readout="fixed")["active_units"]
    weight = runs["falling"].sel(normalization="weight")
    return {
        "units too many cost error, with a fixed second layer": (fixed["none"], None),
        "... (ηΔ²/2πM)(K − K* + K*/√3)": (fixed["none"], plain["generalization_error"] - silent),
        "units too many lower the error, if the second layer learns": (-learned["none"], None),
        "with weight normalization units too many cost nothing": (
            fixed["none"] - fixed["weight"], fixed["weight"],
        ),
        "with batch normalization units too many cost nothing": (
            fixed["none"] - fixed["batch"], fixed["batch"],
        ),
        "scales silence the units that are too many": (
            largest.sel(normalization="none") - largest.sel(normalization=["weight", "batch"]),
            None,
        ),
        "the error is that of noise of the weights, without normalization": of_noise["none"],
        "... with weight normalization": of_noise["weight"],
        "... with batch normalization": of_noise["batch"],
        "with weight normalization the error goes on falling like t^(−1/2)": (
            -weight, weight + 0.5,
        ),
        "batch statistics leave an error without label noise": (
            clean.sel(normalization="batch") - clean.sel(normalization="weight"), None,
        ),
    }  # fmt: skip


def verdicts(tree: xr.DataTree) -> dict[str, str]:
    """Say what becomes of the claims, by the rule of `statmech_bn.study.decide`."""
    return {claim: decide(*pair) for claim, pair in claims(tree).items()}


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the final error over K and Δ, and how many units are active."""
    drawn = {}
    for readout in READOUTS:
        panels = []
        for name, y in (
            ("student_units", "generalization_error"),
            ("student_units", "active_units"),
            ("label_noise", "generalization_error"),
        ):
            runs = tree[name].to_dataset().load().sel(readout=readout)
            results = [named(runs[[y]])]
            if y == "generalization_error":
                flow = runs["theory"].mean("replica").to_dataset(name=y)
                results.insert(0, named(flow.assign_attrs(level="macroscopic")))
            scale = "y" if name == "student_units" and y != "active_units" else ""
            panels.append(Panel(name, y, results, logarithmic=scale))
        drawn[readout] = partial(curves, panels, "normalization")
    return drawn


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give errors beside what noise of the weights makes of them, active units, and verdicts."""
    found = {}
    for name in ("student_units", "label_noise"):
        runs = tree[name].to_dataset().load().mean("replica")
        for readout in READOUTS:
            for y in ("generalization_error", "theory", "noise_error", "active_units", "falling"):
                values = runs[y].sel(readout=readout).to_pandas()
                scale = 1e3 if y in ("generalization_error", "theory", "noise_error") else 1
                label = f"{y} × 1000" if scale > 1 else y
                found[f"{label} over {name}, {readout} second layer"] = scale * values
    runs = tree["student_units"].to_dataset()
    silent = law_of_silent_units(
        runs["student_units"], float(tree["label_noise"]["label_noise"].max())
    )
    found["all but K* units silent, × 1000"] = 1e3 * silent.to_pandas().to_frame("error")
    return {**found, "verdicts": pd.DataFrame({"verdict": verdicts(tree)})}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
