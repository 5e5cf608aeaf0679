"""Do deep features forget the input? The correlation of two inputs through random layers.

Without normalization ReLU layers make all inputs alike; batch normalization subtracts what they
have in common. Maps c → c' of one layer and their iteration, in the limit of infinite width and in
networks. The groups of the store:

    map/theory       c' against c
    map/network      the same by networks, and theory with their batch of inputs
    depth/network    c against the number of layers, by networks and by theory
    depth/late       theory of ReLU without normalization, ten times deeper, and its late power
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

import statmech_bn as sbn
from statmech_bn.study import mean_and_error

ACTIVATIONS = {"linear": "linear", "relu": "ReLU", "erf": "erf", "tanh": "tanh"}
NORMALIZATIONS = {"none": "no normalization", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
ITERATED = ("relu", "tanh")
"""Layers with these activations are iterated."""
POINTS, STARTS = (0.0, 0.3, 0.6, 0.9), (0.0, 0.5, 0.9)
"""The inputs of one layer have the first correlations, those of many layers the second."""
PAIRS = {"none": 8, "batch": 4}
"""Each correlation is measured on so many pairs of inputs."""
LATE = 10
"""Theory goes deeper than networks by this factor, to where a power is left."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """The correlation of two inputs through random layers."""

    presets: ClassVar = {
        "quick": {"width": 300, "depth": 12, "networks": 6, "batch_size": 128},
        "paper": {"width": 1000, "depth": 30, "networks": 8, "batch_size": 512},
    }
    store: Path = Path("results/depth_correlation.zarr")
    width: int | None = None
    """Units of a layer. The preset chooses this and the following if not given."""
    depth: int | None = None
    """Number of layers."""
    networks: int | None = None
    """Random networks, from which the error bars come."""
    batch_size: int | None = None
    """Inputs that are normalized together."""


def iterated(activation: str, normalization: str) -> sbn.depth.Layer:
    """Describe a layer of a deep network; tanh has weights large enough to keep inputs apart."""
    if (activation, normalization) == ("tanh", "none"):
        return sbn.depth.Layer("tanh", weight_variance=2.25, bias_variance=0.05)
    return sbn.depth.Layer(activation, normalization)


def with_batch(layer: sbn.depth.Layer, batch_size: int, starts: int) -> sbn.depth.Layer:
    """Return the same layer with the batch size of networks: half of it or more is unrelated."""
    room = 4 * PAIRS[layer.normalization] * starts
    return sbn.depth.Layer(
        layer.activation,
        layer.normalization,
        layer.weight_variance,
        layer.bias_variance,
        max(batch_size, room) if layer.normalizer.of_batch else None,
    )


def one_map(activation: str, normalization: str, batch_size: int) -> xr.Dataset:
    """Evaluate c' of one layer, with the corrections for a batch of the networks' size."""
    layer = with_batch(sbn.depth.Layer(activation, normalization), batch_size, len(POINTS))
    return sbn.depth.propagate(layer, np.linspace(0, 1, 41), 1)


def send(
    activation: str,
    normalization: str,
    kind: Callable[[str, str], sbn.depth.Layer],
    start: Sequence[float],
    depth: int,
    batch_size: int,
    **sizes: int,
) -> xr.Dataset:
    """Send pairs of inputs through random networks; theory starts from their first fields."""
    layer = with_batch(kind(activation, normalization), batch_size, len(start))
    found = sbn.depth.measure_correlation(
        layer,
        start,
        depth,
        pairs=PAIRS[normalization],
        batch_size=layer.batch_size or batch_size,
        **sizes,
    )
    # Normalization moves the correlations of the first fields by 1/batch size.
    first = found["correlation"].isel(depth=0).mean("replica").values
    theory = sbn.depth.propagate(layer, first, depth)["correlation"]
    return found.assign(theory=theory.assign_coords(start=found["start"]))


def late(activation: str, depth: int) -> xr.Dataset:
    """Iterate the map of unnormalized layers until a power of the depth is left."""
    law, depths = sbn.symbolic.late_correlation(activation), range(1, depth + 1)
    power = [np.nan, *(float(law.subs(sbn.symbolic.depth, n)) for n in depths)]
    found = sbn.depth.propagate(sbn.depth.Layer(activation), STARTS, depth)
    return found.assign(late=("depth", power))


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: maps, and their iteration."""
    depth, networks = options.size("depth"), options.size("networks")
    batch: dict[str, Any] = {"batch_size": options.size("batch_size")}
    sent = partial(send, width=options.size("width"), seed=options.seed, **batch)
    layers = {"normalization": list(NORMALIZATIONS)}
    all_units = {"activation": list(ACTIVATIONS), **layers}
    return {
        "map/theory": (partial(one_map, **batch), all_units),
        "map/network": (
            partial(sent, kind=sbn.depth.Layer, start=POINTS, depth=1, networks=4 * networks),
            all_units,
        ),
        "depth/network": (
            partial(sent, kind=iterated, start=STARTS, depth=depth, networks=networks),
            {"activation": ITERATED, **layers},
        ),
        "depth/late": (partial(late, depth=LATE * depth), {"activation": ["relu"]}),
    }


def scores(tree: xr.DataTree) -> pd.DataFrame:
    """Say by how many standard errors one layer of the networks differs from theory."""
    found = tree["map/network"].to_dataset().isel(depth=1)
    mean, error = mean_and_error(found["correlation"])
    apart = (mean - found["theory"]) / error
    rows = {
        f"{label}, {title}": {
            f"c = {c:g}": apart.sel(activation=a, normalization=n, start=c).item() for c in POINTS
        }
        for a, label in ACTIVATIONS.items()
        for n, title in NORMALIZATIONS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def fixed_points() -> pd.DataFrame:
    """Say where the correlation of two inputs ends, how fast, and how gradients grow there."""
    rows = {}
    for normalization in NORMALIZATIONS:
        for activation in ITERATED:
            layer = iterated(activation, normalization)
            found = sbn.depth.fixed_point(layer)
            rows[f"{activation}/{normalization}"] = {
                "c*": found.correlation,
                "rate": found.slope,
                "χ": float(layer.gradient_multiplier(found.variance)),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def last(tree: xr.DataTree, normalization: str) -> xr.DataArray:
    """Return the correlation of unrelated inputs behind the last ReLU layer."""
    deep = tree["depth/network"].to_dataset()["correlation"]
    chosen = deep.sel(activation="relu", normalization=normalization, start=0.0)
    return chosen.isel(depth=-1, drop=True)


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the maps, and correlations against depth."""
    theory, network, deep, forgetting = (
        tree[group].to_dataset()
        for group in ("map/theory", "map/network", "depth/network", "depth/late")
    )
    maps = {
        title: {
            label: (
                theory.sel(activation=a, normalization=n),
                network.sel(activation=a, normalization=n),
            )
            for a, label in ACTIVATIONS.items()
        }
        for n, title in NORMALIZATIONS.items()
    }
    panels = {}
    for n, title in NORMALIZATIONS.items():
        for a in ITERATED:
            found = deep.sel(activation=a, normalization=n)
            line = found[["theory"]].rename(theory="correlation")
            if (a, n) == ("relu", "none"):
                line = forgetting.sel(activation=a)
            panels[f"{ACTIVATIONS[a]}, {title}"] = line, found
    return {
        "maps": lambda: sbn.plot.correlation_maps(maps),
        "depth": lambda: sbn.plot.correlation_depth(panels),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare one layer with theory, and say where many layers end."""
    return {"standard errors from theory, one layer": scores(tree), "fixed points": fixed_points()}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
