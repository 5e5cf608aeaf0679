"""Averages over pairs of fields and the error of committees, by quadrature and Monte Carlo."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import activation, z
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.averages.pairs import _pairs, committee_error

x = sp.Symbol("x")
GELU = x * (1 + sp.erf(x / sp.sqrt(2))) / 2
ELU = sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True))


def hermite(name, correlation, first, second, points=200):
    """E[g(a u) g(b v)] on the nodes of Gauss and Hermite, for smooth g and moderate a, b."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    weights = weights / np.sqrt(2 * np.pi)
    g = sp.lambdify(z, activation(name).expression, ["numpy", "scipy"])
    v = correlation * nodes[:, None] + np.sqrt(1 - correlation**2) * nodes
    return weights * g(first * nodes) @ g(second * v) @ weights


@pytest.mark.parametrize(
    "name",
    [
        "linear",
        "erf",
        "tanh",
        *(pytest.param(g, marks=pytest.mark.thorough) for g in ("softplus", GELU)),
    ],
    ids=str,
)
def test_smooth_pairs(name):
    for state in ((0.3, 0.5, 1.0), (-0.8, 1.2, 0.7), (0.0, 0.2, 0.1), (0.99, 1.0, 1.1)):
        found = _pairs(activation(name))(*map(np.array, state))
        np.testing.assert_allclose(found, hermite(name, *state), rtol=0, atol=2e-9)


@pytest.mark.parametrize("name", ["relu", ELU, sp.Max(-1, sp.Min(x, 1))], ids=str)
def test_kinked_pairs(name):
    """10⁶ samples, within 4.5 standard errors; equal and opposite fields as well."""
    generator, size = np.random.default_rng(0), 10**6
    u, other = generator.standard_normal((2, size))
    g = sp.lambdify(z, activation(name).expression, "numpy")
    for r, a, b in ((0.3, 0.5, 1.0), (-0.7, 3.0, 1.3), (1.0, 0.7, 1.0), (-1.0, 1.0, 1.0)):
        drawn = g(a * u) * g(b * (r * u + np.sqrt(1 - r * r) * other))
        found = float(_pairs(activation(name))(*map(np.array, (r, a, b))))
        assert abs(found - drawn.mean()) < 4.5 * drawn.std() / np.sqrt(size) + 1e-12


@pytest.mark.parametrize("name", ["linear", "relu", "erf", "tanh"])
@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_one_unit_has_the_error_of_one_unit(name, normalization):
    setup = sbn.TeacherStudent(name, normalization, 4)
    overlap, length, gamma = np.array([0.1, -0.5, 1.0]), np.array([0.7, 2.0, 1.5]), np.ones(3)
    if normalization == "weight":
        gamma = np.array([1.0, -0.4, 2.0])
    rho, q = (overlap * length)[:, None, None], (length**2)[:, None, None]
    found = committee_error(setup, rho, q, gamma[:, None], np.ones((3, 1)))
    np.testing.assert_allclose(
        found, generalization_error(setup, overlap, length, gamma), atol=1e-8
    )


@pytest.mark.parametrize("name", ["relu", "erf", "tanh"])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_the_error_of_a_committee(name, normalization):
    """Against 10⁶ samples of the fields, within 4.5 standard errors; γ of both signs."""
    setup = sbn.TeacherStudent(
        name, normalization, 6, student_units=2, teacher_units=3, teacher_readout=[1, -0.5, 0.3],
        teacher_overlaps=[[1, 0.2, 0], [0.2, 1.3, 0.1], [0, 0.1, 0.8]],
    )  # fmt: skip
    gamma = np.array([1.0, 1.0]) if normalization == "none" else np.array([0.8, -1.1])
    readout = np.array([0.7, 1.2])
    rows = np.linalg.cholesky(
        [[1, 0.2, 0, 0.3, 0], [0.2, 1.3, 0.1, 0, 0.5], [0, 0.1, 0.8, 0.1, 0.1],
         [0.3, 0, 0.1, 0.9, 0.2], [0, 0.5, 0.1, 0.2, 2.0]]
    )  # fmt: skip
    gram = rows @ rows.T
    fields = rows @ np.random.default_rng(0).standard_normal((5, 10**6))
    phi = fields[3:]
    if normalization == "batch":
        phi = gamma[:, None] * phi / np.sqrt(np.diag(gram)[3:, None])
    g = sp.lambdify(z, activation(name).expression, ["numpy", "scipy"])
    drawn = 0.5 * (np.array(setup.teacher_readout) @ g(fields[:3]) - readout @ g(phi)) ** 2
    state = [np.array(a)[None] for a in (gram[3:, :3], gram[3:, 3:], gamma, readout)]
    found = committee_error(setup, *state).item()
    assert abs(found - drawn.mean()) < 4.5 * drawn.std() / 1e3


def test_a_student_that_is_the_teacher_makes_no_error():
    teacher = np.array([[1.2, 0.3], [0.3, 0.7]])
    setup = sbn.TeacherStudent("relu", "none", 1, student_units=2, teacher_units=2,
                               teacher_overlaps=teacher, teacher_readout=[1, -2])  # fmt: skip
    state = [a[None] for a in (teacher, teacher, np.ones(2), np.array([1.0, -2.0]))]
    assert committee_error(setup, *state).item() < 1e-15
    state[0] = np.full_like(state[0], np.inf)
    assert committee_error(setup, *state).item() == np.inf
