"""What do residual networks need normalization for? Growth of fields and gradients with depth.

Random networks of blocks x + aF(x), with batch normalization on the branch, before the sum, behind
it, or nowhere; and without it with a = 0 (SkipInit; De & Smith 2020) or a = 1/√depth. The groups of
the store:

    theory, network    mean squares of fields behind the last block, and of gradients before the
                       first relative to those behind the last, for each of `NETWORKS` and depth
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
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide, mean_and_error

ACTIVATIONS = {"relu": "ReLU", "tanh": "tanh"}
"""The grid has these values; figures have these titles for them."""
NETWORKS = {
    "none": ("none", "1"),
    "root": ("none", "root"),
    "skip": ("none", "0"),
    "branch": ("branch", "1"),
    "before": ("before", "1"),
    "behind": ("behind", "1"),
}
"""What the figures call a network → the place of its normalization, and a."""
TITLES = {
    "none": "no normalization", "root": r"$a=1/\sqrt{\mathrm{depth}}$", "skip": "$a=0$",
    "branch": "on the branch", "before": "before the sum", "behind": "behind the sum",
}  # fmt: skip
WORDS = {
    "depth": ("blocks", "$l$"),
    "field_square": ("mean square of fields", r"$\overline{x^2}$"),
    "gradient_square": ("mean square gradient", r"$\overline{g_0^2}/\overline{g_l^2}$"),
    "network": ("network", ""),
}


MEASURED = ("field_square", "gradient_square")


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Residual networks by theory and by simulation."""

    presets: ClassVar = {
        "quick": {"depths": (1, 8, 32, 64), "width": 80, "batch_size": 80, "networks": 4},
        "paper": {
            "depths": (1, 2, 4, 8, 16, 32, 64), "width": 300, "batch_size": 256, "networks": 12,
        },
    }  # fmt: skip
    store: Path = Path("results/residual_depth.zarr")
    depths: tuple[int, ...] | None = None
    """Blocks. The preset chooses this and the following if not given."""
    width: int | None = None
    """Units of a layer."""
    batch_size: int | None = None
    """Unrelated inputs."""
    networks: int | None = None
    """Random networks, from which the error bars come."""


def grown(activation: str, network: str, depth: int, **size: Any) -> xr.Dataset:
    """Return by what fields have grown behind all blocks, and gradients before them."""
    place, name = NETWORKS[network]
    scale = {"1": 1.0, "0": 0.0, "root": depth**-0.5}[name]
    if size:
        found = sbn.depth.measure_residual(activation, place, depth, scale, **size)
    else:
        found = sbn.depth.residual_growth(activation, place, depth, scale)
    ends = {"field_square": -1, "gradient_square": 0}
    data = {name: found[name].isel(depth=end, drop=True) for name, end in ends.items()}
    return xr.Dataset(data, attrs={"level": found.attrs["level"]})


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: growth over depth, by theory and in networks."""
    grid = {"activation": list(ACTIVATIONS), "network": list(NETWORKS)}
    depths = options.size("depths")
    line = np.unique(np.rint(np.geomspace(depths[0], depths[-1], 25)).astype(int)).tolist()
    line = sorted({*line, *depths})
    size = {name: options.size(name) for name in ("width", "batch_size", "networks")}
    return {
        "theory": (grown, {**grid, "depth": line}),
        "network": (partial(grown, seed=options.seed, **size), {**grid, "depth": depths}),
    }


def label(found: xr.Dataset) -> xr.Dataset:
    """Give variables their words, and networks their titles."""
    for name, (words, symbol) in WORDS.items():
        found[name].attrs.update(long_name=words, symbol=symbol, units="1")
    titles = [TITLES[name] for name in found["network"].values.tolist()]
    return found.assign_coords(network=("network", titles, found["network"].attrs))


def logarithm(values: xr.DataArray) -> xr.DataArray:
    """Take the natural logarithm."""
    return values.copy(data=np.log(values.values))


def apart(tree: xr.DataTree, name: str) -> xr.DataArray:
    """Return the logarithm of what networks have, less that of theory."""
    network, theory = (
        logarithm(tree[kind].to_dataset()[name].load()) for kind in ("network", "theory")
    )
    return network - theory.sel(depth=network["depth"])


def claims(tree: xr.DataTree) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    last = tree["network"].to_dataset().load().isel(depth=-1)
    field, gradient = (logarithm(last[name]) for name in MEASURED)
    fields, gradients = (apart(tree, name).isel(depth=-1) for name in MEASURED)
    late = tree["network"].to_dataset()["gradient_square"].load().isel(depth=[-2, -1])
    late = logarithm(late).diff("depth").isel(depth=0, drop=True)
    relu = {"activation": "relu"}
    plain = {"network": "none"}
    normalized = {"network": ["branch", "before"]}
    scaled = {"network": ["root", "skip"]}
    without = gradient.sel(plain).drop_vars("network")
    return {
        "Normalized branches let fields grow by one per block": (
            field.sel(relu).sel(plain).drop_vars("network") - field.sel(relu).sel(normalized),
            fields.sel(normalized),
        ),
        "... and gradients like a power of the depth": (
            without.sel(relu) - gradient.sel(relu).sel(normalized), gradients.sel(normalized),
        ),
        "Behind the sum gradients go on growing exponentially": (
            late.sel(network="behind") - late.sel(network="branch"),
            gradients.sel(network="behind"),
        ),
        "Scaled branches do it without normalization": (
            without - gradient.sel(scaled), gradients.sel(scaled),
        ),
    }  # fmt: skip


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the growth of fields and gradients over depth."""
    both = [label(tree[kind].to_dataset().load()) for kind in ("theory", "network")]
    return {
        name: partial(
            curves,
            [
                Panel("depth", f"{name}_square", [d.sel(activation=key) for d in both], None, title)
                for key, title in ACTIVATIONS.items()
            ],
            "network",
        )
        for name in ("field", "gradient")
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the growth of the deepest networks, and what becomes of the claims."""
    found = {}
    for name in MEASURED:
        theory = tree["theory"].to_dataset()[name].load().isel(depth=-1)
        mean, error = mean_and_error(apart(tree, name).isel(depth=-1))
        found[f"{WORDS[name][0]}, theory"] = theory.to_pandas()
        found[f"{WORDS[name][0]}, logarithm of networks less theory"] = mean.to_pandas()
        found[f"{WORDS[name][0]}, its standard error"] = error.to_pandas()
    decided = {claim: decide(*pair) for claim, pair in claims(tree).items()}
    return {**found, "verdicts": pd.DataFrame({"verdict": decided})}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
