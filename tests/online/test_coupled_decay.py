"""Gamma decay that couples units: the mean sample correlation, and what it is worth."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee_groups import group_points, over_groups
from statmech_bn.online.flow.committee import CommitteeFlow
from statmech_bn.online.flow.committee_rates import pack
from statmech_bn.online.gamma.coupled_decay import coupled_gamma_decay
from statmech_bn.symbolic import coupled_decay as s
from statmech_bn.symbolic.symbols import M

pytestmark = pytest.mark.thorough

RHO = np.array([[0.3, 0.05], [0.02, 0.25]])
Q = np.array([[0.5, 0.2], [0.2, 0.6]])
GAMMA, READOUT = np.array([0.9, 1.2]), np.array([0.8, 1.1])


def penalty(setup, gamma):
    """Return P."""
    state = sbn.OrderParameters(
        student_teacher=RHO, student_student=Q, gamma=gamma, readout=READOUT
    )
    found = coupled_gamma_decay(setup, state)
    return float(found["pair_penalty"].sum() + found["teacher_penalty"].sum())


@pytest.mark.parametrize(("q", "size"), [(0.3, 4), (-0.6, 7), (0.95, 5)])
def test_the_mean_sample_correlation(q, size):
    """Against its density (Fisher 1915) in 30 digits: r is the cosine of two n-vectors."""
    n = size - 1
    with mpmath.workdps(30):

        def density(r):
            return (
                (1 - q**2) ** (mpmath.mpf(n) / 2)
                * (1 - r**2) ** (mpmath.mpf(n - 3) / 2)
                * (1 - q * r) ** (mpmath.mpf(1) / 2 - n)
                * mpmath.hyp2f1(0.5, 0.5, n + mpmath.mpf(1) / 2, (1 + q * r) / 2)
            )

        norm = mpmath.quad(density, [-1, 0, 1])
        known = mpmath.quad(lambda r: r * density(r), [-1, 0, 1]) / norm
    found = float(s.sample_correlation().subs({s.q: q, M: size}).evalf(20))
    assert found == pytest.approx(float(known), rel=1e-10)


def test_it_was_measured():
    """10⁶ batches of five pairs, within four standard errors."""
    q, size = 0.7, 5
    generator = np.random.default_rng(8)
    a = generator.normal(size=(10**6, size))
    b = q * a + np.sqrt(1 - q**2) * generator.normal(size=a.shape)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    r = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    found = float(s.sample_correlation().subs({s.q: q, M: size}).evalf(20))
    assert abs(r.mean() - found) < 4 * r.std() / 1000


def test_units_are_drawn_to_one_correlation():
    """To order 1/M, E[r] − q = −q(1−q²)/(2M)."""
    for q in (0.2, 0.577, 0.9):
        found = float(s.sample_correlation().subs({s.q: q, M: 10**4}).evalf(25)) - q
        assert 10**4 * found == pytest.approx(-q * (1 - q**2) / 2, rel=2e-3)


def test_the_expansion_of_a_linear_unit_is_that_of_the_exact_penalty():
    """z + 0 is not recognized as linear, and its penalty is the exact one's first order."""
    import sympy as sp

    x = sp.Symbol("x")
    exact = sbn.TeacherStudent("linear", "batch", 10**5, student_units=2, teacher_units=2)
    steep = sbn.TeacherStudent(x + sp.Rational(1, 10**9), "batch", 10**5,
                               student_units=2, teacher_units=2)  # fmt: skip
    assert penalty(steep, GAMMA) == pytest.approx(penalty(exact, GAMMA), rel=1e-3)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_the_pull_of_a_batch_is_the_slope_of_the_penalty(name):
    """P_k of groups of 100 against that of the population: a difference of order 1/M, to 6 %."""
    group = 100
    setup = sbn.TeacherStudent(name, "batch", group, student_units=2, teacher_units=2)
    gram = np.block([[np.eye(2), RHO.T], [RHO, Q]])
    rule = Quadrature.for_activation(setup.activation)
    omega = np.concatenate([np.ones(2), -READOUT])
    rules = over_groups(rule, group_points(group, 2, 4, 1), group, gram, GAMMA, omega)
    population = CommitteeFlow(replace(setup, normalization="weight"), 1.0)
    population(pack(RHO, Q, GAMMA, READOUT), np.ones(3))
    step = 1e-4
    for k in range(2):
        shift = step * np.eye(2)[k]
        slope = (penalty(setup, GAMMA + shift) - penalty(setup, GAMMA - shift)) / (2 * step)
        pulls = np.array([sums.pull[k] for sums in rules])
        lost = population.system.averages.pull[k] - pulls.mean()
        error = pulls.std(ddof=1) / np.sqrt(len(pulls))
        assert abs(lost - slope) < 4 * error + 0.06 * abs(slope)
        assert abs(slope) > 10 * error
