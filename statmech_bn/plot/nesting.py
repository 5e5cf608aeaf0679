"""Checks of what figures are given: mappings of mappings of Datasets, with their variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import xarray as xr

from statmech_bn.checks import data_array, dataset
from statmech_bn.errors import invalid

HINT = "The docstring says how they are nested."
Dims = tuple[str, ...]


def check_nesting(
    argument: str,
    value: Any,
    levels: Sequence[type],
    variables: Mapping[Any, Dims] | Dims,
    attributes: Iterable[str] = (),
) -> None:
    """Raise InvalidSetup unless Datasets lie where they should, with what is drawn.

    Parameters
    ----------
    argument : str
        Its name.
    value : Any
        What was given for it.
    levels : sequence of type
        Mapping or Sequence, of at least one entry, from the outside to the inside; tuple stands
        for two results, theory and simulation.
    variables : mapping or tuple of str
        The variables that each Dataset has, of numbers, with the dimensions that each has at least,
        none of length 0; "replica" may be missing in the theory of a tuple. A tuple of dimensions
        stands for a DataArray.
    attributes : iterable of str
        Names of attributes of each Dataset that are numbers.
    """
    if levels:
        _check_level(argument, value, levels[0])
        for entry in value.values() if isinstance(value, Mapping) else value:
            check_nesting(argument, entry, levels[1:], variables, attributes)
        return
    if not isinstance(variables, Mapping):
        data_array(argument, value, variables, HINT)
        return
    dataset(argument, value, variables, HINT)
    for name in attributes:
        if not isinstance(value.attrs.get(name), (int, float)):
            raise invalid(argument, f"an attribute {name!r} that is a number", value.attrs, HINT)


def check_names(argument: str, names: Any) -> None:
    """Raise InvalidSetup unless these are names of variables, at least one."""
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    if not is_list or not names or not all(isinstance(name, str) for name in names):
        raise invalid(argument, "a list of at least one name", names)


def check_labels(
    argument: str,
    labels: Any,
    results: Mapping[Any, xr.Dataset] | None = None,
    dim: str = "",
    also: Sequence[str] = (),
) -> None:
    """Raise InvalidSetup unless these are what the legend calls coordinates of all results."""
    if not isinstance(labels, Mapping) or not labels:
        raise invalid(argument, "a mapping from what is drawn to its name", labels)
    for found in (results or {}).values():
        values = found[dim].values.tolist()
        if not {*labels, *also} <= set(values):
            raise invalid(argument, f"keys among {', '.join(map(str, values))}", labels)


def _check_level(argument: str, value: Any, kind: type) -> None:
    if kind is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
            raise invalid(argument, "pairs of theory and simulation", value, HINT)
        return
    right = isinstance(value, (Mapping, Sequence)) and isinstance(value, kind)
    name = "a mapping" if kind is Mapping else "a list"
    if not right or isinstance(value, (str, bytes)):
        raise invalid(argument, name, value, HINT)
    if not len(value):
        raise invalid(argument, f"{name} of at least one entry", value, HINT)
    if isinstance(value, xr.Dataset):  # which is a Mapping, too
        raise invalid(argument, f"{kind.__name__.lower()}s of Datasets", value, HINT)
