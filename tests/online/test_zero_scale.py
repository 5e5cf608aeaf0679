"""The flow from γ = 0, and through it, against the chain, which is exact at every N."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import statmech_bn as sbn
from statmech_bn.averages.choice import Quadrature
from statmech_bn.errors import InvalidSetup

pytestmark = pytest.mark.thorough

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


# g = max(x, x/10) − x² falls on average, and so pulls γ to its kink from both sides.
SINKING = LEAKY - x**2
CLIPPED = LEAKY - 4 * sp.Max(x - sp.Rational(1, 2), 0) - 4 * sp.Max(-x - sp.Rational(1, 2), 0)


@pytest.mark.parametrize("gamma", [-0.2, 0.0, 0.2])
@pytest.mark.parametrize("activation", [SINKING, CLIPPED], ids=["closed", "integrated"])
def test_gamma_that_comes_to_a_kink_drawn_from_both_sides_rests_there(activation, gamma):
    setup = sbn.TeacherStudent(activation, "weight", 8, 0.2, gamma_decay=3.0, weight_decay=0.1)
    start, times = sbn.OrderParameters(0.4, 1.0, gamma), [0.0, 0.1, 1.0, 2.0]
    flow = sbn.macroscopic(setup, 1.0, times, start).isel(learning_rate=0)
    assert (flow["gamma"].values[2:] == 0).all()
    assert flow["gamma"].values[1] * gamma >= 0
    assert flow["overlap"].values[2] == pytest.approx(flow["overlap"].values[3], rel=1e-9)
    decay = flow["length"].values[3] / flow["length"].values[2]
    assert decay == pytest.approx(np.exp(-0.1), rel=1e-9)
    assert_levels_agree(setup, start, times)


# A kink off zero makes LSODA the solver; both start at γ < 0 and pass to γ > 0.
BENT = LEAKY - sp.Max(x - 3, 0) / 2


@pytest.mark.parametrize("activation", [LEAKY, BENT], ids=["closed", "integrated"])
def test_gamma_passes_a_kink_when_drawn_on(activation):
    """Against the flow of an independent solver that stops at γ = 0 and starts again."""
    setup = sbn.TeacherStudent(activation, "weight", 4, 0.3)
    start, times = sbn.OrderParameters(0.8, 1.0, -0.05), [0.05, 0.5, 2.0]
    schedule = sbn.schedules.inverse_time(1.0)
    found = sbn.macroscopic(setup, 1.0, times, start, schedule=schedule)

    averages = Quadrature.for_activation(setup.activation).averages

    def change(now, state, side):
        overlap, length, gamma = state
        scale = side * max(side * gamma, 1e-30)
        drive, pull, noise, label_noise = averages(overlap, scale)
        noise = (noise + 0.09 * label_noise) * scale**2 / (2 * 4 * length**4)
        eta = schedule(now)
        turn = eta * scale / length**2 * drive - eta**2 * overlap * noise
        return [turn, eta**2 * noise * length, eta * pull]

    def reaches_zero(now, state, side):
        return state[2]

    reaches_zero.terminal = True
    tight = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-13}
    first = [0.8, 1.0, -0.05]
    before = solve_ivp(
        change, (0, 2), first, args=(-1,), events=reaches_zero, dense_output=True, **tight
    )
    crossing = before.t[-1]
    assert 0.5 < crossing < 1.5
    after = solve_ivp(change, (crossing, 2), before.y[:, -1], args=(1,), **tight)
    expected = np.column_stack([before.sol(times[0]), before.sol(times[1]), after.y[:, -1]])
    for k, name in enumerate(("overlap", "length", "gamma")):
        np.testing.assert_allclose(found[name].values[0], expected[k], rtol=1e-6)
