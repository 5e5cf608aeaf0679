"""The code of a swept function, as checksums: what it calls, and the constants it reads.

Functions are followed by the names that their code reads: globals, what their closure holds, and
attributes of modules. Installed packages are not followed; the versions of those that compute are
in the description. What counts is the compiled code, so comments and line breaks do not.
"""

from __future__ import annotations

import dis
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache, partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

PACKAGE = "statmech_bn"
CHANGING = ("append", "extend", "insert", "add", "update", "setdefault", "pop", "clear", "remove")
"""Methods of lists, dicts and sets that change them."""


def code_of(function: Any) -> dict[str, str]:
    """Describe the code of a function: name → checksum, or the value of a constant."""
    from statmech_bn.sweeps.description import canonical

    found: dict[str, str] = {}
    seen: set[int] = set()
    waiting = [("", function)]
    while waiting:
        name, value = waiting.pop()
        if id(value) in seen and (callable(value) or isinstance(value, ModuleType)):
            continue
        seen.add(id(value))
        if isinstance(value, partial):
            waiting += [(name, value.func), *((f"{name} bound", v) for v in value.args)]
            waiting += [(f"{name}.{key}", v) for key, v in value.keywords.items()]
        elif isinstance(value, type):
            if _is_users(value.__module__):
                waiting += [
                    (f"{value.__qualname__}.{k}", v)
                    for k, v in vars(value).items()
                    if isinstance(v, FunctionType)
                ]
                waiting += [("", base) for base in value.__bases__]
        elif callable(value):
            wrapped = getattr(value, "py_func", None) or getattr(value, "__wrapped__", None)
            if wrapped is not None:
                waiting.append((name, wrapped))
            if isinstance(value, FunctionType) and _is_users(value.__module__):
                found[f"{value.__qualname__}()"] = _checksum(value)
                waiting += _read_by(value)
        elif not isinstance(value, ModuleType):
            try:
                text = repr(canonical(value, name))
            except (TypeError, ValueError):
                text = type(value).__qualname__  # not data: a lock, a logger
            digest = hashlib.sha256(text.encode()).hexdigest()
            found[name] = text if len(text) < 100 else digest
    return dict(sorted(found.items()))


def _read_by(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Iterate over what the names in a function's code stand for, and its defaults."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    known: Mapping[str, Any] = function.__globals__
    for name in sorted(names.intersection(known)):
        value = known[name]
        if isinstance(value, ModuleType):
            if _is_users(value.__name__):
                inside = names.intersection(vars(value))
                yield from ((f"{name}.{n}", getattr(value, n)) for n in sorted(inside))
        elif not (isinstance(value, (list, dict, set)) and _changes(function, name)):
            yield name, value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f"{function.__qualname__} {name}", cell.cell_contents


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
    parts = [sys.version_info[:2], function.__defaults__ if _plain(function) else None]
    for code in _codes(function.__code__):
        constants = [_constant(c) for c in code.co_consts if c != function.__doc__]
        parts.append((code.co_code, code.co_names, code.co_varnames, constants))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _plain(function: FunctionType) -> bool:
    kinds = (bool, int, float, str, type(None))
    return all(isinstance(value, kinds) for value in function.__defaults__ or ())


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return value.co_name
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value


@cache
def _is_users(module: str) -> bool:
    """Say whether a module is the user's own, and not an installed one."""
    top = module.partition(".")[0]
    if top == PACKAGE or top in sys.stdlib_module_names - {"__main__"}:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return not any(file.startswith(place) for place in places) and "-packages" not in file
