"""Which learning rate does weight decay leave? The equilibrium knows only the product ηλ.

Weight decay shrinks a normalized student as its noise makes it longer. Where both balance,
η_eff = √(2Mηλ/B), and R and γ follow it: runs of equal ηλ end on one curve, whatever η is, and L
alone tells them apart. The groups of the store:

    collapse                   runs of one ηλ and three η, over time
    equilibrium/macroscopic    `statmech_bn.rates.equilibrium`, over ηλ
    equilibrium/mesoscopic     the chain at the end of its runs
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

import statmech_bn as sbn
from statmech_bn.dataset import describe
from statmech_bn.plot import Panel, curves

ACTIVATIONS = {"linear": "linear", "relu": "ReLU"}
STUDENTS = {"weight": "weight norm.", "batch": "batch norm."}
"""The grid has these values; figures have these titles for them."""
VARIABLES = ("effective_rate", "misalignment", "length_per_root_rate")
BATCH_SIZE = 8
LABEL_NOISE = 0.5
RATES = (0.3, 3.0, 30.0)
SCALE_RATE = 1.0
"""All runs have this η_γ: the state of equal ηλ is the same only if γ moves alike."""
PRODUCT = 0.01
"""The runs that collapse have this ηλ."""
START = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0)
RELAXED = 3.0
"""A run is at equilibrium after this time in units of 1/(ηλ): it decays like exp(−4ηλt)."""


@dataclass(frozen=True)
class Options(sbn.study.Options):
    """Equilibria with weight decay, by theory and by the chain."""

    presets: ClassVar = {
        "quick": {"products": 2, "dimension": 50, "replicas": 6},
        "paper": {"products": 5, "dimension": 100, "replicas": 16},
    }
    store: Path = Path("results/weight_decay.zarr")
    products: int | None = None
    """Values of ηλ between 0.01 and 1. The preset chooses this and the following if not given."""
    dimension: int | None = None
    """N of the chain."""
    replicas: int | None = None
    """Runs of the chain."""


def setup(
    activation: str, student: str, learning_rate: float, decay_product: float
) -> sbn.TeacherStudent:
    """Describe one student; its λ is ηλ/η."""
    return sbn.TeacherStudent(
        activation,
        student,
        BATCH_SIZE,
        label_noise=LABEL_NOISE,
        weight_decay=decay_product / learning_rate,
    )


def learn(
    activation: str,
    student: str,
    learning_rate: float,
    decay_product: float,
    level: str,
    **arguments: Any,
) -> xr.Dataset:
    """Let one student learn at one level."""
    described = setup(activation, student, learning_rate, decay_product)
    result = getattr(sbn, level)(
        described,
        learning_rate,
        start=START,
        gamma_learning_rate=SCALE_RATE,
        workers=1,
        **arguments,
    )
    return add_rates(described, result)


def resting(
    activation: str, student: str, learning_rate: float, decay_product: float
) -> xr.Dataset:
    """Return one equilibrium by theory."""
    described = setup(activation, student, learning_rate, decay_product)
    found = add_rates(described, sbn.rates.equilibrium(described, learning_rate))
    return found.assign_attrs(level="macroscopic")


def chain_at_rest(decay_product: float, **arguments: Any) -> xr.Dataset:
    """Average the chain over time at one equilibrium."""
    time = np.linspace(RELAXED, 2 * RELAXED, 50) / decay_product
    chain = learn(decay_product=decay_product, level="mesoscopic", time=time, **arguments)
    return chain[list(VARIABLES)].mean("time", keep_attrs=True)


def add_rates(described: sbn.TeacherStudent, result: xr.Dataset) -> xr.Dataset:
    """Add η_eff, 1 − R and L/√η."""
    rate = result["learning_rate"]
    result["effective_rate"] = sbn.rates.effective(described, result, rate)
    result["misalignment"] = 1 - result["overlap"]
    result["length_per_root_rate"] = result["length"] / np.sqrt(rate)
    return describe(result)


def parts(options: Options) -> dict[str, sbn.study.Part]:
    """Say what is computed: the runs that collapse, and the equilibria."""
    students = {"activation": list(ACTIVATIONS), "student": list(STUDENTS)}
    products = np.geomspace(0.01, 1.0, options.size("products"))
    runs = {**students, "learning_rate": RATES}
    rests = {**students, "decay_product": products, "learning_rate": RATES}
    time = np.geomspace(0.1, 2 * RELAXED / PRODUCT, 61)
    collapse = partial(learn, decay_product=PRODUCT, level="macroscopic", time=time)
    chain = partial(
        chain_at_rest,
        dimension=options.size("dimension"),
        replicas=options.size("replicas"),
        seed=options.seed,
    )
    return {
        "collapse": (collapse, runs),
        "equilibrium/macroscopic": (resting, rests),
        "equilibrium/mesoscopic": (chain, rests),
    }


def figures(tree: xr.DataTree) -> sbn.study.Figures:
    """Draw the collapse and the equilibria."""
    drawn = {}
    for activation, name in ACTIVATIONS.items():
        runs, rests = [], []
        for student, title in STUDENTS.items():
            where = {"activation": activation, "student": student}
            run, *levels = (
                tree[group].to_dataset().sel(where)
                for group in ("collapse", "equilibrium/macroscopic", "equilibrium/mesoscopic")
            )
            for variable, text in zip(VARIABLES, (f"{name}, {title}", "", ""), strict=True):
                panel = Panel("time", variable, [run], title=text)
                runs.append(panel)
                rests.append(replace(panel, x="decay_product", results=levels))
        drawn[f"collapse_{activation}"] = partial(curves, runs, "learning_rate", len(VARIABLES))
        drawn[f"equilibrium_{activation}"] = partial(curves, rests, "learning_rate", len(VARIABLES))
    return drawn


if __name__ == "__main__":
    sbn.study.main(__doc__, Options, parts, figures)
