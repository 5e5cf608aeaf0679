"""The averages of committees: derived forms against the literature and plain quadrature."""

import numpy as np
import pytest
import sympy as sp

from statmech_bn.errors import NoClosedForm
from statmech_bn.symbolic import committee_flow as s

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def covariance(seed, size=4):
    """Return a covariance without symmetries."""
    factor = np.random.default_rng(seed).normal(size=(size, size + 1)) / 2
    return factor @ factor.T


def at(expression, matrix):
    """Evaluate an expression at a covariance."""
    values = {s.COVARIANCE[i, j]: matrix[i, j] for i in range(len(matrix)) for j in range(i + 1)}
    return float(expression.subs(values))


def quadrature(function, matrix):
    """Average a function of the fields by a product rule of Gauss and Hermite."""
    size = len(matrix)
    grids = np.meshgrid(*[NODES] * size, indexing="ij")
    weights = np.prod(np.meshgrid(*[WEIGHTS] * size, indexing="ij"), axis=0)
    fields = np.tensordot(np.linalg.cholesky(matrix), np.array(grids), 1)
    return float((weights * function(*fields)).sum())


def erf(x):
    from scipy.special import erf

    return erf(x / np.sqrt(2))


def slope(x):
    return np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)


@pytest.mark.parametrize("seed", [0, 1])
def test_erf_averages_are_those_of_quadrature(seed):
    matrix = covariance(seed, 2)
    functions = (
        lambda a, b: erf(a) * erf(b),
        lambda a, b: slope(a) * slope(b),
        lambda a, b: -a * slope(a) * erf(b),
    )
    for derived, function in zip(s.pair_averages("erf"), functions, strict=True):
        assert at(derived, matrix) == pytest.approx(quadrature(function, matrix), abs=1e-7)


@pytest.mark.thorough
def test_four_fields_of_erf_are_those_of_saad_and_solla():
    """Saad & Solla 1995, equation (A6): I₄ by determinants Λ₀ … Λ₄."""
    c = covariance(2)
    determinant = (1 + c[0, 0]) * (1 + c[1, 1]) - c[0, 1] ** 2
    first = (
        determinant * c[2, 3]
        - c[1, 2] * c[1, 3] * (1 + c[0, 0])
        - c[0, 2] * c[0, 3] * (1 + c[1, 1])
        + c[0, 1] * (c[0, 2] * c[1, 3] + c[0, 3] * c[1, 2])
    )
    roots = [
        determinant * (1 + c[j, j])
        - c[1, j] ** 2 * (1 + c[0, 0])
        - c[0, j] ** 2 * (1 + c[1, 1])
        + 2 * c[0, 1] * c[0, j] * c[1, j]
        for j in (2, 3)
    ]
    known = 4 / np.pi**2 / np.sqrt(determinant) * np.arcsin(first / np.sqrt(np.prod(roots)))
    assert at(s.quadruple_average("erf"), c) == pytest.approx(known, rel=1e-12)


@pytest.mark.thorough
def test_two_of_four_fields_may_be_the_same():
    matrix = covariance(3, 2)
    same = matrix[np.ix_([0, 1, 0, 1], [0, 1, 0, 1])]
    found = quadrature(lambda a, b: slope(a) * slope(b) * erf(a) * erf(b), matrix)
    assert at(s.quadruple_average("erf"), same) == pytest.approx(found, abs=1e-7)


@pytest.mark.thorough
def test_polynomials_are_closed_too():
    x = sp.Symbol("x")
    matrix = covariance(4)
    found = quadrature(
        lambda a, b, c, d: (1 + 3 * a**2) * (1 + 3 * b**2) * (c + c**3) * (d + d**3), matrix
    )
    assert at(s.quadruple_average(x + x**3), matrix) == pytest.approx(found, rel=1e-10)


def test_tanh_has_no_closed_form():
    with pytest.raises(NoClosedForm):
        s.quadruple_average("tanh")


def test_one_unit_has_the_flow_of_one_unit():
    """At K = K* = 1 the rates are dρ/dt and dQ/dt of the one-unit flow, weight normalization."""
    from statmech_bn import symbolic

    flow = symbolic.order_parameter_flow("weight")
    R, L, M, eta, lam = symbolic.R, symbolic.L, symbolic.M, symbolic.eta, symbolic.lamda
    gamma, D, A, B = symbolic.gamma, symbolic.D, symbolic.A, symbolic.B
    rho, q, _, _ = s.committee_rates()
    turn = gamma * A / L**2  # s_k = E[Σ c h]/Q
    rho = rho.subs({s.rho_kn: R * L, s.f_kn: gamma / L * (D + R * A), s.s_k: turn})
    along = gamma * A
    q = q.subs({s.q_kl: L**2, s.f_kl: along, s.f_lk: along, s.s_k: turn, s.s_l: turn})
    q = q.subs(s.n_kl, gamma**2 * B / (M * L**2))
    expected_rho = flow[R] * L + R * flow[symbolic.L]
    assert sp.simplify(rho - expected_rho) == 0
    assert sp.simplify(q - 2 * L * flow[symbolic.L]) == 0
    assert {eta, lam} <= rho.free_symbols
