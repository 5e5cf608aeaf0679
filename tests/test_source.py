"""The source of the package: how long calls may be, and where normalizations are known by name."""

import ast
import re
from pathlib import Path

import pytest

import statmech_bn as sbn

PACKAGE = Path(sbn.__file__).parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
MOST_POSITIONAL = 8
KINDS = {"none", "weight", "population", "batch"}
ROOM = "normalization/"
OTHER_MEANINGS = {
    ("descriptions.py", "weight"): "a variable of results",
    ("depth/residual.py", "none"): "a place in a residual block",
    ("explore/cells.py", "batch"): "an attribute of results, the size of a batch",
    ("networks/covariate_shift.py", "weight"): "a dimension of results",
    ("plot/style.py", "none"): "no layout of a figure",
    ("networks/surgery.py", "weight"): "a parameter of PyTorch's layers",
    ("networks/weight_normalization.py", "weight"): "a parameter of PyTorch's layers",
}


def tree_of(name):
    return ast.parse((PACKAGE / name).read_text())


def long_calls(tree):
    """Return the lines of calls with too many positional arguments."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if len(call.args) > MOST_POSITIONAL]


def kinds_named(tree):
    """Return the kinds that a module names outside of docstrings and defaults."""
    allowed = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            allowed |= {id(value) for value in [*node.args.defaults, *node.args.kw_defaults]}
        elif isinstance(node, ast.AnnAssign) and node.value is not None:  # fields of classes
            allowed |= {id(value) for value in ast.walk(node.value)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {n.value for n in found if isinstance(n.value, str) and id(n) not in allowed} & KINDS


def compiled_functions(tree):
    """Return the functions of a module that Numba compiles."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    words = "njit|^inlined|^merged|^compiled|^exact"
    return [f for f in functions if any(re.search(words, ast.unparse(d)) for d in f.decorator_list)]


def compiled_defaults(tree):
    """Return the compiled functions of a module that have default arguments."""
    return [f.name for f in compiled_functions(tree) if f.args.defaults or f.args.kw_defaults]


def compiled_slices(tree):
    """Return the compiled functions of a module that assign arrays to slices."""
    return [
        function.name
        for function in compiled_functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant)
        for target in node.targets
        if any(isinstance(part, ast.Slice) for part in ast.walk(target))
    ]


@pytest.mark.parametrize("name", FILES)
def test_no_call_has_more_than_eight_positional_arguments(name):
    assert not long_calls(tree_of(name)), "use keywords, or a NamedTuple in compiled code"


@pytest.mark.parametrize("name", FILES)
def test_compiled_functions_have_no_default_arguments(name):
    assert not compiled_defaults(tree_of(name)), "each default left out compiles the function again"


@pytest.mark.parametrize("name", FILES)
def test_compiled_functions_assign_no_arrays_to_slices(name):
    assert not compiled_slices(tree_of(name)), "its errors take ten seconds to compile: use a loop"


def test_normalizations_are_known_by_name_in_their_room_alone():
    named = {(n, kind) for n in FILES if not n.startswith(ROOM) for kind in kinds_named(tree_of(n))}
    assert named == OTHER_MEANINGS.keys()


def test_what_is_forbidden_is_found():
    assert long_calls(ast.parse("f(1, 2, 3, 4, 5, 6, 7, 8)\n\ng(1, 2, 3, 4, 5, 6, 7, 8, *x)")) == [
        3
    ]
    source = (
        'def f(x="none"):\n    """Take "batch"."""\n    y: str = "weight"\n    if x == "batch": ...'
    )
    assert kinds_named(ast.parse(source)) == {"batch"}
    source = "@numba.njit(cache=True)\ndef f(x, y=1.0): ...\n\ndef g(x=1): ..."
    assert compiled_defaults(ast.parse(source)) == ["f"]
    source = "@inlined\ndef f(x, y):\n    x[:] = 0.0\n\n@merged\ndef g(x, y): x[0, :] = y"
    assert compiled_slices(ast.parse(source)) == ["g"]
