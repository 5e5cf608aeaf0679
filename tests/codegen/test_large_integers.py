"""Rational coefficients of many digits make integers beyond 64 bits, which every target takes."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.codegen import numpy_function

x = sp.Symbol("x", real=True)


@pytest.mark.parametrize("digits", [15, 18, 25, 40])
def test_functions_of_large_integers(digits):
    number = sp.Integer(10**digits + 7)
    root, power = numpy_function([sp.sqrt(number) * x, number**2 * x], [x])(np.array([2.0]))
    assert root[0] == pytest.approx(2 * 10 ** (digits / 2), rel=1e-12)
    assert power[0] == pytest.approx(2 * 10.0 ** (2 * digits), rel=1e-12)


def test_an_activation_with_coefficients_of_many_digits():
    """An erf of 16 digits is as good as one of three."""
    states = ([0.3, 0.9], [1.0, 2.0])
    close = [
        numpy_function(
            [sbn.symbolic.generalization_error(sbn.activation(sp.erf(c * x)))],
            [sbn.symbolic.R, sbn.symbolic.gamma],
        )(*states)[0]
        for c in (1.16619037896906, 1.166)
    ]
    np.testing.assert_allclose(*close, rtol=1e-3)
