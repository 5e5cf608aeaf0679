"""How a large learning rate regularizes batch normalization on a finite training set.

Below α = 1 a student interpolates, and keeps what its initial weights have outside of the data. A
large learning rate makes |w| longer, Q_∞/Q₀, next to which that part is small: it is forgotten.
ε_g against η for several M, with the growth beside it and the error predicted from the growth.
Above α = 1 nothing is kept; what a finite η adds to the annealed error is the first correction.
The store is a tree,

    load_0.5/batch_10/simulation, load_0.5/batch_10/theory, correction/batch_10
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn

LOADS = (0.3, 0.5, 0.8)
BATCH_SIZES = (5, 10, 40)
LABEL_NOISE = 0.5
CORRECTION_LOAD = 2.0

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"rates": 4, "dimension": 150, "replicas": 6, "epochs": 100},
    "paper": {"rates": 7, "dimension": 300, "replicas": 12, "epochs": 600},
}


@dataclass(frozen=True)
class Options:
    """Learning rates over more than two decades, and figures of what they do."""

    store: Path = Path("results/large_learning_rate.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a few minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    rates: int | None = None
    """Number of learning rates; this and the following are the preset's unless given."""
    dimension: int | None = None
    """N."""
    replicas: int | None = None
    """Training sets."""
    epochs: int | None = None
    """Epochs at α = 0.5; at larger loads up to three times as many."""

    def size(self, name: str) -> int:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def cosine(done: float) -> float:
    """Anneal the learning rates from 1 to 0."""
    return 0.5 * (1 + float(np.cos(np.pi * done)))


def setup(batch_size: int) -> sbn.TeacherStudent:
    """Describe the student."""
    return sbn.TeacherStudent("linear", "batch", batch_size, LABEL_NOISE)


def interpolating(load: float, batch_size: int, options: Options) -> xr.Dataset:
    """Train at all learning rates, from η/M = 0.1 (0.3 near α = 1, where learning is slow) to 10.

    γ gets a small learning rate of its own: at finite N it jitters by η_γ/N.
    """
    dimension = options.size("dimension")
    rates = np.geomspace(0.1 if load < 0.7 else 0.5, 10, options.size("rates")) * batch_size
    return sbn.offline.train(
        setup(batch_size),
        load,
        rates,
        dimension,
        options.size("replicas"),
        options.size("epochs") * (3 if load > 0.7 else 1),
        options.seed,
        gamma_learning_rate=np.minimum(rates, dimension / 40),
        initializations=2,
    ).squeeze("load", drop=True)


def correction(batch_size: int, options: Options) -> xr.Dataset:
    """Compare constant learning rates above α = 1 with annealing, on the same data.

    `excess` is the difference of ε_g at the last epoch, for the effective learning rate
    η_eff/M = ηγ/(QM) at that epoch.
    """
    run: dict[str, Any] = {
        "setup": setup(batch_size),
        "load": CORRECTION_LOAD,
        "dimension": options.size("dimension"),
        "replicas": options.size("replicas"),
        "seed": options.seed,
    }
    epochs = options.size("epochs")
    annealed = sbn.offline.train(
        learning_rate=0.3 * batch_size, epochs=epochs, schedule=cosine, **run
    ).isel(learning_rate=0, drop=True)
    last = [round(epochs / 2**k) for k in (4, 3, 2, 1, 0)]
    constant = sbn.offline.train(
        learning_rate=3.0 * batch_size, epochs=epochs, history=last, **run
    ).isel(learning_rate=0)
    rate = constant["learning_rate"] * constant["gamma"] / constant["length"] ** 2 / batch_size
    effective = rate.mean("replica").squeeze().values
    excess = constant["generalization_error"] - annealed["generalization_error"]
    found = xr.Dataset({"excess": excess.squeeze("load", drop=True)}, attrs=constant.attrs)
    found = found.drop_vars(["learning_rate", "gamma_learning_rate"], errors="ignore")
    found = found.rename(epoch="effective_rate").assign_coords(effective_rate=effective)
    found["excess"].attrs = {"long_name": "excess error", "symbol": r"$\Delta\varepsilon_g$"}
    found["effective_rate"].attrs = {
        "long_name": "effective learning rate",
        "symbol": r"$\eta_\mathrm{eff}/M$",
    }
    return found


def simulate(options: Options) -> xr.DataTree:
    """Train at all loads, batch sizes and learning rates."""
    results: dict[str, xr.Dataset] = {}
    jobs = [(load, size) for load in LOADS for size in BATCH_SIZES]
    for load, size in tqdm(jobs, desc="loads and batch sizes", disable=None):
        group = f"load_{load:g}/batch_{size}"
        found = interpolating(load, size, options)
        results[f"{group}/simulation"] = found
        growth = found["growth"].mean(("replica", "initialization"))
        error = sbn.offline.batch_normalized(load, size, LABEL_NOISE, growth.values)
        expected = growth.to_dataset(name="generalization_error")
        expected["generalization_error"].values[:] = error
        expected["generalization_error"].attrs = found["generalization_error"].attrs
        results[f"{group}/theory"] = expected
    for size in BATCH_SIZES:
        results[f"correction/batch_{size}"] = correction(size, options)
    return xr.DataTree.from_dict(results)


def first_correction(found: xr.Dataset) -> tuple[float, float]:
    """Return dε_g/d(η_eff/M) at η → 0 with its standard error over training sets.

    From the three smallest effective learning rates, by least squares through the origin.
    """
    rates = found["effective_rate"].values
    smallest = np.argsort(rates)[:3]
    values = found["excess"].transpose("replica", ...).values[:, smallest]
    slopes = values @ rates[smallest] / (rates[smallest] @ rates[smallest])
    return float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(slopes.size))


def markdown(tree: xr.DataTree) -> str:
    """Write how far training is from the prediction, and the first correction in η."""
    lines = [
        "| α | M | η/M | Q_∞/Q₀ | training | predicted | off by (σ) |",
        "|" + "---|" * 7,
    ]
    for load in LOADS:
        for size in BATCH_SIZES:
            found = tree[f"load_{load:g}/batch_{size}/simulation"].to_dataset()
            theory = tree[f"load_{load:g}/batch_{size}/theory"].to_dataset()
            error = found["generalization_error"].mean("initialization")
            expected = theory["generalization_error"].values
            growth = found["growth"].mean(("replica", "initialization")).values
            for k in (0, expected.size // 2, expected.size - 1):
                values = error.isel(learning_rate=k).values
                spread = values.std(ddof=1) / np.sqrt(values.size)
                rate = float(error["learning_rate"][k]) / size
                lines.append(
                    f"| {load:g} | {size} | {rate:.2g} | {growth[k]:.2f} "
                    f"| {values.mean():.4f} ± {spread:.4f} | {expected[k]:.4f} "
                    f"| {(values.mean() - expected[k]) / spread:+.1f} |"
                )
    lines += ["", f"First correction at α = {CORRECTION_LOAD:g}, dε_g/d(η_eff/M):", ""]
    for size in BATCH_SIZES:
        slope, spread = first_correction(tree[f"correction/batch_{size}"].to_dataset())
        lines.append(f"- M = {size}: {slope:+.4f} ± {spread:.4f}")
    return "\n".join(lines)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw error and growth against the learning rate."""
    panels = {
        rf"$\alpha = {load:g}$": {
            f"$M = {size}$": tuple(
                tree[f"load_{load:g}/batch_{size}/{kind}"].to_dataset()
                for kind in ("theory", "simulation")
            )
            for size in BATCH_SIZES
        }
        for load in LOADS
    }
    shown: Any = panels
    return {"error": sbn.plot.against("learning_rate", shown, ["generalization_error", "growth"])}


def main(options: Options) -> None:
    """Simulate, write the store, draw, print the table."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in figures(tree).items():
        sbn.plot.save_figure(figure, options.figures / f"large_learning_rate_{name}")
    print(markdown(tree))
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
