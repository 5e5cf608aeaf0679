"""The stores that the paper reads, and what becomes of one that is not there.

An experiment is a script in `simulations`; its store is ``results/NAME.zarr``, or, if that is not
there, the quick preset's ``results/quick/NAME.zarr``. `open_store` says
which script makes a store that is missing or unfinished; `make_missing` runs those scripts.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidStore
from statmech_bn.files import user_path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
BUILD = ROOT / "paper" / "build"
FURTHER = (
    "structured_inputs",
    "condition_number",
    "plateau",
    "committee",
    "momentum",
    "residual_depth",
    "inference",
    "dropout",
)
"""What goes beyond one unit, isotropic inputs and plain steps has a table of claims of its own."""
EXPERIMENTS = (
    "learning_rates",
    "initial_gain",
    "gamma_decay",
    "maximum_learning_rate",
    "late_time",
    "weight_decay",
    "phase_diagram",
    "generalization",
    "large_learning_rate",
    "batch_size",
    "update_noise",
    "exploding_updates",
    "gradient_alignment",
    "depth_correlation",
    "batch_depth",
    "matrix_products",
    "partition",
    "boundary_jitter",
    *FURTHER,
)
"""The paper quotes these experiments, in the order in which their claims are told."""
OPTIONAL: dict[str, tuple[str, ...]] = {
    "networks": (
        "network_batch_size",
        "network_statistics",
        "network_learning_rate",
        "network_sharpness",
        "network_signals",
        "network_gain",
        "network_flips",
        "network_covariate_shift",
        "network_initialization",
        "network_placement",
    ),
    "regularization": (
        "network_regularization",
        "network_dropout",
        "network_inference",
        "network_rotation",
        "network_residual",
    ),
}
"""Sections of the paper (``sections/NAME.tex``) are left out, with their numbers and figures, where
there is no PyTorch, which the scripts of these experiments import."""


def script(name: str) -> ModuleType:
    """Import the script of an experiment, as it is when it is run."""
    return sbn.study.load(name, ROOT)


def store_path(name: str, results: Path = RESULTS) -> Path:
    """Return where an experiment's store is."""
    full, quick = (user_path(results, "results") / part / f"{name}.zarr" for part in ("", "quick"))
    return quick if quick.exists() and not full.exists() else full


def open_store(name: str, results: Path = RESULTS) -> xr.DataTree:
    """Open the store of an experiment.

    Raises
    ------
    InvalidStore
        It is missing or unfinished. The message names the script that makes it.
    """
    path = store_path(name, results)
    if not path.exists():
        raise InvalidStore(f"There is no store at {path}. Make it: python simulations/{name}.py")
    tree = sbn.open(path)
    unfinished = [node.path for node in tree.subtree if node.attrs.get("sweep_complete") == 0]
    if unfinished or not tree.children:
        raise InvalidStore(
            f"{path} is not finished ({', '.join(unfinished) or 'it has no groups'}). "
            f"Go on with it: python simulations/{name}.py, with the options that it was begun with."
        )
    return tree


def optional_sections() -> list[str]:
    """Return the optional sections, if there is PyTorch."""
    return [] if find_spec("torch") is None else list(OPTIONAL)


def experiments() -> tuple[str, ...]:
    """Return the experiments of the paper, with those of its optional sections."""
    more = (name for section in optional_sections() for name in OPTIONAL[section])
    return (*EXPERIMENTS, *more)


def make_missing(results: Path = RESULTS) -> None:
    """Run the quick preset of every experiment whose store is not there."""
    for name in experiments():
        if store_path(name, results).exists():
            continue
        path = user_path(results, "results") / "quick" / f"{name}.zarr"
        print(f"{name}: no store, so its quick preset is run", flush=True)
        subprocess.run(
            [
                sys.executable, ROOT / "simulations" / f"{name}.py", "--preset", "quick",
                "--store", path, "--figures", path.parent / "figures",
            ],
            check=True,
        )  # fmt: skip
