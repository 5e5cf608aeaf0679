"""Values and slopes at ±10ᵏ and near holes against mpmath, in NumPy, Numba and C++ from CUDA."""

import shutil

import numba
import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import z
from statmech_bn.codegen import numba_array_function, numpy_function
from statmech_bn.codegen.stable import exactly, stable
from tests.online.host_kernels import HostKernels

SIZES = [*(10.0**k for k in (-200, -60, -9, -7, -4, -2)), 0.11, 0.13, 0.9, 3.3, 17.0, 44.0, 46.0]
SIZES += [700.0, 709.5, 710.5, 746.0, 799.0, *(10.0**k for k in (3, 5, 9, 16, 30, 90, 160, 299))]
POINTS = np.array(sorted(s * size for size in SIZES for s in (-1, 1)))
E = sp.exp
SMOOTH = [
    z / (1 + E(-z)), z * E(z) / (1 + E(z)), 1 / (1 + E(-z)), z * sp.tanh(sp.log(1 + E(z))),
    sp.log(sp.cosh(z)), sp.log(1 + E(5 * z)) / 5, (E(z) - E(-z)) / (E(z) + E(-z)),
    sp.log((1 + E(z)) / (1 + E(z - 1))), z * (1 + sp.erf(z / sp.sqrt(2))) / 2,
    z**2 * E(-(z**2)), z / (1 + E(-3 * z / 2)), sp.sqrt(1 + z**2), z**3 / (1 + z**2),
]  # fmt: skip
HOLES = [
    sp.sinc(z), sp.sin(z) / z, z / sp.tanh(z), sp.log(1 + z**2) / z,
    (1 - sp.cos(z)) / z, sp.sin(z - 1) / (z - 1), (1 - E(-z)) / z,
    sp.Piecewise((sp.sin(z) / z, sp.Ne(z, 0)), (1, True)),
]  # fmt: skip


@numba.njit
def fill(function, points, value, slope):
    function(points, value, slope)


def targets(expressions, points):
    """Yield the name of each target and its arrays of value and slope."""
    yield "numpy", numpy_function(expressions, [z])(points)
    value, slope = np.empty_like(points), np.empty_like(points)
    fill(numba_array_function(expressions, z), points, value, slope)
    yield "numba", (value, slope)
    if shutil.which("c++") or shutil.which("g++"):
        from statmech_bn.codegen.array_target import fused_kernel

        yield "cuda", fused_kernel(HostKernels(), expressions, [z], "float64")(points)


@pytest.mark.parametrize("expression", [*SMOOTH, *HOLES], ids=str)
def test_what_is_finite_is_right_at_every_size(expression):
    g = sbn.activation(expression)
    expressions = [g.expression, g.derivative]
    for name, found in targets(expressions, POINTS):
        for e, values in zip(expressions, found, strict=True):
            for point, value in zip(POINTS, values, strict=True):
                true = exactly(e)(float(point))
                if (
                    true is None or abs(true) > 1e304
                ):  # an intermediate value may overflow one step earlier
                    continue
                error = abs(value - float(true))
                assert error <= 1e-10 * abs(float(true)) + 1e-13, (name, e, point, value)


@pytest.mark.parametrize(
    ("expression", "point", "value", "slope"),
    [
        (sp.sin(z) / z, 0, 1, 0), (z / sp.tanh(z), 0, 1, 0), ((E(z) - 1) / z, 0, 1, 0.5),
        ((1 - sp.cos(z)) / z, 0, 0, 0.5), (sp.sin(z - 1) / (z - 1), 1, 1, 0),
        (sp.log(1 + z**2) / z, 0, 0, 1),
    ],
    ids=str,
)  # fmt: skip
def test_a_hole_is_filled_from_its_series(expression, point, value, slope):
    g = sbn.activation(expression)
    for name, found in targets([g.expression, g.derivative], np.array([float(point)])):
        np.testing.assert_allclose(np.ravel(found), [value, slope], atol=1e-13, err_msg=name)


@pytest.mark.parametrize("name", ["linear", "relu", "erf", "softplus", "tanh"])
def test_named_activations_need_no_branches(name):
    g = sbn.activation(name)
    assert not any(stable(e).has(sp.Piecewise) for e in (g.expression, g.derivative))


def test_what_grows_beyond_floats_is_infinite():
    assert numpy_function([E(z)], [z])(np.array([1e3]))[0][0] == np.inf
    assert numpy_function([z**3], [z])(np.array([-1e150]))[0][0] == -np.inf
