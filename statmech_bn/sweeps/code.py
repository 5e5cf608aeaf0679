"""The code of a swept function, as checksums: what it calls, and the constants it reads.

Functions are followed by the names that their code reads: globals, defaults, what their closure
holds, attributes of modules, and what they import; objects of the user's classes by their state and
their class. Installed packages are not followed; the versions of those that compute are in the
description. What counts is the compiled code, so comments and line breaks do not, but Python's
minor version does.
"""

from __future__ import annotations

import dis
import hashlib
import importlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache, cached_property, partial
from importlib import util
from types import (
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import sympy as sp

PACKAGE = "statmech_bn"
CHANGING = ("append", "extend", "insert", "add", "update", "setdefault", "pop", "clear", "remove")
"""Methods of lists, dicts and sets that change them."""
PLAIN = (bool, int, float, complex, str, bytes, type(None))
OF_CLASSES = ("__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__",
              "__static_attributes__", "__annotations__", "__slots__", "__dataclass_fields__",
              "__dataclass_params__", "__abstractmethods__", "_abc_impl")  # fmt: skip
"""Attributes of classes that change no result."""
HOLDING = ("func", "__func__", "fget", "py_func", "pyfunc", "__wrapped__", "function")
"""Attributes by which what is made of a function holds it: partial, property, Numba, NumPy."""
DEEPEST = 5
"""Modules within modules that are followed."""


def code_of(function: Any, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Describe the code of a function and of its arguments: name → checksum, or a constant."""
    found: dict[str, str] = {}
    seen: dict[int, Any] = {}  # which keeps what is made on the way, and with it its number
    waiting = [(key, value) for key, value in arguments.items() if _does(value)]
    waiting.append(("", function))

    def tell(name: str, text: str) -> None:
        again = sum(known.partition(" #")[0] == name for known in found)
        found[f"{name} #{again}" if again else name] = text

    while waiting:
        name, value = waiting.pop()
        if id(value) in seen and not isinstance(value, PLAIN):
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType) and _is_users(value.__module__):
            tell(f"{value.__qualname__}()", _checksum(value))
        if (below := _parts_of(name, value)) is not None:
            waiting += below
            continue
        text = _text(name, value)
        tell(name, text if len(text) < 100 else hashlib.sha256(text.encode()).hexdigest())
    return dict(sorted(found.items()))


def _parts_of(name: str, value: Any) -> list[tuple[str, Any]] | None:
    """List what the work of a value follows from; None for a constant."""
    if isinstance(value, FunctionType):
        wrapped = getattr(value, "__wrapped__", None)
        inside = list(_read_by(value)) if _is_users(value.__module__) else []
        return inside if wrapped is None else [*inside, (name, wrapped)]
    if isinstance(value, (ModuleType, sp.Basic)):
        return [] if isinstance(value, ModuleType) else None
    if isinstance(value, type):
        return _parts_of_class(value) if _is_users(value.__module__) else []
    if _is_users(type(value).__module__):
        state = _state(value).items()
        return [(name, type(value)), *((f"{name}.{key}", v) for key, v in state)]
    if isinstance(value, Mapping) and _does(value):
        return [(f"{name} {key}", item) for key, item in value.items()]
    if isinstance(value, (list, tuple)) and _does(value):
        return [(f"{name} {i}", item) for i, item in enumerate(value)]
    inside = [
        (f"{name} {key}", getattr(value, key))
        for key in HOLDING
        if _does(getattr(value, key, None))
    ]
    if isinstance(value, (partial, MethodType)):  # what they hold counts, also if it is data
        held = [*_list(value, "args"), *getattr(value, "keywords", {}).items()]
        inside += [(f"{name} {i}", item) for i, item in enumerate(held)]
        inside += [(f"{name} object", value.__self__)] if isinstance(value, MethodType) else []
    return inside if inside or callable(value) else None


def _list(value: Any, name: str) -> list[Any]:
    return list(getattr(value, name, ()))


def _parts_of_class(cls: type) -> list[tuple[str, Any]]:
    """List the methods, constants and bases of a class."""
    own = {k: v for k, v in vars(cls).items() if k not in OF_CLASSES}
    slots = (GetSetDescriptorType, MemberDescriptorType)
    parts = [(f"{cls.__qualname__}.{k}", v) for k, v in own.items() if not isinstance(v, slots)]
    return [*parts, *(("", base) for base in cls.__bases__)]


def _state(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, but for what its methods remember."""
    classes = type(value).__mro__
    slots = [name for cls in classes for name in _names(cls.__dict__.get("__slots__", ()))]
    state = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    state |= getattr(value, "__dict__", {})
    inside = [v for cls in classes for v in vars(cls).items()]
    remembered = {name for name, v in inside if isinstance(v, cached_property)}
    methods = [v for _, v in inside if isinstance(v, FunctionType)]
    for name, held in state.items():
        if isinstance(held, (list, dict, set)) and any(_changes(m, name) for m in methods):
            remembered.add(name)
    return {name: state[name] for name in sorted(state.keys() - remembered)}


def _names(slots: str | Iterable[str]) -> list[str]:
    return [slots] if isinstance(slots, str) else list(slots)


def _does(value: Any) -> bool:
    """Say whether a value is more than data, or holds what is."""
    if isinstance(value, Mapping):
        return any(map(_does, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_does, value))
    if isinstance(value, sp.Basic):
        return False
    held = fields(value) if is_dataclass(value) and not isinstance(value, type) else ()
    inside = any(_does(getattr(value, field.name, None)) for field in held)
    return inside or callable(value) or _is_users(type(value).__module__)


def _text(name: str, value: Any) -> str:
    """Write a constant; what is not data (a lock, a logger) by its type."""
    from statmech_bn.sweeps.description import canonical

    if isinstance(value, (bytes, complex, slice)):
        return repr(value)
    if isinstance(value, (set, frozenset)):
        return repr(sorted(map(repr, value)))
    try:
        return repr(canonical(value.to_dict() if hasattr(value, "to_dict") else value, name))
    except (TypeError, ValueError):
        return type(value).__qualname__


def _read_by(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Iterate over what the names in a function's code stand for, and its defaults."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    known: Mapping[str, Any] = {**_imported(function), **function.__globals__}
    for name in sorted(names.intersection(known)):
        value = known[name]
        if isinstance(value, ModuleType):
            yield from _read_in(value, name, names)
        elif not (isinstance(value, (list, dict, set)) and _changes(function, name)):
            yield name, value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # a name that is not bound yet
            yield f"{function.__qualname__} {name}", cell.cell_contents
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items())
    for number, value in enumerate(defaults):
        yield f"{function.__qualname__} default {number}", value


def _read_in(module: ModuleType, path: str, names: set[str]) -> Iterator[tuple[str, Any]]:
    """Iterate over the attributes of a user's module that code may read, also of those in it."""
    if _is_users(module.__name__):
        for name in sorted(names.intersection(vars(module))):
            value = getattr(module, name)
            if not isinstance(value, ModuleType):
                yield f"{path}.{name}", value
            elif path.count(".") < DEEPEST:
                yield from _read_in(value, f"{path}.{name}", names)


def _imported(function: FunctionType) -> dict[str, Any]:
    """Return what a function imports for itself from modules of the user."""
    found: dict[str, Any] = {}
    package = function.__globals__.get("__package__") or ""
    for code in _codes(function.__code__):
        steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
        for i, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                level = steps[i - 2].argval
                try:
                    name = util.resolve_name("." * level + step.argval, package)
                    if not _has_user(name):
                        continue
                    module = importlib.import_module(name)
                except (ImportError, TypeError, ValueError):
                    continue
                found[name.rpartition(".")[2]] = module
                found |= {n: v for n, v in vars(module).items() if n in code.co_names}
                found[name.partition(".")[0]] = sys.modules[name.partition(".")[0]]
    return found


def _has_user(module: str) -> bool:
    """Say whether a module that may not be imported yet is the user's own."""
    if module in sys.modules:
        return _is_users(module)
    spec = util.find_spec(module.partition(".")[0])
    return spec is not None and _is_users_file(module, spec.origin or "")


def _changes(function: FunctionType, name: str) -> bool:
    """Say whether a function changes a global, which is then a record or a memo and no constant."""
    for code in _codes(function.__code__):
        steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
        used = [i for i, step in enumerate(steps[:-1]) if step.argval == name]
        stores = any(step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR") for step in steps)
        if used and (stores or any(steps[i + 1].argval in CHANGING for i in used)):
            return True
    return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _checksum(function: FunctionType) -> str:
    parts: list[Any] = [sys.version_info[:2]]  # another compiler writes another code
    for code in _codes(function.__code__):
        constants = [_constant(c) for c in code.co_consts if c != function.__doc__]
        parts.append((code.co_code, code.co_names, code.co_varnames, constants))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return value.co_name
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value


@cache
def _is_users(module: str | None) -> bool:
    """Say whether a module is the user's own, and not an installed one."""
    module = module or ""
    return _is_users_file(module, getattr(sys.modules.get(module), "__file__", None) or "")


def _is_users_file(module: str, file: str) -> bool:
    top = module.partition(".")[0]
    if top == PACKAGE or top in sys.stdlib_module_names - {"__main__"}:
        return False
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return not any(file.startswith(place) for place in places) and "-packages" not in file
