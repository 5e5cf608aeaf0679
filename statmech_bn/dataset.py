"""The one shape that every result has, and how it is kept.

dims   learning_rate (η, with η_γ along it), replica (absent from the macroscopic level), time
data   overlap R, length L, gamma γ, generalization_error ε_g, diverged_at (no time)
attrs  setup (JSON), start (JSON), level, seed, dimension, version, array_library, ...

A run that diverges is a result: from `diverged_at` on, its values are inf; `diverged_at` is NaN
for a run that does not. Stores are Zarr format 3, or NetCDF when the path ends in ``.nc``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.errors import InvalidStore
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

DESCRIPTIONS = {
    "learning_rate": ("learning rate", r"$\eta$", "1"),
    "gamma_learning_rate": ("learning rate of the scale", r"$\eta_\gamma$", "1"),
    "replica": ("replica", "", "1"),
    "batch_size": ("batch size", "$M$", "1"),
    "time": ("time", "$t$", "steps / N"),
    "overlap": ("overlap", "$R$", "1"),
    "length": ("length", "$L$", "1"),
    "gamma": ("scale parameter", r"$\gamma$", "1"),
    "generalization_error": ("generalization error", r"$\varepsilon_g$", "1"),
    "loss": ("loss", r"$\mathcal{L}$", "1"),
    "loss_slope": ("slope of the loss", r"$\partial\mathcal{L}/\partial\gamma$", "1"),
    "effective_gamma_decay": ("effective gamma decay", r"$\zeta_{\mathrm{eff}}$", "1"),
    "start": ("correlation of the inputs", "$c_0$", "1"),
    "depth": ("depth", "$l$", "layers"),
    "correlation": ("correlation", "$c$", "1"),
    "variance": ("variance of the fields", "$q$", "1"),
    "gradient_multiplier": ("gradient multiplier", r"$\chi$", "1"),
    "factors": ("number of factors", "$s$", "1"),
    "squared_singular_value": ("squared singular value", "$x$", "1"),
    "condition_number": ("condition number", r"$\kappa$", "1"),
    "layer": ("layer", "$l$", "1"),
    "channel_mean": ("squared channel mean", r"$\overline{\mu^2}$", "1"),
    "channel_variance": ("channel variance", r"$\overline{\sigma^2}$", "1"),
    "largest_step": ("largest stable step", r"$\eta_{\max}$", "1"),
    "gradient_alignment": ("alignment of gradients", r"$|\sum g|/\sum|g|$", "1"),
    "gradient_coherence": ("coherence of gradients", "$r$", "1"),
    "gradient_square": ("mean square gradient", r"$\overline{g^2}$", "1"),
    "noise_with": ("gradient noise, with replacement", r"tr Cov $\nabla\mathcal{L}$", "1"),
    "noise_without": ("gradient noise, without replacement", r"tr Cov $\nabla\mathcal{L}$", "1"),
    "epoch": ("epoch", "", "1"),
    "gain": ("initial gain", r"$\sigma_w$", "1"),
    "accuracy": ("training accuracy", "", "1"),
    "diverged_at": ("time of divergence", r"$t_\infty$", "steps / N"),
}


def describe(dataset: xr.Dataset) -> xr.Dataset:
    """Give every variable its `long_name`, `symbol` (LaTeX) and `units`."""
    for name, variable in dataset.variables.items():
        if name in DESCRIPTIONS:
            keys = ("long_name", "symbol", "units")
            variable.attrs.update(zip(keys, DESCRIPTIONS[str(name)], strict=True))
    return dataset


def order_parameter_dataset(
    variables: Mapping[str, np.ndarray],
    learning_rate: np.ndarray,
    gamma_learning_rate: np.ndarray,
    time: np.ndarray,
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Assemble a result.

    Parameters
    ----------
    variables : mapping from name to ndarray
        Shape (learning rates, [replicas,] times), or without times for `diverged_at`.
    learning_rate, gamma_learning_rate, time : ndarray
        Coordinates; η_γ is one of the learning rate's dimension.
    attributes : mapping
        Attributes besides the package version.

    Returns
    -------
    xarray.Dataset
    """
    replicated = variables["overlap"].ndim == 3
    dims = ("learning_rate", "replica", "time") if replicated else ("learning_rate", "time")
    data = {name: (dims[: value.ndim], value) for name, value in variables.items()}
    coordinates: dict[str, Any] = {
        "learning_rate": learning_rate,
        "gamma_learning_rate": ("learning_rate", gamma_learning_rate),
        "time": time,
    }
    if replicated:
        coordinates["replica"] = np.arange(variables["overlap"].shape[1])
    attributes = {**attributes, "version": version("statmech_bn")}
    return describe(xr.Dataset(data, coordinates, attributes))


def provenance(
    setup: TeacherStudent, start: OrderParameters, level: str, **more: Any
) -> dict[str, Any]:
    """Return the attributes that make a result reproducible; None values are left out."""
    attributes = {**setup.to_attrs(), "start": json.dumps(vars(start)), "level": level, **more}
    attributes.setdefault("array_library", f"numpy {np.__version__}")
    return {name: value for name, value in attributes.items() if value is not None}


def save(dataset: xr.Dataset | xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a Dataset or a tree of them, replacing the store that was at the path before.

    The new store is completed beside the old one before it takes its place, so an interrupted
    write leaves the old one.

    Parameters
    ----------
    dataset : xarray.Dataset or xarray.DataTree
    path : path-like
        Zarr store (a folder), or a NetCDF file if it ends in ``.nc``.

    Raises
    ------
    InvalidStore
        Something that is not a store stands at the path.
    """
    target = Path(path)
    if target.is_dir() and any(target.iterdir()) and not (target / "zarr.json").exists():
        raise InvalidStore(f"{target} is a folder but not a Zarr store; it is left alone.")
    if target.is_file() and target.suffix != ".nc":
        raise InvalidStore(f"{target} is a file; name a folder for Zarr or end in .nc.")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        if target.suffix == ".nc":
            dataset.to_netcdf(unfinished, engine="h5netcdf")
        else:
            dataset.to_zarr(unfinished, mode="w", zarr_format=3, consolidated=False)
            if target.exists():
                shutil.rmtree(target)
        os.replace(unfinished, target)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.unlink(missing_ok=True)
    return target


def open_dataset(path: str | os.PathLike[str]) -> Any:
    """Open what :func:`save` wrote; values are read when they are used.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        As it was saved.

    Raises
    ------
    InvalidStore
        There is no store at the path, or it is not readable.
    """
    source = Path(path)
    if not source.exists():
        raise InvalidStore(f"There is no store at {source}. Run the simulation that makes it.")
    try:
        if source.suffix == ".nc":
            tree = xr.open_datatree(source, engine="h5netcdf")
        else:
            tree = xr.open_datatree(
                source, engine="zarr", zarr_format=3, consolidated=False, chunks=None
            )
    except (OSError, ValueError, KeyError) as error:
        raise InvalidStore(f"{source} is not a readable store: {error}") from error
    if tree.children:
        return tree
    dataset = tree.to_dataset()
    dataset.set_close(tree.close)
    return dataset
