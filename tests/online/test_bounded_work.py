"""Every trajectory ends: with values, a recorded divergence, or an error that says why."""

import contextlib
import time

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.online.flow import lsoda
from statmech_bn.online.flow.adaptive import STOPPED

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
EXTREMES = [
    ("relu", "none", 8, {"learning_rate": 1e6}, {}),
    ("tanh", "weight", 8, {"learning_rate": 1e12}, {}),
    ("erf", "weight", 1, {}, {"label_noise": 1e8}),
    ("relu", "batch", 4, {}, {"gamma_decay": 1e9}),
    ("linear", "weight", 4, {}, {"weight_decay": 1e9}),
    ("softplus", "none", 8, {"start": sbn.OrderParameters(0.1, 1e6)}, {}),
    ("linear", "weight", 4, {"start": sbn.OrderParameters(0.1, 1e-50)}, {}),
    ("tanh", "weight", 4, {"start": sbn.OrderParameters(0.1, 1.0, 1e3)}, {}),
    (x / (1 + sp.exp(-x)), "none", 8, {"start": sbn.OrderParameters(0.1, 100.0)}, {}),
]


@pytest.mark.parametrize(("activation", "normalization", "size", "run", "more"), EXTREMES, ids=str)
def test_extreme_arguments_have_an_answer(activation, normalization, size, run, more):
    setup = sbn.TeacherStudent(activation, normalization, size, **more)
    run = {"learning_rate": 0.3, "start": sbn.OrderParameters(0.1), **run}
    begin = time.process_time()
    found = None
    with contextlib.suppress(NotConverged, InvalidSetup):
        found = sbn.macroscopic(setup, time=[0.0, 1.0, 1e3], **run)
    if found is not None:
        alive = found.diverged_at.isnull()
        for name in ("overlap", "length", "gamma", "generalization_error"):
            assert not found[name].isnull().any()
            assert np.isfinite(found[name].isel(time=-1).where(alive, 0.0)).all()
    assert time.process_time() - begin < 60  # it compiles, too


def test_a_derivative_that_is_no_number_stops_at_once():
    schedule = np.array([0.0, 1.0]), np.ones((1, 1))
    arguments = np.ones(2), np.array([0.1, 0.0, 1.0]), schedule, np.array([1.0])
    states, ended, reached = lsoda.integrate(lambda *_: (np.nan, 0.0, 0.0), *arguments)
    assert (ended, reached) == (STOPPED, 0.0)
    assert np.isinf(states).all()


def test_work_is_bounded(monkeypatch):
    monkeypatch.setattr(lsoda, "MOST_EVALUATIONS", 100)
    schedule = np.array([0.0, 1.0]), np.ones((1, 1))

    def rough(overlap, log_length, gamma, *_):
        return np.sin(1e9 * gamma), 0.0, np.cos(1e9 * overlap)

    arguments = np.ones(2), np.array([0.1, 0.0, 1.0]), schedule, np.array([1.0])
    _, ended, reached = lsoda.integrate(rough, *arguments)
    assert ended == STOPPED
    assert 0 <= reached < 1


def test_a_failure_of_the_first_solver_is_no_warning():
    """Warnings are errors here; beyond t = 1/2 the derivative is infinite."""

    def breaks(state, now):
        return np.array([np.inf if now > 0.5 else 1.0])

    states, reached = lsoda.integrate_piece(breaks, np.ones(1), np.array([0.0, 0.25, 1.5]))
    assert reached == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(states, [[1.0, 1.25, np.inf]], atol=1e-9)


CLIP = sp.Max(-1, sp.Min(1, x))
QUICK = [("linear", ("none", "weight", "batch")), ("relu", ("none", "weight", "batch"))]
QUICK += [("tanh", ("none", "weight"))]
SLOW = [*QUICK, ("erf", ("none", "weight", "batch")), (CLIP, ("none", "weight"))]
LONGEST = 20.0
"""Seconds of the processor that one setup may take, compilation included."""


def extreme(rng, lowest=-12, highest=12):
    return float(10 ** rng.uniform(lowest, highest))


def extreme_setup(rng, units):
    """Draw a setup, most of whose numbers are between 1e-12 and 1e12."""
    activation, rules = units[rng.integers(len(units))]
    rule = str(rng.choice(rules))
    scaled = rule != "none"
    noise, penalty, decay = (extreme(rng) * rng.integers(2) for _ in range(3))
    size = int(extreme(rng, np.log10(4), 6))
    return sbn.TeacherStudent(activation, rule, size, noise, penalty if scaled else 0.0, decay)


def run_extreme_setups(seed, number, units):
    """Run the flow of many setups; returns how many had an answer."""
    rng, answered = np.random.default_rng(seed), 0
    for _ in range(number):
        setup = extreme_setup(rng, units)
        gamma = extreme(rng) * rng.choice([-1, 1]) if setup.normalizer.has_scale else 1.0
        start = sbn.OrderParameters(rng.choice([-1.0, 0.1, 1.0]), extreme(rng), gamma)
        rate, end = extreme(rng), extreme(rng, -6, 6)
        begin = time.process_time()
        with contextlib.suppress(NotConverged, InvalidSetup):
            found = sbn.macroscopic(setup, rate, [0.0, end / 2, end], start)
            answered += 1
            alive = found.diverged_at.isnull()
            for name in ("overlap", "length", "gamma"):
                assert not found[name].isnull().any(), (setup, start, rate, end)
                assert np.isfinite(found[name].where(alive, 0.0)).all(), (setup, start, rate, end)
        assert time.process_time() - begin < LONGEST, (setup, start, rate, end)
    return answered


def test_any_legal_setup_ends():
    assert run_extreme_setups(0, 60, QUICK) > 30


@pytest.mark.slow
def test_hundreds_of_legal_setups_end():
    assert run_extreme_setups(1, 400, SLOW) > 200


@pytest.mark.parametrize("iteration", [sbn.rates.equilibrium, sbn.rates.fixed_point])
def test_any_legal_setup_has_an_equilibrium_or_none(iteration):
    rng, answered = np.random.default_rng(7), 0
    units = [("linear", ("weight", "batch")), ("relu", ("weight", "batch")), ("tanh", ("weight",))]
    for _ in range(30):
        setup, rate = extreme_setup(rng, units), extreme(rng)
        begin = time.process_time()
        with contextlib.suppress(NotConverged, InvalidSetup):
            found = iteration(setup, rate)
            answered += 1
            for name in ("overlap", "length", "gamma", "effective_rate"):
                assert not found[name].isnull().any(), (setup, rate)
        assert time.process_time() - begin < LONGEST, (setup, rate)
    assert answered > 3
