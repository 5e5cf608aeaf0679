"""The one shape that every result has, and how it is kept.

dims   learning_rate (η, with η_γ along it), replica (absent from the macroscopic level), time
data   overlap R, length L, gamma γ, generalization_error ε_g, diverged_at (no time)
attrs  setup (JSON), start (JSON), level, seed, dimension, version, array_library, ...

A run that diverges is a result: from `diverged_at` on, its values are inf; `diverged_at` is NaN
for a run that does not. Stores are Zarr format 3, or NetCDF when the path ends in ``.nc``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn import __version__
from statmech_bn.descriptions import DESCRIPTIONS
from statmech_bn.errors import InvalidSetup, InvalidStore, StatmechError, invalid
from statmech_bn.files import replacing, settled, user_path
from statmech_bn.spectrum import Spectrum
from statmech_bn.storable import check_kept, check_storable
from statmech_bn.store_metadata import consolidate
from statmech_bn.teacher_student import OrderParameters, TeacherStudent
from statmech_bn.untrusted import check_store, from_json

STRINGS = "OTU"
"""NumPy's kinds of arrays of strings."""
CHUNK_BYTES = 2**26
"""Bytes of a chunk, at most: few files, and little is read in vain."""
OTHERS = {".csv", ".tsv", ".txt", ".json", ".h5", ".hdf5", ".hdf", ".npy", ".npz", ".pkl",
          ".pickle", ".parquet", ".feather", ".xlsx", ".mat", ".zip", ".tif", ".dat"}  # fmt: skip
"""Endings of formats that are not written."""


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
    spectrum: Spectrum | None = None,
) -> xr.Dataset:
    """Assemble a result.

    Parameters
    ----------
    variables : mapping from name to ndarray
        Shape (learning rates, [replicas,] times[, blocks]), or without times for `diverged_at`.
    learning_rate, gamma_learning_rate, time : ndarray
        Coordinates; η_γ is one of the learning rate's dimension.
    attributes : mapping
        Attributes besides the package version.
    spectrum : Spectrum, optional
        Blocks of the inputs, which become coordinates.

    Returns
    -------
    xarray.Dataset
    """
    replicated = variables["overlap"].ndim == 3
    dims = ("learning_rate", *(["replica"] if replicated else []), "time", "block")
    data = {name: (dims[: value.ndim], value) for name, value in variables.items()}
    coordinates: dict[str, Any] = {
        "learning_rate": learning_rate,
        "gamma_learning_rate": ("learning_rate", gamma_learning_rate),
        "time": time,
    }
    if replicated:
        coordinates["replica"] = np.arange(variables["overlap"].shape[1])
    attributes = {**attributes, "version": __version__}
    if spectrum is not None:
        coordinates.update(spectrum.coordinates())
        attributes.update(spectrum.to_attrs())
    return describe(xr.Dataset(data, coordinates, attributes))


def provenance(
    setup: TeacherStudent, start: OrderParameters, level: str, **more: Any
) -> dict[str, Any]:
    """Return the attributes that make a result reproducible; None values are left out."""
    attributes = {**setup.to_attrs(), "start": json.dumps(start.to_dict()), "level": level, **more}
    attributes.setdefault("array_library", f"numpy {np.__version__}")
    return {name: value for name, value in attributes.items() if value is not None}


def as_text(values: np.ndarray) -> np.ndarray:
    """Return strings as NumPy's fixed width ones, whatever type a reader gave them."""
    strings = values.dtype.kind in "OT" and all(isinstance(value, str) for value in values.flat)
    return np.array(values.tolist(), dtype=str) if strings and values.size else values


def values_of(codes: np.ndarray, attributes: Mapping[Any, Any]) -> np.ndarray:
    """Read strings; older stores hold codes 0, 1, ... and an attribute with their labels.

    Raises
    ------
    InvalidStore
        The labels are not a list of strings, or a code has none.
    """
    if "labels" not in attributes:
        return as_text(codes)
    labels = from_json(attributes["labels"], "labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InvalidStore("labels are not a list of strings.")
    if codes.dtype.kind not in "iu" or not ((codes >= 0) & (codes < len(labels))).all():
        raise InvalidStore("labels are missing for some codes.")
    return np.array(labels, dtype=str)[codes]


def with_labels(dataset: xr.Dataset) -> xr.Dataset:
    """Give coordinates that are strings the type that they had."""
    for name, variable in dataset.coords.items():
        if "labels" in variable.attrs or variable.dtype.kind in "OT":
            strings = values_of(variable.values, variable.attrs)
            others = {key: value for key, value in variable.attrs.items() if key != "labels"}
            dataset = dataset.assign_coords({name: (variable.dims, strings, others)})
    return dataset


def save(dataset: xr.Dataset | xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a Dataset or a tree of them, replacing the store that was at the path before.

    The new store is completed beside the old one before it takes its place: whatever happens,
    there is the old one or the new one, whole, and of several saves at the same time one wins.

    Parameters
    ----------
    dataset : xarray.Dataset or xarray.DataTree
    path : path-like
        Zarr store (a folder), or a NetCDF file if it ends in ``.nc``.

    Returns
    -------
    pathlib.Path
        Where the store is.

    Raises
    ------
    InvalidSetup
        There is no Dataset to write, the path ends like a file of another format, or the Dataset
        holds what a store cannot give back; it is named.
    InvalidStore
        Something that is not a store stands at the path, or it cannot be written.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> from tempfile import TemporaryDirectory
    >>> setup, start = sbn.TeacherStudent("linear", "weight"), sbn.OrderParameters()
    >>> run = sbn.macroscopic(setup, 1.0, [0, 1], start)
    >>> with TemporaryDirectory() as folder:
    ...     path = sbn.save(run, folder + "/run.zarr")
    ...     print(sbn.open(path)["overlap"].attrs["symbol"])
    $R$
    """
    if not isinstance(dataset, (xr.Dataset, xr.DataTree)):
        raise invalid("dataset", "a Dataset or a DataTree", dataset, "Write sbn.save(data, path).")
    target = user_path(path)
    if target.suffix in OTHERS:
        raise invalid(
            "path", "a name that ends in .zarr or .nc", str(path),
            "For a table write dataset.to_dataframe().to_csv(path).",
        )  # fmt: skip
    with settled(target) if target.parent.is_dir() else nullcontext():  # others may save there too
        _check_place(target)
    check_storable(dataset, target.suffix == ".nc")
    zarr = target.suffix != ".nc"
    if isinstance(dataset, xr.DataTree):
        coded: Any = dataset.map_over_datasets(_bare, kwargs={"zarr": zarr})
    else:
        coded = _bare(dataset, zarr)
    try:
        with replacing(target) as unfinished:
            if target.suffix == ".nc":
                coded.to_netcdf(unfinished, engine="h5netcdf")
            else:
                coded.to_zarr(unfinished, mode="w", zarr_format=3, consolidated=False)
                consolidate(unfinished)
            with _open(unfinished) as found:
                check_kept(dataset, found)
    except StatmechError:
        raise
    except (ValueError, TypeError, LookupError, NotImplementedError, AttributeError) as error:
        raise InvalidSetup(
            f"dataset: cannot be stored in {target.name}: {error} What was there is kept."
        ) from error
    except OSError as error:
        raise InvalidStore(f"Writing {target} failed: {error}. What was there is kept.") from error
    return target


def _bare(dataset: xr.Dataset, zarr: bool) -> xr.Dataset:
    """Leave out how the values were encoded elsewhere: they are stored as they are."""
    dataset = dataset.drop_encoding()
    for name, variable in dataset.coords.items():
        if variable.dtype.kind in STRINGS:  # of any length, in both formats
            texts = variable.values.astype(object)
            dataset = dataset.assign_coords({name: (variable.dims, texts, variable.attrs)})
    for variable in dataset.variables.values():
        row = variable.dtype.itemsize * math.prod(variable.shape[1:])
        if zarr and variable.size and row <= CHUNK_BYTES:
            rows = min(variable.shape[:1] or (1,), (CHUNK_BYTES // row,))
            variable.encoding["chunks"] = (*rows, *variable.shape[1:])[: variable.ndim]
    return dataset


def _check_place(target: Path) -> None:
    """Refuse to replace what is no store."""
    if target.is_dir() and any(target.iterdir()) and not (target / "zarr.json").exists():
        raise InvalidStore(f"{target} is a folder but not a Zarr store; it is left alone.")
    if target.is_file() and target.suffix != ".nc":
        raise InvalidStore(f"{target} is a file; name a folder for Zarr or end in .nc.")
    if target.exists() and not target.is_file() and not target.is_dir():
        raise InvalidStore(f"{target} is a pipe or a device; it is left alone.")
    if target.is_dir() and target.suffix == ".nc":
        raise InvalidStore(f"{target} is a folder; name a file for NetCDF.")


def open_dataset(path: str | os.PathLike[str]) -> Any:
    """Open what :func:`save` wrote; values are read when they are used.

    Where another process may replace the store meanwhile, call ``load()`` at once.

    Parameters
    ----------
    path : path-like
        Zarr store, or a NetCDF file if it ends in ``.nc``.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        As it was saved.

    Raises
    ------
    InvalidStore
        There is no store at the path, or it is not readable.
    """
    with settled(user_path(path)) as source:
        return _open(source)


def _open(source: Path) -> Any:
    """Open the store that is at a path now."""
    if not source.exists():
        raise InvalidStore(f"There is no store at {source}. Run the simulation that makes it.")
    check_store(source)
    try:
        if source.suffix == ".nc":
            tree = xr.open_datatree(source, engine="h5netcdf")
        else:
            tree = xr.open_datatree(
                source, engine="zarr", zarr_format=3, consolidated=False, chunks=None
            )
        labelled = tree.map_over_datasets(with_labels)
    except InvalidStore:
        raise
    except (Exception, MemoryError) as error:  # whatever a file makes the libraries do
        raise InvalidStore(f"{source} is not a readable store: {error}") from error
    result = labelled if tree.children else labelled.to_dataset()
    result.set_close(tree.close)
    return result
