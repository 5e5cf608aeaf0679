"""The chain: determinism, huge dimensions, divergence, symmetries."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import statmech_bn as sbn

START = sbn.OrderParameters(0.3, 1.2, 0.8)
SETUP = sbn.TeacherStudent("erf", "batch", 5, label_noise=0.3, gamma_decay=0.02)


def test_results_do_not_depend_on_workers_or_company():
    run = {"time": [0.0, 1.0, 3.0], "start": START, "dimension": 30, "seed": 5}
    one = sbn.mesoscopic(SETUP, [0.5, 2.0], replicas=7, workers=1, **run)
    two = sbn.mesoscopic(SETUP, [0.5, 2.0], replicas=7, workers=2, **run)
    xr.testing.assert_identical(one, two)
    fewer = sbn.mesoscopic(SETUP, [2.0], replicas=3, **run)
    xr.testing.assert_identical(
        one.isel(replica=slice(0, 3), learning_rate=[1]).drop_vars("learning_rate"),
        fewer.drop_vars("learning_rate"),
    )
    other = sbn.mesoscopic(SETUP, [0.5, 2.0], replicas=7, **{**run, "seed": 6})
    assert not np.allclose(one.overlap[:, :, -1], other.overlap[:, :, -1])


def test_the_error_does_not_depend_on_company():
    """ε_g of an activation without closed form: the same bits alone and among many states."""
    setup = sbn.TeacherStudent("tanh", "weight", 4, label_noise=0.3)
    run = {"time": np.linspace(0, 2, 21), "start": START, "dimension": 20}
    many = sbn.mesoscopic(setup, [0.5, 2.0], replicas=20, **run)
    few = sbn.mesoscopic(setup, 2.0, replicas=1, **{**run, "time": [2.0]})
    alone = few.generalization_error.values[0, 0, 0]
    assert alone == many.generalization_error.values[1, 0, -1]


@pytest.mark.parametrize("dimension", [3, 10**12])
def test_dimension_from_three_to_a_trillion(dimension):
    """At N = 10¹² a few steps move R by what the flow says, to its relative precision."""
    setup = sbn.TeacherStudent("relu", "weight", 4, label_noise=0.3)
    time = [0.0, 2000 / dimension]
    found = sbn.mesoscopic(setup, 1.0, time, START, dimension, replicas=50)
    assert np.isfinite(found.overlap).all()
    assert (np.abs(found.overlap) <= 1).all()
    if dimension > 100:
        moved = (found.overlap[0, :, 1] - found.overlap[0, :, 0]) / time[1]
        step = 1e-3
        flow = sbn.macroscopic(setup, 1.0, [0, step], START).overlap[0]
        rate = float(flow[1] - flow[0]) / step
        error = float(moved.std()) / np.sqrt(50)
        assert error < 0.1 * rate
        assert abs(float(moved.mean()) - rate) < 4 * error + step  # O(step) of the difference


def test_divergence_is_a_result():
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1)
    found = sbn.mesoscopic(
        setup, [0.5, 50.0], np.linspace(0, 200, 9), sbn.OrderParameters(), 20, replicas=3
    )
    calm, wild = found.isel(learning_rate=0), found.isel(learning_rate=1)
    assert np.isnan(calm.diverged_at).all()
    assert np.isfinite(calm.generalization_error).all()
    assert ((wild.diverged_at > 0) & (wild.diverged_at < 200)).all()
    for name in ("overlap", "length", "gamma", "generalization_error"):
        assert np.isposinf(wild[name].where(wild.time >= wild.diverged_at, np.inf)).all()
        assert np.isfinite(wild[name].where(wild.time < wild.diverged_at, 0.0)).all()


@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_normalized_students_survive_huge_learning_rates(normalization):
    """η = 10⁶ on the weights: L jumps once, and the chain goes on."""
    setup = sbn.TeacherStudent("relu", normalization, 8, label_noise=0.3)
    found = sbn.mesoscopic(setup, 1e6, [0, 1, 5], START, 200, replicas=5, gamma_learning_rate=1.0)
    assert np.isnan(found.diverged_at).all()
    assert (found.length[..., -1] > 100).all()
    assert np.isfinite(found.generalization_error).all()


@given(
    normalization=st.sampled_from(["weight", "batch"]),
    activation=st.sampled_from(["linear", "relu", "tanh"]),
    factor=st.floats(0.05, 20),
)
def test_scale_invariance(normalization, activation, factor):
    """w(0) → a w(0) with η → a² η leaves R(t) and γ(t) as they are and gives a L(t)."""
    setup = sbn.TeacherStudent(activation, normalization, 6, label_noise=0.2, gamma_decay=0.01)
    run = {"time": np.linspace(0, 2, 5), "dimension": 40, "gamma_learning_rate": 0.5}
    one = sbn.mesoscopic(setup, 1.0, start=sbn.OrderParameters(0.2, 1.0, 0.7), **run)
    other = sbn.mesoscopic(setup, factor**2, start=sbn.OrderParameters(0.2, factor, 0.7), **run)
    np.testing.assert_allclose(one.overlap, other.overlap, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(one.gamma, other.gamma, rtol=1e-8)
    np.testing.assert_allclose(factor * one.length, other.length, rtol=1e-8)


@given(activation=st.sampled_from(["linear", "relu"]), learning_rate=st.floats(0.1, 100))
def test_batch_and_weight_never_shrink_without_decay(activation, learning_rate):
    for normalization in ("weight", "batch"):
        setup = sbn.TeacherStudent(activation, normalization, 4, label_noise=0.2)
        found = sbn.mesoscopic(
            setup, learning_rate, np.linspace(0, 3, 20), START, 25, gamma_learning_rate=0.5
        )
        assert (np.diff(found.length) >= 0).all()


def test_opposite_gamma_and_overlap_are_the_same_student():
    """(u, γ, R) and (−u, −γ, −R) are one system, in law: means within 4 standard errors."""
    run = {"learning_rate": 1.0, "time": [1.0], "dimension": 50, "replicas": 2000}
    setup = sbn.TeacherStudent("relu", "batch", 6, label_noise=0.2)
    one = sbn.mesoscopic(setup, start=sbn.OrderParameters(0.4, 1.0, 0.9), **run)
    other = sbn.mesoscopic(setup, start=sbn.OrderParameters(-0.4, 1.0, -0.9), seed=1, **run)
    for name, sign in (("overlap", -1), ("length", 1), ("gamma", -1)):
        a, b = one[name].values.ravel(), sign * other[name].values.ravel()
        error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / a.size)
        assert abs(a.mean() - b.mean()) < 4 * error
