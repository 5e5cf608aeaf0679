"""How noisy is a step? Learning rate over batch size, in the teacher–student model and in depth.

One step of the chain from a fixed state, whose growth of |w|² is η² C/M; and the covariance of
batch gradients in a deep network, with and without replacement. The store is a tree:

    step/weight     change of L² times N, over batch sizes and learning rates, and the flow's
    network/none    trace of the covariance of batch gradients (or batch), over batch sizes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sympy as sp
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn

STUDENTS = {"none": "no normalization", "weight": "weight norm.", "batch": "batch norm."}
NETWORKS = {"none": "no normalization", "batch": "batch norm."}
RATES = (0.3, 1.0, 3.0)
STATE, LABEL_NOISE = sbn.OrderParameters(overlap=0.3), 0.5
DIMENSION = 100_000
"""The square of the mean gradient adds to |Δw|² a share of order M/N, here small."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"sizes": (8, 16, 64), "replicas": 2000, "draws": 40, "groups": 5},
    "paper": {"sizes": (8, 16, 32, 64, 128), "replicas": 20_000, "draws": 100, "groups": 8},
}
SAMPLES = 128
"""P, from which the network's batches are drawn; those of half of it or less are shown."""


@dataclass(frozen=True)
class Options:
    """Noise of one step."""

    store: Path = Path("results/update_noise.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper minutes."""
    seed: int = 0
    """All random numbers follow from it."""
    sizes: tuple[int, ...] | None = None
    """Batch sizes; this and the following are the preset's unless given."""
    replicas: int | None = None
    """Steps of the chain."""
    draws: int | None = None
    """Batches of the network in each group."""
    groups: int | None = None
    """Groups of batches, from which the error bars come."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def one_step(student: str, options: Options) -> xr.Dataset:
    """Let the chain of a linear student take one step from a fixed state, many times."""
    s = sbn.symbolic
    state = {s.R: STATE.overlap, s.L: STATE.length, s.gamma: STATE.gamma, s.Delta: LABEL_NOISE}
    growth = 2 * s.L * s.order_parameter_flow(student, "linear")[s.L]  # dQ/dt
    growth = sp.expand(growth.subs({**state, s.zeta: 0, s.lamda: 0}))
    drift, noise = (growth.coeff(s.eta, power) for power in (1, 2))
    found = []
    for size in options.size("sizes"):
        setup = sbn.TeacherStudent("linear", student, size, LABEL_NOISE)
        run = sbn.mesoscopic(
            setup, RATES, [1 / DIMENSION], STATE, DIMENSION, options.size("replicas"),
            options.seed + size,
        )  # fmt: skip
        change = DIMENSION * (run["length"].isel(time=0, drop=True) ** 2 - STATE.length**2)
        found.append(change)
    sizes = np.array(options.size("sizes"))
    change = xr.concat(found, xr.Variable("batch_size", sizes))
    left = (change - float(drift) * change["learning_rate"]).rename("step_noise")
    predicted = sbn.codegen.numpy_function([noise], [s.M])(sizes[:, None])[0] * np.square(RATES)
    return left.to_dataset().assign(theory=(("batch_size", "learning_rate"), predicted))


def simulate(options: Options) -> xr.DataTree:
    """Take the steps and draw the batches."""
    results = {f"step/{name}": one_step(name, options) for name in STUDENTS}
    generator = np.random.default_rng(options.seed)
    inputs, labels = sbn.depth.teacher_classes(SAMPLES, 20, 5, generator)
    sizes = [size for size in options.size("sizes") if size < SAMPLES] + [SAMPLES * 3 // 4]
    for name in tqdm(NETWORKS, desc="networks", disable=None):
        network = sbn.depth.DeepNetwork(4, 20, 20, 5, normalization=name)
        results[f"network/{name}"] = sbn.depth.gradient_noise(
            network, inputs, labels, sizes, options.size("draws"), options.size("groups"),
            options.seed,
        )  # fmt: skip
    return xr.DataTree.from_dict(results)


def largest_score(values: xr.DataArray, theory: xr.DataArray) -> float:
    """Largest distance of the measured means from theory, in standard errors."""
    error = values.std("replica", ddof=1) / np.sqrt(values.sizes["replica"])
    return float(np.abs((values.mean("replica") - theory) / error).max())


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the noise of both systems."""
    return {
        "step": sbn.plot.step_noise(
            {t: tree[f"step/{n}"].to_dataset() for n, t in STUDENTS.items()}
        ),
        "network": sbn.plot.gradient_noise(
            {t: tree[f"network/{n}"].to_dataset() for n, t in NETWORKS.items()}
        ),
    }


def main(options: Options) -> None:
    """Simulate, write the store, draw, and print the scores."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"update_noise_{name}")
    for name, title in STUDENTS.items():
        found = tree[f"step/{name}"].to_dataset()
        score = largest_score(found["step_noise"], found["theory"])
        print(f"one step, {title}: at most {score:.1f} standard errors from theory")
    found = tree["network/none"].to_dataset()
    for way in ("with", "without"):
        score = largest_score(found[f"noise_{way}"], found[f"theory_{way}"])
        print(f"deep network, {way} replacement: at most {score:.1f} standard errors from theory")
    print(f"\nresults: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
