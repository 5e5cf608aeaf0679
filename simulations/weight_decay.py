"""Which learning rate does weight decay leave? The equilibrium knows only the product ηλ.

Weight decay shrinks a normalized student as its noise makes it longer. Where both balance,
η_eff = √(2Mηλ/B), and R and γ follow it: runs of equal ηλ end on one curve, whatever η is, and L
alone tells them apart. The store:

    linear/batch/collapse/macroscopic       runs of one ηλ and three η, over time
    linear/batch/equilibrium/macroscopic    `statmech_bn.rates.equilibrium`, over ηλ
    linear/batch/equilibrium/mesoscopic     the chain at the end of its runs
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
import xarray as xr
from matplotlib.figure import Figure
from tqdm import tqdm

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
"""The groups of the store, and their titles in the figures."""
STUDENTS = {"weight": "weight norm.", "batch": "batch norm."}
VARIABLES = ("effective_rate", "misalignment", "length_per_root_rate")
BATCH_SIZE = 8
LABEL_NOISE = 0.5
RATES = (0.3, 3.0, 30.0)
SCALE_RATE = 1.0
"""η_γ of all: the state of equal ηλ is the same only if γ moves alike."""
PRODUCT = 0.01
"""ηλ of the runs that collapse."""
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
RELAXED = 3.0
"""Time, in units of 1/(ηλ), after which a run is at equilibrium: it decays like exp(−4ηλt)."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"products": 2, "dimension": 50, "replicas": 6},
    "paper": {"products": 5, "dimension": 100, "replicas": 16},
}


@dataclass(frozen=True)
class Options:
    """Equilibria with weight decay, by theory and by the chain."""

    store: Path = Path("results/weight_decay.zarr")
    """Where the results go."""
    figures: Path = Path("results/figures")
    """Where the figures go."""
    preset: Literal["quick", "paper"] = "paper"
    """How much is computed: quick takes seconds, paper a minute or two."""
    seed: int = 0
    """All random numbers follow from it."""
    products: int | None = None
    """Values of ηλ between 0.01 and 1; this and the following are the preset's unless given."""
    dimension: int | None = None
    """N of the chain."""
    replicas: int | None = None
    """Runs of the chain."""

    def size(self, name: str) -> Any:
        """Return what was asked for, or else the preset's value."""
        given = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given


def setup(activation: str, student: str, weight_decay: float) -> sbn.TeacherStudent:
    """Describe one student."""
    return sbn.TeacherStudent(
        activation, student, BATCH_SIZE, label_noise=LABEL_NOISE, weight_decay=weight_decay
    )


def simulate(options: Options) -> xr.DataTree:
    """Compute the runs that collapse, and the equilibria."""
    products = np.geomspace(0.01, 1.0, options.size("products"))
    results: dict[str, xr.Dataset] = {}
    groups = [f"{activation}/{student}" for activation in ACTIVATIONS for student in STUDENTS]
    for group in tqdm(groups, desc="students", disable=None):
        activation, student = group.split("/")
        time = np.geomspace(0.1, 2 * RELAXED / PRODUCT, 61)
        results[f"{group}/collapse/macroscopic"] = xr.concat(
            [run(activation, student, PRODUCT, rate, time) for rate in RATES], "learning_rate"
        )
        theory = [resting(activation, student, product) for product in products]
        chain = [chain_at_rest(options, activation, student, product) for product in products]
        results[f"{group}/equilibrium/macroscopic"] = over_products(theory, products)
        results[f"{group}/equilibrium/mesoscopic"] = over_products(chain, products)
    return xr.DataTree.from_dict(results)


def run(activation: str, student: str, product: float, rate: float, time: np.ndarray) -> xr.Dataset:
    """Integrate one run; its setup's λ is ηλ/η."""
    described = setup(activation, student, product / rate)
    return add_rates(described, sbn.macroscopic(described, rate, time, START, SCALE_RATE))


def resting(activation: str, student: str, product: float) -> xr.Dataset:
    """Return the equilibrium by theory for every η."""
    found = []
    for rate in RATES:
        described = setup(activation, student, product / rate)
        found.append(add_rates(described, sbn.rates.equilibrium(described, rate)))
    return xr.concat(found, "learning_rate").assign_attrs(level="macroscopic")


def chain_at_rest(options: Options, activation: str, student: str, product: float) -> xr.Dataset:
    """Average the chain over time at equilibrium, for every η."""
    dimension, replicas = options.size("dimension"), options.size("replicas")
    time = np.linspace(RELAXED, 2 * RELAXED, 50) / product
    found = []
    for rate in RATES:
        described = setup(activation, student, product / rate)
        chain = sbn.mesoscopic(
            described, rate, time, START, dimension, replicas, options.seed, SCALE_RATE
        )
        chain = add_rates(described, chain)[list(VARIABLES)]
        found.append(chain.mean("time", keep_attrs=True))
    return xr.concat(found, "learning_rate", combine_attrs="drop_conflicts")


def over_products(results: list[xr.Dataset], products: np.ndarray) -> xr.Dataset:
    """Join results of several ηλ; the attributes that they share stay."""
    dimension = xr.DataArray(products, dims="decay_product", name="decay_product")
    return describe(xr.concat(results, dimension, combine_attrs="drop_conflicts"))


def add_rates(described: sbn.TeacherStudent, result: xr.Dataset) -> xr.Dataset:
    """Add η_eff, 1 − R and L/√η."""
    rate = result["learning_rate"]
    result["effective_rate"] = sbn.rates.effective(described, result, rate)
    result["misalignment"] = 1 - result["overlap"]
    result["length_per_root_rate"] = result["length"] / np.sqrt(rate)
    return describe(result)


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Draw the collapse and the equilibria."""
    drawn = {}
    for activation, name in ACTIVATIONS.items():
        runs, rests = [], []
        for student, title in STUDENTS.items():
            group = tree[f"{activation}/{student}"]
            run = group["collapse/macroscopic"].to_dataset()
            levels = [
                group[f"equilibrium/{level}"].to_dataset()
                for level in ("macroscopic", "mesoscopic")
            ]
            for variable, text in zip(VARIABLES, (f"{name}, {title}", "", ""), strict=True):
                panel = Panel("time", variable, [run], title=text)
                runs.append(panel)
                rests.append(replace(panel, x="decay_product", results=levels))
        drawn[f"collapse_{activation}"] = curves(runs, "learning_rate", len(VARIABLES))
        drawn[f"equilibrium_{activation}"] = curves(rests, "learning_rate", len(VARIABLES))
    return drawn


def main(options: Options) -> None:
    """Simulate, write the store, draw."""
    tree = simulate(options)
    store = sbn.save(tree, options.store)
    for name, figure in tqdm(figures(tree).items(), desc="figures", disable=None):
        sbn.plot.save_figure(figure, options.figures / f"weight_decay_{name}")
    print(f"results: {store}\nfigures: {options.figures}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
