"""What a store gives back as it was: all else is refused by name, before a store is replaced.

What is known not to come back is refused before anything is written. What the formats make of the
rest (attributes that readers take for an encoding, types that only one format has) is found by
opening what was written and comparing names, dims, types and attributes; values of a type that came
back are as they were, as nothing is encoded but dates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.errors import InvalidSetup, invalid


def check_storable(dataset: xr.Dataset | xr.DataTree, netcdf: bool) -> None:
    """Refuse what cannot be stored.

    Raises
    ------
    InvalidSetup
        The message names the variable or attribute.
    """
    for path, node in _nodes(dataset).items():
        for group in path.strip("/").split("/") if path != "/" else ():
            check_name(f"dataset, its group {path!r}", group)
        for key, index in node.xindexes.items():
            if type(index).__name__ != "PandasIndex":
                raise _refused(
                    str(key), "indexes of one coordinate", "Use dataset.reset_index first."
                )
        for key in (*node.variables, *node.dims):
            check_name(f"dataset[{key!r}]", key)
        _check_attributes("dataset", node.attrs)
        for key, variable in node.variables.items():
            _check_variable(str(key), variable, key in node.coords, netcdf)
            if " " in key and key in node.coords and key not in node.dims:
                raise _refused(key, "a coordinate without a space in its name", "Rename it.")


def check_kept(dataset: xr.Dataset | xr.DataTree, found: xr.Dataset | xr.DataTree) -> None:
    """Refuse a dataset of which a store has made something else.

    Raises
    ------
    InvalidSetup
        The message names the variable or attribute.
    """
    given, read = _nodes(dataset), _nodes(found)
    if set(given) != set(read):
        raise _refused("dataset", f"groups {list(given)}", f"Read back: {list(read)}.")
    for path, node in given.items():
        other = read[path]
        if set(node.variables) != set(other.variables) or set(node.coords) != set(other.coords):
            raise _refused(path, "variables that a store keeps", f"Read back: {list(other)}.")
        _compare_attributes("dataset", node.attrs, other.attrs)
        for name, variable in node.variables.items():
            kept = other.variables[name]
            if variable.dims != kept.dims or variable.shape != kept.shape:
                raise _refused(name, f"dims {variable.sizes}", f"Read back: {kept.sizes}.")
            check_read(name, variable.dtype, variable.attrs, kept)


def check_read(name: Any, dtype: np.dtype, attributes: Mapping[Any, Any], kept: Any) -> None:
    """Refuse a variable of whose type or attributes a reader has made something else."""
    texts = dtype.kind in "OTU" and kept.dtype.kind in "OTU"
    if not texts and dtype.newbyteorder("=") != kept.dtype.newbyteorder("="):
        fix = f"It would be read as {kept.dtype}: convert it, or rename its attributes."
        raise _refused(name, f"the type {dtype}", fix)
    _compare_attributes(str(name), attributes, kept.attrs)


def _nodes(dataset: xr.Dataset | xr.DataTree) -> dict[str, xr.Dataset]:
    if isinstance(dataset, xr.Dataset):
        return {"/": dataset}
    start = dataset.path
    return {
        node.path[len(start) :].strip("/") or "/": node.to_dataset() for node in dataset.subtree
    }


def check_name(argument: str, name: Any) -> None:
    """Refuse the name of a variable or a dim that no folder of a store can have."""
    text = isinstance(name, str) and name.isprintable()
    if not text or name.strip(". ") == "" or "/" in name or name.startswith("__"):
        raise invalid(argument, "a name without '/'", name, "Rename it.")
    if name == "zarr.json":
        raise invalid(argument, "a name that the format does not use itself", name, "Rename it.")


def _check_variable(name: str, variable: xr.Variable, coordinate: bool, netcdf: bool) -> None:
    if len(set(variable.dims)) != len(variable.dims):
        raise _refused(name, "each dim once", "Rename one with dataset.rename.")
    kind = variable.dtype.kind
    if kind in "OTU":
        if not coordinate:
            raise _refused(name, "numbers", "Make strings a coordinate: dataset.set_coords.")
        if variable.size == 0 or not all(is_text(text) for text in variable.values.flat):
            raise _refused(name, "strings, or numbers", "Convert it with astype.")
        if "labels" in variable.attrs:
            raise _refused(name, "no attribute 'labels'", "Rename the attribute.")
    elif kind not in "biufcmM" or variable.dtype.itemsize > (16 if kind == "c" else 8):
        raise _refused(name, "numbers of at most 8 bytes", "Convert it with astype.")
    elif coordinate and "labels" in variable.attrs:
        raise _refused(name, "no attribute 'labels'", "Rename the attribute.")
    if netcdf and (kind == "c" or variable.dtype == "float16"):
        raise _refused(name, "a type of NetCDF", "Save it as Zarr, or convert it.")
    _check_attributes(name, variable.attrs)


def is_text(value: Any) -> bool:
    """Say whether a string comes back: HDF5 ends it at a NUL, half a surrogate has no bytes."""
    return isinstance(value, str) and _is_utf8(value) and "\0" not in value


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_attributes(owner: str, attributes: Mapping[Any, Any]) -> None:
    for key, value in attributes.items():
        try:
            _plain(value)
        except (TypeError, ValueError, AttributeError, RecursionError):
            raise _refused(f"{owner}.attrs", f"JSON in {key!r}", f"It is {value!r}.") from None
        if not isinstance(key, str):
            raise _refused(f"{owner}.attrs", f"a string for {key!r}", "Rename it.")
        if key == "coordinates":
            raise _refused(
                f"{owner}.attrs", "no attribute 'coordinates'", "Readers use it. Rename it."
            )


def _compare_attributes(owner: str, given: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
    for key in dict.fromkeys([*given, *found]):
        if key not in given or key not in found or _plain(given[key]) != _plain(found[key]):
            fix = (
                f"Read back: {found.get(key)!r}. Readers give it a meaning, or the format has none."
            )
            raise _refused(f"{owner}.attrs", f"no attribute {key!r} like this", fix)


def _plain(value: Any) -> str:
    """Return an attribute as JSON; arrays, lists and tuples are the same to a store."""
    return json.dumps(value, default=lambda other: other.tolist(), sort_keys=True)


def _refused(name: Any, expected: str, fix: str) -> InvalidSetup:
    return InvalidSetup(f"dataset: {name!s} cannot be stored, expected {expected}. {fix}")
