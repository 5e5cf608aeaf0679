"""Values that somebody might pass by mistake, and what every call with one of them may do.

A call either raises a StatmechError or returns something without NaN; it raises nothing else, warns
of nothing but odd inputs, and returns within a time.
"""

import datetime
import signal
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import sympy as sp
import xarray as xr

from statmech_bn.errors import InputsWarning, StatmechError, shown

SECONDS = 20
"""A tiny call that computes for longer hangs."""
WAITING = 15
"""A call that waits for something else may take this many times longer."""
NAN_IS_SAID = {
    "diverged_at", "field_cosine", "growth", "mean_and_error", "predicted_inside",
    "predicted_outside", "table",
}  # fmt: skip
"""Variables and functions whose docstring says where they are NaN."""


class NumberText(str):
    """A text that can be read as a number, in a class of its own."""

    def __new__(cls):
        return super().__new__(cls, "3.0")


class Own(list):
    """A list in a class of its own."""


class OwnFloat(float):
    """A number in a class of its own."""


class OfTheUser(Exception):
    """What a user's function raises; the package lets it through."""


def broken(*arguments, **more):
    """Fail as a user's function may."""
    raise OfTheUser


ODD = {
    "None": lambda: None,
    "True": lambda: True,
    "zero": lambda: 0,
    "minus one": lambda: -1,
    "a half": lambda: 0.5,
    "minus a half": lambda: -0.5,
    "two": lambda: 2,
    "smallest": lambda: 5e-324,
    "largest": lambda: 1e308,
    "beyond integers": lambda: 2**63,
    "beyond floats": lambda: 10**400,
    "beyond digits": lambda: 10**5000,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: -np.inf,
    "complex": lambda: 1 + 2j,
    "complex of numpy": lambda: np.complex128(1 + 2j),
    "fraction": lambda: Fraction(1, 3),
    "decimal": lambda: Decimal("NaN"),
    "text": lambda: "abc",
    "empty text": lambda: "",
    "number as text": lambda: "3",
    "bytes": lambda: b"abc",
    "path": lambda: Path("abc"),
    "empty list": lambda: [],
    "empty dict": lambda: {},
    "list": lambda: [1.0, 2.0],
    "texts": lambda: ["a", "b"],
    "list with None": lambda: [None, 1.0],
    "list with nan": lambda: [0.5, float("nan")],
    "nested": lambda: [[1.0, 2.0], [3.0]],
    "matrix": lambda: np.ones((2, 3)),
    "integers": lambda: np.array([1, 2], dtype=np.uint8),
    "one in an array": lambda: np.array([1.0]),
    "nothing in an array": lambda: np.empty((0, 2)),
    "float16": lambda: np.float16(0.1),
    "objects": lambda: np.array([None, "a", 1.0], dtype=object),
    "records": lambda: np.zeros(2, dtype=[("a", float)]),
    "date": lambda: datetime.datetime(2026, 1, 1),
    "dates": lambda: np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[ns]"),
    "duration": lambda: np.timedelta64(1, "s"),
    "set": lambda: {1.0, 2.0},
    "generator": lambda: (k for k in range(3)),
    "range": lambda: range(1, 4),
    "dict": lambda: {"a": 1.0},
    "dict of dicts": lambda: {"a": {"b": 1.0}},
    "function": lambda: abs,
    "class": lambda: float,
    "object": object,
    "symbol": lambda: sp.Symbol("y"),
    "expression": lambda: sp.sqrt(2) * sp.Symbol("x"),
    "sympy number": lambda: sp.Rational(1, 2),
    "sympy infinity": lambda: sp.zoo,
    "matrix of sympy": lambda: sp.eye(2),
    "variable": lambda: xr.DataArray([1.0, 2.0], dims="replica"),
    "empty dataset": lambda: xr.Dataset(),
    "dataset": lambda: xr.Dataset({"gamma": ("time", [1.0, 2.0])}),
    "dict of empty datasets": lambda: {"a": xr.Dataset()},
    "nested datasets": lambda: {"a": {"b": xr.Dataset()}},
    "list of datasets": lambda: [xr.Dataset()],
    "tuple of dicts": lambda: ({"a": 1},),
    "False": lambda: False,
    "huge integer": lambda: 10**30,
    "minus huge integer": lambda: -(10**30),
    "quiet nan": lambda: np.float32("nan"),
    "bool of numpy": lambda: np.bool_(True),
    "longdouble": lambda: np.longdouble("1e4000"),
    "void": lambda: np.void(b"abc"),
    "text of numpy": lambda: np.str_("relu"),
    "array of no dimension": lambda: np.array(1.0),
    "object of no dimension": lambda: np.array(None, dtype=object),
    "cube": lambda: np.ones((2, 2, 2)),
    "column": lambda: np.array([[1.0], [2.0]]),
    "array of texts": lambda: np.array(["a", "b"]),
    "array of complex": lambda: np.array([1j, 2.0]),
    "array of bools": lambda: np.array([True, False]),
    "infinities": lambda: np.array([np.inf, -np.inf]),
    "falling": lambda: [2.0, 1.0, 0.0],
    "the same twice": lambda: [1.0, 1.0],
    "large and small": lambda: [1e-300, 1e300],
    "masked": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "frozen set": lambda: frozenset({"a"}),
    "bytes array": lambda: bytearray(b"abc"),
    "memory": lambda: memoryview(b"abc"),
    "number that is a text": NumberText,
    "list of its own": lambda: Own([1.0, 2.0]),
    "number of its own": lambda: OwnFloat(0.5),
    "iterator": lambda: iter([1.0, 2.0]),
    "ellipsis": lambda: ...,
    "date of numpy": lambda: np.datetime64("NaT"),
    "dict of texts": lambda: {1: "a", None: "b"},
    "type": lambda: int,
    "module": lambda: np,
    "nothing to pass": lambda: lambda: 1.0,
    "much to pass": lambda: lambda a, b, c, d, e: 1.0,
    "returns nan": lambda: lambda *a, **k: float("nan"),
    "returns None": lambda: lambda *a, **k: None,
    "returns text": lambda: lambda *a, **k: "abc",
    "returns another shape": lambda: lambda *a, **k: np.ones((7, 5, 3)),
    "returns one": lambda: lambda *a, **k: 1.0,
    "raises": lambda: broken,
    "boolean of sympy": lambda: sp.true,
    "relation of sympy": lambda: sp.Symbol("x", real=True) > 0,
    "free symbols": lambda: sp.Symbol("y") ** sp.Symbol("z"),
    "unknown function": lambda: sp.Function("f")(sp.Symbol("x", real=True)),
    "integral of sympy": lambda: sp.Integral(sp.Symbol("x", real=True) ** 2),
    "nan of sympy": lambda: sp.nan,
    "imaginary of sympy": lambda: sp.I,
    "huge number of sympy": lambda: sp.Integer(10) ** 400,
    "kinked of sympy": lambda: sp.Piecewise((0, sp.Symbol("x", real=True) < 0), (1, True)),
    "tuple of sympy": lambda: sp.Tuple(1, 2),
    "variable of no dimension": lambda: xr.DataArray(1.0),
    "variable over others": lambda: xr.DataArray(np.ones((2, 0)), dims=("a", "b")),
    "variable of texts": lambda: xr.DataArray(["a", "b"], dims="replica"),
    "variable of nan": lambda: xr.DataArray([np.nan, np.nan], dims="replica"),
    "other dataset": lambda: xr.Dataset({"overlap": (("a", "b"), np.ones((2, 2)))}),
    "dataset of texts": lambda: xr.Dataset({"gamma": ("time", ["a", "b"])}),
    "tree": lambda: xr.DataTree.from_dict({"a": xr.Dataset({"gamma": ("time", [1.0])})}),
    "dict of trees": lambda: {"a": xr.DataTree()},
    "warnings": lambda: UserWarning("abc"),
}


class Hangs(BaseException):
    """A call takes too long; nothing that is called may catch it."""


@contextmanager
def time_limit(what, seconds=SECONDS):
    """Stop what computes for longer; time of the process is counted, as others may compute too."""

    def stop(number, frame):
        raise Hangs(f"{what} takes more than {seconds} s")

    timers = {
        signal.SIGPROF: (signal.ITIMER_PROF, seconds),
        signal.SIGALRM: (signal.ITIMER_REAL, WAITING * seconds),
    }
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def call(name, function, arguments, seconds=SECONDS):
    """Call with keyword arguments under the rule; a failure says what to repeat."""
    said = f"{name}({', '.join(f'{key}={shown(value)[:60]}' for key, value in arguments.items())})"
    with time_limit(said, seconds):
        try:
            result = function(**arguments)
        except (StatmechError, OfTheUser, InputsWarning):
            return
        except Exception as error:
            raise AssertionError(f"{said} raises {type(error).__name__}: {error}") from error
    places = list(nans(result, name.rpartition(".")[2]))
    assert not places, f"{said} returns NaN in {places}"


def nans(value, name, depth=0):
    """Name what is NaN in a result."""
    if depth > 6 or name in NAN_IS_SAID:
        return
    if isinstance(value, xr.Dataset):
        for key, variable in value.variables.items():
            yield from nans(variable.values, f"{key}", depth + 1)
    elif isinstance(value, (float, np.ndarray, np.generic, xr.DataArray)):
        array = np.asarray(value)
        if array.dtype.kind in "fc" and np.isnan(array).any():
            yield name
    elif isinstance(value, sp.Basic):
        if value.has(sp.nan):
            yield name
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from nans(entry, str(key), depth + 1)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from nans(entry, name, depth + 1)
    elif is_dataclass(value):
        for field in fields(value):
            yield from nans(getattr(value, field.name), field.name, depth + 1)
