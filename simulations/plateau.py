r"""Does batch normalization shorten the plateau of a committee? Chain, flow and a penalty say it.

Two units of erf learn from two of a teacher, without label noise. Its units are alike until they
specialize: the *specialization* is the difference of a unit's cosines with the two of the teacher,
and the *length of the plateau* is the time η t at which it passes 1/2 (the end of the run, if it
never does). Every replica has its own random start. "gamma decay" is weight normalization with a
penalty ζγ² that is worth what batch statistics are in one unit that has learned its teacher.

At small learning rates batch statistics add a penalty P to the error
(`statmech_bn.coupled_gamma_decay`, to order 1/M). Gradient descent on ε_g + P, at |w|² = N, has a
symmetric saddle, where the cosines of units with the teacher's are R and with each other
C = 4R² − 1, and a minimum, where each unit has turned by an angle from its own of the teacher. The
penalty is taken in whole ("coupled"), without the part of both units of the student ("own"), and
not at all ("none"). The groups of the store:

    dimension, learning_rate, batch_size    runs over N, η and M, chain and (not batch) flow
    penalty                                 saddle, escape rate and minimum of ε_g + P over M
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import minimize

import statmech_bn as sbn
from statmech_bn.averages.pairs import committee_error
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide

NORMALIZATIONS = ("none", "weight", "gamma decay", "batch")
TERMS = ("none", "own", "coupled")
BATCH_SIZE, RATE = 8, 2.0
HALF = 0.5
"""A unit is specialized if its two cosines differ by so much."""
TIMES = 601
STEP = 0.01
"""Step of the second difference for the escape rate."""
SYMBOLS = {
    "plateau_length": ("plateau", r"$\eta t_{1/2}$", "steps / N"),
    "mixing": ("mixing at the end", "$1-|R_1-R_2|$", "1"),
    "parting": ("parting on the plateau", "$1-C$", "1"),
    "escape_rate": ("escape", r"$\lambda_s/\eta$", "N / steps"),
    "dimension": ("dimension", "$N$", "1"),
}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Plateaus over the dimension, the learning rate and the batch size."""

    presets: ClassVar = {
        "quick": {
            "dimensions": (50, 300), "rates": (1.0, 4.0), "batch_sizes": (8, 32),
            "usual_dimension": 60, "replicas": 5, "duration": 300.0,
        },
        "paper": {
            "dimensions": (100, 1000, 10_000), "rates": (0.5, 1.0, 2.0, 4.0, 8.0),
            "batch_sizes": (4, 8, 16, 32, 64), "usual_dimension": 300, "replicas": 12,
            "duration": 400.0,
        },
    }  # fmt: skip
    store: Path = Path("results/plateau.zarr")
    dimensions: tuple[int, ...] | None = None
    """N. The preset chooses this and the following if not given."""
    rates: tuple[float, ...] | None = None
    """Learning rates η."""
    batch_sizes: tuple[int, ...] | None = None
    """M."""
    usual_dimension: int | None = None
    """N where the learning rate or the batch size varies."""
    replicas: int | None = None
    """Random starts."""
    duration: float | None = None
    """Final time, times η."""


@cache
def decay_of_one_unit(batch_size: int) -> float:
    """Return the ζ that batch statistics are worth in one unit of erf where its γ rests."""
    one, start = sbn.TeacherStudent("erf", "batch", batch_size), sbn.OrderParameters(overlap=1.0)
    run = sbn.macroscopic(one, 0.1, [1000.0], start, workers=1)
    return float(sbn.effective_gamma_decay(run).item())


def setup(normalization: str, batch_size: int) -> sbn.TeacherStudent:
    """Describe a soft committee of two units, and a teacher that it can learn exactly."""
    decays = normalization == "gamma decay"
    return sbn.TeacherStudent(
        "erf", "weight" if decays else normalization, batch_size, student_units=2, teacher_units=2,
        gamma_decay=decay_of_one_unit(batch_size) if decays else 0.0,
    )  # fmt: skip


def specialization(run: xr.Dataset) -> np.ndarray:
    """Return |R_k1 − R_k2|, the mean over units, over replicas (if any) and time."""
    rho, q = (run[name].values[0] for name in ("student_teacher", "student_student"))
    lengths = np.sqrt(np.diagonal(q, axis1=-2, axis2=-1))
    return np.abs((rho[..., 0] - rho[..., 1]) / lengths).mean(axis=-1)


def passage(special: np.ndarray, time: np.ndarray) -> float:
    """Return when it first passes one half, between two times; the last time if it never does."""
    above = special > HALF
    n = int(above.argmax())
    if n == 0:
        return float(time[0] if above[0] else time[-1])
    share = (HALF - special[n - 1]) / (special[n] - special[n - 1])
    return float(time[n - 1] + share * (time[n] - time[n - 1]))


def plateaus(
    normalization: str, batch_size: int, learning_rate: float, dimension: int,
    replicas: int, duration: float, seed: int,
) -> xr.Dataset:  # fmt: skip
    """Let students learn from random starts, and measure their plateaus and what they end at."""
    student = setup(normalization, batch_size)
    time = np.linspace(0, duration / learning_rate, TIMES)
    rows, theory = [], []
    for replica in range(replicas):  # of the same directions at every N
        own = 1000 * seed + replica
        start = sbn.OrderParameters.random(student, dimension, seed=own)
        run = sbn.mesoscopic(
            student, learning_rate, time, start, dimension=dimension, seed=own, workers=1
        )
        special = specialization(run).reshape(TIMES)
        ended = special[-TIMES // 10 :].mean()
        error = run["generalization_error"].values.reshape(TIMES)[-TIMES // 10 :].mean()
        rows.append((passage(special, time) * learning_rate, 1 - ended, error))
        if normalization != "batch":  # whose averages are not closed, and take minutes
            flow = sbn.macroscopic(student, learning_rate, time, start, workers=1)
            theory.append(passage(specialization(flow), time) * learning_rate)
    length, mixing, error = np.array(rows).T
    data = {
        "plateau_length": ("replica", length),
        "mixing": ("replica", mixing),
        "generalization_error": ("replica", error),
        "theory": ("replica", np.array(theory) if theory else np.full(replicas, np.nan)),
    }
    return _named(xr.Dataset(data, {"replica": np.arange(replicas)}, run.attrs))


def _named(found: xr.Dataset) -> xr.Dataset:
    """Say what the variables are."""
    describe(found)
    for name, words in SYMBOLS.items():
        if name in found:
            found[name].attrs.update(zip(("long_name", "symbol", "units"), words, strict=True))
    return found


def penalized_error(
    student: sbn.TeacherStudent, own: float, other: float, mutual: float, gamma: float, terms: str
) -> float:
    """Return ε_g + P of two units with the cosines R_own, R_other and C, at length 1."""
    state = sbn.OrderParameters(
        student_teacher=[[own, other], [other, own]],
        student_student=[[1.0, mutual], [mutual, 1.0]],
        gamma=gamma,
    )
    error = float(committee_error(student, *(part[None] for part in state.matrices(student)))[0])
    if terms == "none":
        return error
    added = sbn.coupled_gamma_decay(student, state)
    pairs = added["pair_penalty"].values
    kept = pairs.sum() if terms == "coupled" else np.trace(pairs)
    return error + float(kept) + float(added["teacher_penalty"].sum())


def penalty(batch_size: int, terms: str) -> xr.Dataset:
    """Find the symmetric saddle of ε_g + P, its escape rate λ_s/η, and its minimum."""
    student = setup("batch", batch_size)
    of = partial(penalized_error, student, terms=terms)

    def symmetric(x: np.ndarray) -> float:
        mutual = 1 - x[0] ** 2
        overlap = np.sqrt((1 + mutual) / 4)
        return of(overlap, overlap, mutual, x[1])

    def turned(x: np.ndarray) -> float:
        return of(np.cos(x[0]), np.sin(x[0]), np.sin(2 * x[0]), x[1])

    root, gamma = minimize(symmetric, [0.4, 0.6], method="BFGS", options={"gtol": 1e-5}).x
    mutual = 1 - root**2
    overlap = np.sqrt((1 + mutual) / 4)

    def along(part: float) -> float:  # units turn to ±(w*_1 − w*_2), at a fixed length
        kept, moved = np.sqrt(1 - part**2), part / np.sqrt(2)
        first, second = kept * overlap + moved, kept * overlap - moved
        return of(first, second, kept**2 * mutual - part**2, gamma)

    bend = 2 * (along(STEP) - along(0.0)) / STEP**2  # of both units: each has half of it
    angle, scale = minimize(turned, [0.1, 0.9], method="BFGS", options={"gtol": 1e-6}).x
    data = {
        "parting": 1 - mutual,
        "escape_rate": -bend / 2,
        "mixing": 1 - (np.cos(angle) - np.sin(angle)),
        "generalization_error": penalized_error(
            student, np.cos(angle), np.sin(angle), np.sin(2 * angle), scale, "none"
        ),
    }
    return _named(xr.Dataset(data, attrs={**student.to_attrs(), "level": "macroscopic"}))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: runs over N, η and M, and ε_g + P over M."""
    size = {name: options.size(name) for name in ("replicas", "duration")}
    usual = {"batch_size": BATCH_SIZE, "learning_rate": RATE, "seed": options.seed, **size}
    usual["dimension"] = options.size("usual_dimension")
    varied = {
        "dimension": options.size("dimensions"),
        "learning_rate": options.size("rates"),
        "batch_size": options.size("batch_sizes"),
    }
    found: dict[str, sbn.study.Part] = {}
    for name, values in varied.items():
        fixed = {key: value for key, value in usual.items() if key != name}
        compute = partial(plateaus, **fixed)
        found[name] = (compute, {"normalization": NORMALIZATIONS, name: values})
    sizes = varied["batch_size"]
    found["penalty"] = (penalty, {"terms": TERMS, "batch_size": sizes})
    return found


def growth(tree: xr.DataTree) -> xr.DataArray:
    """Return the slope of the length in ln N, one for each replica."""
    lengths = tree["dimension"].to_dataset()["plateau_length"].load()
    logarithm = np.log(lengths["dimension"])
    centred = logarithm - logarithm.mean()
    return (lengths * centred).sum("dimension", skipna=False) / (centred**2).sum()


def exponent(values: xr.DataArray) -> xr.DataArray:
    """Return the power of M with which values fall, between the two largest M."""
    sizes = values["batch_size"].values[-2:]
    last = values.isel(batch_size=-1, drop=True) / values.isel(batch_size=-2, drop=True)
    return xr.apply_ufunc(np.log, last) / np.log(sizes[1] / sizes[0])


def claims(tree: xr.DataTree) -> dict[str, tuple[xr.DataArray, xr.DataArray | None]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    runs, law = (tree[name].to_dataset().load() for name in ("batch_size", "penalty"))
    coupled, own = (law.sel(terms=terms) for terms in ("coupled", "own"))
    lengths, mixing = xr.apply_ufunc(np.log, runs["plateau_length"]), runs["mixing"]

    def more(of: xr.DataArray, name: str, other: str) -> xr.DataArray:
        return of.sel(normalization=name) - of.sel(normalization=other)

    slope = growth(tree).sel(normalization="batch")
    rate = coupled["escape_rate"].sel(batch_size=BATCH_SIZE)
    batch = runs.sel(normalization="batch")
    error, turned = (exponent(batch[name]) for name in ("generalization_error", "mixing"))
    decays = more(mixing, "gamma decay", "weight")
    return {
        "batch statistics lengthen the plateau, beside no normalization": (
            more(lengths, "batch", "none"), None,
        ),
        "batch statistics lengthen the plateau, beside weight normalization": (
            more(lengths, "batch", "weight"), None,
        ),
        "the plateau grows as ln N/(2λ_s)": (slope, slope - 1 / (2 * rate)),
        "small batches keep units mixed": (more(mixing, "batch", "weight"), None),
        "mixing falls like 1/M": (-turned, turned + 1),
        "the error falls like 1/M²": (-error, error + 2),
        "the coupling of units parts them on the plateau": (
            coupled["parting"] - own["parting"], None,
        ),
        "the coupling of units mixes them at the end": (coupled["mixing"] - own["mixing"], None),
        "gamma decay ζγ² of each unit keeps units mixed": (decays, None),
        "gamma decay ζγ² of each unit mixes as batch statistics do": (
            decays, more(mixing, "gamma decay", "batch"),
        ),
    }  # fmt: skip


def verdicts(tree: xr.DataTree) -> dict[str, str]:
    """Say what becomes of the claims, by the rule of `statmech_bn.study.decide`."""
    return {claim: decide(*pair) for claim, pair in claims(tree).items()}


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the lengths over N, η and M, and what small batches do to units."""
    lengths = []
    for name in ("dimension", "learning_rate", "batch_size"):
        runs = tree[name].to_dataset().load()
        closed = runs["theory"].mean("replica").to_dataset(name="plateau_length")
        closed = _named(closed.assign_attrs(level="macroscopic"))
        results = [closed, _named(runs[["plateau_length"]])]
        lengths.append(Panel(name, "plateau_length", results, logarithmic="x"))
    runs, law = (tree[name].to_dataset().load() for name in ("batch_size", "penalty"))
    batch = runs.sel(normalization=["batch"]).rename(normalization="terms")
    batch = batch.assign_coords(terms=["coupled"])
    kept = law.sel(terms=["own", "coupled"])
    mixing = [
        Panel("batch_size", name, [kept, batch] if name in batch else [law])
        for name in ("mixing", "generalization_error", "escape_rate")
    ]
    return {
        "length": partial(curves, lengths, "normalization"),
        "batches": partial(curves, mixing, "terms"),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give lengths, what students end at, the law of ε_g + P, and the verdicts."""
    runs, law = (tree[name].to_dataset().load() for name in ("batch_size", "penalty"))
    found = {
        f"length over {name}": tree[name].to_dataset()["plateau_length"].mean("replica").to_pandas()
        for name in ("dimension", "learning_rate", "batch_size")
    }
    found["flow, over dimension"] = (
        tree["dimension"].to_dataset()["theory"].mean("replica").to_pandas()
    )
    found["powers of M, chain with batch"] = pd.DataFrame(
        {name: [float(exponent(runs[name].sel(normalization="batch")).mean("replica"))]
         for name in ("mixing", "generalization_error")}
    )  # fmt: skip
    found["slope in ln N"] = growth(tree).mean("replica").to_pandas().to_frame("slope")
    for name in ("mixing", "generalization_error"):
        found[f"{name}, chain"] = runs[name].mean("replica").to_pandas()
    for name in map(str, law):
        found[f"{name}, theory"] = law[name].to_pandas()
    return {**found, "verdicts": pd.DataFrame({"verdict": verdicts(tree)})}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
