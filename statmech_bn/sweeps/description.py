"""What a sweep computes, as JSON: the function, its bound arguments, the grid, seed and versions.

Two calls with the same description give the same bytes, so a store is taken up only under its own.
The libraries whose versions count are those that round: another version may change a last bit.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation
from statmech_bn.described import described
from statmech_bn.errors import invalid
from statmech_bn.sweeps.code import code_of
from statmech_bn.sweeps.grid import Grid, points_of

LIBRARIES = ("statmech_bn", "numpy", "scipy", "numba")
LONGEST = 1000
"""Arrays longer than this are described by their checksum."""
NEW = ("kinds", "code", "python")
"""Parts of a description that stores of older versions lack; those are compared without."""
UNIMPORTANT = ("workers", "progress")
"""Arguments that, by this package's convention, never change a result."""


@cache
def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {name: version(name) for name in LIBRARIES}


def describe_sweep(
    function: Callable[..., Any], grid: Grid, seed: int | None, chunk_points: int | None
) -> dict[str, Any]:
    """Describe a sweep, and check that the function takes the grid's arguments.

    Raises
    ------
    InvalidSetup
        The function cannot be found by its name, does not take these arguments, or has bound an
        argument that has no description.
    """
    bound = function.func if isinstance(function, partial) else function
    name = getattr(bound, "__qualname__", "<unnamed>")
    if not callable(function) or "<" in name or _is_bound(bound):
        raise invalid(
            "function",
            "a function at the top of a module, or functools.partial of one",
            function,
            "Lambdas and inner functions cannot be found again by workers or on resume.",
        )
    point = next(points_of(grid.names, grid.point(0)))[1]
    try:
        arguments = inspect.signature(bound)
    except ValueError as error:  # as some types that are written in C
        raise invalid("function", "one with a signature", function) from error
    given = dict(function.keywords) if isinstance(function, partial) else {}
    positional = function.args if isinstance(function, partial) else ()
    twice = [key for key in point if key in given or (key == "seed" and seed is not None)]
    if twice:
        raise invalid(f"grid[{twice[0]!r}]", "an argument that is not given already", twice[0])
    if seed is not None:
        kinds = {parameter.kind for parameter in arguments.parameters.values()}
        if "seed" not in arguments.parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
            raise invalid("seed", f"None for {name}{arguments}, which takes no seed", seed)
        given["seed"] = seed
    try:
        filled = arguments.bind(*positional, **given, **point)
    except TypeError as error:
        raise invalid("grid", f"arguments of {name}{arguments}", list(grid.names)) from error
    filled.apply_defaults()
    described = {
        key: canonical(value, key)
        for key, value in filled.arguments.items()
        if key not in (*point, *UNIMPORTANT, *(["seed"] if seed is not None else []))
    }
    return {
        "function": f"{_module(bound)}.{name}",
        "arguments": described,
        "grid": {key: canonical(axis, key) for key, axis in grid.axes.items()},
        "seed": seed,
        "chunk_points": chunk_points,
        "versions": versions(),
        "kinds": {
            "grid": {
                key: "str" if axis.dtype.kind == "U" else axis.dtype.name
                for key, axis in grid.axes.items()
            },
            "arguments": {key: kind(filled.arguments[key]) for key in described},
        },
        "code": code_of(bound, {key: filled.arguments[key] for key in described}),
        "python": "{}.{}".format(*sys.version_info),
    }


def kind(value: Any) -> Any:
    """Name the types of an argument, which `canonical` leaves out."""
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{name} {value.dtype.name if value.dtype.kind != 'U' else 'str'}"
    if isinstance(value, (list, tuple)):
        kinds = [kind(item) for item in value]
        return [name, *(kinds[:1] if all(k == kinds[0] for k in kinds) else kinds)]
    if isinstance(value, Mapping):
        return [name, *([repr(key), kind(item)] for key, item in value.items())]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: [kind(part) for part in described(value).values()]}
    return name


def canonical(value: Any, where: str) -> Any:
    """Turn an argument into what JSON can hold, the same for equal arguments.

    Raises
    ------
    InvalidSetup
        There is no such description; the message names the argument.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        item = value.item()
        return canonical(float(item) if isinstance(item, np.floating) else item, where)
    if isinstance(value, np.ndarray):
        if value.size <= LONGEST and value.dtype.kind in "biufU":
            return value.tolist()
        if not value.dtype.hasobject:
            digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return {"dtype": value.dtype.str, "shape": list(value.shape), "sha256": digest}
    if isinstance(value, (list, tuple, range)):
        return [canonical(item, where) for item in value]
    if isinstance(value, Mapping):
        return {str(key): canonical(item, where) for key, item in value.items()}
    if isinstance(value, Activation):
        return value.to_text()
    if isinstance(value, sp.Basic):
        return sp.srepr(value)
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: canonical(part, where) for name, part in described(value).items()}
    if _is_bound(value):
        raise invalid(where, "a function without an object of its own", value)
    if callable(value) and "<" not in getattr(value, "__qualname__", "<unnamed>"):
        return f"{_module(value)}.{value.__qualname__}"
    raise invalid(
        where,
        "numbers, strings, arrays, dataclasses of them, or functions at the top of a module",
        value,
        "A sweep must be able to tell whether it is asked for the same thing again.",
    )


def differences(found: Any, wanted: Any, where: str = "") -> Iterator[str]:
    """List in words what differs between two descriptions."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in dict.fromkeys([*found, *wanted]):
            path = f"{where}.{key}" if where else key
            yield from differences(found.get(key), wanted.get(key), path)
    elif json.dumps(found) != json.dumps(wanted):
        yield f"{where}: {reprlib.repr(found)} in the store, {reprlib.repr(wanted)} asked for"


def _is_bound(function: Any) -> bool:
    """Say whether a method carries an object, whose state no name tells."""
    owner = getattr(function, "__self__", None)
    return owner is not None and not inspect.ismodule(owner) and not inspect.isclass(owner)


def _module(function: Any) -> str:
    """Name the module of a function; a script has its file's name, however it is run."""
    if function.__module__ != "__main__":
        return str(function.__module__)
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return str(spec.name if spec else Path(file).stem if file else "__main__")
