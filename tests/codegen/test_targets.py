"""One expression, four targets: NumPy, Numba (scalar and array) and C++ agree to rounding."""

import ctypes
import re
import shutil
import subprocess

import array_api_strict
import numba
import numpy as np
import pytest
import scipy.special
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from statmech_bn.activations import activation, z
from statmech_bn.codegen import (
    array_function,
    cuda_source,
    latex,
    numba_array_function,
    numba_function,
    numba_table_function,
    numpy_function,
    prepare,
)
from statmech_bn.codegen.numpy_target import numpy_source
from statmech_bn.errors import InvalidSetup, NotPrintable

x = sp.Symbol("x")
ACTIVATIONS = [
    "linear", "relu", "erf", "softplus", "tanh", sp.Max(x, x / 10), x * sp.erf(x),
    sp.Max(-sp.Rational(1, 2), sp.Min(x, 1)), sp.Abs(x - 1), x / (1 + sp.exp(-x)),
    sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True)), x**3 / 3 + x**7, sp.atan(x) + sp.sin(x),
    sp.sqrt(1 + x**2), sp.exp(-(x**2) / 2) * x, sp.Min(x, 2, -x / 3),
]  # fmt: skip
POINTS = np.linspace(-4.03, 4.07, 41)


@numba.njit
def fill(function, points, value, slope):
    function(points, value, slope)


def pair(description):
    g = activation(description)
    return [g.expression, g.derivative]


def exact(expressions, points):
    return [[float(e.subs(z, sp.Float(p, 30)).evalf(25)) for p in points] for e in expressions]


@pytest.mark.parametrize(
    "description",
    [*ACTIVATIONS[:8], *(pytest.param(g, marks=pytest.mark.thorough) for g in ACTIVATIONS[8:])],
    ids=str,
)
def test_python_targets_agree_with_exact_evaluation(description):
    expressions = pair(description)
    wanted = np.array(exact(expressions, POINTS))
    value, slope = np.empty_like(POINTS), np.empty_like(POINTS)
    fill(numba_array_function(expressions, z), POINTS, value, slope)
    scalar = numba_function(expressions, [z])
    for found in (
        np.array(numpy_function(expressions, [z])(POINTS)),
        np.array([value, slope]),
        np.array([scalar(point) for point in POINTS]).T,
    ):
        np.testing.assert_allclose(found, wanted, rtol=2e-14, atol=1e-15)


@pytest.mark.parametrize("name", ["erf", "softplus", "tanh"])
def test_a_value_does_not_depend_on_its_neighbours(name):
    """The same bits from vector instructions and from the samples that are left over."""
    function = numba_array_function(pair(name), z)
    whole, alone = np.empty((2, POINTS.size)), np.empty((2, 1))
    fill(function, POINTS, *whole)
    for i, point in enumerate(POINTS):
        fill(function, np.array([point]), *alone)
        np.testing.assert_array_equal(alone[:, 0], whole[:, i])


@numba.njit
def fill_table(function, table):
    function(table)


def test_rows_of_a_table():
    """Arguments in the order given, then the results; exact for small integers."""
    y = sp.Symbol("y")
    table = np.zeros((4, 5))
    table[0], table[1] = range(5), range(3, 8)
    fill_table(numba_table_function([x * y, x - 2 * y], [y, x]), table)
    np.testing.assert_array_equal(table[2:], [table[0] * table[1], table[1] - 2 * table[0]])


@pytest.mark.parametrize("description", ACTIVATIONS, ids=str)
def test_slope_is_the_derivative(description):
    points = POINTS[np.min(np.abs(POINTS[:, None] - [0.0, 1.0, -0.5, 2.0]), axis=1) > 0.01]
    compiled = numpy_function(pair(description), [z])
    step = 1e-5
    difference = (compiled(points + step)[0] - compiled(points - step)[0]) / (2 * step)
    # central difference: step² from the third derivative, 1e-16/step from rounding
    scale = 1 + np.abs(compiled(points)[1])
    np.testing.assert_allclose(compiled(points)[1] / scale, difference / scale, atol=3e-7)


def on_the_host(sources, tmp_path):
    """Compile __host__ __device__ functions as plain C++ and load them."""
    exported = "".join(
        f'extern "C" void call{i}(double z, double* out) {{ f{i}(z, out); }}\n'
        for i in range(len(sources))
    )
    text = "#include <cmath>\nusing namespace std;\n#define __host__\n#define __device__\n"
    (tmp_path / "generated.cpp").write_text(text + "".join(sources) + exported)
    library = tmp_path / "generated.so"
    subprocess.run(
        ["g++", "-O1", "-shared", "-fPIC", "-o", library, tmp_path / "generated.cpp"], check=True
    )
    return ctypes.CDLL(str(library))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_cuda_source_agrees_on_the_host(tmp_path):
    sources = [cuda_source(pair(a), [z], f"f{i}") for i, a in enumerate(ACTIVATIONS)]
    library = on_the_host(sources, tmp_path)
    out = (ctypes.c_double * 2)()
    for i, description in enumerate(ACTIVATIONS):
        call = getattr(library, f"call{i}")
        call.argtypes = [ctypes.c_double, ctypes.POINTER(ctypes.c_double)]
        found = []
        for point in POINTS:
            call(point, out)
            found.append(tuple(out))
        wanted = np.array(numpy_function(pair(description), [z])(POINTS))
        np.testing.assert_allclose(np.array(found).T, wanted, rtol=2e-14, atol=1e-15)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")
def test_cuda_source_compiles_for_the_device(tmp_path):
    sources = [cuda_source(pair(a), [z], f"f{i}") for i, a in enumerate(ACTIVATIONS)]
    compile_for_the_device(sources, tmp_path)


def compile_for_the_device(sources, folder):
    calls = "".join(f"f{i}(z, out + {2 * i});" for i in range(len(sources)))
    kernel = f'extern "C" __global__ void all(double z, double* out) {{ {calls} }}\n'
    (folder / "generated.cu").write_text("".join(sources) + kernel)
    subprocess.run(
        ["nvcc", "-cubin", "-arch=sm_90", "-o", folder / "out.cubin", folder / "generated.cu"],
        check=True,
    )


@st.composite
def expressions(draw, depth=3):
    if depth == 0:
        leaf = st.sampled_from([x, sp.Integer(2), sp.Rational(-1, 3), x / 2])
        return draw(leaf)
    first = draw(expressions(depth=depth - 1))
    second = draw(expressions(depth=depth - 1))
    make = draw(
        st.sampled_from(
            [
                lambda a, b: a + b, lambda a, b: a * b, lambda a, b: sp.tanh(a) + b,
                lambda a, b: sp.erf(a) * b, lambda a, b: sp.exp(-(a**2)) + b,
                lambda a, b: sp.log(1 + sp.exp(a)) - b, lambda a, b: sp.sin(a) + b,
            ]
        )
    )  # fmt: skip
    return make(first, second)


def some_activations():
    """Random expressions, many at a time since each compiler's call takes a while."""
    return st.lists(expressions(), min_size=12, max_size=12, unique=True)


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@settings(max_examples=2)
@given(bodies=some_activations())
def test_cuda_source_of_any_expression_agrees_on_the_host(tmp_path_factory, bodies):
    pairs = [[body, sp.diff(body, x)] for body in bodies]
    sources = [cuda_source(two, [x], f"f{i}") for i, two in enumerate(pairs)]
    library, out = on_the_host(sources, tmp_path_factory.mktemp("any")), (ctypes.c_double * 2)()
    points = [-1.7, -0.2, 0.6, 1.1]
    for i, two in enumerate(pairs):
        wanted = np.transpose(numpy_function(two, [x])(points))
        for point, values in zip(points, wanted, strict=True):
            getattr(library, f"call{i}")(ctypes.c_double(point), out)
            np.testing.assert_allclose(list(out), values, rtol=1e-11, atol=1e-13)


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")
@settings(max_examples=2)
@given(bodies=some_activations())
def test_cuda_source_of_any_expression_compiles_for_the_device(tmp_path_factory, bodies):
    pairs = [[body, sp.diff(body, x)] for body in bodies]
    sources = [cuda_source(two, [x], f"f{i}") for i, two in enumerate(pairs)]
    compile_for_the_device(sources, tmp_path_factory.mktemp("any"))


def test_cuda_source_has_no_macros():
    """Code that is compiled at run time knows the mathematical functions but not M_PI and such."""
    constants = sp.pi * sp.exp(sp.E * x) + sp.EulerGamma * sp.sqrt(sp.GoldenRatio) + sp.log(2)
    source = cuda_source([constants, sp.sqrt(2 / sp.pi) * x / sp.log(10), sp.sqrt(x) / 2], [x])
    assert not re.search(r"\b[A-Z_]+[A-Z0-9]\b", source)
    assert "3.14159" in source


@given(expression=expressions())
def test_numpy_prints_any_expression(expression):
    """Random expressions, evaluated by NumPy and by SymPy with 25 digits."""
    points = [-1.7, -0.2, 0.6, 1.1]
    found = np.array(numpy_function([expression], [x])(np.array(points))[0])
    wanted = [float(expression.subs(x, sp.Float(p, 40)).evalf(25)) for p in points]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("description", ACTIVATIONS, ids=str)
def test_array_functions_keep_their_precision(description, dtype):
    """Also through another library; float32 goes in and comes out without becoming float64."""
    points = POINTS.astype(dtype)
    wanted = numpy_function(pair(description), [z])(points)
    for library in (np, array_api_strict):
        found = array_function(library, pair(description), [z], dtype)(library.asarray(points))
        for value, expected in zip(found, wanted, strict=True):
            assert value.dtype == getattr(library, dtype)
            tolerance = 1e-15 if dtype == "float64" else 2e-6
            np.testing.assert_allclose(
                np.broadcast_to(np.asarray(value), points.shape), expected, tolerance, tolerance
            )
    source = numpy_source(prepare(pair(description), [z]))
    namespace = {"numpy": np, "scipy": scipy}
    exec(source, namespace)
    with np.errstate(all="ignore"):  # as every caller has it: all branches are evaluated
        results = namespace["generated"](points)
    assert {np.result_type(v, points) for v in results} == {np.dtype(dtype)}


def test_large_arguments_do_not_overflow():
    found = numpy_function(pair("softplus"), [z])(np.array([-1000.0, 1000.0]))
    np.testing.assert_array_equal(found, [[0.0, 1000.0], [0.0, 1.0]])
    value, slope = np.empty(2), np.empty(2)
    fill(numba_array_function(pair("softplus"), z), np.array([-1000.0, 1000.0]), value, slope)
    np.testing.assert_array_equal([value, slope], [[0.0, 1000.0], [0.0, 1.0]])


def test_constants_are_broadcast():
    (found,) = numpy_function([sp.Integer(1)], [z])(np.zeros((2, 3)))
    assert found.shape == (2, 3)


def test_missing_argument_is_named():
    with pytest.raises(InvalidSetup, match="every symbol of x"):
        numpy_function([x], [z])


@pytest.mark.parametrize("function", [sp.besselj(0, x), sp.zeta(x)], ids=str)
def test_unprintable_functions_are_named(function):
    with pytest.raises(NotPrintable, match="no counterpart"):
        numba_function([function], [x])
    with pytest.raises(NotPrintable, match="no counterpart"):
        cuda_source([function], [x])


def test_latex_of_an_expression():
    assert latex(sp.asin(x) + sp.log(x)) == r"\ln{\left(x \right)} + \arcsin{\left(x \right)}"
