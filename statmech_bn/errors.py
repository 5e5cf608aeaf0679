"""What can go wrong, one class per kind, each also the builtin that a caller would catch."""

from collections.abc import Iterable
from difflib import get_close_matches
from types import ModuleType
from typing import Any

__all__ = [
    "CompileCacheWarning",
    "FigureWarning",
    "InputsWarning",
    "InvalidSetup",
    "InvalidStore",
    "MissingLibrary",
    "NetworkWarning",
    "NoClosedForm",
    "NoDevice",
    "NotConverged",
    "NotPrintable",
    "StatmechError",
    "SweepStopped",
]

LONGEST = 240
"""A message shows at most so many characters of a value."""


class StatmechError(Exception):
    """Base of every exception that this package raises on purpose."""


class InvalidSetup(StatmechError, ValueError):
    """An argument is outside of what the physics or the method allows."""


class NoClosedForm(StatmechError, ValueError):
    """A Gaussian average is not elementary; the numerical levels still apply."""


class NotPrintable(StatmechError, ValueError):
    """A function of an expression has no counterpart in the language that is printed."""


class NotConverged(StatmechError, RuntimeError):
    """A numerical method stopped before it reached its accuracy."""


class NoDevice(StatmechError, RuntimeError):
    """The device that was asked for is not there, or its library is not installed."""


class MissingLibrary(StatmechError, ImportError):
    """An optional library that this part of the package needs is not installed."""


class InvalidStore(StatmechError, ValueError):
    """A file or store does not hold what it should, or holds something else."""


class SweepStopped(StatmechError, RuntimeError):
    """A sweep ended before its grid was complete; the same call goes on from there."""


class CompileCacheWarning(UserWarning):
    """Compiled code is not kept: there is no folder that this user, and nobody else, writes to."""


class FigureWarning(UserWarning):
    """Results that are drawn together need not agree; the message says in what they differ."""


class InputsWarning(UserWarning):
    """The inputs have a property that changes what can be learned; the message says what to do."""


class NetworkWarning(UserWarning):
    """The training of a network goes wrong; the message says what to change."""


class Missing(ModuleType):
    """A module whose library is not installed: its help says so, its names raise MissingLibrary."""

    def __init__(self, name: str, error: MissingLibrary) -> None:
        super().__init__(name, str(error))
        self.__error = error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise MissingLibrary(str(self.__error))


def invalid(argument: str, expected: str, got: Any, fix: str = "") -> InvalidSetup:
    """Build the message that every check of an argument uses."""
    message = f"{argument}: expected {expected}, got {shown(got)}."
    return InvalidSetup(f"{message} {fix}" if fix else message)


def shown(value: Any) -> str:
    """Write a value as Python does, or what it is if that is long."""
    try:
        text = repr(value)
    except Exception:  # an integer of thousands of digits, or any class of the user's
        return f"a {type(value).__name__} that cannot be written"
    if len(text) <= LONGEST:
        return text
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{kind} of shape {shape}"
    return f"{kind} {' '.join(text[:LONGEST].split())} …"


def closest(written: Any, names: Iterable[str]) -> str:
    """Return the fix for a name that is not among some, if it is one of them misspelled."""
    text = written.lower()[:LONGEST] if isinstance(written, str) else ""
    known = list(names)
    found = [name for name in known if text and sorted(name) == sorted(text)]  # letters swapped
    found = found or get_close_matches(text, known, n=1, cutoff=0.76)
    return f"Did you mean {found[0]!r}?" if found else ""


def installation(extra: str) -> str:
    """Return the fix for a library that comes with an extra; the package is on no index."""
    return f"Run: pip install '.[{extra}]' in a checkout of statmech_bn."
