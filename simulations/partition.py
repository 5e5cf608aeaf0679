"""Boundaries of a ReLU network's units: where they are, and how batch normalization moves them.

Random networks, before any training, on clouds of points in the plane and on handwritten digits
in the plane through three of them. The groups of the store:

    drawn/moons/batch    the partition of one network, and the points (each data set and student
                         has a group, because the numbers of cells differ)
    density/clouds       how many units have a boundary near the points, and near others
    density/digits       the same for the digits, which are not shifted
    offset               squared distance against a unit's offset, and by how much the mean field
                         misses the least one, layer by layer
    spread               density of the second layer's boundaries if the first one's σ are others
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from handwritten import pixels

import statmech_bn as sbn
from statmech_bn.dataset import describe

TITLES = {"moons": "two moons", "ring": "ring", "blobs": "blobs", "digits": "digits (section)"}
CLOUDS = sbn.geometry.CLOUDS
STUDENTS = {"none": "without BN", "batch": "with BN"}
WIDTHS = (16, 16)
SAMPLES = 200
RADII = np.linspace(0.05, 1.0, 20)
NEAR = RADII[5]
"""A boundary counts as near within this radius, in units of the cloud's spread."""
SHIFTS = (0.0, 1.0, 2.0, 4.0)
DRAWN = 2.0
"""The clouds' centres are so far from the origin where the distance is not varied."""
WINDOW = 3.0
"""The square that is cut reaches so far from its centre to each side."""
SPREADS = ("batch", "equal", "shuffled")

ATTRIBUTES = {"widths": WIDTHS, "near": NEAR}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Partitions of random networks, with and without batch normalization."""

    presets: ClassVar = {"quick": {"networks": 6}, "paper": {"networks": 32}}
    store: Path = Path("results/partition.zarr")
    networks: int | None = None
    """Random networks for each point; the preset's unless given."""


class Scene(NamedTuple):
    """A network in the plane, the points that are seen there, and their centre."""

    network: sbn.geometry.ReluNetwork
    points: np.ndarray
    centre: np.ndarray

    def cut(self) -> xr.Dataset:
        """Cut a square around the centre."""
        bounds = self.centre[:, None] + WINDOW * np.array([-1, 1])
        return sbn.geometry.partition(self.network, bounds)


def scene(data: str, student: str, shift: float, replica: int, seed: int) -> Scene:
    """Draw a network, with He's initialization and no biases, on one of the data sets.

    Coordinates are in units of the points' spread.
    """
    own = seed + 1000 * replica
    if data == "digits":
        return _digits_scene(student, own)
    points, _ = sbn.geometry.point_cloud(data, SAMPLES, seed)
    angle = np.random.default_rng(own).uniform(0, 2 * np.pi)
    centre = shift * np.array([np.cos(angle), np.sin(angle)])
    network = sbn.geometry.ReluNetwork.random((2, *WIDTHS), own)
    if student == "batch":
        network = network.with_batch_statistics(points + centre)
    return Scene(network, points + centre, centre)


def _digits_scene(student: str, seed: int) -> Scene:
    """Look at the plane through three digits of a network on all 64 pixels."""
    images = pixels()
    network = sbn.geometry.ReluNetwork.random((images.shape[1], *WIDTHS), seed)
    if student == "batch":
        network = network.with_batch_statistics(images)
    chosen = images[np.random.default_rng(seed).choice(len(images), 3, replace=False)]
    origin = chosen.mean(axis=0)
    axes = np.linalg.svd(chosen - origin, full_matrices=False)[2][:2]
    points = (chosen - origin) @ axes.T
    scale = np.sqrt((points**2).mean())
    return Scene(network.section(origin, scale * axes), points / scale, np.zeros(2))


def drawn(data: str, student: str, seed: int) -> xr.Dataset:
    """Cut the plane by one network, and keep the points with it."""
    seen = scene(data, student, DRAWN, 0, seed)
    found = seen.cut()
    units = np.repeat(np.arange(len(WIDTHS)) + 1, WIDTHS)
    return found.assign(
        points=(("sample", "coordinate"), seen.points),
        folded=(("sample", "unit"), sbn.geometry.folded_distances(found, seen.points)),
        affine=(("sample", "unit"), sbn.geometry.affine_distances(seen.network, seen.points)),
        unit_layer=("unit", units),
    )


def density(data: str, student: str, replica: int, seed: int, shift: float = 0.0) -> xr.Dataset:
    """Count the units with a boundary within a radius of the points, and of any place around."""
    seen = scene(data, student, shift, replica, seed)
    found = seen.cut()
    generator = np.random.default_rng(replica)
    anywhere = seen.centre + generator.uniform(1 - WINDOW, WINDOW - 1, (SAMPLES, 2))
    counted = {}
    for name, points in (("density", seen.points), ("density_anywhere", anywhere)):
        distances = sbn.geometry.folded_distances(found, points)
        near = (distances[..., None] < RADII).mean(axis=0)
        layers = np.split(near, np.cumsum(WIDTHS)[:-1])
        counted[name] = (("layer", "radius"), [layer.mean(axis=0) for layer in layers])
    coordinates = {"layer": np.arange(len(WIDTHS)) + 1, "radius": RADII}
    return describe(xr.Dataset(counted, coordinates, ATTRIBUTES))


def offset(data: str, replica: int, seed: int) -> xr.Dataset:
    """Move the boundaries of units about the mean field; compare the mean with the best offset."""
    points = pixels() if data == "digits" else scene(data, "none", DRAWN, replica, seed).points
    widths = (points.shape[1], *WIDTHS, WIDTHS[-1])
    plain = sbn.geometry.ReluNetwork.random(widths, seed + 1000 * replica)
    network = plain.with_batch_statistics(points)
    mean, deviation = statistics(network.layers[0], points)
    moved = np.linspace(-2, 2, 17)
    squares = np.empty(moved.size)
    for k, move in enumerate(moved):
        layer = with_statistics(network.layers[0], mean + move * deviation, deviation)
        distance = sbn.geometry.affine_distances(sbn.geometry.ReluNetwork((layer,)), points)
        squares[k] = (distance**2).mean(axis=0)[0]
    layers = range(len(network.layers))
    misses = [sbn.geometry.least_squares_offset(network, points, depth) for depth in layers]
    variables = {
        "square_distance": ("displacement", squares / squares[moved.size // 2]),
        "excess": ("layer", [float(missed["excess"].median()) for missed in misses]),
    }
    coordinates = {"displacement": moved, "layer": np.array(layers) + 1}
    return describe(xr.Dataset(variables, coordinates, ATTRIBUTES))


def statistics(layer: sbn.geometry.Layer, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the fields of a first layer."""
    fields = points @ layer.weights.T + layer.bias
    return fields.mean(axis=0), fields.std(axis=0)


def with_statistics(
    layer: sbn.geometry.Layer, mean: np.ndarray, deviation: np.ndarray
) -> sbn.geometry.Layer:
    """Normalize a layer by given statistics, with γ = 1 and β = 0."""
    given = sbn.geometry.Normalization(mean, deviation, np.ones_like(mean), np.zeros_like(mean))
    return replace(layer, normalization=given)


def spread(data: str, replica: int, seed: int) -> xr.Dataset:
    """Give the first layer other σ, and count the second one's boundaries near the points."""
    seen = scene(data, "batch", DRAWN, replica, seed)
    _, own = statistics(seen.network.layers[0], seen.points)
    shuffled = np.random.default_rng(replica).permutation(own)
    choices = {"batch": own, "equal": np.full_like(own, own.mean()), "shuffled": shuffled}
    near = {}
    for kind in SPREADS:
        found = seen._replace(network=with_first_spread(seen, choices[kind])).cut()
        distances = sbn.geometry.folded_distances(found, seen.points)[:, WIDTHS[0] :]
        near[kind] = (distances < NEAR).mean()
    return xr.Dataset(near, attrs=ATTRIBUTES)


def with_first_spread(seen: Scene, deviation: np.ndarray) -> sbn.geometry.ReluNetwork:
    """Put other σ into the first layer; later layers take the statistics that follow."""
    first, *others = seen.network.layers
    first = with_statistics(first, statistics(first, seen.points)[0], deviation)
    inputs = np.maximum(sbn.geometry.ReluNetwork((first,)).fields(seen.points)[0], 0)
    later = sbn.geometry.ReluNetwork(tuple(others)).with_batch_statistics(inputs)
    return sbn.geometry.ReluNetwork((first, *later.layers))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: networks to draw, and counts over many networks."""
    students, replicas = list(STUDENTS), range(options.size("networks"))
    counted: dict[str, sbn.study.Part] = {
        "density/clouds": (
            density,
            {"data": CLOUDS, "student": students, "shift": SHIFTS, "replica": replicas},
        ),
        "density/digits": (
            partial(density, "digits"),
            {"student": students, "replica": replicas},
        ),
        "offset": (offset, {"data": list(TITLES), "replica": replicas}),
        "spread": (spread, {"data": CLOUDS, "replica": replicas}),
    }
    return {
        **{
            f"drawn/{data}/{student}": (partial(drawn, data, student), {"seed": [options.seed]})
            for data in TITLES
            for student in students
        },
        **{
            group: (partial(function, seed=options.seed), grid)
            for group, (function, grid) in counted.items()
        },
    }


def claims(tree: xr.DataTree) -> pd.DataFrame:
    """State what is claimed (Balestriero & Baraniuk 2022), what is measured, and the verdict.

    Verdicts are those of `statmech_bn.study.judge`, over networks, each comparison for itself.
    """
    rows = []

    def row(claim: str, name: str, quantity: str, values: xr.DataArray, expected: str) -> None:
        mean, error, verdict = sbn.study.judge(values, expected)
        rows.append((claim, TITLES[name], quantity, mean, error, expected, verdict))

    for name in TITLES:
        moved = tree["offset"].to_dataset().sel(data=name)
        row("μ minimizes Σd²", name, "(c* − μ)/σ, layer 1", least_offset(moved), "=0")
        for layer in (2, 3):
            found = moved["excess"].sel(layer=layer)
            row("μ minimizes Σd²", name, f"excess of Σd², layer {layer}", found, "=0")
    for claim, ratios in comparisons(tree).items():
        for (name, quantity), values in ratios.items():
            row(claim, name, quantity, values, ">1")
    names = ["claim", "data", "quantity", "measured", "standard error", "claimed", "verdict"]
    return pd.DataFrame(rows, columns=names)


def least_offset(moved: xr.Dataset) -> xr.DataArray:
    """Return where Σd² of the first layer is least, less the mean, in units of σ."""
    parabola = moved["square_distance"].polyfit("displacement", 2)["polyfit_coefficients"]
    return -parabola.sel(degree=1, drop=True) / (2 * parabola.sel(degree=2, drop=True))


def comparisons(tree: xr.DataTree) -> dict[str, dict[tuple[str, str], xr.DataArray]]:
    """Divide counts of boundaries near the data: claim → data and quantity → ratio of replicas."""
    without: dict[tuple[str, str], xr.DataArray] = {}
    elsewhere: dict[tuple[str, str], xr.DataArray] = {}
    for name in TITLES:
        plain, batch = (near(tree, name, student) for student in STUDENTS)
        around = near(tree, name, "batch", "density_anywhere")
        for layer in (1, 2):
            here = batch.sel(layer=layer)
            without[name, f"BN/none, layer {layer}"] = ratio(here, plain.sel(layer=layer))
            elsewhere[name, f"data/anywhere, layer {layer}"] = ratio(here, around.sel(layer=layer))
    spreads = tree["spread"].to_dataset().load()
    other = {
        (name, f"σ_B/{kind} σ, layer 2"): ratio(
            spreads["batch"].sel(data=name), spreads[kind].sel(data=name)
        )
        for name in CLOUDS
        for kind in SPREADS[1:]
    }
    return {
        "BN brings boundaries near the data": without,
        "nearer than to any place": elsewhere,
        "σ bends boundaries to the data": other,
    }


def ratio(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    """Divide means over replicas; each replica's share of the error is kept to first order."""
    quotient = first.mean() / second.mean()
    return quotient + (first - quotient * second) / second.mean()


def piece_errors(tree: xr.DataTree) -> pd.DataFrame:
    """Compare |z|/|∇z| with the distance itself, layer by layer, in the networks that are drawn.

    Returns the part of all pairs of a sample and a unit at which the boundary's nearest point is on
    the sample's own affine piece, and the median of the ratio of both distances elsewhere.
    """
    rows = {}
    for name in CLOUDS:
        found = tree[f"drawn/{name}/batch"].to_dataset().isel(seed=0)
        for layer in (1, 2):
            own = found.isel(unit=found["unit_layer"].values == layer)
            seen = np.isfinite(own["folded"].values) & np.isfinite(own["affine"].values)
            ratio = own["affine"].values[seen] / own["folded"].values[seen]
            same = abs(ratio - 1) < 1e-6
            elsewhere = np.median(ratio[~same]) if not same.all() else 1.0
            rows[(TITLES[name], layer)] = {"same piece": same.mean(), "ratio elsewhere": elsewhere}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["data", "layer"])


def near(tree: xr.DataTree, name: str, student: str, variable: str = "density") -> xr.DataArray:
    """Return the part of the units that are near, over replica and layer."""
    return at_place(tree, name, student)[variable].sel(radius=NEAR)


def at_place(tree: xr.DataTree, name: str, student: str) -> xr.Dataset:
    """Return the densities where the shift is not varied."""
    if name == "digits":
        return tree["density/digits"].to_dataset().sel(student=student)
    return tree["density/clouds"].to_dataset().sel(data=name, student=student, shift=DRAWN)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw partitions, densities against radius and shift, and the squared distance."""

    def results(
        found: Callable[[str, str], xr.Dataset], names: Iterable[str]
    ) -> dict[str, dict[str, xr.Dataset]]:
        return {
            TITLES[name]: {label: found(name, student) for student, label in STUDENTS.items()}
            for name in names
        }

    clouds = tree["density/clouds"].to_dataset().sel(radius=NEAR)
    offsets = tree["offset"].to_dataset()
    offsets["predicted"] = 1 + offsets["displacement"] ** 2
    return {
        "cells": lambda: sbn.plot.partitions(
            results(lambda n, s: tree[f"drawn/{n}/{s}"].to_dataset().isel(seed=0), TITLES)
        ),
        "density": lambda: sbn.plot.boundary_density(
            results(partial(at_place, tree), TITLES), "radius"
        ),
        "shift": lambda: sbn.plot.boundary_density(
            results(lambda n, s: clouds.sel(data=n, student=s), CLOUDS), "shift"
        ),
        "offset": lambda: sbn.plot.squared_distance(
            {TITLES[n].removesuffix(" (section)"): offsets.sel(data=n) for n in TITLES}
        ),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what became of each claim, and how two distances compare."""
    return {"claims": claims(tree), "|z|/|∇z| and the distance": piece_errors(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
