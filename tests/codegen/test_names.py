"""No text of an expression becomes source: symbols are renamed, other names are refused."""

import keyword
import re

import array_api_strict
import numpy as np
import pytest
import sympy as sp

from statmech_bn.codegen import (
    array_function,
    cuda_source,
    numba_array_function,
    numba_function,
    numba_table_function,
    numba_vector_function,
    numpy_function,
    prepare,
)
from statmech_bn.codegen.numba_target import scalar_source
from statmech_bn.codegen.numpy_target import numpy_source
from statmech_bn.errors import InvalidSetup, NotPrintable

x = sp.Symbol("x")
EVIL = (
    "r in range(1))), )\nimport pathlib\npathlib.Path('fired').touch()\n"
    "if 1:\n    zz = ((sum(1 for r"
)
k = sp.Symbol(EVIL, integer=True)
TARGETS = {
    "numpy": numpy_function,
    "array": lambda e, a: array_function(array_api_strict, e, a),
    "numba": numba_function,
    "numba_array": lambda e, a: numba_array_function(e, a[0]),
    "numba_table": numba_table_function,
    "numba_vector": numba_vector_function,
    "cuda": cuda_source,
}
NAMED = [
    x + sp.Sum(1, (k, 1, 2)),
    sp.Sum(x**k, (k, 1, 2)),
    sp.Product(x + k, (k, 1, 3)),
    x * sp.Integral(sp.exp(k * k), (k, 0, 1)),
    sp.Integral(sp.exp(x * x), (x, 0, 1)) * x,
    sp.Function(EVIL)(x),
    sp.Derivative(sp.Function("f")(x), x),
    sp.Subs(sp.exp(sp.Function("f")(k)), k, x),
    sp.Indexed(sp.IndexedBase(EVIL), x),
    x * sp.MatrixSymbol(EVIL, 2, 2)[0, 0],
    sp.Piecewise((x, sp.Contains(x, sp.ConditionSet(k, k > 1, sp.S.Reals))), (0, True)),
    x + sp.I,
]  # fmt: skip


@pytest.fixture(autouse=True)
def canary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "fired").exists()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("expression", NAMED, ids=lambda e: type(e).__name__)
def test_names_that_are_no_arguments_are_refused(target, expression):
    with pytest.raises((NotPrintable, InvalidSetup), match=r"cannot be printed|every symbol of"):
        TARGETS[target]([expression], [x])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "name", [EVIL, "lambda", "a0", "x0", "x1", "numpy", "generated", "out", ""]
)
def test_an_argument_may_have_any_name(target, name):
    """Names of the printed program, keywords and source as names give the same as any other."""
    named = sp.Symbol(name)
    expressions = [sp.exp(named) + sp.Max(named, 0), sp.exp(named) * 2]
    made = TARGETS[target](expressions, [named])
    if target in ("numpy", "numba"):
        assert np.allclose(made(1.5), [np.exp(1.5) + 1.5, 2 * np.exp(1.5)], rtol=1e-14)
    if target == "cuda":
        assert made == cuda_source([e.subs(named, x) for e in expressions], [x])


def test_every_printed_word_is_ours():
    first, second = sp.Symbol(EVIL), sp.Dummy("x = 1; y")
    program = prepare([first * sp.tanh(second) + sp.tanh(second), sp.sqrt(first)], [first, second])
    for source in (numpy_source(program), scalar_source(program)):
        words = set(re.findall(r"[A-Za-z_]\w*", source))
        ours = {word for word in words if re.fullmatch(r"[ax]\d+", word)}
        libraries = {"numpy", "scipy", "math", "numba", "njit", "cfunc", "types", "tanh", "sqrt",
                     "exp", "copysign", "abs", "float", "generated", "cache", "nogil",
                     "error_model"}  # fmt: skip
        assert words - ours - libraries <= set(keyword.kwlist)


@pytest.mark.parametrize("target", TARGETS)
def test_a_text_is_no_expression(target):
    with pytest.raises(InvalidSetup, match="expressions: expected expressions of SymPy"):
        TARGETS[target](["open('fired', 'w')"], [x])


@pytest.mark.parametrize("name", ["f(); }\nvoid g", "", "if", "1f", "f g", "f;", "ƒ", None, 3])
def test_names_of_functions_are_identifiers(name):
    with pytest.raises(InvalidSetup, match="name: expected"):
        cuda_source([x], [x], name)
    with pytest.raises(InvalidSetup, match="name: expected"):
        numpy_source(prepare([x], [x]), name)


def test_types_of_results_are_two():
    with pytest.raises(InvalidSetup, match="dtype"):
        array_function(np, [x], [x], "float64 r0; }")
