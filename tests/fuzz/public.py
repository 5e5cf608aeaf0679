"""Everything that a user can call: functions, classes and their methods, of every room."""

import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from rooms import rooms

RETURNED = "holds what a function returns, or is checked by the functions that take it"
ASKED_BY_LEVELS = "is asked by the levels, with arguments that they have checked"
EXCEPTIONS = {
    "codegen.Program": RETURNED,
    "depth.BatchFixedPoint": RETURNED,
    "depth.FixedPoint": RETURNED,
    "depth.Gradients": RETURNED,
    "depth.Parameters": RETURNED,
    "depth.Pass": RETURNED,
    "geometry.Layer": RETURNED,
    "geometry.Normalization": RETURNED,
    "layers.BatchNormCache": RETURNED,
    "layers.WeightNormCache": RETURNED,
    "networks.Normalization.forward": "is called by PyTorch, whose modules take any tensor",
    "normalization.project": ASKED_BY_LEVELS,
    "plot.Panel": RETURNED,
    "study.Options": "is made by the command line, and checked by the functions that take it",
    "study.load": "runs a file of the user's, which may raise what it likes",
    "study.main": "reads the command line, and ends the process as such do",
    "sweeps.Plan": RETURNED,
    "symbolic.BatchNormGradient": RETURNED,
    "symbolic.FixedPoint": RETURNED,
    "symbolic.FussCatalan": RETURNED,
    "symbolic.GammaDecay": RETURNED,
    "symbolic.LeastSquares": RETURNED,
    "symbolic.RateTableRow": RETURNED,
}
"""What is not fuzzed, each with the reason; what takes no argument, and types, are left out too."""


def public_functions():
    """Every public function, class and method that takes arguments, by its name.

    What two rooms show is named after the first; a method's name follows that of its class.
    """
    found, seen = {}, set()
    for room, module in rooms().items():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if id(value) in seen or not (inspect.isroutine(value) or _wraps(value, module)):
                continue
            seen.add(id(value))
            full = f"{room}.{name}" if room else name
            found[full] = value
            if inspect.isclass(value):
                found |= {f"{full}.{name}": method for name, method in _methods(value)}
    return {name: value for name, value in found.items() if _is_fuzzed(name, value)}


def _wraps(value, module):
    """Whether it is a class that is no exception, or a function behind a cache."""
    if inspect.isclass(value):
        return value.__module__.startswith("statmech_bn") and not issubclass(value, Exception)
    return hasattr(value, "__wrapped__")


def _methods(kind):
    """Public methods that a class has of this package."""
    for name in dir(kind):
        given = inspect.getattr_static(kind, name)
        value = getattr(kind, name)
        if name.startswith("_") or isinstance(given, property) or not inspect.isroutine(value):
            continue
        if getattr(inspect.unwrap(value), "__module__", "").startswith("statmech_bn"):
            yield name, value


def _is_fuzzed(name, value):
    kind = name.rpartition(".")[2]
    asked = name.startswith("normalization.") and kind != "normalization"
    takes = set(inspect.signature(value).parameters) - {"self"}
    return bool(takes) and name not in EXCEPTIONS and not asked
