"""What does the covariance of the inputs do to learning? Power laws, and handwritten digits.

Power laws: blocks of eigenvalue λ_k ∝ k^(−a) with as much of the teacher in each. The *learning
time* is when ε_g has fallen to a share of its start, a tenth or a hundredth.

Handwritten digits: pixels that never vary are left out, the others centred and divided by one
number for all of them, so that their mean variance is 1 and the covariance keeps its shape. The
teacher is one random direction. Gaussian equivalence says that only the covariance counts; the
*gap* is the error on images less that on Gaussian inputs, in units of the latter's mean. The groups
of the store:

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
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide, limit, mean_and_error

NORMALIZATIONS = ("none", "weight", "population", "batch")
ACTIVATIONS = {"linear": "linear", "relu": "ReLU", "erf": "erf"}
"""The grid has these values; figures have these titles for them."""
SHARES = {"tenth": 0.1, "hundredth": 0.01}
MEASURED = (*SHARES, "last_error")
BLOCKS = 20
BATCH_SIZE, LABEL_NOISE = 16, 0.3
POWER_LAW_RATE, DIGITS_RATE = 0.2, 1.0
START = sbn.OrderParameters(overlap=0.0)


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Learning from inputs with a covariance."""

    presets: ClassVar = {
        "quick": {
            "exponents": (0.0, 1.0, 2.0), "dimension": 100, "replicas": 4, "duration": 100.0,
            "repeats": 4, "digits_duration": 6.0,
        },
        "paper": {
            "exponents": (0.0, 0.5, 1.0, 1.5, 2.0), "dimension": 1000, "replicas": 8,
            "duration": 300.0, "repeats": 120, "digits_duration": 30.0,
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
    digits_duration: float | None = None
    """Final time on digits."""


@cache
def images() -> np.ndarray:
    """Return all digits without constant pixels, centred, of mean variance 1."""
    data = pixels()[:, np.ptp(pixels(), axis=0) > 0]
    data = data - data.mean(axis=0)
    return data / np.sqrt(np.mean(data**2))


@cache
def teacher() -> np.ndarray:
    """Draw the direction that labels the images."""
    return np.random.default_rng(0).standard_normal(images().shape[1:])


def setup(activation: str, normalization: str) -> sbn.TeacherStudent:
    """Describe one student."""
    return sbn.TeacherStudent(activation, normalization, BATCH_SIZE, LABEL_NOISE)


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
        found[name].attrs.update(long_name=f"time to a {name}", units="steps / N")
    described = xr.Dataset(found, attrs=run.attrs)
    described["last_error"].attrs.update(long_name="last error", symbol=r"$\varepsilon_g$")
    return described


def on_digits(
    activation: str, normalization: str, level: str, time: np.ndarray, **arguments: Any
) -> xr.Dataset:
    """Let a student learn from digits, or from what has their covariance."""
    run = getattr(sbn, level)(
        setup(activation, normalization), DIGITS_RATE, time, START, workers=1, **arguments
    )
    return run[["generalization_error", "overlap"]].isel(learning_rate=0, drop=True)


def repeated(
    activation: str, normalization: str, replica: int, level: str, seed: int, **arguments: Any
) -> xr.Dataset:
    """Simulate one replica; images are tested on samples of its own."""
    seeds = {"dimension": images().shape[1], "seed": seed + replica}
    run = on_digits(activation, normalization, level, **seeds, **arguments)
    found = run.isel(replica=0, drop=True)
    found.attrs = {"level": level, "dimension": seeds["dimension"]}
    return found


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: power laws by flow and chain, digits by three kinds of inputs."""
    time = np.concatenate([[0.0], np.geomspace(0.2, options.size("duration"), 80)])
    laws = {"normalization": NORMALIZATIONS, "exponent": options.size("exponents")}
    size = {name: options.size(name) for name in ("dimension", "replicas")}
    chain = partial(power_law, level="mesoscopic", time=time, seed=options.seed, **size)
    spectrum = sbn.Spectrum.from_data(images(), teacher=teacher())
    shown = np.concatenate([[0.0], np.geomspace(0.5, options.size("digits_duration"), 10)])
    students = {"activation": list(ACTIVATIONS), "normalization": NORMALIZATIONS}
    repeats = {**students, "replica": range(options.size("repeats"))}
    simulated = partial(repeated, time=shown, seed=options.seed)
    flow = partial(on_digits, level="macroscopic", time=shown, inputs=spectrum)
    gaussian = partial(simulated, level="mesoscopic", inputs=spectrum)
    given = {"inputs": images(), "teacher": teacher()}
    return {
        "power_laws/flow": (partial(power_law, level="macroscopic", time=time), laws),
        "power_laws/chain": (chain, laws),
        "digits/flow": (flow, students),
        "digits/gaussian": (gaussian, repeats),
        "digits/images": (partial(simulated, level="microscopic", **given), repeats),
    }


def growth(tree: xr.DataTree, level: str = "chain", name: str = "hundredth") -> xr.DataArray:
    """Return the learning time over that of the first exponent, for the other exponents."""
    times = tree[f"power_laws/{level}"].to_dataset()[name].load()
    return times.isel(exponent=slice(1, None)) / times.isel(exponent=0, drop=True)


def gap(tree: xr.DataTree) -> xr.DataArray:
    """Return the error on images less that on Gaussian inputs, by the latter's mean."""
    real, gaussian = (
        tree[f"digits/{name}"].to_dataset()["generalization_error"].load().isel(time=slice(1, None))
        for name in ("images", "gaussian")
    )
    found = (real - gaussian) / gaussian.mean("replica")
    found.attrs = {"long_name": "images less Gaussian inputs", "symbol": r"$\delta\varepsilon_g$"}
    return found


def verdicts(tree: xr.DataTree) -> dict[str, str]:
    """Say what becomes of the claims, by the rule of `statmech_bn.study.decide`."""
    real = tree["digits/images"].to_dataset()["generalization_error"].load()
    learned = real.isel(time=0, drop=True) - real.isel(time=-1, drop=True)
    found = {
        f"images learn like Gaussian inputs, {title}": decide(
            learned.sel(activation=name), gap(tree).sel(activation=name)
        )
        for name, title in ACTIVATIONS.items()
    }
    slower = growth(tree)
    for name in NORMALIZATIONS[1:]:
        gain = slower.sel(normalization="none") - slower.sel(normalization=name)
        known = gain.dropna("exponent")
        text = f"a wide spectrum costs less than without normalization, {name}"
        found[text] = decide(known) if known.size else "not seen"
    return found


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw learning times over a, and learning from digits."""
    flow, chain = (tree[f"power_laws/{name}"].to_dataset() for name in ("flow", "chain"))
    theory, gaussian, real = (
        tree[f"digits/{name}"].to_dataset().isel(time=slice(1, None))
        for name in ("flow", "gaussian", "images")
    )
    for found in (flow, chain):
        found["exponent"].attrs.update(long_name="power", symbol="$a$", units="1")
    difference = describe(xr.Dataset({"gap": gap(tree)}, attrs=real.attrs))
    laws = [Panel("exponent", name, (flow, chain), None, "", "y") for name in MEASURED]
    learning, gaps = [], []
    for name, title in ACTIVATIONS.items():
        levels = [found.sel(activation=name) for found in (theory, gaussian, real)]
        learning.append(Panel("time", "generalization_error", levels, None, title))
        gaps.append(Panel("time", "gap", [difference.sel(activation=name)], None, title, "x"))
    return {
        "power_laws": partial(curves, laws, "normalization"),
        "digits": partial(curves, learning, "normalization"),
        "gap": partial(curves, gaps, "normalization"),
    }


LAST = "last_error"


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give learning times, the largest gaps, and what they say of the claims."""
    flow = tree["power_laws/flow"].to_dataset()
    found = {f"{flow[name].attrs['long_name']}, flow": flow[name].to_pandas() for name in MEASURED}
    values = gap(tree)
    mean, error = mean_and_error(values)
    score = (mean / error).transpose("activation", "normalization", "time")
    place = abs(score).argmax("time")
    allowed = limit(values.sizes["replica"], score[0].size)
    found["largest gap, standard errors"] = score.isel(time=place).to_pandas()
    found["gap there"] = mean.isel(time=place).to_pandas()
    found["time there"] = score["time"].isel(time=place).to_pandas()
    found[f"seen are gaps beyond {allowed:.1f} standard errors"] = pd.DataFrame(
        {"verdict": verdicts(tree)}
    )
    return found


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
