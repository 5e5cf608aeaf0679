"""Docstrings say what goes in and comes out, and pages name files that there are."""

import ast
import inspect
import re
import sys
import textwrap
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

sys.path.insert(0, str(Path(__file__).parent))
from rooms import rooms

SUMMARY = {"GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08"}
SUMMARY |= {"SS01", "SS02", "SS03", "SS04", "SS05"}
SIGNATURE = {"PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR10", "RT01"}
ROOT = Path(__file__).parents[1]


def public():
    """Names of all public functions and classes, each where it is defined."""
    found = set()
    for room in rooms().values():
        for name in getattr(room, "__all__", ()):
            value = inspect.unwrap(getattr(room, name))
            if inspect.isfunction(value) or inspect.isclass(value):
                found.add(f"{value.__module__}.{value.__qualname__}")
    return sorted(found)


@pytest.mark.parametrize("name", public())
def test_a_docstring_is_complete(name):
    report = validate(name)
    only_fields = report["type"] == "type" and "Parameters\n---" not in report["docstring"]
    required = SUMMARY if only_fields else SUMMARY | SIGNATURE
    assert [found for found in report["errors"] if found[0] in required] == []
    if only_fields:
        assert without_words(found_by(name)) == set()


def found_by(name):
    module, _, inside = name.rpartition(".")
    return getattr(import_module(module), inside)


def without_words(kind):
    """Arguments of a class that neither its docstring nor the text below a field describes.

    Exceptions take a message, as all do; abstract classes and those without arguments have none.
    """
    if issubclass(kind, Exception):
        return set()
    entries = NumpyDocString(inspect.getdoc(kind))["Attributes"]
    described = {
        name for entry in entries if entry.type or entry.desc for name in entry.name.split(", ")
    }
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
    for field, text in pairwise(body):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and is_text:
            described.add(field.target.id)
    return set(inspect.signature(kind).parameters) - described


def test_a_field_without_words_is_noticed():
    class Half:
        """Two fields.

        Attributes
        ----------
        first : float
            The first.
        """

        def __init__(self, first, second):
            pass

    assert without_words(Half) == {"second"}


def test_pages_name_files_that_there_are():
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    named = {
        name
        for page in pages
        for name in re.findall(r"`((?:tests|simulations|analysis)/[\w/]+\.py)`", page.read_text())
    }
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


sys.path.insert(0, str(ROOT / "docs"))
import formulas  # noqa: E402


@pytest.mark.parametrize("page", formulas.PAGES, ids=lambda page: page.stem)
def test_formulas_of_pages_are_those_that_are_derived(page):
    text = page.read_text()
    assert formulas.updated(text) == text
    assert text.count("<!-- formula\n") == len(formulas.FORMULA.findall(text))


def test_a_wrong_formula_is_noticed():
    [page] = [page for page in formulas.PAGES if page.stem == "geometry"]
    wrong = page.read_text().replace(r"\arcsin", r"\arccos")
    assert formulas.updated(wrong) == page.read_text() != wrong
