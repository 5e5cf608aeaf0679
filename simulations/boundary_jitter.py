"""Boundaries that jitter from batch to batch, and whether that widens a classifier's margin.

A boundary whose place is the mean of a mini-batch moves by σ/(√M|w|), and the batch's own samples
change sides with it. The store is a tree:

    unit/gaussian          jitter and flip rates of one unit with Gaussian fields
    unit/gaussian_shifted  the same for a boundary one σ off the mean (β/γ = 1)
    unit/digits            a random unit on handwritten digits, drawn without replacement
    unit/digits_shifted
    network                flip rates in the layers of a random network on digits
    margin/batch           margin of a trained classifier, normalized by the batch of the step,
    margin/set             or by the whole training set: the same noise of the gradient, no jitter
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn
from statmech_bn.dataset import describe

UNITS = {
    "gaussian": "Gaussian fields",
    "gaussian_shifted": r"Gaussian fields, $\beta=\gamma$",
    "digits": "digits",
    "digits_shifted": r"digits, $\beta=\gamma$",
}
STATISTICS = {"batch": "statistics of the batch", "set": "of the training set"}
UNIT_SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
NETWORK_SIZES = (4, 8, 16, 32, 64, 128, 256)
MARGIN_SIZES = (4, 8, 16, 32, 64, 128, 256)
UNIT_REPLICAS = 16
WIDTHS = (64, 64, 64)
TRAINING_SAMPLES, TEST_SAMPLES, NOISE = 256, 2000, 0.15
LEARNING_RATE = 0.1
ARCSINE = "arcsin(M^−½)/π change sides"

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"batches": 300, "networks": 4, "steps": 200, "replicas": 2},
    "paper": {"batches": 8_000, "networks": 16, "steps": 2000, "replicas": 16},
}


@dataclass(frozen=True)
class Options:
    """Boundaries that move with the mini-batch, and margins."""

    store: Path = Path("results/boundary_jitter.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    batches: int | None = None
    """Batches of each replica of one unit; this and the following are the preset's unless given."""
    networks: int | None = None
    """Random networks."""
    steps: int | None = None
    """Steps of each classifier."""
    replicas: int | None = None
    """Trained classifiers."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def digits() -> np.ndarray:
    """Return the handwritten digits of scikit-learn, 64 pixels from 0 to 1."""
    from sklearn.datasets import load_digits  # not needed by Gaussian fields

    return load_digits().data / 16


def unit(name: str, options: Options) -> xr.Dataset:
    """Move the boundary of one unit."""
    images = digits() if name.startswith("digits") else None
    fields = None
    if images is not None:
        fields = images @ np.random.default_rng(options.seed).standard_normal(images.shape[1])
    return sbn.geometry.boundary_jitter(
        UNIT_SIZES,
        fields,
        shift=1.0 if name.endswith("shifted") else 0.0,
        batches=max(2, options.size("batches") // (1 if images is None else 10)),
        replicas=UNIT_REPLICAS,
        seed=options.seed,
    )


def network(options: Options) -> xr.Dataset:
    """Count the units of random networks that change sides between a batch and all digits."""
    images, networks = digits(), options.size("networks")
    rate = np.empty((len(NETWORK_SIZES), networks, len(WIDTHS)))
    for replica in range(networks):
        plain = sbn.geometry.ReluNetwork.random(
            (images.shape[1], *WIDTHS), options.seed + 1000 * replica
        )
        population = plain.with_batch_statistics(images)
        generator = np.random.default_rng(np.random.SeedSequence((options.seed, replica)))
        for k, size in enumerate(NETWORK_SIZES):
            flips = []
            for _ in range(1024 // size + 1):
                batch = images[generator.choice(len(images), size, replace=False)]
                jittered = plain.with_batch_statistics(batch)
                changed = population.pattern(batch) != jittered.pattern(batch)
                flips.append(np.split(changed.mean(axis=0), np.cumsum(WIDTHS)[:-1]))
            rate[k, replica] = np.mean(flips, axis=(0, 2))
    data = {
        "flip_rate": (("batch_size", "replica", "layer"), rate),
        "predicted_inside": ("batch_size", sbn.geometry.flip_rate(NETWORK_SIZES)),
    }
    coordinates = {"batch_size": list(NETWORK_SIZES), "layer": np.arange(len(WIDTHS)) + 1}
    return describe(xr.Dataset(data, coordinates))


def margin(statistics: str, options: Options) -> xr.Dataset:
    """Train classifiers of two moons at each batch size, and measure their margins."""
    samples, labels = sbn.geometry.point_cloud("moons", TRAINING_SAMPLES, options.seed, NOISE)
    fresh, truth = sbn.geometry.point_cloud("moons", TEST_SAMPLES, options.seed + 1, NOISE)
    names = ("margin", "low_margin", "accuracy")
    values = np.empty((len(names), len(MARGIN_SIZES), options.size("replicas")))
    for k, size in enumerate(tqdm(MARGIN_SIZES, desc=statistics, disable=None, leave=False)):
        trained = sbn.geometry.train_classifier(
            samples, labels, size, statistics,
            learning_rate=LEARNING_RATE, steps=options.size("steps"),
            replicas=options.size("replicas"), seed=options.seed,
        )  # fmt: skip
        for replica, classifier in enumerate(trained):
            found = sbn.geometry.margins(classifier, samples, labels)
            right = np.sign(classifier.fields(fresh)[-1][:, 0]) == truth
            values[:, k, replica] = found.mean(), np.quantile(found, 0.1), right.mean()
    dims = ("batch_size", "replica")
    data = {name: (dims, found) for name, found in zip(names, values, strict=True)}
    attributes = {"learning_rate": LEARNING_RATE, "steps": options.size("steps")}
    return describe(xr.Dataset(data, {"batch_size": list(MARGIN_SIZES)}, attributes))


def simulate(options: Options) -> xr.DataTree:
    """Measure all of it."""
    jobs: dict[str, Callable[[], xr.Dataset]] = {
        f"unit/{name}": partial(unit, name, options) for name in UNITS
    }
    jobs["network"] = partial(network, options)
    jobs |= {f"margin/{name}": partial(margin, name, options) for name in STATISTICS}
    results = {
        group: job().assign_attrs(seed=options.seed)
        for group, job in tqdm(jobs.items(), desc="boundary jitter", disable=None)
    }
    return xr.DataTree.from_dict(results)


def scores(tree: xr.DataTree, name: str) -> pd.DataFrame:
    """Jitter and flip rates of one unit, and by how many standard errors the theory misses them."""
    found = tree[f"unit/{name}"].to_dataset()
    table: dict[str, np.ndarray] = {}
    for variable in ("jitter", "inside", "outside"):
        values, predicted = found[variable], found[f"predicted_{variable}"]
        error = values.std("replica", ddof=1) / np.sqrt(values.sizes["replica"])
        table[variable] = values.mean("replica").values
        if predicted.notnull().all():
            away = (values.mean("replica") - predicted) / error
            table[f"{variable}: predicted"] = predicted.values
            table[f"{variable}: errors away"] = away.values
    return pd.DataFrame(table, index=found["batch_size"].to_index())


def margin_gain(tree: xr.DataTree, variable: str = "margin") -> pd.DataFrame:
    """Compare margins with and without jitter, classifier by classifier.

    Pairs start from the same weights and see the same batches.
    """
    batch, whole = (tree[f"margin/{name}"].to_dataset()[variable] for name in STATISTICS)
    table: dict[str, np.ndarray] = {}
    gain = batch - whole
    for label, values in (("batch", batch), ("set", whole), ("gain", gain)):
        table[label] = values.mean("replica").values
        error = values.std("replica", ddof=1) / np.sqrt(values.sizes["replica"])
        table[f"{label}: error"] = error.values
    return pd.DataFrame(table, index=batch["batch_size"].to_index())


def claims(tree: xr.DataTree) -> pd.DataFrame:
    """State what is claimed, what is measured, and the verdict.

    Claims are those of Balestriero & Baraniuk (2022), and the flip rate of Gaussian fields. An
    equality is reproduced if it holds within three standard errors over replicas, an effect if it
    is at least as far from none.
    """
    rows = []

    def row(claim: str, where: str, quantity: str, values: xr.DataArray, expected: str) -> None:
        mean, error = float(values.mean()), float(values.std(ddof=1)) / np.sqrt(values.size)
        away = mean - float(expected.lstrip("=>"))
        seen = abs(away) > max(3 * error, 1e-9)
        if expected.startswith("="):
            verdict = "with a correction" if seen else "reproduced"
        else:
            verdict = ("reproduced" if away > 0 else "the opposite") if seen else "not seen"
        rows.append((claim, where, quantity, mean, error, expected, verdict))

    units = {name: tree[f"unit/{name}"].to_dataset() for name in UNITS}
    for name, found in units.items():
        scaled = (found["jitter"] * np.sqrt(found["batch_size"])).mean("batch_size")
        row("the jitter is σ/(√M|w|)", name, "√M jitter", scaled, "=1")
        if found.attrs["shift"]:
            continue
        law = xr.DataArray(sbn.geometry.flip_rate(found["batch_size"].values), dims="batch_size")
        counted = (found["inside"] / law).mean("batch_size")
        row(ARCSINE, name, "in the batch/law", counted, "=1")
        own = (found["inside"] / found["predicted_inside"]).sel(batch_size=slice(8, None))
        row("E Φ(−|u|√((M−1)/k)) change sides", name, "same, M ≥ 8", own.mean("batch_size"), "=1")
    network = tree["network"].to_dataset()
    relative = (network["flip_rate"] / network["predicted_inside"]).mean("batch_size")
    for layer in network["layer"].values:
        deep = relative.sel(layer=layer)
        row(ARCSINE, f"network, layer {layer}", "in the batch/law", deep, "=1")
    batch, whole = (tree[f"margin/{name}"].to_dataset() for name in STATISTICS)
    for variable, claim in (
        ("margin", "jitter widens the margin"),
        ("low_margin", "of the lowest tenth, too"),
        ("accuracy", "and improves generalization"),
    ):
        for size in batch["batch_size"].values[:-1]:
            gain = (batch - whole)[variable].sel(batch_size=size)
            row(claim, f"two moons, M = {size}", "gain by jitter", gain, ">0")
    names = ["claim", "where", "quantity", "measured", "standard error", "claimed", "verdict"]
    return pd.DataFrame(rows, columns=names)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw jitter, flip rates of a unit and of a network, and margins."""
    units = {title: tree[f"unit/{name}"].to_dataset() for name, title in UNITS.items()}
    at_mean = {title: found for title, found in units.items() if found.attrs["shift"] == 0}
    margins = {
        label: tree[f"margin/{statistics}"].to_dataset() for statistics, label in STATISTICS.items()
    }
    return {
        "jitter": sbn.plot.boundary_jitter(units),
        "flips": sbn.plot.flip_rates(at_mean, tree["network"].to_dataset()),
        "margin": sbn.plot.margins(margins),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the tables."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"boundary_jitter_{name}")
    for name in UNITS:
        print(f"\n{name}\n{scores(tree, name).round(4).to_string()}")
    for variable in ("margin", "low_margin", "accuracy"):
        print(f"\n{variable}\n{margin_gain(tree, variable).round(4).to_string()}")
    print(f"\nclaims\n{claims(tree).round(4).to_string(index=False)}")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
