"""What a worker does: call the function at each point of a block, check the results, stack them.

The first result of a sweep is the template of all: the same variables, dims, types and coordinates
must come from every point. A dim of length one that is named like an axis of the grid is that axis
(the package's functions keep `learning_rate` for a single one). Coordinates that are no dim, say
`gamma_learning_rate`, belong to the point like its variables. Attributes of the Dataset that are
not the same at all points are left out of the store.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.errors import InvalidSetup, SweepStopped, invalid
from statmech_bn.storable import check_storable
from statmech_bn.sweeps.description import versions
from statmech_bn.sweeps.grid import point_seed, points_of

Part = list[np.ndarray]
SHORTEST = 1e-6
"""A point takes at least this time, in seconds."""


@dataclass(frozen=True)
class Variable:
    """One array of a point's result, without the grid's dims."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Template:
    """What every point's result looks like."""

    variables: dict[str, Variable]
    coordinates: dict[str, np.ndarray]
    """Coordinates of the function's own dims are the same at all points."""
    coordinate_attributes: dict[str, dict[str, Any]]
    """Coordinates that are named like an axis of the grid have attributes here as well."""
    attributes: dict[str, Any]
    belonging: tuple[str, ...]
    """Variables that are coordinates of the point."""

    @classmethod
    def of(cls, result: Any, names: tuple[str, ...]) -> Template:
        """Read the template from a result of a function swept over the named axes.

        Raises
        ------
        InvalidSetup
            The result is not a Dataset, or holds what cannot be swept.
        """
        if not isinstance(result, xr.Dataset):
            raise invalid("function", "a function that returns an xarray.Dataset", result)
        variables, coordinates, attributes = {}, {}, {}
        for label, variable in result.variables.items():
            name = str(label)
            if name in names or variable.dims == (name,):
                if name in names and name in result.data_vars:
                    raise invalid("function", f"no variable named like the axis {name!r}", name)
                attributes[name] = plain(variable.attrs)
                if variable.dtype.kind in "mM":
                    fix = "Give seconds, or texts."
                    raise invalid("function", f"{name!r} to hold numbers", variable.dtype, fix)
                if name not in names:
                    coordinates[name] = variable.values
                continue
            own = [(str(d), n) for d, n in variable.sizes.items() if d not in names]
            if any(variable.sizes.get(axis, 1) != 1 for axis in names):
                raise invalid(
                    "function",
                    f"{name!r} to have length one along axes of the grid",
                    dict(variable.sizes),
                )
            if variable.dtype.kind not in "biufc" or 0 in variable.shape:
                raise invalid("function", f"{name!r} to hold numbers", variable.dtype)
            variables[name] = Variable(
                tuple(d for d, _ in own),
                tuple(n for _, n in own),
                variable.dtype.newbyteorder("<").str,
                plain(variable.attrs),
            )
        if not variables:
            raise invalid("function", "a Dataset with variables", result)
        belonging = tuple(name for name in variables if name in result.coords)
        return cls(variables, coordinates, attributes, plain(result.attrs), belonging)

    @property
    def point_bytes(self) -> int:
        """Bytes of one point's results."""
        sizes = (math.prod(v.shape) * np.dtype(v.dtype).itemsize for v in self.variables.values())
        return sum(sizes)

    def mismatch(self, other: Template) -> str:
        """Say what of another result is not like this one; empty if nothing."""
        for name in dict.fromkeys([*self.variables, *other.variables]):
            mine, its = self.variables.get(name), other.variables.get(name)
            if mine != its:
                return f"{name!r} is {its} there and {mine} at the first point"
        for name in dict.fromkeys([*self.coordinates, *other.coordinates]):
            if not np.array_equal(self.coordinates.get(name), other.coordinates.get(name)):  # type: ignore[arg-type]
                return f"the coordinate {name!r} is not that of the first point"
        return ""


@dataclass(frozen=True)
class Study:
    """A function over named axes, and the seed that points derive theirs from."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=versions)

    def results(self, part: Part) -> Iterator[tuple[tuple[int, ...], dict[str, Any], Any]]:
        """Iterate over the points of a box: index in it, the point, its Dataset.

        Raises
        ------
        SweepStopped
            The function raised; the message names the point.
        """
        if versions() != self.versions:
            raise SweepStopped(f"A worker has {versions()}, the sweep runs with {self.versions}.")
        for index, point in points_of(self.names, part):
            seeded = {} if self.seed is None else {"seed": point_seed(self.seed, point)}
            try:
                yield index, point, self.function(**point, **seeded)
            except Exception as error:
                raise SweepStopped(
                    f"The function failed at {point}: {type(error).__name__}: {error}"
                ) from error


@dataclass(frozen=True)
class Block:
    """Results of several chunks, the attributes that vary among them, and the time they took.

    What was compiled meanwhile does not count: it is compiled once.
    """

    template: Template
    chunks: list[dict[str, np.ndarray]]
    varying: frozenset[str]
    seconds: float


def compute(study: Study, template: Template | None, parts: list[Part]) -> Block:
    """Compute the points of several chunks; without a template, the first point gives it.

    Raises
    ------
    SweepStopped
        The function raised, or a result is not like the first; the message names the point.
    """
    begin = time.perf_counter() - _compiling()
    chunks: list[dict[str, np.ndarray]] = []
    different: set[str] = set()
    for part in parts:
        shape = tuple(axis.size for axis in part)
        arrays: dict[str, np.ndarray] = {}
        for index, point, result in study.results(part):
            try:
                found = Template.of(result, study.names)
                if template is None:
                    check_storable(result, netcdf=False)
            except InvalidSetup as error:
                raise SweepStopped(f"The result at {point} cannot be stored. {error}") from error
            template = template or found
            if problem := template.mismatch(found):
                raise SweepStopped(f"The result at {point} cannot be stored: {problem}.")
            different |= varying(template.attributes, found.attributes)
            for name, variable in template.variables.items():
                if name not in arrays:
                    arrays[name] = np.empty(shape + variable.shape, variable.dtype)
                arrays[name][index] = result.variables[name].values.reshape(variable.shape)
        chunks.append(arrays)
    if template is None:
        raise ValueError("There is nothing to compute.")
    seconds = time.perf_counter() - _compiling() - begin
    return Block(template, chunks, frozenset(different), max(seconds, SHORTEST))


def _compiling() -> float:
    """Return for how many seconds this process has compiled."""
    cache = sys.modules.get("statmech_bn.compile_cache")  # not there unless something compiles
    return 0.0 if cache is None else cache.notice.seconds


def plain(attributes: Any) -> dict[str, Any]:
    """Return attributes as JSON keeps them.

    Raises
    ------
    InvalidSetup
        JSON cannot hold them.
    """
    try:
        return json.loads(json.dumps(dict(attributes), default=lambda value: value.tolist()))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        expected = "attributes that JSON can hold"
        raise invalid("function, its result", expected, dict(attributes)) from error


def varying(expected: dict[str, Any], found: dict[str, Any]) -> frozenset[str]:
    """Name the attributes that are not the same (in text, so that NaN equals NaN)."""
    sides = [{(name, json.dumps(value)) for name, value in a.items()} for a in (expected, found)]
    return frozenset(name for name, _ in sides[0] ^ sides[1])
