"""What should inference show a sample? The self-term in the loss, and running averages.

A sample is one of the M that normalize it, which changes what training shows of it: E[û|u] is not
u. Summers & Dinneen (2020) let inference use the example's own statistics with a weight a. To
order 1/M the weight 1/M, with γ times 1 + 5/(4M), shows what training did. Students that learned
by the chain with batch normalization say whether that is also good for the loss. The groups of
the store:

    mean/exact, mean/first, mean/batches    M(E[û|u] − u): integral, order 1/M, and simulation
    weight/exact, weight/first              aM for which inference is nearest to training
    gap/rest, gap/students                  M times the loss of training less that of inference
    own/students                            loss of inference over aM
    running/theory, running/averages        what running averages add to the loss, over momentum
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import minimize_scalar

import statmech_bn as sbn
from statmech_bn import inference
from statmech_bn.plot import Panel, curves
from statmech_bn.study import decide

ACTIVATIONS = {"linear": "linear", "relu": "ReLU", "erf": "erf"}
"""The grid has these values; figures have these titles for them."""
FIELDS = np.linspace(-3.0, 3.0, 13)
SIZES = (8, 16, 64)
"""Batch sizes of the students, and of E[û|u]."""
LINE = (4, 8, 12, 16, 32, 64, 128)
"""Batch sizes of theory."""
SHARES = np.linspace(0.0, 2.0, 9)
"""aM of the losses of inference."""
SCALES = {"best": r"best scale", "derived": r"$(1+5a/4)\gamma$", "trained": r"$\gamma$ of training"}
"""What inference multiplies by → the title of its panel."""
MOMENTA = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
RUNNING_SIZE = 16
GROWTHS = (0.0, 0.002)
"""Growth of ln Q per step, behind which the running variance lags."""
LEARNING: dict[str, Any] = {"learning_rate": 1.0, "time": [40.0], "dimension": 200}
START = sbn.OrderParameters(overlap=0.3, gamma=0.8)
WORDS = {
    "field": ("field", "$u$"),
    "shift": (r"shift $M(E[\hat u|u]-u)$", ""),
    "weight": ("weight of the own statistics", "$aM$"),
    "scale": ("scale of inference", "$(c-1)M$"),
    "gap": ("training less inference", r"$M\Delta\mathcal{L}$"),
    "share": ("weight of the own statistics", "$aM$"),
    "added": ("added to the loss", r"$M^2\Delta\mathcal{L}$"),
    "momentum": ("momentum of the averages", "$m$"),
    "excess": ("excess of the loss", r"$\Delta\mathcal{L}$"),
    "growth": ("growth per step", r"$\dot Q/Q$"),
    "batch_size": ("batch size", "$M$"),
}


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Inference by theory, and students that learned by the chain."""

    presets: ClassVar = {
        "quick": {"replicas": 4, "batches": 10_000, "updates": 4_000},
        "paper": {"replicas": 12, "batches": 200_000, "updates": 40_000},
    }
    store: Path = Path("results/inference.zarr")
    replicas: int | None = None
    """Students, and independent simulations. The preset chooses this and the following if not
    given."""
    batches: int | None = None
    """Batches that a loss or a mean is averaged over."""
    updates: int | None = None
    """Updates of the running averages."""


def described(data: dict[str, Any], coordinates: dict[str, Any], level: str) -> xr.Dataset:
    """Make a Dataset whose variables carry their words."""
    found = xr.Dataset(data, coordinates, {"level": level})
    return label(found)


def label(found: xr.Dataset) -> xr.Dataset:
    """Give variables their words."""
    for name, (words, symbol) in WORDS.items():
        if name in found.variables:
            found[name].attrs.update(long_name=words, symbol=symbol, units="1")
    return found


def shift(batch_size: int, field: np.ndarray, exact: bool) -> xr.Dataset:
    """Return M(E[û|u] − u), exactly or to order 1/M."""
    first = 0.75 * field - 0.5 * field**3
    whole = batch_size * (inference.training_mean(field, batch_size) - field)
    return described(
        {"shift": ("field", whole if exact else first)}, {"field": field}, "macroscopic"
    )


def simulated_shift(
    batch_size: int, field: np.ndarray, replicas: int, batches: int, seed: int
) -> xr.Dataset:
    """Simulate M(E[û|u] − u): batches of which one sample is given."""
    generator = np.random.default_rng([seed, batch_size])
    found = np.zeros((field.size, replicas))
    for r in range(replicas):
        others = generator.standard_normal((batches // 4, batch_size - 1))
        mean, square = others.mean(axis=1), (others**2).mean(axis=1)
        for k, u in enumerate(field):
            centre = mean + (u - mean) / batch_size
            spread = np.sqrt(square + (u**2 - square) / batch_size - centre**2)
            found[k, r] = batch_size * np.mean((u - centre) / spread - u)
    return described({"shift": (("field", "replica"), found)}, {"field": field}, "mesoscopic")


def nearest(batch_size: int, exact: bool) -> xr.Dataset:
    """Return aM and (c − 1)M with which inference is nearest to training, or their limits."""
    weight, scale, distance = inference.nearest_inference(batch_size)
    data = {"weight": weight * batch_size, "scale": (scale - 1) * batch_size, "distance": distance}
    if not exact:
        order = sbn.symbolic.own_weight(2)
        weight, scale = (float(k.subs(sbn.symbolic.M, batch_size)) for k in order)
        data = {"weight": weight * batch_size, "scale": (scale - 1) * batch_size}
    return described(data, {}, "macroscopic")


def at_rest(activation: str, batch_size: int) -> xr.Dataset:
    """Return M times the gap where γ stops at R = 1, and its value to order 1/M."""
    gamma = float(sbn.stationary_gamma(activation, batch_size)["gamma_exact"].item())
    loss = inference.training_loss(activation, batch_size, gamma)
    gap = batch_size * (loss - inference.inference_loss(activation, gamma))
    first = inference.first_order_gap(activation, gamma)
    return described({"gap": gap, "first": first}, {}, "macroscopic")


def students(activation: str, batch_size: int, replicas: int, seed: int) -> xr.Dataset:
    """Let students learn by the chain, and return R and γ of each."""
    setup = sbn.TeacherStudent(activation, "batch", batch_size)
    run = sbn.mesoscopic(setup, start=START, replicas=replicas, seed=seed, workers=1, **LEARNING)
    return run[["overlap", "gamma"]].isel(learning_rate=0, time=0, drop=True)


def measured_gap(
    activation: str, batch_size: int, replicas: int, batches: int, seed: int
) -> xr.Dataset:
    """Measure M times the gap of students, by fresh batches; and what order 1/M says of it."""
    found = students(activation, batch_size, replicas, seed)
    gap, first, distance = np.empty((3, replicas))
    for r in range(replicas):
        state = {"gamma": float(found["gamma"][r]), "overlap": float(found["overlap"][r])}
        losses = sbn.batch_loss(
            activation, batch_size, [state["gamma"]], overlap=state["overlap"],
            batches=max(1, 8 * batches // batch_size), replicas=1, seed=seed + 1 + r, workers=1,
        )  # fmt: skip
        loss = float(losses["loss"].item())
        gap[r] = batch_size * (loss - inference.inference_loss(activation, **state))
        first[r] = inference.first_order_gap(activation, **state)
        state["gamma"] *= 1 + 1.25 / batch_size
        shown = inference.inference_loss(activation, **state, own_weight=1 / batch_size)
        distance[r] = batch_size * (loss - shown)
    data = {"gap": gap, "first": first, "gap_with_own": distance}
    return described(
        {name: ("replica", values) for name, values in data.items()}, {}, "mesoscopic"
    ).assign_attrs(dimension=LEARNING["dimension"])


def own_loss(activation: str, batch_size: int, replicas: int, seed: int) -> xr.Dataset:
    """Return M² times the loss of inference with own statistics, less that without."""
    found = students(activation, batch_size, replicas, seed)
    added = np.empty((len(SCALES), SHARES.size, replicas))
    for r in range(replicas):
        gamma, overlap = float(found["gamma"][r]), float(found["overlap"][r])
        loss = partial(inference.inference_loss, activation, overlap=overlap)
        for k, share in enumerate(SHARES.tolist()):
            a = share / batch_size
            bounds = (0.5 * gamma, 1.5 * gamma)
            best = minimize_scalar(partial(loss, own_weight=a), bounds=bounds, method="bounded")
            added[0, k, r] = best.fun
            added[1, k, r] = loss(gamma * (1 + 1.25 * a), own_weight=a)
            added[2, k, r] = loss(gamma, own_weight=a)
        added[0, :, r] -= added[0, 0, r]
        added[1:, :, r] -= loss(gamma)
    return described(
        {"added": (("scaling", "share", "replica"), batch_size**2 * added)},
        {"scaling": list(SCALES), "share": SHARES},
        "mesoscopic",
    ).assign_attrs(dimension=LEARNING["dimension"])


def running(
    growth: float, momentum: float, replicas: int = 0, updates: int = 0, seed: int = 0
) -> xr.Dataset:
    """Return what running averages add to the loss of a linear unit at rest, R = 1.

    Without replicas by theory: order 1/M of their noise, and their lag, which makes the variance
    m/(1 − (1 − m) exp(−growth)) of the newest.
    """
    gamma = 1 - inference.training_loss("linear", RUNNING_SIZE, 1.0)  # E σ_B
    kept = (1 - momentum) * np.exp(-growth)
    if not replicas:
        lag = momentum / (1 - kept)
        added = inference.running_average_excess("linear", RUNNING_SIZE, momentum, gamma)
        added += linear_loss(gamma, 0.0, lag) - linear_loss(gamma, 0.0, 1.0)
        return described({"excess": added}, {}, "macroscopic")
    generator = np.random.default_rng([seed, MOMENTA.index(momentum), GROWTHS.index(growth)])
    mean, variance, total = np.zeros(replicas), np.ones(replicas), np.zeros(replicas)
    settle, degrees = int(np.ceil(20 / momentum)), RUNNING_SIZE - 1
    for step in range(settle + updates):  # lengths are those of the newest weights
        mean = (1 - momentum) * np.exp(-growth / 2) * mean
        mean += momentum * generator.standard_normal(replicas) / np.sqrt(RUNNING_SIZE)
        variance = kept * variance + momentum * generator.chisquare(degrees, replicas) / degrees
        if step >= settle:
            total += linear_loss(gamma, mean, variance)
    added = total / updates - linear_loss(gamma, 0.0, 1.0)
    return described({"excess": ("replica", added)}, {}, "mesoscopic")


def linear_loss(gamma: float, mean: Any, variance: Any) -> Any:
    """Average ½(u − γ(u − μ)/√v)² over fresh samples."""
    return 0.5 * (1 - 2 * gamma / np.sqrt(variance) + gamma**2 * (1 + mean**2) / variance)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: means, gaps, own statistics, and running averages."""
    size = {name: options.size(name) for name in ("replicas", "batches")}
    seeds = {"replicas": size["replicas"], "seed": options.seed}
    sizes, units = {"batch_size": SIZES}, {"activation": list(ACTIVATIONS)}
    averages = {"growth": GROWTHS, "momentum": MOMENTA}
    simulated = partial(simulated_shift, field=FIELDS, seed=options.seed, **size)
    measured = partial(measured_gap, seed=options.seed, **size)
    return {
        "mean/exact": (partial(shift, field=FIELDS, exact=True), sizes),
        "mean/first": (partial(shift, field=FIELDS, exact=False), {"batch_size": SIZES[-1:]}),
        "mean/batches": (simulated, sizes),
        "weight/exact": (partial(nearest, exact=True), {"batch_size": LINE}),
        "weight/first": (partial(nearest, exact=False), {"batch_size": LINE[1:]}),
        "gap/rest": (at_rest, {**units, "batch_size": LINE}),
        "gap/students": (measured, {**units, **sizes}),
        "own/students": (partial(own_loss, **seeds), {**units, "batch_size": SIZES[1:2]}),
        "running/theory": (running, averages),
        "running/averages": (
            partial(running, updates=options.size("updates"), **seeds), averages
        ),
    }  # fmt: skip


def dataset(tree: xr.DataTree, name: str) -> xr.Dataset:
    """Open a part, with words for its coordinates."""
    return label(tree[name].to_dataset().load())


def claims(tree: xr.DataTree) -> dict[str, tuple[xr.DataArray, xr.DataArray | None]]:
    """Return what `statmech_bn.study.decide` asks: claim → effect and rest."""
    simulated = dataset(tree, "mean/batches")["shift"]
    first = dataset(tree, "mean/first")["shift"].isel(batch_size=0, drop=True)
    exact = dataset(tree, "mean/exact")["shift"]
    inner = simulated.sel(field=[1.5, 2.0, 2.5, 3.0])
    gap = dataset(tree, "gap/students")
    own = dataset(tree, "own/students")["added"].sel(share=1.0, drop=True)
    own = own.sel(scaling=["best", "trained"])  # the derived scale helps by itself
    averages = dataset(tree, "running/averages")["excess"].sel(growth=0.0, drop=True)
    expected = dataset(tree, "running/theory")["excess"].sel(growth=0.0, drop=True)
    return {
        "a sample's part in its batch pulls û in, by E[û|u]": (-inner, simulated - exact),
        "... to order 1/M by ¾u − ½u³": (-inner, simulated - first),
        "training less inference is the gap of order 1/M": (gap["gap"], gap["gap"] - gap["first"]),
        "own statistics of weight 1/M lower the loss": (-own, None),
        "running averages cost what independent statistics do": (averages, averages - expected),
    }


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw means, gaps, losses with own statistics, and running averages."""
    first = dataset(tree, "mean/first").isel(batch_size=0)
    shown = [dataset(tree, f"mean/{name}") for name in ("exact", "batches")]
    gaps = [dataset(tree, f"gap/{name}") for name in ("rest", "students")]
    line = gaps[0][["first"]].rename(first="gap")
    own = dataset(tree, "own/students").isel(batch_size=0)
    averages = [dataset(tree, f"running/{name}") for name in ("theory", "averages")]
    gap = [
        Panel("batch_size", "gap", [d.sel(activation=[name]) for d in gaps],
              line.sel(activation=name), title, "x")
        for name, title in ACTIVATIONS.items()
    ]  # fmt: skip
    losses = [
        Panel("share", "added", [own.sel(scaling=name)], None, title, "")
        for name, title in SCALES.items()
    ]
    return {
        "mean": partial(
            curves,
            [Panel("field", "shift", shown, first, "", "")],
            "batch_size",
            reference="order $1/M$",
        ),
        "gap": partial(curves, gap, "activation", reference="order $1/M$"),
        "loss": partial(curves, losses, "activation"),
        "running": partial(curves, [Panel("momentum", "excess", averages)], "growth"),
    }


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the gaps of students, what own statistics add, and what becomes of the claims."""
    gap = dataset(tree, "gap/students")
    rows = {
        name: gap[name].mean("replica").to_pandas() for name in ("gap", "first", "gap_with_own")
    }
    own = dataset(tree, "own/students")["added"].sel(share=1.0, drop=True).mean("replica")
    weights = {
        f"{kind}, {name}": dataset(tree, f"weight/{kind}")[name].to_pandas()
        for name in ("weight", "scale")
        for kind in ("exact", "first")
    }
    return {
        "M times training less inference: measured": rows["gap"],
        "... to order 1/M": rows["first"],
        "... measured, with own statistics of weight 1/M and 1 + 5/(4M)": rows["gap_with_own"],
        "M² times what own statistics of weight 1/M add to the loss": own.isel(
            batch_size=0
        ).to_pandas(),
        "aM and (c − 1)M of the inference nearest to training; to order 1/M²": pd.DataFrame(
            weights
        ),
        "verdicts": pd.DataFrame(
            {"verdict": {k: decide(*pair) for k, pair in claims(tree).items()}}
        ),
    }


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures, tables)
