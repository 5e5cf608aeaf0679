"""What does dropout do to batch normalization? The variance shift in the solvable model.

Linear students with batch normalization; masks keep each input ("before") or each output of the
normalization ("behind") with probability p. N weights learn with masks; what they do "before" is
also what a student without masks does, by the flow and by the chain. The groups of the store:

    learning/flow, learning/chain       overlap and γ over time, masks before, by the mapping
    learning/masks                      the same with N weights and masks
    rest/theory, rest/masks             variance shift and losses at the end, over p
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

import statmech_bn as sbn
from statmech_bn import inference
from statmech_bn.normalization import project
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide

PLACES = ("before", "behind")
SETUP = sbn.TeacherStudent("linear", "batch", 16, label_noise=0.1)
RATE, MOMENTUM = 1.0, 0.01
"""Learning rate of weights and scale, and momentum of the running variance."""
START = sbn.OrderParameters(overlap=0.1, gamma=0.5)
TIME = np.linspace(0.5, 12.0, 12)
LINE = np.linspace(0.2, 1.0, 33)
"""Probabilities of theory."""
WORDS = {
    "keep": ("kept", "$p$"),
    "shift": ("inference variance by training", ""),
    "running": ("scale, running statistics", r"$\varphi/u$"),
    "recomputed": ("scale, recomputed statistics", r"$\varphi/u$"),
}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Students with dropout, by theory and by simulation."""

    presets: ClassVar = {
        "quick": {"replicas": 6, "dimension": 60, "keeps": (0.5, 1.0)},
        "paper": {"replicas": 24, "dimension": 200, "keeps": (0.3, 0.5, 0.7, 0.9, 1.0)},
    }
    store: Path = Path("results/dropout.zarr")
    replicas: int | None = None
    """Students. The preset chooses this and the following if not given."""
    dimension: int | None = None
    """N."""
    keeps: tuple[float, ...] | None = None
    """Probabilities p of the simulations."""


def label(found: xr.Dataset) -> xr.Dataset:
    """Give variables their words."""
    for name, (words, symbol) in WORDS.items():
        if name in found.variables:
            found[name].attrs.update(long_name=words, symbol=symbol, units="1")
    return found


def mapped(keep: float, level: str, **arguments: Any) -> xr.Dataset:
    """Let the student without masks learn that is worth one with masks on its inputs."""
    setup, rate, scale = inference.without_dropout(SETUP, keep)
    start = sbn.OrderParameters(START.overlap, START.length, START.gamma / scale)
    run = getattr(sbn, level)(
        setup, rate * RATE, TIME, start, gamma_learning_rate=RATE, workers=1, **arguments
    )
    run["gamma"] = run["gamma"] * scale
    described = sbn.dataset.describe(run[["overlap", "gamma"]].isel(learning_rate=0, drop=True))
    return described


def learn(place: str, keep: float, replicas: int, dimension: int, seed: int) -> xr.Dataset:
    """Let N weights learn with masks."""
    generator = np.random.default_rng([seed, PLACES.index(place), round(1000 * keep)])
    root, samples = np.sqrt(dimension), SETUP.batch_size
    teacher, other = generator.standard_normal((2, replicas, dimension))
    teacher *= root / np.linalg.norm(teacher, axis=1, keepdims=True)
    other -= np.sum(other * teacher, axis=1, keepdims=True) * teacher / dimension
    other *= root / np.linalg.norm(other, axis=1, keepdims=True)
    w = START.overlap * teacher + np.sqrt(1 - START.overlap**2) * other
    gamma, running = np.full((replicas, 1), START.gamma), np.ones(replicas) / keep
    if place == "behind":
        running *= keep
    found: dict[str, list[np.ndarray]] = {"overlap": [], "gamma": []}
    done = 0

    def mean(values: np.ndarray) -> np.ndarray:
        return values.mean(axis=1, keepdims=True)

    for last in np.rint(TIME * dimension).astype(int).tolist():
        for _ in range(last - done):
            x = generator.standard_normal((replicas, samples, dimension))
            y = np.einsum("rmn,rn->rm", x, teacher) / root
            y += SETUP.label_noise * generator.standard_normal(y.shape)
            kept = np.ones(y.shape)
            if place == "before":
                x *= (generator.random(x.shape) < keep) / keep
            else:
                kept = (generator.random(y.shape) < keep) / keep
            h = np.einsum("rmn,rn->rm", x, w) / root
            spread = np.sqrt(mean((h - mean(h)) ** 2))
            shown = (h - mean(h)) / spread
            delta = kept * (y - kept * gamma * shown)
            c = gamma * project(delta, shown, mean) / (samples * spread)
            w = w + RATE / root * np.einsum("rm,rmn->rn", c, x)
            gamma = gamma + RATE / dimension * mean(delta * shown)
            variance = spread[:, 0] ** 2 * samples / (samples - 1)
            running += MOMENTUM * (variance - running)
        done = last
        length = np.linalg.norm(w, axis=1) / root
        found["overlap"].append(np.sum(w * teacher, axis=1) / (length * dimension))
        found["gamma"].append(gamma[:, 0])
    data: dict[str, Any] = {k: (("replica", "time"), np.array(v).T) for k, v in found.items()}
    data["shift"] = ("replica", length**2 / running)
    data["running"] = ("replica", gamma[:, 0] * length / np.sqrt(running))
    data["recomputed"] = ("replica", gamma[:, 0])
    made = xr.Dataset(data, {"time": TIME}, {"level": "microscopic", "dimension": dimension})
    return label(sbn.dataset.describe(made))


def rest(place: str, keep: float) -> xr.Dataset:
    """Return what theory says of students at rest, R = 1."""
    _, running, recomputed = inference.dropout_scale(place, keep, SETUP.batch_size)
    shift = inference.variance_shift(keep) if place == "before" else 1.0
    found = {"shift": shift, "running": running, "recomputed": recomputed}
    return label(xr.Dataset(found, attrs={"level": "macroscopic"}))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: learning by three levels, and rest."""
    size = {name: options.size(name) for name in ("replicas", "dimension")} | {"seed": options.seed}
    keeps = {"keep": options.size("keeps")}
    return {
        "learning/flow": (partial(mapped, level="macroscopic"), keeps),
        "learning/chain": (partial(mapped, level="mesoscopic", **size), keeps),
        "learning/masks": (partial(learn, **size), {"place": PLACES, **keeps}),
        "rest/theory": (rest, {"place": PLACES, "keep": LINE}),
    }


def claims(tree: xr.DataTree) -> dict[str, tuple[Any, Any]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    masks = tree["learning/masks"].to_dataset().load()
    chain = tree["learning/chain"].to_dataset().load()
    dropped = masks.sel(keep=masks["keep"] < 1)
    before, behind = (dropped.sel(place=name, drop=True) for name in PLACES)
    late = {"time": float(TIME[-1])}
    alike = before["overlap"].sel(late) - chain["overlap"].sel(late).mean("replica")
    return {
        "Dropout before normalization shifts the variance, by p": (
            1 - before["shift"], before["shift"] - before["keep"],
        ),
        "... and outputs shrink by it": (before["recomputed"] - before["running"], None),
        "Behind normalization there is no shift": (
            behind["shift"] - before["shift"], behind["shift"] - 1,
        ),
        "... and outputs are larger": (behind["running"] - before["running"], None),
        "Masks on the inputs are label noise and a slower rate": (
            before["overlap"].sel(late) - START.overlap, alike,
        ),
    }  # fmt: skip


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw learning with masks, and what they leave at inference."""
    masks = label(tree["learning/masks"].to_dataset().load())
    levels = [label(tree[f"learning/{n}"].to_dataset().load()) for n in ("flow", "chain")]
    learning = [
        Panel("time", name, [*levels, masks.sel(place="before")], None, "", "")
        for name in ("overlap", "gamma")
    ]
    theory = label(tree["rest/theory"].to_dataset().load())
    names = ("shift", "running", "recomputed")
    rests = [Panel("keep", name, [theory, masks], None, "", "") for name in names]
    return {
        "learning": partial(curves, learning, "keep"),
        "rest": partial(curves, rests, "place"),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give what is left at inference, and what becomes of the claims."""
    masks = tree["learning/masks"].to_dataset().load().mean("replica")
    names = ("shift", "running", "recomputed")
    return {
        **{WORDS[name][0]: masks[name].to_pandas() for name in names},
        "verdicts": pd.DataFrame({"verdict": {k: decide(*v) for k, v in claims(tree).items()}}),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
