"""Which batch size generalizes best? Batch normalization on finite training sets, ε_g against M.

Small batches shrink the output, like a ridge: too little for noisy labels at large M, too much at
small M. Linear students at several loads, annealed to the end, beside `batch_normalized`, the
published ridge (λ_r = 2αζ with ζ = 3/(4M)) and the best batch size M*. The store is a tree,

    load_2/simulation, load_2/theory, load_2/ridge, load_2/best
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

LOADS = (2.0, 4.0, 8.0)
LABEL_NOISE = 0.5

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"sizes": (3, 6, 12, 24, 48), "dimension": 50, "replicas": 8, "epochs": 150},
    "paper": {
        "sizes": (3, 4, 5, 7, 10, 15, 24, 40, 64),
        "dimension": 200,
        "replicas": 16,
        "epochs": 500,
    },
}


@dataclass(frozen=True)
class Options:
    """Generalization at batch sizes from 3 to 64, and figures of it."""

    store: Path = Path("results/batch_size.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a few minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    sizes: tuple[int, ...] | None = None
    """M; this and the following are the preset's unless given."""
    dimension: int | None = None
    """N."""
    replicas: int | None = None
    """Training sets."""
    epochs: int | None = None
    """Epochs at α = 2; at other loads in proportion to the time of the slowest mode."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def cosine(done: float) -> float:
    """Anneal the learning rates from 1 to 0."""
    return 0.5 * (1 + float(np.cos(np.pi * done)))


def simulate(options: Options) -> xr.DataTree:
    """Train at all loads and batch sizes; the same data for all sizes of a load."""
    sizes = np.array(options.size("sizes"))
    dimension, replicas = options.size("dimension"), options.size("replicas")
    axis = xr.DataArray(
        sizes, dims="batch_size", attrs={"long_name": "batch size", "symbol": "$M$", "units": "1"}
    )
    fine = np.geomspace(sizes[0], sizes[-1], 80)
    curve = xr.DataArray(fine, dims="batch_size", attrs=axis.attrs)
    results: dict[str, xr.Dataset] = {}
    for load in tqdm(LOADS, desc="loads", disable=None):
        slowness = (2 * (1 - 2**-0.5) ** 2) / (load * (1 - load**-0.5) ** 2)
        runs = []
        for size in sizes:
            setup = sbn.TeacherStudent("linear", "batch", int(size), LABEL_NOISE)
            epochs = int(max(40, slowness * options.size("epochs")))
            found = sbn.offline.train(
                setup, load, 0.5 * size, dimension, replicas, epochs, options.seed, schedule=cosine
            )
            runs.append(found.squeeze(["load", "learning_rate"], drop=True))
        group = f"load_{load:g}"
        simulation = xr.concat(runs, "batch_size").assign_coords(batch_size=axis)
        results[f"{group}/simulation"] = simulation
        attributes = simulation["generalization_error"].attrs

        def line(error: np.ndarray, x: xr.DataArray = curve, about: Any = attributes) -> xr.Dataset:
            coordinates = {"batch_size": x}
            values = xr.DataArray(np.atleast_1d(error), coordinates, ("batch_size",), attrs=about)
            return xr.Dataset({"generalization_error": values})

        results[f"{group}/theory"] = line(sbn.offline.batch_normalized(load, fine, LABEL_NOISE))
        results[f"{group}/ridge"] = line(
            sbn.offline.ridge(load, 2 * load * 3 / (4 * fine), LABEL_NOISE)
        )
        best = sbn.offline.best_batch_size(load, LABEL_NOISE)
        results[f"{group}/best"] = line(
            sbn.offline.batch_normalized(load, best, LABEL_NOISE),
            xr.DataArray(np.atleast_1d(best), dims="batch_size"),
        )
    return xr.DataTree.from_dict(results)


def optimum(simulation: xr.Dataset) -> tuple[float, float]:
    """Return the best batch size of the simulation and its standard error over training sets.

    The vertex of a parabola in log M through the smallest mean and its neighbours, for each
    training set left out in turn (jackknife).
    """
    error = simulation["generalization_error"].transpose("replica", "batch_size").values
    logs = np.log(simulation["batch_size"].values)

    def vertex(mean: np.ndarray) -> float:
        centre = int(mean.argmin())
        if centre in (0, mean.size - 1):
            return float(logs[centre])
        near = slice(centre - 1, centre + 2)
        square, slope, _ = np.polyfit(logs[near], mean[near], 2)
        return float(-slope / (2 * square))

    number = len(error)
    left_out = np.array([vertex(np.delete(error, k, axis=0).mean(axis=0)) for k in range(number)])
    spread = np.sqrt((number - 1) * left_out.var())
    best = np.exp(vertex(error.mean(axis=0)))
    return best, best * spread


def markdown(tree: xr.DataTree) -> str:
    """Write the best batch sizes, one row for each load."""
    lines = ["| α | M, simulation | M*, theory |", "|---|---|---|"]
    for load in LOADS:
        best, error = optimum(tree[f"load_{load:g}/simulation"].to_dataset())
        expected = float(tree[f"load_{load:g}/best"].to_dataset()["batch_size"][0])
        lines.append(f"| {load:g} | {best:.1f} ± {error:.1f} | {expected:.1f} |")
    return "\n".join(lines)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the errors against the batch size."""
    panels: dict[str, Any] = {}
    for load in LOADS:
        group = {name: node.to_dataset() for name, node in tree[f"load_{load:g}"].children.items()}
        panels[rf"$\alpha = {load:g}$"] = {
            r"ridge, $\lambda_r = 2\alpha\zeta$": (group["ridge"], None),
            "batch norm.": (group["theory"], group["simulation"]),
            r"best batch size $M^\ast$": (None, group["best"]),
        }
    return {"error": sbn.plot.against("batch_size", panels)}


def main(options: Options) -> None:
    """Simulate, write the store, draw, print the best batch sizes."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in figures(tree).items():
        sbn.plot.save_figure(figure, options.figures / f"batch_size_{name}")
    print(markdown(tree))
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
