"""How deep do networks train with batch normalization? Gradients that grow in each layer.

Over a batch of M samples the mean square of a gradient grows by χ > 1 in each layer, more in small
batches; Yang et al. (2019) see networks train down to about 16/ln χ layers. The scale γ, the shift
β and ε added to the variance make χ smaller. The groups of the store:

    size/theory, size/network        χ against the batch size, for several activations
    NAME/theory, NAME/network        χ against each remedy, `REMEDIES`
    training                         loss of the batches on handwritten digits, against depth

How deep networks train is measured by a criterion without a free number, which was fixed before the
runs that it judges: after a fixed number of steps, at the best of three learning rates, the loss of
the batches has fallen from ln 10, that of a guess, half as far as at the best depth of the same
batch size. The depth at which it has is interpolated between those that are trained; where the
deepest networks still train it is the depth of these, a lower bound.
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

ACTIVATIONS = {"linear": "linear", "relu": "ReLU", "erf": "erf", "tanh": "tanh"}
SIZES = (4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Batch sizes of the theory."""
REMEDIES = {
    "scale": ("tanh", (0.1, 0.3, 1.0, 2.0, 4.0), ("scale", r"$\gamma$")),
    "shift": ("relu", (-0.5, 0.0, 0.5, 1.0, 2.0), ("shift", r"$\beta$")),
    "epsilon": ("relu", (0.01, 0.03, 0.1, 0.3, 1.0), ("added to the variance", r"$\varepsilon$")),
}
"""What is changed → activation, values, long name and symbol."""
WITHOUT_REMEDY = {"scale": 1.0, "shift": 0.0, "epsilon": 0.01}
"""Values that the remedies are compared with."""
REMEDY_SIZES = (6, 16)
"""Batch sizes at which the remedies are tried."""
LAYERS_OF_EPSILON = 3
"""Factor by which networks with ε are deeper, until the variance of their fields stays."""
TRAINED_SIZES, WIDTH, SAMPLES = (4, 8, 16, 64), 64, 512
"""Batch sizes, width and samples of the networks that are trained."""
LEFT = 0.5
"""A network trains if it learns more than this share of what the best depth does."""
RATES = (0.01, 0.03, 0.1)
"""Learning rates, of which the one is taken that is best on average over networks."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Growth of gradients and training against batch size and depth."""

    presets: ClassVar = {
        "quick": {
            "width": 100,
            "layers": 10,
            "networks": 4,
            "batch_sizes": (6, 16, 64),
            "depths": (2, 24),
            "steps": 128,
            "runs": 2,
        },
        "paper": {
            "width": 300,
            "layers": 20,
            "networks": 12,
            "batch_sizes": (4, 5, 6, 8, 16, 32, 64, 128),
            "depths": (2, 4, 8, 16, 24, 32, 48, 64),
            "steps": 256,
            "runs": 5,
        },
    }
    store: Path = Path("results/batch_depth.zarr")
    """Where the results go."""
    width: int | None = None
    """Units of a layer; this and the following are the preset's unless given."""
    layers: int | None = None
    """Layers of the random networks."""
    networks: int | None = None
    """Random networks, from which the error bars come."""
    batch_sizes: tuple[int, ...] | None = None
    """Batch sizes of the random networks."""
    depths: tuple[int, ...] | None = None
    """Layers of the networks that are trained."""
    steps: int | None = None
    """Steps of their training."""
    runs: int | None = None
    """Networks trained at each batch size, depth and learning rate."""


def theory(activation: str, batch_size: int, **remedy: float) -> xr.Dataset:
    """Return χ of wide layers."""
    point = sbn.depth.batch_fixed_point(activation, batch_size, **remedy)
    return sbn.dataset.describe(xr.Dataset({"gradient_multiplier": point.gradient_multiplier}))


def network(
    activation: str, batch_size: int, layers: int, width: int, networks: int, seed: int,
    **remedy: float,
) -> xr.Dataset:  # fmt: skip
    """Measure χ in random networks."""
    settle = 3
    if remedy.get("epsilon"):
        layers, settle = LAYERS_OF_EPSILON * layers, LAYERS_OF_EPSILON * layers // 2
    found = sbn.depth.measure_gradients(
        activation, batch_size, layers, width, networks, settle=settle, seed=seed, **remedy
    )
    return found[["gradient_multiplier"]]


def training(
    batch_size: int, depth: int, learning_rate: float, steps: int, runs: int, seed: int
) -> xr.Dataset:
    """Train ReLU networks on digits, and return the loss of the batches in the last epoch."""
    images, labels = (values[:SAMPLES] for values in sbn.depth.digits())
    network = sbn.depth.DeepNetwork(depth, WIDTH, images.shape[1], 10, "relu", "batch")
    epochs = max(1, steps * batch_size // SAMPLES)
    found = sbn.depth.train(network, images, labels, learning_rate, batch_size, epochs, runs, seed)
    return found[["batch_loss"]].isel(epoch=-1, drop=True)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: χ against batch size and remedies, and training."""
    sizes = ("layers", "width", "networks")
    measured = partial(network, seed=options.seed, **{n: options.size(n) for n in sizes})
    trained: dict[str, Any] = {name: options.size(name) for name in ("steps", "runs")}
    found: dict[str, sbn.study.Part] = {
        "size/theory": (theory, {"activation": list(ACTIVATIONS), "batch_size": SIZES}),
        "size/network": (
            measured,
            {"activation": list(ACTIVATIONS), "batch_size": options.size("batch_sizes")},
        ),
    }
    for name, (activation, values, _) in REMEDIES.items():
        between = np.geomspace if values[0] > 0 else np.linspace
        line = np.union1d(values, between(values[0], values[-1], 30)).tolist()
        grid = {"activation": [activation], "batch_size": REMEDY_SIZES}
        found[f"{name}/theory"] = theory, {**grid, name: line}
        found[f"{name}/network"] = measured, {**grid, name: values}
    grid = {
        "batch_size": TRAINED_SIZES, "depth": options.size("depths"), "learning_rate": RATES,
    }  # fmt: skip
    return found | {"training": (partial(training, seed=options.seed, **trained), grid)}


def apart(tree: xr.DataTree, name: str, smallest: int = 6) -> xr.DataArray:
    """χ of networks less theory; below six samples the spread of channels has no variance."""
    measured, expected = (
        tree[f"{name}/{kind}"].to_dataset()["gradient_multiplier"].load()
        for kind in ("network", "theory")
    )
    kept = measured.sel(batch_size=measured["batch_size"] >= smallest)
    return kept - expected.sel({dim: kept[dim] for dim in expected.dims})


def scores(tree: xr.DataTree) -> pd.DataFrame:
    """By how many standard errors χ of networks differs from theory, at worst."""
    rows = {}
    for name in ("size", *REMEDIES):
        mean, error = sbn.study.mean_and_error(apart(tree, name))
        rows[name] = {
            "largest difference": float(abs(mean).max()),
            "in standard errors": float(abs(mean / error).max()),
            "comparisons": mean.size,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def learned(tree: xr.DataTree) -> xr.DataArray:
    """Fall of the loss from that of a guess, at the best learning rate of each size and depth."""
    fall = (np.log(10) - tree["training"]["batch_loss"].load()).clip(min=0.0)
    return fall.isel(learning_rate=fall.mean("replica").argmax("learning_rate"), drop=True)


def predicted_depth(batch_sizes: xr.DataArray) -> xr.DataArray:
    """Layers after which gradients of ReLU networks have grown by e^16."""
    depths = [sbn.depth.batch_fixed_point("relu", int(n)).trainable_depth for n in batch_sizes]
    return batch_sizes.copy(data=depths)


def learned_depth(tree: xr.DataTree) -> xr.DataArray:
    """Depth at which half of what the best depth learns is left; at most the deepest."""
    fall = learned(tree)
    share = fall / fall.mean("replica").max("depth")

    def crossing(values: np.ndarray, depth: np.ndarray) -> float:
        best = int(np.argmax(values))
        falling = np.minimum.accumulate(values[best:])[::-1]
        return float(np.interp(LEFT, falling, depth[best:][::-1]))

    return xr.apply_ufunc(
        crossing,
        share,
        share["depth"],
        input_core_dims=[["depth"], ["depth"]],
        vectorize=True,
        output_dtypes=[float],
    )


def depths(tree: xr.DataTree) -> pd.DataFrame:
    """Depth at which half is learned, and 16/ln χ, for each batch size."""
    reached = learned_depth(tree)
    predicted = predicted_depth(reached["batch_size"])
    mean, error = sbn.study.mean_and_error(reached)
    deepest = tree["training"].to_dataset()["depth"].values[-1]
    columns = {
        "16/ln χ": predicted,
        "half is learned": mean,
        "error": error,
        "ratio": mean / predicted,
        "networks still training when deepest": (reached >= deepest).mean("replica"),
    }
    return pd.DataFrame({name: values.to_series() for name, values in columns.items()})


def claims(tree: xr.DataTree) -> dict[str, tuple[list[xr.DataArray], list[xr.DataArray] | None]]:
    """Return what `statmech_bn.study.decide` asks: claim → effects and rests."""
    growth = tree["size/network"].to_dataset()["gradient_multiplier"].load()
    growth = growth.sel(batch_size=growth["batch_size"] >= 6)
    small, large = (growth.isel(batch_size=k, drop=True) for k in (0, -1))
    weaker, rests = [], []
    for name, (_, values, _) in REMEDIES.items():
        measured = tree[f"{name}/network"].to_dataset()["gradient_multiplier"].load()
        without, remedied = WITHOUT_REMEDY[name], values[0] if name == "scale" else values[-1]
        weaker.append(measured.sel({name: without}) - measured.sel({name: remedied}))
        rests.append(apart(tree, name))
    fall = learned(tree)
    reached = learned_depth(tree)
    ratio = reached / predicted_depth(reached["batch_size"])
    return {
        "Gradients grow by χ per layer, more in small batches": (
            [small - large],
            [apart(tree, "size")],
        ),
        "Networks train down to about 16/ln χ layers": (
            [fall.isel(depth=0, drop=True) - fall.isel(depth=-1, drop=True)],
            [ratio - 1],
        ),
        "... deeper in larger batches, in proportion to 1/ln χ": (
            [reached.isel(batch_size=-1, drop=True) - reached.isel(batch_size=0, drop=True)],
            [(ratio / ratio.isel(batch_size=0, drop=True)).isel(batch_size=slice(1, None)) - 1],
        ),
        "A smaller γ, a larger β and a larger ε make χ smaller": (weaker, rests),
    }


def pairs(tree: xr.DataTree, name: str, dim: str) -> dict[str, tuple[xr.Dataset, xr.Dataset]]:
    """Return theory and networks for each value of one dimension of a part."""
    theory, network = (tree[f"{name}/{kind}"].to_dataset() for kind in ("theory", "network"))
    if name in REMEDIES:
        long_name, symbol = REMEDIES[name][2]
        described = theory[name].assign_attrs(long_name=long_name, symbol=symbol)
        theory = theory.isel(activation=0).assign_coords({name: described})
        network = network.isel(activation=0)
    return {
        ACTIVATIONS.get(value, f"$M={value}$"): (
            theory.sel({dim: value}),
            network.sel({dim: value}),
        )
        for value in network[dim].values.tolist()
    }


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the growth against the batch size, against the remedies, and training."""
    growth = {"random networks": pairs(tree, "size", "activation")}
    remedies = {
        ACTIVATIONS[activation] + f", {symbol}": pairs(tree, name, "batch_size")
        for name, (activation, _, (_, symbol)) in REMEDIES.items()
    }
    trained = learned(tree)
    predicted = predicted_depth(trained["batch_size"])
    return {
        "growth": lambda: sbn.plot.gradient_growth(growth),
        "remedies": lambda: sbn.plot.gradient_growth(remedies),
        "training": lambda: sbn.plot.depth_training(trained, predicted),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Compare networks with theory, and the depth that trains with 16/ln χ."""
    return {"growth of gradients, networks and theory": scores(tree), "depth": depths(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
