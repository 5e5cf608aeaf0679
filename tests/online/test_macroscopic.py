"""The flow: its accuracy against an independent solver, its limits, its symmetries."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import statmech_bn as sbn
from statmech_bn.averages.choice import Quadrature
from statmech_bn.errors import NotConverged

x = sp.Symbol("x")
ELU = sp.Piecewise((x, x > 0), (sp.exp(x) - 1, True))
TIME = np.array([0.0, 0.5, 2.0, 10.0, 100.0])
START = sbn.OrderParameters(0.1, 1.3, 0.6)


def independent(setup, learning_rate, start):
    """Integrate the textbook form in (ρ, Q, γ) by DOP853, averages integrated at each state."""
    rule = Quadrature.for_activation(setup.activation)
    fine = replace(rule, refinement=2 * rule.refinement)
    averages = fine.averages
    if setup.normalization == "batch":
        averages = partial(rule.batch_averages, batch_size=setup.batch_size)
    normalized = setup.normalization != "none"
    size, eta = setup.batch_size, learning_rate

    def change(_time, state):
        rho, q, gamma = state
        length = np.sqrt(q)
        overlap = rho / length
        scale = gamma if normalized else length
        drive, pull, noise, label_noise = averages(min(1.0, overlap), scale)
        noise += setup.label_noise**2 * label_noise
        if normalized:
            return [
                eta * gamma / length * drive - eta * setup.weight_decay * rho,
                eta**2 * gamma**2 * noise / (size * q) - 2 * eta * setup.weight_decay * q,
                eta * (pull - 2 * setup.gamma_decay * gamma),
            ]
        return [
            eta * (drive + overlap * pull) - eta * setup.weight_decay * rho,
            2 * eta * length * pull + eta**2 * noise / size - 2 * eta * setup.weight_decay * q,
            0.0,
        ]

    first = [start.overlap * start.length, start.length**2, start.gamma]
    found = solve_ivp(change, (0, 100), first, "DOP853", TIME, rtol=1e-9, atol=1e-11)
    rho, q, gamma = found.y
    return rho / np.sqrt(q), np.sqrt(q), gamma


@pytest.mark.parametrize(
    "activation",
    [
        "linear",
        "relu",
        "erf",
        *(pytest.param(g, marks=pytest.mark.thorough) for g in ("tanh", "softplus", ELU)),
    ],
    ids=str,
)
@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_relative_accuracy_is_1e_6(normalization, activation):
    decay = 0.0 if normalization == "none" else 0.02
    setup = sbn.TeacherStudent(activation, normalization, 4, 0.3, decay, 0.01)
    start = START if normalization == "weight" else sbn.OrderParameters(0.1, 1.3)
    found = sbn.macroscopic(setup, 0.8, TIME, start).isel(learning_rate=0)
    for name, wanted in zip(
        ("overlap", "length", "gamma"), independent(setup, 0.8, start), strict=True
    ):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("activation", "batch_size"),
    [
        ("relu", 32),
        ("erf", 8),
        pytest.param("tanh", 32, marks=pytest.mark.thorough),
        pytest.param("softplus", 5, marks=pytest.mark.thorough),
    ],
)
def test_relative_accuracy_of_batch_is_1e_6(activation, batch_size):
    """The series that stands in for the integrals costs no accuracy."""
    setup = sbn.TeacherStudent(activation, "batch", batch_size, 0.3)
    found = sbn.macroscopic(setup, 0.8, TIME, START).isel(learning_rate=0)
    for name, wanted in zip(
        ("overlap", "length", "gamma"), independent(setup, 0.8, START), strict=True
    ):
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "activation", ["linear", "relu", pytest.param("tanh", marks=pytest.mark.thorough)]
)
def test_batch_becomes_weight_normalization(activation):
    """At M → ∞ the two flows agree, with a difference of order 1/M."""
    start = sbn.OrderParameters(0.2, 1.0, 0.8)
    time = np.linspace(0, 5, 6)
    differences = []
    for batch_size in (100, 1000):
        batch, weight = (
            sbn.macroscopic(sbn.TeacherStudent(activation, n, batch_size), 1.0, time, start)
            for n in ("batch", "weight")
        )
        differences.append(float(np.abs(batch.overlap - weight.overlap).max()))
        assert differences[-1] < 3 / batch_size
    assert differences[1] == pytest.approx(differences[0] / 10, rel=0.1)


def test_many_learning_rates_are_independent():
    setup = sbn.TeacherStudent("relu", "weight", 4, label_noise=0.2)
    rates = np.geomspace(0.01, 1e6, 9)
    together = sbn.macroscopic(setup, rates, TIME, START, gamma_learning_rate=1.0)
    assert np.isnan(together.diverged_at).all()
    assert np.isfinite(together.generalization_error).all()
    alone = sbn.macroscopic(setup, rates[4], TIME, START, gamma_learning_rate=1.0)
    np.testing.assert_array_equal(together.overlap[4], alone.overlap[0])


@given(factor=st.floats(0.05, 20), activation=st.sampled_from(["linear", "relu", "erf"]))
def test_scale_invariance(factor, activation):
    setup = sbn.TeacherStudent(activation, "weight", 6, label_noise=0.2, gamma_decay=0.01)
    one, other = (
        sbn.macroscopic(setup, a**2, TIME, sbn.OrderParameters(0.2, a, 0.7), 0.5)
        for a in (1.0, factor)
    )
    np.testing.assert_allclose(one.overlap, other.overlap, rtol=1e-6)
    np.testing.assert_allclose(one.gamma, other.gamma, rtol=1e-6)
    np.testing.assert_allclose(factor * one.length, other.length, rtol=1e-6)


@pytest.mark.parametrize("activation", ["linear", "relu", "erf", "tanh"])
def test_opposite_gamma_and_overlap_are_the_same_student(activation):
    setup = sbn.TeacherStudent(activation, "weight", 6, label_noise=0.2)
    one = sbn.macroscopic(setup, 1.0, TIME, sbn.OrderParameters(0.4, 1.0, 0.9))
    other = sbn.macroscopic(setup, 1.0, TIME, sbn.OrderParameters(-0.4, 1.0, -0.9))
    np.testing.assert_allclose(one.overlap, -other.overlap, rtol=1e-6)
    np.testing.assert_allclose(one.gamma, -other.gamma, rtol=1e-6)
    np.testing.assert_allclose(one.generalization_error, other.generalization_error, rtol=1e-5)


def test_linear_vanilla_student_diverges_beyond_twice_the_batch_size():
    setup = sbn.TeacherStudent("linear", "none", 4, label_noise=0.1)
    time = np.linspace(0, 3000, 31)
    found = sbn.macroscopic(setup, [7.9, 8.1, 20.0, 1e4], time, sbn.OrderParameters())
    assert np.isfinite(found.generalization_error[0]).all()
    error = found.generalization_error[1]
    assert error[-1] > 10 * error[1]
    assert np.isnan(found.diverged_at[:1]).all()
    for k in (2, 3):
        wild = found.isel(learning_rate=k)
        after = wild.time >= wild.diverged_at
        assert after.any()
        assert np.isposinf(wild.length[after]).all()
        assert np.isfinite(wild.length[~after]).all()


def test_blow_up_at_a_finite_time_is_recorded():
    """A cubic student's length becomes infinite in a finite time."""
    setup = sbn.TeacherStudent(x + x**3 / 3, "none", 1, label_noise=0.1)
    found = sbn.macroscopic(setup, 3.0, np.linspace(0, 5, 11), sbn.OrderParameters())
    assert 0 < found.diverged_at.item() < 5
    assert np.isposinf(found.length.isel(time=-1)).all()
    assert np.isfinite(found.length.isel(time=0)).all()


def test_unresolved_activation_is_refused():
    setup = sbn.TeacherStudent(sp.sin(400 * x), "weight", 4)
    with pytest.raises(NotConverged, match="not converged"):
        sbn.macroscopic(setup, 1.0, TIME, START)


@pytest.mark.parametrize("rate", [1e3, 1e5, 1e6])
def test_divergence_at_a_huge_learning_rate_is_recorded(rate):
    """Far out d log L/dt = (η/M)(η/2 − M) of the linear unit, up to the largest length."""
    setup = sbn.TeacherStudent("linear", "none", 8, label_noise=0.5)
    found = sbn.macroscopic(setup, rate, [0.0, 1.0], sbn.OrderParameters(0.05))
    expected = np.log(1e150) / (rate / 8 * (rate / 2 - 8))
    assert found.diverged_at.item() == pytest.approx(expected, rel=0.02)
    assert np.isinf(found.length.isel(time=-1)).all()


@pytest.mark.thorough
@pytest.mark.parametrize("a", [0.5, 1.0, -1.0, 2.0])
@pytest.mark.parametrize(("overlap", "gamma"), [(0.6, 2.0), (-0.3, 0.7), (0.95, 3.0)])
def test_averages_of_exponentials(a, overlap, gamma):
    """exp(az) has its averages far out; all are E[exp(su + th*)] = exp((s² + t² + 2Rst)/2)."""

    def mean(s, t):
        return np.exp(a**2 * (s**2 + t**2 + 2 * overlap * s * t) / 2)

    rule = Quadrature.for_activation(sbn.TeacherStudent(sp.exp(a * x)).activation)
    drive, pull, noise, label_noise = rule.averages(overlap, gamma)
    ours = (
        a**2 * (1 - overlap**2) * mean(gamma, 1),
        a**2 * ((gamma + overlap) * mean(gamma, 1) - 2 * gamma * mean(2 * gamma, 0)),
        a**2 * (mean(2 * gamma, 2) - 2 * mean(3 * gamma, 1) + mean(4 * gamma, 0)),
        a**2 * mean(2 * gamma, 0),
    )
    np.testing.assert_allclose((drive, pull, noise, label_noise), ours, rtol=1e-10)
    error = (mean(0, 2) - 2 * mean(gamma, 1) + mean(2 * gamma, 0)) / 2
    np.testing.assert_allclose(rule.errors(np.array([overlap]), np.array([gamma])), error, 1e-10)


def test_exponentials_that_grow_too_fast_are_refused():
    with pytest.raises(NotConverged, match="grows too fast"):
        Quadrature.for_activation(sbn.TeacherStudent(sp.exp(4 * x)).activation)
    rule = Quadrature.for_activation(sbn.TeacherStudent(sp.exp(x)).activation)
    with pytest.raises(NotConverged, match=r"6\.75"):
        rule.averages(0.5, 7.0)
