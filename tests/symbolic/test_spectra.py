"""The Fuss–Catalan law: its parts agree with each other, and with known special cases."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.symbolic import spectra

k, w, z, phi = spectra.k, spectra.w, spectra.z, spectra.phi


@pytest.mark.parametrize("s", [1, 2, 3, 5])
def test_the_moments_solve_the_functional_equation(s):
    law = sbn.symbolic.fuss_catalan(s)
    order = 5
    series = 1 + sum(law.moment.subs(k, n) * z**n for n in range(1, order + 1))
    left = sp.series(law.equation.rhs.subs(w, series), z, 0, order + 1).removeO()
    assert sp.expand(left - series) == 0


@pytest.mark.parametrize("s", [1, 2, 4, 8])
def test_the_density_has_the_moments(s):
    law = sbn.symbolic.fuss_catalan(s)
    slope = law.position.diff(phi)
    numeric = sp.lambdify(phi, [law.position, law.density, slope], "numpy")

    def integrand(angle, order):
        x, density, jacobian = numeric(angle)
        return -(x**order) * density * jacobian

    for order in (0, 1, 2, 3):
        found = quad(integrand, 1e-9, np.pi / (s + 1) - 1e-9, args=(order,))[0]
        expected = 1 if order == 0 else float(law.moment.subs(k, order))
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("s", [1, 2, 3, 8])
def test_the_edge_is_where_the_angle_is_zero(s):
    law = sbn.symbolic.fuss_catalan(s)
    assert law.edge == sp.Rational((s + 1) ** (s + 1), s**s)
    assert sp.limit(law.position, phi, 0) == law.edge
    assert sp.limit(law.density, phi, 0) == 0


def test_moments_grow_like_powers_of_the_edge():
    law = sbn.symbolic.fuss_catalan(3)
    ratio = law.moment.subs(k, 4001) / law.moment.subs(k, 4000)
    assert float(ratio / law.edge) == pytest.approx(1, abs=1e-3)


def test_one_factor_is_marchenko_pastur():
    law = sbn.symbolic.fuss_catalan(1)
    x = law.position.subs(phi, 0.7).evalf()
    known = sp.sqrt(x * (4 - x)) / (2 * sp.pi * x)
    assert law.density.subs(phi, 0.7).evalf() == pytest.approx(float(known), rel=1e-12)


@pytest.mark.parametrize("s", [0, -1, 1.5, "2"])
def test_only_a_number_of_factors_will_do(s):
    with pytest.raises(InvalidSetup, match="s: "):
        sbn.symbolic.fuss_catalan(s)
