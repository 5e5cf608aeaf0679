"""Is batch normalization population normalization with gamma decay? A residual network on MNIST.

The rest of what Luo et al. (2019) try in networks: a small residual network on images of MNIST at
half their resolution, trained by stochastic gradient descent with momentum, with batches of M and
learning rates in proportion to M. The kinds of `KINDS`: batch normalization (BN); with the batch's
mean or standard deviation alone; population normalization (PN), and with the gamma decay of either
theory for batches of M; and weight normalization (WN), whose scales come from the training set.
Runs with the same seed have the same initial weights and order of samples. The groups of the store:

    training    accuracy, losses, mean |γ|, and the correlation of units of one layer: the root mean
                square over pairs of channels, with the statistics of the population
    units       fields of random units on the images, normalized over batches of M: what is kept of
                their correlation q, as Σ qq'/Σ q² over pairs of units with q' behind normalization

For Gaussian fields BN keeps E[r] of the sample correlation r, which is q − q(1 − q²)/2M to first
order, as the standard deviation alone does; the mean alone keeps q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sympy as sp
import torch
import xarray as xr
from scipy.special import hyp2f1
from torch import Tensor, nn
from torch.nn import functional

import statmech_bn as sbn
from statmech_bn import networks
from statmech_bn.networks.surgery import FixedStatistics, hooked
from statmech_bn.random.streams import stream
from statmech_bn.study import decide, judge, limit, mean_and_error
from statmech_bn.symbolic.coupled_decay import q, sample_correlation
from statmech_bn.symbolic.symbols import M

KINDS = {
    "batch": "BN",
    "mean": r"only $\mu_B$ random",
    "spread": r"only $\sigma_B$ random",
    "population": "PN",
    "independent": r"PN + independent $\gamma$ decay",
    "correlated": r"PN + correlated $\gamma$ decay",
    "weight": "WN",
}
"""The grid has these values; figures have these titles for them."""
THEORIES = ("independent", "correlated")
RANDOM = ("batch", "mean", "spread")
QUANTITIES = {"mean_gamma": "ln |γ|", "training_loss": "training loss", "test_loss": "test loss"}
DEPTH, CHANNELS = 2, 4
"""The network has so many residual blocks of two convolutions, behind a first one."""
RATE, TOGETHER, MOMENTUM = 0.05, 64, 0.9
"""Steps on TOGETHER samples have this learning rate; others are in proportion."""
REFRESHED = 16
"""The population's statistics are measured anew after so many samples, or each step."""
CHANCE = math.log(10)
"""A training that diverges is worth no more than a guess, which has this loss; γ is then as it was
at first."""
UNITS, DRAWN = 24, 2**17
"""So many random units see so many samples, cut into batches of M."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Batch, population and weight normalization in a residual network."""

    presets: ClassVar = {
        "quick": {"sizes": (4, 32), "samples": 256, "epochs": 2, "replicas": 4},
        "paper": {
            "sizes": (4, 16, 64, 256, 512), "samples": 4000, "epochs": 20, "replicas": 8
        },
    }  # fmt: skip
    store: Path = Path("results/network_regularization.zarr")
    sizes: tuple[int, ...] | None = None
    """Batch sizes. The preset chooses this and the following if not given."""
    samples: int | None = None
    """Size of the training set, at most 4000."""
    epochs: int | None = None
    """Passes through the training set."""
    replicas: int | None = None
    """Seeds, from which the error bars come."""


@lru_cache(maxsize=2)
def halved(samples: int) -> networks.Images:
    """Load images of MNIST with the means of four pixels, standardized."""
    images = networks.load("mnist-5000", samples=samples)
    train, test = (functional.avg_pool2d(x, 2) for x in (images.train_inputs, images.test_inputs))
    spread = train.std()
    return networks.Images(
        images.name, train / spread, images.train_labels, test / spread, images.test_labels
    )


def made(kind: str, images: networks.Images, seed: int) -> nn.Module:
    """Make the network, its weights from the seed alone."""
    others = {"weight": "batch", **dict.fromkeys(THEORIES, "population")}
    model = networks.residual_network(
        images.shape, images.classes, DEPTH, CHANNELS, others.get(kind, kind), seed=seed
    )
    if kind == "weight":
        networks.normalize_weights(model, images.train_inputs)
    return model


def train(
    kind: str, batch_size: int, replica: int, samples: int, epochs: int, seed: int
) -> xr.Dataset:
    """Train one network, and measure it."""
    torch.set_num_threads(1)  # the sweep's points are what runs in parallel
    images, seed = halved(samples), seed + replica
    model = made(kind, images, seed)
    found = networks.train(
        model,
        images,
        RATE * batch_size / TOGETHER,
        batch_size,
        epochs,
        momentum=MOMENTUM,
        gamma_decay=kind if kind in THEORIES else 0.0,
        refresh_steps=max(1, REFRESHED // batch_size),
        seed=seed,
    )
    last = found[["training_loss", "test_loss", "test_accuracy"]].isel(epoch=-1, drop=True)
    if not np.isfinite(last["training_loss"]):
        model = made(kind, images, seed)
        last = last.clip(max=CHANCE).assign(test_accuracy=1 / images.classes)
    layers = normalized(model)
    gamma = torch.cat([layer.weight.detach().abs() for layer in layers])
    last["mean_gamma"] = gamma.mean().item()
    last["unit_correlation"] = unit_correlation(model, layers, images.test_inputs)
    return sbn.dataset.describe(last)


def normalized(model: nn.Module) -> list[Any]:
    """Return the layers that have γ."""
    return [m for m in model.modules() if isinstance(m, (networks.Normalization, FixedStatistics))]


def unit_correlation(model: nn.Module, layers: list[Any], inputs: Tensor) -> float:
    """Return the root mean square correlation of two channels of a layer, over all layers."""
    squares: list[Tensor] = []

    def record(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        found = torch.corrcoef(arguments[0].double().transpose(0, 1).flatten(1))
        above = torch.triu_indices(*found.shape, offset=1)
        squares.append(found[above[0], above[1]] ** 2)

    with torch.no_grad(), networks.in_mode(model, training=False), hooked(layers, before=record):
        model(inputs)
    return torch.cat(squares).mean().sqrt().item()


def units(batch_size: int, replica: int, samples: int, seed: int) -> xr.Dataset:
    """Measure what normalization keeps of the correlations of random units' fields."""
    pixels = halved(samples).train_inputs.flatten(1).double().numpy()
    pixels = pixels - pixels.mean(axis=0)
    generator = stream(seed, 46, replica)
    fields = pixels @ generator.standard_normal((pixels.shape[1], UNITS))
    fields /= fields.std(axis=0)
    chosen = generator.integers(len(fields), size=(DRAWN // batch_size, batch_size))
    batches = fields[chosen]
    before = pairs(correlation(batches))
    centred = batches - batches.mean(axis=1, keepdims=True)
    spread = batches.std(axis=1, keepdims=True)
    shown = {"batch": centred / spread, "mean": centred, "spread": batches / spread}
    behind = {kind: pairs(correlation(shown[kind])) for kind in RANDOM}
    theory = {kind: predicted(kind, before, batch_size) for kind in RANDOM}
    measured, expected = (
        [before @ each[kind] / (before @ before) for kind in RANDOM] for each in (behind, theory)
    )
    return sbn.dataset.describe(
        xr.Dataset(
            {"correlation_kept": ("kind", measured), "theory": ("kind", expected)},
            {"kind": list(RANDOM)},
        )
    )


def pairs(correlation: np.ndarray) -> np.ndarray:
    """Return the values of all pairs of two units."""
    return correlation[np.triu_indices(len(correlation), k=1)]


def correlation(normalized: np.ndarray) -> np.ndarray:
    """Return E[û_k û_l] by the root of E[û_k²] E[û_l²], over samples of all batches."""
    flat = normalized.reshape(-1, normalized.shape[-1])
    products = flat.T @ flat
    spread = np.sqrt(np.diag(products))
    return products / np.outer(spread, spread)


def predicted(kind: str, before: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the correlation behind normalization, for Gaussian fields of the one before."""
    if kind == "mean":
        return before
    if kind == "spread":
        return before - before * (1 - before**2) / (2 * batch_size)
    return mean_correlation(batch_size)(before)


@lru_cache(maxsize=16)
def mean_correlation(batch_size: int) -> Any:
    """Print the mean sample correlation of so many pairs as a function of q."""
    hypergeometric = {"hyper": lambda upper, lower, z: hyp2f1(*upper, *lower, z)}
    return sp.lambdify(q, sample_correlation().subs(M, batch_size), [hypergeometric, "numpy"])


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed."""
    shared: dict[str, Any] = {"samples": options.size("samples"), "seed": options.seed}
    grid = {
        "batch_size": options.size("sizes"), "replica": range(options.size("replicas"))
    }  # fmt: skip
    trained = partial(train, epochs=options.size("epochs"), **shared)
    return {
        "training": (trained, {"kind": list(KINDS), **grid}),
        "units": (partial(units, **shared), grid),
    }


def opened(tree: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both groups."""
    found, random = (tree[name].to_dataset().load() for name in ("training", "units"))
    return found.assign_attrs(level="microscopic"), random.assign_attrs(level="microscopic")


def gaps(found: xr.Dataset, quantity: str) -> dict[str, xr.DataArray]:
    """Return what each kind has more than PN, seed by seed; of |γ| the logarithm."""
    values = found[quantity]
    if quantity == "mean_gamma":
        values = values.copy(data=np.log(values.values))
    population = values.sel(kind="population", drop=True)
    return {kind: values.sel(kind=kind, drop=True) - population for kind in KINDS}


Pair = tuple[xr.DataArray, xr.DataArray | None]
"""What `statmech_bn.study.decide` asks of a claim: effect and rest."""


def closing(found: xr.Dataset, quantity: str, theory: str) -> Pair | None:
    """Return how a decay nears PN to BN and what is left, at batch sizes where these differ."""
    by = gaps(found, quantity)
    mean, error = mean_and_error(by["batch"])
    seen = abs(mean) > limit(found.sizes["replica"], mean.size) * error
    if not seen.any():
        return None
    effect, rest = by[theory] * mean / abs(mean), by[theory] - by["batch"]
    at = found["batch_size"][seen.values]
    return effect.sel(batch_size=at), rest.sel(batch_size=at)


def closures(found: xr.Dataset) -> dict[str, str]:
    """Say whether either decay does what batch statistics do, where these are seen to do it."""
    rows = {}
    for quantity, title in QUANTITIES.items():
        for name in THEORIES:
            pair = closing(found, quantity, name)
            claim = f"PN + {name} γ decay closes the gap of BN to PN: {title}"
            rows[claim] = decide(*pair) if pair else "no gap seen"
    return rows


def effects(found: xr.Dataset) -> dict[str, Pair]:
    """Return what random statistics are claimed to do."""
    gamma, trained = (gaps(found, name) for name in ("mean_gamma", "unit_correlation"))
    ends = [gamma["batch"].isel(batch_size=k, drop=True) for k in (0, -1)]
    return {
        **{f"{KINDS[kind]} has smaller γ than PN": (-gamma[kind], None) for kind in RANDOM},
        "BN: the more so the smaller the batch, from largest to smallest M": (
            ends[1] - ends[0], None,
        ),
        **{
            f"units learn to be less correlated than with PN: {KINDS[kind]}": (-trained[kind], None)
            for kind in RANDOM
        },
    }  # fmt: skip


def correlations(random: xr.Dataset) -> dict[str, Pair]:
    """Return what random statistics are claimed to do to the correlation of random units."""
    kept = random["correlation_kept"]
    rest = kept - random["theory"]
    return {
        f"random statistics take correlation, as of Gaussian fields: {KINDS[kind]}": (
            1 - kept.sel(kind=kind, drop=True), rest.sel(kind=kind, drop=True),
        )
        for kind in ("batch", "spread")
    }  # fmt: skip


def equalities(claim: str, values: xr.DataArray) -> dict[str, str]:
    """Say whether values are zero, for each batch size."""
    sizes = values["batch_size"].values
    said = [judge(values.sel(batch_size=size), "=0", len(sizes))[2] for size in sizes]
    return {f"{claim}, M = {size}": word for size, word in zip(sizes, said, strict=True)}


def verdicts(tree: xr.DataTree) -> pd.DataFrame:
    """Say what became of each claim."""
    found, random = opened(tree)
    rows, claims = closures(found), effects(found) | correlations(random)
    rows |= {claim: decide(*pair) for claim, pair in claims.items()}
    mean = random["correlation_kept"].sel(kind="mean", drop=True)
    rows |= equalities("the random mean alone takes none", mean - 1)
    for quantity, title in QUANTITIES.items():
        rows |= equalities(f"WN is as PN: {title}", gaps(found, quantity)["weight"])
    return pd.DataFrame.from_dict(rows, orient="index", columns=["verdict"])


def measured(tree: xr.DataTree) -> pd.DataFrame:
    """Table the differences to PN with their standard errors."""
    found, _ = opened(tree)
    rows = {}
    for quantity, title in {**QUANTITIES, "unit_correlation": "correlation of units"}.items():
        for kind, gap in gaps(found, quantity).items():
            if kind == "population":
                continue
            mean, error = mean_and_error(gap)
            rows[title, kind] = {
                f"M = {size}": f"{m:+.3f} ± {e:.3f}"
                for size, m, e in zip(
                    gap["batch_size"].values, mean.values, error.values, strict=True
                )
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw what was trained, and correlations, against the batch size."""
    found, random = opened(tree)
    titled = {
        name: sbn.dataset.describe(
            d.assign_coords(kind=[KINDS[k] for k in d["kind"].values.tolist()]).rename(
                kind="normalization"
            )
        )
        for name, d in (("training", found), ("units", random))
    }
    line = titled["units"][["theory"]].rename(theory="correlation_kept").mean("replica")
    line = sbn.dataset.describe(line.assign_attrs(level="macroscopic"))
    return {
        "training": partial(
            sbn.plot.network_kinds, {"residual network, MNIST": found}, KINDS, "normalization"
        ),
        "correlation": lambda: sbn.plot.curves(
            [
                sbn.plot.Panel(
                    "batch_size", "correlation_kept", [titled["units"], line],
                    title="random units", logarithmic="x",
                ),
                sbn.plot.Panel(
                    "batch_size", "unit_correlation", [titled["training"]],
                    title="after training", logarithmic="x",
                ),
            ],
            "normalization",
        ),
    }  # fmt: skip


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Say what differs from PN, and what became of each claim."""
    return {"differences to PN": measured(tree), "claims": verdicts(tree)}


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
