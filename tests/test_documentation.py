"""Every public function and class has a numpydoc docstring that says what goes in and comes out."""

import inspect

import pytest
from numpydoc.validate import validate

import statmech_bn as sbn

SUMMARIES = {"GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "SS01", "SS02", "SS03", "SS04"}
SUMMARIES |= {"SS05"}
PARAMETERS = {"PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR10", "RT01"}


def rooms(module):
    """Yield a public module and those that are public in it."""
    yield module
    for name in module.__all__:
        if inspect.ismodule(getattr(module, name)):
            yield from rooms(getattr(module, name))


def public():
    """Names of all public functions and classes, each where it is defined."""
    found = set()
    for room in rooms(sbn):
        for name in room.__all__:
            value = inspect.unwrap(getattr(room, name))
            if inspect.isfunction(value) or inspect.isclass(value):
                found.add(f"{value.__module__}.{value.__qualname__}")
    return sorted(found)


@pytest.mark.parametrize("name", public())
def test_a_docstring_is_complete(name):
    report = validate(name)
    required = SUMMARIES | PARAMETERS
    if "Attributes\n" in report["docstring"]:  # what a function returns: nobody passes it
        required = SUMMARIES
    assert [(code, text) for code, text in report["errors"] if code in required] == []


def test_the_checks_find_what_is_missing():
    def broken(x):
        """Give something"""
        return x

    codes = {code for code, _ in validate(broken)["errors"]}
    assert {"SS03", "PR01", "RT01"} <= codes
