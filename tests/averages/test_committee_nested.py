"""Nested integrals over a committee's fields, against closed forms, points and finer rules."""

import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from statmech_bn.activations import activation
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee import committee_averages
from statmech_bn.averages.committee_nested import ORDERS, finer_orders, over_nested, serves
from statmech_bn.averages.committee_points import over_points, sobol_points
from statmech_bn.teacher_student import TeacherStudent

sys.path.insert(0, str(Path(__file__).parent))
from test_committee_averages import GAMMA, GRAM, OMEGA, closed, mean_and_error

pytestmark = pytest.mark.thorough

MAXIMUM = sp.Max(sp.Symbol("x"), 1)


def state(rho, q, scales, teacher=None):
    """Return the covariance of x = (h*, h), s and ω of a student with readouts 1/K."""
    rho, q, scales = np.array(rho), np.array(q), np.array(scales)
    students, teachers = rho.shape
    teacher = np.eye(teachers) if teacher is None else np.array(teacher)
    omega = np.concatenate([np.ones(teachers), -np.ones(students) * teachers / students])
    return np.block([[teacher, rho.T], [rho, q]]), scales, omega


STATES = {
    "two of two": (GRAM, GAMMA, OMEGA),
    "one of one": state([[0.5]], [[1.2]], [1.3]),
    "one of two": state([[0.5, -0.3]], [[1.2]], [1.3]),
    "one of three": state([[0.5, 0.3, 0.2]], [[1.2]], [1.3]),
    "three of one": state(
        [[0.5], [0.3], [0.2]], [[1, 0.3, 0.2], [0.3, 1, 0.5], [0.2, 0.5, 1]], [1.3, 1, -0.7]
    ),
    "a correlated teacher": state(
        [[0.5, 0.49], [0.49, 0.4]], [[0.9, 0.3], [0.3, 0.7]], [1, 1.1], [[1, 0.9], [0.9, 1]]
    ),
    "nearly learnt": state([[0.99, 0.03], [0.02, 0.99]], [[1, 0.05], [0.05, 1]], [1, 1.02]),
    "units alike": state([[0.5, 0.49], [0.49, 0.5]], [[0.5, 0.495], [0.495, 0.5]], [1, 1.02]),
    "units the same": state(np.full((2, 2), 0.5), np.full((2, 2), 0.5), [1, 1]),
}


def distance(rules, better, gram):
    """Return how far two averages are apart, as `statmech_bn.averages.committee` measures it."""
    own, fields = np.sqrt(np.diag(better[1])), np.sqrt(np.diag(gram))
    largest = np.outer(own, fields), np.outer(own, own)
    return max(
        np.abs((a - b) / m).max() for a, b, m in zip(rules[:2], better[:2], largest, strict=True)
    )


def nested(name, place, orders=ORDERS):
    """Return the averages, and how far the two rules are apart."""
    gram = STATES[place][0]
    found = mean_and_error(over_nested(Quadrature.for_activation(name), orders, *STATES[place]))
    means, errors = zip(*found, strict=True)
    apart = distance([m + e for m, e in found[:2]], means, gram)
    return means, errors, apart


@pytest.mark.parametrize("name", ["relu", "erf"])
@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_closed_averages_are_reproduced(name, normalization):
    rule = Quadrature.for_activation(activation(name))
    scales = GAMMA if normalization == "weight" else np.sqrt(np.diag(GRAM)[2:])
    found = mean_and_error(over_nested(rule, ORDERS, GRAM, scales, OMEGA))
    known = closed(name, normalization)
    for (mean, _), value in zip([found[0], found[1], *found[3:]], known, strict=True):
        np.testing.assert_allclose(mean, value, rtol=0, atol=1e-6 * np.abs(value).max())


@pytest.mark.parametrize("place", ["two of two", "one of three", "three of one", "nearly learnt"])
@pytest.mark.parametrize(("name", "wide"), [("hard_tanh", 1), (MAXIMUM, 1), ("tanh", 3)])
def test_points_say_the_same(name, wide, place):
    """Within four of the standard errors that four scramblings of Sobol' points have."""
    rule = Quadrature.for_activation(activation(name))
    gram, scales, omega = STATES[place]
    at = gram, wide * scales, omega
    found = mean_and_error(over_nested(rule, ORDERS, *at))
    points = sobol_points(1, len(gram), 4)
    drawn = mean_and_error(over_points(rule.value_and_slope, points, *at))
    for (mean, _), (other, error) in zip(found, drawn, strict=True):
        assert np.linalg.norm(mean - other) < 4 * np.linalg.norm(error) + 1e-9
    assert distance([m + e for m, e in found], [m for m, _ in found], gram) < 1e-5


@pytest.mark.parametrize("place", STATES)
@pytest.mark.parametrize("name", ["hard_tanh", MAXIMUM, "tanh"])
def test_the_error_is_what_it_is_said_to_be(name, place):
    """Three rules of rising order: each is nearer to the finest than it says."""
    name = activation(name)
    best = nested(name, place, finer_orders(5))[0]
    for finer in (0, 1):
        means, _, apart = nested(name, place, finer_orders(finer))
        assert distance(means, best, STATES[place][0]) < apart + 2e-7
        assert apart < 1e-5


def test_averages_are_those_of_the_higher_order():
    """Whatever the lower one, whose distance is the standard error."""
    rule = Quadrature.for_activation(activation("hard_tanh"))
    here, there = (over_nested(rule, (low, 7), GRAM, GAMMA, OMEGA) for low in (4, 6))
    for (mean, error), (same, _), low in zip(
        mean_and_error(here), mean_and_error(there), here[0], strict=True
    ):
        np.testing.assert_allclose(mean, same, rtol=1e-12)
        np.testing.assert_allclose(error, np.abs(low - mean), rtol=1e-6)


def test_few_fields_of_units_with_kinks_are_known_to_a_hundred_thousandth():
    setup = TeacherStudent("hard_tanh", "weight", 2, 0.1, student_units=2, teacher_units=2)
    found = committee_averages(setup, 1.2)(GRAM, GAMMA, OMEGA)
    assert 0 < found.error < 1e-5
    finer = committee_averages(setup, 1.2, finer=2)(GRAM, GAMMA, OMEGA)
    assert 0 < finer.error < found.error / 10
    assert np.abs(found.sums.along - finer.sums.along).max() < found.error


def test_what_is_not_integrated():
    """Five fields, units that grow exponentially and that are wider than nodes can follow."""
    tanh, kinked = (Quadrature.for_activation(activation(g)) for g in ("tanh", "hard_tanh"))
    grown = Quadrature.for_activation(activation(sp.exp(sp.Symbol("x") / 2)))
    assert [serves(tanh, *wide) for wide in [(4, 3.0), (4, 30.0), (3, 30.0)]] == [True, False, True]
    assert [serves(kinked, *wide) for wide in [(4, 30.0), (5, 1.0)]] == [True, False]
    assert not serves(grown, 2, 1.0)
