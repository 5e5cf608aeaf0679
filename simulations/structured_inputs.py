"""What does the covariance of the inputs do to learning? Power laws, and handwritten images.

Power laws: blocks of eigenvalue λ_k ∝ k^(−a) with as much of the teacher in each. The *learning
time* is when ε_g has fallen to a share of its start, a tenth or a hundredth.

Images, scikit-learn's digits and 5000 of MNIST: the principal components that hold 99 % of their
variance, divided by one number for all of them, so that the covariance keeps its shape. The teacher
is one random direction, and the number is such that its field has variance 1; or it is the best
linear one for the images' own labels, odd or even, and what it leaves of them is label noise.
Gaussian equivalence says that only the covariance counts; the *gap* is the error on images less
that on Gaussian inputs, in units of the latter's mean. The groups of the store, with mnist as
digits:

    power_laws/flow, power_laws/chain       learning times and last errors over a
    digits/flow                             theory with the images' covariance, N → ∞
    digits/gaussian, digits/images          simulations at the images' N, one replica at a time
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from handwritten import pixels

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.handwriting import handwritten
from statmech_bn.plot import Panel, curves
from statmech_bn.plot.curves import FEW
from statmech_bn.study import decide, limit, mean_and_error

NORMALIZATIONS = ("none", "weight", "population", "batch")
TASKS = {"linear": "linear", "relu": "ReLU", "erf": "erf", "labels": "linear, own labels"}
"""Activations, whose teacher has a random direction, and own labels; figures have these titles."""
SETS = {"digits": "digits", "mnist": "mnist-5000"}
"""Groups of the store have these images."""
KEPT = 0.99
"""Share of the images' variance in the components that are used."""
SHARES = {"tenth": 0.1, "hundredth": 0.01}
MEASURED = (*SHARES, "last_error")
BLOCKS = 20
BATCH_SIZE, LABEL_NOISE = 16, 0.3
POWER_LAW_RATE, IMAGES_RATE = 0.2, 1.0
START = sbn.OrderParameters(overlap=0.0)


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Learning from inputs with a covariance."""

    presets: ClassVar = {
        "quick": {
            "exponents": (0.0, 1.0, 2.0), "dimension": 100, "replicas": 4, "duration": 100.0,
            "repeats": 4, "images_duration": 3.0,
        },
        "paper": {
            "exponents": (0.0, 0.5, 1.0, 1.5, 2.0), "dimension": 1000, "replicas": 8,
            "duration": 300.0, "repeats": 60, "images_duration": 30.0,
        },
    }  # fmt: skip
    store: Path = Path("results/structured_inputs.zarr")
    exponents: tuple[float, ...] | None = None
    """Powers a; the first is what the others are compared with. The preset chooses this and the
    following if not given."""
    dimension: int | None = None
    """N of the chain with power laws."""
    replicas: int | None = None
    """Runs of that chain."""
    duration: float | None = None
    """Final time with power laws."""
    repeats: int | None = None
    """Runs on images, and on Gaussian inputs."""
    images_duration: float | None = None
    """Final time on images."""


@cache
def images(name: str) -> np.ndarray:
    """Return the principal components of all images of a set, in units of the teacher's field."""
    data = pixels(SETS[name])
    data = data - data.mean(axis=0)
    variances, axes = np.linalg.eigh(data.T @ data)
    held = np.cumsum(variances[::-1]) / variances.sum()
    data = data @ axes[:, : -2 - int(np.searchsorted(held, KEPT)) : -1]
    return data / np.std(data @ direction(data.shape[1]))


def direction(components: int) -> np.ndarray:
    """Draw the direction of the teacher, of length 1."""
    drawn = np.random.default_rng(0).standard_normal(components)
    return drawn / np.linalg.norm(drawn)


def teacher(name: str) -> np.ndarray:
    """Return the direction that labels the images."""
    return direction(images(name).shape[1])


@cache
def labels(name: str) -> np.ndarray:
    """Return 1 for odd digits and −1 for even ones, centred."""
    odd = 2.0 * (handwritten(SETS[name])[1] % 2) - 1
    return odd - odd.mean()


@cache
def spectrum(task: str, name: str) -> sbn.Spectrum:
    """Return the images' spectrum, with the teacher of a task."""
    own = task == "labels"
    given: dict[str, Any] = {"labels": labels(name)} if own else {"teacher": teacher(name)}
    return sbn.Spectrum.from_data(images(name), **given)


def noise(task: str, name: str) -> float:
    """Return Δ of the labels; of own labels it is what the best linear teacher leaves of them."""
    return spectrum(task, name).label_noise if task == "labels" else LABEL_NOISE


def setup(task: str, normalization: str, label_noise: float = LABEL_NOISE) -> sbn.TeacherStudent:
    """Describe one student."""
    activation = "linear" if task == "labels" else task
    return sbn.TeacherStudent(activation, normalization, BATCH_SIZE, label_noise)


def first_passage(error: np.ndarray, time: np.ndarray, share: float) -> float:
    """Return when an error first falls to a share of its start; NaN if it does not."""
    below = error <= share * error[0]
    if not below.any():
        return float("nan")
    k = int(below.argmax())
    fall = np.log(error[k - 1 : k + 1] / error[0])
    return float(np.interp(-np.log(share), -fall, time[k - 1 : k + 1]))


def power_law(
    normalization: str, exponent: float, level: str, time: np.ndarray, **arguments: Any
) -> xr.Dataset:
    """Let a linear student learn from inputs of a power law, and read its learning times off."""
    run = getattr(sbn, level)(
        setup("linear", normalization), POWER_LAW_RATE, time, START,
        inputs=sbn.Spectrum.power_law(exponent, BLOCKS), workers=1, **arguments,
    ).isel(learning_rate=0, drop=True)  # fmt: skip
    error = run["generalization_error"]
    found = {"last_error": error.isel(time=-1, drop=True)}
    for name, share in SHARES.items():
        passage = partial(first_passage, time=run["time"].values, share=share)
        found[name] = xr.apply_ufunc(passage, error, input_core_dims=[["time"]], vectorize=True)
        found[name].attrs = {"long_name": f"time to a {name}", "units": "steps / N"}
    result = xr.Dataset(found, attrs=run.attrs)
    result["last_error"].attrs.update(long_name="last error", symbol=r"$\varepsilon_g$")
    return result


def described(run: xr.Dataset, name: str) -> xr.Dataset:
    """Keep what is drawn; samples that a replica is tested on are its own."""
    found = run[["generalization_error", "overlap"]].isel(learning_rate=0, drop=True)
    found.attrs = {"level": run.attrs["level"], "dimension": images(name).shape[1]}
    return found


def flow(task: str, normalization: str, name: str, time: np.ndarray) -> xr.Dataset:
    """Solve the flow with the images' covariance."""
    student = setup(task, normalization, noise(task, name))
    inputs = spectrum(task, name)
    run = sbn.macroscopic(student, IMAGES_RATE, time, START, inputs=inputs, workers=1)
    return described(run, name)


def on_gaussian(
    task: str, normalization: str, replica: int, name: str, time: np.ndarray, seed: int
) -> xr.Dataset:
    """Let one student learn from Gaussian inputs of the images' covariance."""
    run = sbn.mesoscopic(
        setup(task, normalization, noise(task, name)), IMAGES_RATE, time, START,
        images(name).shape[1], seed=seed + replica, inputs=spectrum(task, name), workers=1,
    )  # fmt: skip
    return described(run.isel(replica=0, drop=True), name)


def on_images(
    task: str, normalization: str, replica: int, name: str, time: np.ndarray, seed: int
) -> xr.Dataset:
    """Let one student learn from images, with labels of the teacher or with their own."""
    own = task == "labels"
    given: dict[str, Any] = {"labels": labels(name)} if own else {"teacher": teacher(name)}
    run = sbn.microscopic(
        setup(task, normalization, 0.0 if own else LABEL_NOISE), IMAGES_RATE, time, START,
        images(name).shape[1], seed=seed + replica, inputs=images(name), workers=1, **given,
    )  # fmt: skip
    return described(run.isel(replica=0, drop=True), name)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: power laws by flow and chain, images by three kinds of inputs."""
    time = np.concatenate([[0.0], np.geomspace(0.2, options.size("duration"), 80)])
    laws = {"normalization": NORMALIZATIONS, "exponent": options.size("exponents")}
    size = {name: options.size(name) for name in ("dimension", "replicas")}
    chain = partial(power_law, level="mesoscopic", time=time, seed=options.seed, **size)
    shown = np.concatenate([[0.0], np.geomspace(0.5, options.size("images_duration"), 10)])
    students = {"task": list(TASKS), "normalization": NORMALIZATIONS}
    repeats = {**students, "replica": range(options.size("repeats"))}
    found: dict[str, sbn.study.Part] = {
        "power_laws/flow": (partial(power_law, level="macroscopic", time=time), laws),
        "power_laws/chain": (chain, laws),
    }
    for name in SETS:
        given: dict[str, Any] = {"name": name, "time": shown}
        found |= {
            f"{name}/flow": (partial(flow, **given), students),
            f"{name}/gaussian": (partial(on_gaussian, **given, seed=options.seed), repeats),
            f"{name}/images": (partial(on_images, **given, seed=options.seed), repeats),
        }
    return found


def growth(tree: xr.DataTree, level: str = "chain", name: str = "hundredth") -> xr.DataArray:
    """Return the learning time over that of the first exponent, for the other exponents."""
    times = tree[f"power_laws/{level}"].to_dataset()[name].load()
    return times.isel(exponent=slice(1, None)) / times.isel(exponent=0, drop=True)


def gap(tree: xr.DataTree, name: str) -> xr.DataArray:
    """Return the error on images less that on Gaussian inputs, by the latter's mean."""
    real, gaussian = (
        tree[f"{name}/{kind}"].to_dataset()["generalization_error"].load().isel(time=slice(1, None))
        for kind in ("images", "gaussian")
    )
    found = (real - gaussian) / gaussian.mean("replica")
    found.attrs = {"long_name": "images less Gaussian inputs", "symbol": r"$\delta\varepsilon_g$"}
    return found


def equivalence(tree: xr.DataTree, name: str, task: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return what learning from images removes of the error, and their gaps: effect and rest."""
    real = tree[f"{name}/images"].to_dataset()["generalization_error"].load().sel(task=task)
    return real.isel(time=0, drop=True) - real.isel(time=-1, drop=True), gap(tree, name).sel(
        task=task
    )


def saving(tree: xr.DataTree, normalization: str) -> xr.DataArray:
    """Return by how much less learning times grow than without normalization, where known."""
    slower = growth(tree)
    gain = slower.sel(normalization="none") - slower.sel(normalization=normalization)
    return gain.dropna("exponent")


def verdicts(tree: xr.DataTree) -> dict[str, str]:
    """Say what becomes of the claims, by the rule of `statmech_bn.study.decide`."""
    found = {
        f"{name} learn like Gaussian inputs, {title}": decide(*equivalence(tree, name, task))
        for name in SETS
        for task, title in TASKS.items()
    }
    for name in NORMALIZATIONS[1:]:
        gain = saving(tree, name)
        text = f"a wide spectrum costs less than without normalization, {name}"
        found[text] = decide(gain) if gain.size else "not seen"
    return found


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw learning times over a, and learning from images."""
    flow, chain = (tree[f"power_laws/{name}"].to_dataset() for name in ("flow", "chain"))
    for found in (flow, chain):
        found["exponent"].attrs.update(long_name="power", symbol="$a$", units="1")
    laws = [Panel("exponent", name, (flow, chain), None, "", "y") for name in MEASURED]
    drawn = {"power_laws": partial(curves, laws, "normalization")}
    for name in SETS:
        theory, gaussian, real = (
            tree[f"{name}/{kind}"].to_dataset().isel(time=slice(1, None))
            for kind in ("flow", "gaussian", "images")
        )
        every = -(-real.sizes["time"] // FEW)
        apart = slice((real.sizes["time"] - 1) % every, None, every)  # the last time is shown
        shown = gap(tree, name).isel(time=apart)
        difference = describe(xr.Dataset({"gap": shown}, attrs=real.attrs))
        learning, gaps = [], []
        for task, title in TASKS.items():
            levels = [found.sel(task=task) for found in (theory, gaussian, real)]
            learning.append(Panel("time", "generalization_error", levels, None, title))
            gaps.append(Panel("time", "gap", [difference.sel(task=task)], None, title, "x"))
        drawn[name] = partial(curves, learning, "normalization")
        drawn[f"{name}_gap"] = partial(curves, gaps, "normalization")
    return drawn


def largest_gaps(tree: xr.DataTree, name: str) -> dict[str, pd.DataFrame]:
    """Return the largest gaps in standard errors, what they are there, and at which times."""
    values = gap(tree, name)
    mean, error = mean_and_error(values)
    score = (mean / error).transpose("task", "normalization", "time")
    place = abs(score).argmax("time")
    allowed = limit(values.sizes["replica"], score[0].size)
    return {
        f"{name}: largest gap, standard errors; {allowed:.1f} are chance": score.isel(time=place),
        f"{name}: gap there": mean.isel(time=place),
        f"{name}: time there": score["time"].isel(time=place),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give learning times, the largest gaps, and what they say of the claims."""
    flow = tree["power_laws/flow"].to_dataset()
    found = {f"{flow[name].attrs['long_name']}, flow": flow[name].to_pandas() for name in MEASURED}
    for name in SETS:
        found |= {title: table.to_pandas() for title, table in largest_gaps(tree, name).items()}
    found["claims"] = pd.DataFrame({"verdict": verdicts(tree)})
    return found


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
