"""Boundaries that jitter from batch to batch, and whether that widens a classifier's margin.

A boundary whose place is the mean of a mini-batch moves by σ/(√M|w|), and the batch's own samples
change sides with it. The groups of the store:

    unit       jitter and flip rates of one unit, whose fields are Gaussian or those of a random
               unit on handwritten digits, drawn without replacement; also one σ off the mean
    network    flip rates in the layers of random networks on digits
    margin     margins of trained classifiers, normalized by the batch of the step, or by the whole
               training set: the same noise of the gradient, no jitter
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from handwritten import pixels

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.study import mean_and_error

UNITS = {
    "gaussian": "Gaussian fields",
    "gaussian_shifted": r"Gaussian fields, $\beta=\gamma$",
    "digits": "digits",
    "digits_shifted": r"digits, $\beta=\gamma$",
}
AT_MEAN = ("gaussian", "digits")
STATISTICS = {"batch": "statistics of the batch", "set": "of the training set"}
UNIT_SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
NETWORK_SIZES = (4, 8, 16, 32, 64, 128, 256)
MARGIN_SIZES = (4, 8, 16, 32, 64, 128, 256)
UNIT_REPLICAS = 16
WIDTHS = (64, 64, 64)
TRAINING_SAMPLES, TEST_SAMPLES, NOISE = 256, 2000, 0.15
LEARNING_RATE = 0.1
ARCSINE = "arcsin(M^−½)/π change sides"
JITTER = "the jitter is σ/(√M|w|)"


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Boundaries that move with the mini-batch, and margins."""

    presets: ClassVar = {
        "quick": {"batches": 300, "networks": 6, "steps": 200, "replicas": 6},
        "paper": {"batches": 8_000, "networks": 16, "steps": 2000, "replicas": 16},
    }
    store: Path = Path("results/boundary_jitter.zarr")
    batches: int | None = None
    """Batches of a replica of one unit. The preset chooses this and the following if not given."""
    networks: int | None = None
    """Random networks."""
    steps: int | None = None
    """Steps of each classifier."""
    replicas: int | None = None
    """Trained classifiers."""


def unit(unit: str, batch_size: int, batches: int, seed: int) -> xr.Dataset:
    """Move the boundary of one unit."""
    images = pixels() if unit.startswith("digits") else None
    fields = None
    if images is not None:
        fields = images @ np.random.default_rng(seed).standard_normal(images.shape[1])
    return sbn.geometry.boundary_jitter(
        [batch_size],
        fields,
        shift=0.0 if unit in AT_MEAN else 1.0,
        batches=max(2, batches // (1 if images is None else 10)),
        replicas=UNIT_REPLICAS,
        seed=seed,
    )


def network(replica: int, seed: int) -> xr.Dataset:
    """Count the units of a random network that change sides between a batch and all digits."""
    images = pixels()
    plain = sbn.geometry.ReluNetwork.random((images.shape[1], *WIDTHS), seed + 1000 * replica)
    population = plain.with_batch_statistics(images)
    generator = np.random.default_rng(np.random.SeedSequence((seed, replica)))
    rate = np.empty((len(NETWORK_SIZES), len(WIDTHS)))
    for k, size in enumerate(NETWORK_SIZES):
        flips = []
        for _ in range(1024 // size + 1):
            batch = images[generator.choice(len(images), size, replace=False)]
            jittered = plain.with_batch_statistics(batch)
            changed = population.pattern(batch) != jittered.pattern(batch)
            flips.append(np.split(changed.mean(axis=0), np.cumsum(WIDTHS)[:-1]))
        rate[k] = np.mean(flips, axis=(0, 2))
    coordinates = {"batch_size": list(NETWORK_SIZES), "layer": np.arange(len(WIDTHS)) + 1}
    return describe(xr.Dataset({"flip_rate": (("batch_size", "layer"), rate)}, coordinates))


def margin(statistics: str, batch_size: int, steps: int, replicas: int, seed: int) -> xr.Dataset:
    """Train classifiers of two moons, and measure their margins."""
    samples, labels = sbn.geometry.point_cloud("moons", TRAINING_SAMPLES, seed, NOISE)
    fresh, truth = sbn.geometry.point_cloud("moons", TEST_SAMPLES, seed + 1, NOISE)
    trained = sbn.geometry.train_classifier(
        samples, labels, batch_size, statistics,
        learning_rate=LEARNING_RATE, steps=steps, replicas=replicas, seed=seed,
    )  # fmt: skip
    names = ("margin", "low_margin", "accuracy")
    values = np.empty((len(names), replicas))
    for replica, classifier in enumerate(trained):
        found = sbn.geometry.margins(classifier, samples, labels)
        right = np.sign(classifier.fields(fresh)[-1][:, 0]) == truth
        values[:, replica] = found.mean(), np.quantile(found, 0.1), right.mean()
    data = {name: ("replica", found) for name, found in zip(names, values, strict=True)}
    return describe(xr.Dataset(data, attrs={"learning_rate": LEARNING_RATE, "steps": steps}))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: one unit, random networks, and trained classifiers."""
    moved = partial(unit, batches=options.size("batches"), seed=options.seed)
    trained = partial(
        margin,
        steps=options.size("steps"),
        replicas=options.size("replicas"),
        seed=options.seed,
    )
    return {
        "unit": (moved, {"unit": list(UNITS), "batch_size": UNIT_SIZES}),
        "network": (
            partial(network, seed=options.seed),
            {"replica": range(options.size("networks"))},
        ),
        "margin": (trained, {"statistics": list(STATISTICS), "batch_size": MARGIN_SIZES}),
    }


def with_arcsine(tree: xr.DataTree) -> xr.Dataset:
    """Return the flip rates of the networks, and what they are for Gaussian fields."""
    found = tree["network"].to_dataset()
    law = sbn.geometry.flip_rate(found["batch_size"].values)
    return found.assign(predicted_inside=("batch_size", law))


def scores(tree: xr.DataTree, name: str) -> pd.DataFrame:
    """Table jitter and flip rates of one unit, and how many errors away from theory they are."""
    found = tree["unit"].to_dataset().sel(unit=name)
    table: dict[str, np.ndarray] = {}
    for variable in ("jitter", "inside", "outside"):
        values, predicted = found[variable], found[f"predicted_{variable}"]
        mean, error = mean_and_error(values)
        table[variable] = mean.values
        if predicted.notnull().all():
            table[f"{variable}: predicted"] = predicted.values
            table[f"{variable}: errors away"] = ((mean - predicted) / error).values
    return pd.DataFrame(table, index=found["batch_size"].to_index())


def margin_gain(tree: xr.DataTree, variable: str = "margin") -> pd.DataFrame:
    """Compare margins with and without jitter, classifier by classifier.

    Pairs start from the same weights and see the same batches.
    """
    margins = tree["margin"].to_dataset()[variable]
    batch, whole = (margins.sel(statistics=name) for name in STATISTICS)
    table: dict[str, np.ndarray] = {}
    gain = batch - whole
    for label, values in (("batch", batch), ("set", whole), ("gain", gain)):
        mean, error = mean_and_error(values)
        table[label], table[f"{label}: error"] = mean.values, error.values
    return pd.DataFrame(table, index=batch["batch_size"].to_index())


def claims(tree: xr.DataTree) -> pd.DataFrame:
    """State what is claimed, what is measured, and the verdict.

    Claims are those of Balestriero & Baraniuk (2022), and the flip rate of Gaussian fields.
    Verdicts are those of `statmech_bn.study.judge`, over replicas, each comparison for itself.
    """
    rows = []

    def row(claim: str, where: str, quantity: str, values: xr.DataArray, expected: str) -> None:
        mean, error, verdict = sbn.study.judge(values, expected)
        rows.append((claim, where, quantity, mean, error, expected, verdict))

    units = tree["unit"].to_dataset()
    for name in UNITS:
        found = units.sel(unit=name)
        scaled = (found["jitter"] * np.sqrt(found["batch_size"])).mean("batch_size")
        row(JITTER, name, "√M jitter", scaled, "=1")
        if name not in AT_MEAN:
            continue
        law = xr.DataArray(sbn.geometry.flip_rate(found["batch_size"].values), dims="batch_size")
        counted = (found["inside"] / law).mean("batch_size")
        row(ARCSINE, name, "in the batch/law", counted, "=1")
        own = (found["inside"] / found["predicted_inside"]).sel(batch_size=slice(8, None))
        row("E Φ(−|u|√((M−1)/k)) change sides", name, "same, M ≥ 8", own.mean("batch_size"), "=1")
    networks = with_arcsine(tree)
    relative = (networks["flip_rate"] / networks["predicted_inside"]).mean("batch_size")
    for layer in networks["layer"].values:
        deep = relative.sel(layer=layer)
        row(ARCSINE, f"network, layer {layer}", "in the batch/law", deep, "=1")
    batch, whole = (tree["margin"].to_dataset().sel(statistics=name) for name in STATISTICS)
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


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw jitter, flip rates of a unit and of a network, and margins."""
    units = {name: tree["unit"].to_dataset().sel(unit=name) for name in UNITS}
    margins = {
        label: tree["margin"].to_dataset().sel(statistics=name)
        for name, label in STATISTICS.items()
    }
    return {
        "jitter": lambda: sbn.plot.boundary_jitter({UNITS[name]: units[name] for name in UNITS}),
        "flips": lambda: sbn.plot.flip_rates(
            {UNITS[name]: units[name] for name in AT_MEAN}, with_arcsine(tree)
        ),
        "margin": lambda: sbn.plot.margins(margins),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare units with theory and classifiers with each other; say what became of each claim."""
    gains = {name: margin_gain(tree, name) for name in ("margin", "low_margin", "accuracy")}
    return {**{name: scores(tree, name) for name in UNITS}, **gains, "claims": claims(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
