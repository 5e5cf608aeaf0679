"""The flow from γ = 0, and through it, against the chain, which is exact at every N."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup

x = sp.Symbol("x")
LEAKY = sp.Max(x, x / 10)
REPLICAS, DIMENSION = 24, 4000
NAMES = ("overlap", "length", "gamma", "generalization_error")


def assert_levels_agree(setup, start, times=(0.0, 0.5, 2.0)):
    """Compare within 4.5 standard errors and 10/N, the chain's distance from N → ∞."""
    flow = sbn.macroscopic(setup, 1.0, times, start).isel(learning_rate=0)
    chain = sbn.mesoscopic(setup, 1.0, times, start, DIMENSION, replicas=REPLICAS)
    chain = chain.isel(learning_rate=0)
    for name in NAMES:
        error = chain[name].std("replica", ddof=1).values / np.sqrt(REPLICAS)
        room = 4.5 * error + 10 / DIMENSION * (1 + abs(flow[name].values))
        distance = abs(chain[name].mean("replica").values - flow[name].values)
        np.testing.assert_array_less(distance, room, err_msg=name)


@pytest.mark.parametrize("overlap", [-1.0, 0.5, 1.0])
@pytest.mark.parametrize(("normalization", "batch_size"), [("weight", 4), ("batch", 32)])
@pytest.mark.parametrize("activation", ["linear", "relu", sp.Abs(x), LEAKY], ids=str)
def test_flow_and_chain_agree_from_zero(activation, normalization, batch_size, overlap):
    setup = sbn.TeacherStudent(activation, normalization, batch_size, 0.3, weight_decay=0.05)
    assert_levels_agree(setup, sbn.OrderParameters(overlap, 1.3, gamma=0.0))


# ReLU's γ < 0 is drawn away from zero, because its labels are not negative.
@pytest.mark.parametrize(("activation", "crosses"), [("relu", False), (LEAKY, True)], ids=str)
def test_flow_and_chain_agree_from_a_negative_gamma(activation, crosses):
    setup = sbn.TeacherStudent(activation, "weight", 4, 0.3)
    start = sbn.OrderParameters(0.8, 1.0, gamma=-0.05)
    found = sbn.macroscopic(setup, 1.0, [0.0, 2.0], start)["gamma"].values
    assert (found[0, 1] > 0) == crosses
    assert_levels_agree(setup, start)


# A kink elsewhere makes LSODA the solver of every state but this one.
@pytest.mark.parametrize("activation", ["relu", sp.Min(sp.Max(x, 0), 1)], ids=str)
@pytest.mark.parametrize("normalization", ["weight", "population", "batch"])
def test_a_student_at_rest_feels_the_weight_decay_alone(normalization, activation):
    setup = sbn.TeacherStudent(activation, normalization, 8, 0.5, 0.1, weight_decay=0.2)
    start, times = sbn.OrderParameters(0.3, 2.0, gamma=0.0), np.array([0.0, 1.5, 4.0])
    schedule = sbn.schedules.step([1.0], 0.5)
    found = sbn.macroscopic(setup, [1.0, 3.0], times, start, schedule=schedule)
    passed = np.where(times > 1, 1 + 0.5 * (times - 1), times)
    rates = np.array([[1.0], [3.0]])
    np.testing.assert_allclose(found["length"], 2 * np.exp(-0.2 * rates * passed), rtol=1e-12)
    assert (found["overlap"] == 0.3).all()
    assert (found["gamma"] == 0).all()
    assert found["diverged_at"].isnull().all()
    state = {"overlap": 0.3, "length": 2.0, "gamma": 0.0}
    assert sbn.rates.effective(setup, state, 1.0) == 0
    assert sbn.rates.maximum(setup, state) == 0  # no learning rate improves it


@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_a_start_from_which_replicas_part_is_refused(normalization):
    setup = sbn.TeacherStudent(LEAKY, normalization, 8)
    start = sbn.OrderParameters(0.0, 1.0, gamma=0.0)
    with pytest.raises(InvalidSetup, match=r"start\.gamma.*small γ ≠ 0"):
        sbn.macroscopic(setup, 1.0, [0.0, 1.0], start)
    chain = sbn.mesoscopic(setup, 1.0, [0.0, 1.0], start, DIMENSION, replicas=REPLICAS)
    last = chain["gamma"].values[0, :, -1]
    assert last.min() < -0.05
    assert last.max() > 0.05
