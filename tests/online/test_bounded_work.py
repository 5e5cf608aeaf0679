"""Every trajectory ends: with values, a recorded divergence, or an error that says why."""

import contextlib
import time

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import z
from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.online.flow import lsoda
from statmech_bn.online.flow.trajectory import STOPPED

x = sp.Symbol("x")
EXTREMES = [
    ("relu", "none", 8, {"learning_rate": 1e6}, {}),
    ("tanh", "weight", 8, {"learning_rate": 1e12}, {}),
    ("erf", "weight", 1, {}, {"label_noise": 1e8}),
    ("relu", "batch", 4, {}, {"gamma_decay": 1e9}),
    ("linear", "weight", 4, {}, {"weight_decay": 1e9}),
    ("softplus", "none", 8, {"start": sbn.OrderParameters(0.1, 1e6)}, {}),
    ("linear", "weight", 4, {"start": sbn.OrderParameters(0.1, 1e-150)}, {}),
    ("tanh", "weight", 4, {"start": sbn.OrderParameters(0.1, 1.0, 1e3)}, {}),
    (x / (1 + sp.exp(-x)), "none", 8, {"start": sbn.OrderParameters(0.1, 100.0)}, {}),
]


@pytest.mark.parametrize(("activation", "normalization", "size", "run", "more"), EXTREMES, ids=str)
def test_extreme_arguments_have_an_answer(activation, normalization, size, run, more):
    setup = sbn.TeacherStudent(activation, normalization, size, **more)
    run = {"learning_rate": 0.3, "start": sbn.OrderParameters(0.1), **run}
    begin = time.monotonic()
    found = None
    with contextlib.suppress(NotConverged, InvalidSetup):
        found = sbn.macroscopic(setup, time=[0.0, 1.0, 1e3], **run)
    if found is not None:
        alive = found.diverged_at.isnull()
        for name in ("overlap", "length", "gamma", "generalization_error"):
            assert not found[name].isnull().any()
            assert np.isfinite(found[name].isel(time=-1).where(alive, 0.0)).all()
    assert time.monotonic() - begin < 60  # it compiles, too


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


@pytest.mark.parametrize("activation", ["tanh", "softplus", x / (1 + sp.exp(-x))], ids=str)
def test_errors_of_large_scales(activation):
    """ε_g at γ above the range of a series, by a plain two-dimensional rule."""
    g = sp.lambdify(z, sbn.activation(activation).expression, "numpy")
    nodes = np.arange(-8, 8.01, 0.02) + 0.007
    u, v = np.meshgrid(nodes, nodes, indexing="ij")
    weight = np.exp(-(u**2 + v**2) / 2)
    weight /= weight.sum()
    for overlap, gamma in ((0.1, 2.5), (0.6, -3.0), (0.9, 5.0)):
        target = g(overlap * u + np.sqrt(1 - overlap**2) * v)
        expected = 0.5 * np.sum(weight * (target - g(gamma * u)) ** 2)
        setup = sbn.TeacherStudent(activation, "weight", 8)
        start = sbn.OrderParameters(overlap, 1.0, gamma)
        for found in (
            sbn.macroscopic(setup, 1e-9, [0, 1e-9], start),
            sbn.mesoscopic(setup, 1e-9, [0.0], start, 100),
            sbn.microscopic(setup, 1e-9, [0.0], start, 100),
        ):
            error = found.generalization_error.values.ravel()[0]
            assert error == pytest.approx(expected, rel=1e-4)
