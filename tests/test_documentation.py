"""Docstrings say what goes in and comes out, and pages name files that there are."""

import inspect
import re
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest
from numpydoc.validate import validate

import statmech_bn as sbn

SUMMARY = {"GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08"}
SUMMARY |= {"SS01", "SS02", "SS03", "SS04", "SS05"}
SIGNATURE = {"PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR10", "RT01"}
ROOT = Path(__file__).parents[1]


def rooms(module):
    """Yield a public module and those that are public in it."""
    yield module
    for name in module.__all__:
        if inspect.ismodule(getattr(module, name)):
            yield from rooms(getattr(module, name))


def public():
    """Names of all public functions and classes, each where it is defined."""
    found = set()
    with_torch = rooms(sbn.networks) if find_spec("torch") else ()
    for room in chain(rooms(sbn), with_torch):
        for name in room.__all__:
            value = inspect.unwrap(getattr(room, name))
            if inspect.isfunction(value) or inspect.isclass(value):
                found.add(f"{value.__module__}.{value.__qualname__}")
    return sorted(found)


@pytest.mark.parametrize("name", public())
def test_a_docstring_is_complete(name):
    report = validate(name)
    # The fields of a class that nobody makes have words of their own.
    only_fields = report["type"] == "type" and "Parameters\n---" not in report["docstring"]
    required = SUMMARY if only_fields else SUMMARY | SIGNATURE
    assert [found for found in report["errors"] if found[0] in required] == []


def test_pages_name_files_that_there_are():
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    named = {
        name
        for page in pages
        for name in re.findall(r"`((?:tests|simulations|analysis)/[\w/]+\.py)`", page.read_text())
    }
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
