"""Boundaries of a ReLU network's units: where they are, and how batch normalization moves them.

Random networks, before any training, on clouds of points in the plane and on handwritten digits
in the plane through three of them. The store is a tree:

    drawn/moons/batch      the partition of one network, and the points
    density/moons/batch    how many units have a boundary near the points, and near others
    offset/moons           squared distance against a unit's offset, and by how much the
                           mean field misses the least one, layer by layer
    spread/moons           density of the second layer's boundaries if the first one's σ are others
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn
from statmech_bn.dataset import describe

TITLES = {"moons": "two moons", "ring": "ring", "blobs": "blobs", "digits": "digits (section)"}
CLOUDS = sbn.geometry.CLOUDS
STUDENTS = {"none": "without BN", "batch": "with BN"}
WIDTHS = (16, 16)
SAMPLES = 200
RADII = np.linspace(0.05, 1.0, 20)
NEAR = RADII[5]
"""The radius within which a boundary counts as near, 0.3 of the cloud's spread."""
SHIFTS = (0.0, 1.0, 2.0, 4.0)
DRAWN = 2.0
"""Distance of the clouds' centres from the origin where it is not varied."""
WINDOW = 3.0
"""Half the side of the square that is cut, around the centre."""
SPREADS = ("batch", "equal", "shuffled")

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"networks": 3},
    "paper": {"networks": 32},
}


@dataclass(frozen=True)
class Options:
    """Partitions of random networks, with and without batch normalization."""

    store: Path = Path("results/partition.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    networks: int | None = None
    """Random networks for each point; the preset's unless given."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


class Scene(NamedTuple):
    """A network in the plane, the points that are seen there, and their centre."""

    network: sbn.geometry.ReluNetwork
    points: np.ndarray
    centre: np.ndarray

    def cut(self) -> xr.Dataset:
        """Cut a square around the centre."""
        bounds = self.centre[:, None] + WINDOW * np.array([-1, 1])
        return sbn.geometry.partition(self.network, bounds)


def scene(name: str, student: str, shift: float, options: Options, number: int) -> Scene:
    """Draw a network, with He's initialization and no biases, on one of the data sets.

    Coordinates are in units of the points' spread.
    """
    seed = options.seed + 1000 * number
    if name == "digits":
        return _digits_scene(student, seed)
    points, _ = sbn.geometry.point_cloud(name, SAMPLES, options.seed)
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    centre = shift * np.array([np.cos(angle), np.sin(angle)])
    network = sbn.geometry.ReluNetwork.random((2, *WIDTHS), seed)
    if student == "batch":
        network = network.with_batch_statistics(points + centre)
    return Scene(network, points + centre, centre)


def _digits_scene(student: str, seed: int) -> Scene:
    """Look at the plane through three digits of a network on all 64 pixels."""
    images = digits()
    network = sbn.geometry.ReluNetwork.random((images.shape[1], *WIDTHS), seed)
    if student == "batch":
        network = network.with_batch_statistics(images)
    chosen = images[np.random.default_rng(seed).choice(len(images), 3, replace=False)]
    origin = chosen.mean(axis=0)
    axes = np.linalg.svd(chosen - origin, full_matrices=False)[2][:2]
    points = (chosen - origin) @ axes.T
    scale = np.sqrt((points**2).mean())
    return Scene(network.section(origin, scale * axes), points / scale, np.zeros(2))


def digits() -> np.ndarray:
    """Return the handwritten digits of scikit-learn, 64 pixels from 0 to 1."""
    from sklearn.datasets import load_digits  # not needed by the clouds

    return load_digits().data / 16


def drawn(name: str, student: str, options: Options) -> xr.Dataset:
    """Cut the plane by one network, and keep the points with it."""
    seen = scene(name, student, DRAWN, options, 0)
    found = seen.cut()
    units = np.repeat(np.arange(len(WIDTHS)) + 1, WIDTHS)
    return found.assign(
        points=(("sample", "coordinate"), seen.points),
        folded=(("sample", "unit"), sbn.geometry.folded_distances(found, seen.points)),
        affine=(("sample", "unit"), sbn.geometry.affine_distances(seen.network, seen.points)),
        unit_layer=("unit", units),
    )


def density(name: str, student: str, options: Options) -> xr.Dataset:
    """Count the units with a boundary within a radius of the points, and of any place around."""
    shifts = (0.0,) if name == "digits" else SHIFTS
    networks = options.size("networks")
    counted = np.empty((2, len(shifts), networks, len(WIDTHS), RADII.size))
    for k, shift in enumerate(shifts):
        for number in range(networks):
            seen = scene(name, student, shift, options, number)
            found = seen.cut()
            generator = np.random.default_rng(number)
            anywhere = seen.centre + generator.uniform(1 - WINDOW, WINDOW - 1, (SAMPLES, 2))
            for place, points in enumerate((seen.points, anywhere)):
                distances = sbn.geometry.folded_distances(found, points)
                near = (distances[..., None] < RADII).mean(axis=0)
                layers = np.split(near, np.cumsum(WIDTHS)[:-1])
                counted[place, k, number] = [layer.mean(axis=0) for layer in layers]
    dims = ("shift", "replica", "layer", "radius")
    coordinates = {"shift": list(shifts), "layer": np.arange(len(WIDTHS)) + 1, "radius": RADII}
    data = {"density": (dims, counted[0]), "density_anywhere": (dims, counted[1])}
    return describe(xr.Dataset(data, coordinates))


def offset(name: str, options: Options) -> xr.Dataset:
    """Move the boundaries of units about the mean field; compare the mean with the best offset."""
    moved = np.linspace(-2, 2, 17)
    networks, layers = options.size("networks"), len(WIDTHS) + 1
    squares = np.empty((networks, moved.size))
    excess = np.empty((networks, layers))
    for number in range(networks):
        if name == "digits":
            points = digits()
        else:
            points = scene(name, "none", DRAWN, options, number).points
        widths = (points.shape[1], *WIDTHS, WIDTHS[-1])
        plain = sbn.geometry.ReluNetwork.random(widths, options.seed + 1000 * number)
        network = plain.with_batch_statistics(points)
        mean, deviation = statistics(network.layers[0], points)
        for k, move in enumerate(moved):
            layer = with_statistics(network.layers[0], mean + move * deviation, deviation)
            distance = sbn.geometry.affine_distances(sbn.geometry.ReluNetwork((layer,)), points)
            squares[number, k] = (distance**2).mean(axis=0)[0]
        squares[number] /= squares[number, moved.size // 2]
        for depth in range(layers):
            found = sbn.geometry.least_squares_offset(network, points, depth)
            excess[number, depth] = found["excess"].median()
    data = {
        "square_distance": (("replica", "displacement"), squares),
        "excess": (("replica", "layer"), excess),
        "predicted": ("displacement", 1 + moved**2),
    }
    coordinates = {"displacement": moved, "layer": np.arange(layers) + 1}
    return describe(xr.Dataset(data, coordinates))


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


def spread(name: str, options: Options) -> xr.Dataset:
    """Give the first layer other σ, and count the second one's boundaries near the points."""
    networks = options.size("networks")
    near = np.empty((len(SPREADS), networks))
    for number in range(networks):
        seen = scene(name, "batch", DRAWN, options, number)
        _, own = statistics(seen.network.layers[0], seen.points)
        shuffled = np.random.default_rng(number).permutation(own)
        choices = {"batch": own, "equal": np.full_like(own, own.mean()), "shuffled": shuffled}
        for k, kind in enumerate(SPREADS):
            found = seen._replace(network=with_first_spread(seen, choices[kind])).cut()
            distances = sbn.geometry.folded_distances(found, seen.points)[:, WIDTHS[0] :]
            near[k, number] = (distances < NEAR).mean()
    return describe(xr.Dataset({kind: ("replica", near[k]) for k, kind in enumerate(SPREADS)}))


def with_first_spread(seen: Scene, deviation: np.ndarray) -> sbn.geometry.ReluNetwork:
    """Put other σ into the first layer; later layers take the statistics that follow."""
    first, *others = seen.network.layers
    first = with_statistics(first, statistics(first, seen.points)[0], deviation)
    inputs = np.maximum(sbn.geometry.ReluNetwork((first,)).fields(seen.points)[0], 0)
    later = sbn.geometry.ReluNetwork(tuple(others)).with_batch_statistics(inputs)
    return sbn.geometry.ReluNetwork((first, *later.layers))


def simulate(options: Options) -> xr.DataTree:
    """Measure all of it."""
    jobs: dict[str, Callable[[], xr.Dataset]] = {}
    for name in TITLES:
        for student in STUDENTS:
            jobs[f"drawn/{name}/{student}"] = partial(drawn, name, student, options)
            jobs[f"density/{name}/{student}"] = partial(density, name, student, options)
        jobs[f"offset/{name}"] = partial(offset, name, options)
        if name in CLOUDS:
            jobs[f"spread/{name}"] = partial(spread, name, options)
    attributes = {"seed": options.seed, "widths": list(WIDTHS), "near": NEAR}
    results = {
        group: job().assign_attrs(attributes)
        for group, job in tqdm(jobs.items(), desc="partition", disable=None)
    }
    return xr.DataTree.from_dict(results)


def claims(tree: xr.DataTree) -> pd.DataFrame:
    """State what is claimed (Balestriero & Baraniuk 2022), what is measured, and the verdict.

    An equality is reproduced if it holds within three standard errors over networks, an effect if
    it is at least as far from none.
    """
    rows = []

    def row(claim: str, name: str, quantity: str, values: xr.DataArray, expected: str) -> None:
        mean, error = float(values.mean()), float(values.std(ddof=1)) / np.sqrt(values.size)
        away = mean - float(expected.lstrip("=>"))
        seen = abs(away) > max(3 * error, 1e-9)
        if expected.startswith("="):
            verdict = "with a correction" if seen else "reproduced"
        else:
            verdict = ("reproduced" if away > 0 else "the opposite") if seen else "not seen"
        rows.append((claim, TITLES[name], quantity, mean, error, expected, verdict))

    for name in TITLES:
        moved = tree[f"offset/{name}"].to_dataset()
        parabola = moved["square_distance"].polyfit("displacement", 2)["polyfit_coefficients"]
        least = -parabola.sel(degree=1) / (2 * parabola.sel(degree=2))
        row("μ minimizes Σd²", name, "(c* − μ)/σ, layer 1", least, "=0")
        for layer in (2, 3):
            found = moved["excess"].sel(layer=layer)
            row("μ minimizes Σd²", name, f"excess of Σd², layer {layer}", found, "=0")
    for name in TITLES:
        plain, batch = (near(tree, name, student) for student in STUDENTS)
        around = near(tree, name, "batch", "density_anywhere")
        for layer in (1, 2):
            found = ratio(batch.sel(layer=layer), plain.sel(layer=layer))
            row("BN brings boundaries near the data", name, f"BN/none, layer {layer}", found, ">1")
        for layer in (1, 2):
            found = ratio(batch.sel(layer=layer), around.sel(layer=layer))
            row("nearer than to any place", name, f"data/anywhere, layer {layer}", found, ">1")
    for name in CLOUDS:
        spreads = tree[f"spread/{name}"].to_dataset()
        for kind in SPREADS[1:]:
            found = ratio(spreads["batch"], spreads[kind])
            row("σ bends boundaries to the data", name, f"σ_B/{kind} σ, layer 2", found, ">1")
    names = ["claim", "data", "quantity", "measured", "standard error", "claimed", "verdict"]
    return pd.DataFrame(rows, columns=names)


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
        found = tree[f"drawn/{name}/batch"].to_dataset()
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
    found = tree[f"density/{name}/{student}"].to_dataset()[variable].sel(radius=NEAR)
    return found.isel(shift=0) if name == "digits" else found.sel(shift=DRAWN)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw partitions, densities against radius and shift, and the squared distance."""

    def results(kind: str, names: list[str]) -> dict[str, dict[str, xr.Dataset]]:
        return {
            TITLES[name]: {
                label: tree[f"{kind}/{name}/{student}"].to_dataset()
                for student, label in STUDENTS.items()
            }
            for name in names
        }

    at_place = {
        title: {
            label: found.sel(shift=DRAWN if found.sizes["shift"] > 1 else 0.0)
            for label, found in students.items()
        }
        for title, students in results("density", list(TITLES)).items()
    }
    against_shift = {
        title: {label: found.sel(radius=NEAR) for label, found in students.items()}
        for title, students in results("density", list(CLOUDS)).items()
    }
    return {
        "cells": sbn.plot.partitions(results("drawn", list(TITLES))),
        "density": sbn.plot.boundary_density(at_place, "radius"),
        "shift": sbn.plot.boundary_density(against_shift, "shift"),
        "offset": sbn.plot.squared_distance(
            {TITLES[n].removesuffix(" (section)"): tree[f"offset/{n}"].to_dataset() for n in TITLES}
        ),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print what became of each claim."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"partition_{name}")
    print(claims(tree).round(4).to_string(index=False))
    print(f"\n|z|/|∇z| and the distance\n{piece_errors(tree).round(4).to_string()}")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
