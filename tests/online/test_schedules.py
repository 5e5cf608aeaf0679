"""Schedules: the three levels agree under them, and what they are made into is what was asked."""

import copy
import json
import math
import pickle
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.integrate import solve_ivp

import statmech_bn as sbn
from statmech_bn import schedules
from statmech_bn.online.schedules.pieces import value_at
from statmech_bn.online.schedules.schedule import prepare

START = sbn.OrderParameters(0.2, 1.1, 0.7)
TIME = np.array([0.0, 0.3, 1.0, 2.5, 4.0, 10.0])
NAMES = ("overlap", "length", "gamma")
STRONG = schedules.warm_up(1.0, 0.1, then=schedules.step([0.5], 0.2))
EVERY = [
    schedules.constant(0.7),
    schedules.step([1.0, 3.7], 0.2),
    schedules.cosine(4.0, 0.05),
    schedules.inverse_time(0.4),
    STRONG,
    schedules.table([0.5, 2.0, 3.0], [2.0, 0.0, 1.0]),
]


def values(dataset):
    return np.array([dataset[name].isel(learning_rate=0).values for name in NAMES])


def textbook(setup, learning_rate, factor, edges):
    """Integrate the linear student's flow in (ρ, Q, γ), with η(t), piece by piece."""
    M, decay = setup.batch_size, setup.weight_decay

    def change(time, state):
        rho, Q, gamma = state
        eta, L = learning_rate * factor(time), math.sqrt(Q)
        R, scale = rho / L, gamma if setup.normalization == "weight" else L
        A1, A2 = 1 - scale * R, R - scale
        B = 1 - 2 * scale * R + scale**2 + setup.label_noise**2
        if setup.normalization == "weight":
            return [
                eta * gamma / L * (A1 - R * A2) - eta * decay * rho,
                eta**2 * gamma**2 * B / (M * Q) - 2 * eta * decay * Q,
                eta * (A2 - 2 * setup.gamma_decay * gamma),
            ]
        return [
            eta * A1 - eta * decay * rho,
            2 * eta * L * A2 + eta**2 * B / M - 2 * eta * decay * Q,
            0.0,
        ]

    gamma = START.gamma if setup.normalization == "weight" else 1.0
    state, rows = np.array([START.overlap * START.length, START.length**2, gamma]), {}
    edges = [0.0, *edges, TIME[-1]]
    for left, right in pairwise(edges):
        inner = np.unique([*TIME[(left <= TIME) & (right >= TIME)], right])
        inside = np.nextafter(left, right), np.nextafter(right, left)  # s jumps at the edges
        found = solve_ivp(
            lambda t, y, inside=inside: change(min(max(t, inside[0]), inside[1]), y),
            (left, right), state, "DOP853", inner, rtol=1e-11, atol=1e-13,
        )  # fmt: skip
        rows |= dict(zip(inner, found.y.T, strict=True))
        state = found.y[:, -1]
    rho, Q, gamma = np.array([rows[t] for t in TIME]).T
    return np.array([rho / np.sqrt(Q), np.sqrt(Q), gamma])


BY_HAND = [
    lambda t: 0.7,
    lambda t: 0.2 ** ((t >= 1) + (t >= 3.7)),
    lambda t: 0.05 + 0.95 * math.cos(math.pi * min(t, 4) / 8) ** 2,
    lambda t: 0.4 / (0.4 + t),
    lambda t: 0.1 + 0.9 * t if t < 1 else 1 if t < 1.5 else 0.2,
    lambda t: 2 if t < 0.5 else 8 / 3 - 4 * t / 3 if t < 2 else min(t - 2, 1),
]


@pytest.mark.parametrize(("schedule", "by_hand"), list(zip(EVERY, BY_HAND, strict=True)))
def test_factors_by_hand(schedule, by_hand):
    times = [0, 0.25, 0.5, 1, 1.25, 1.5, 2, 2.5, 3.7, 4, 10]
    assert [schedule(t) for t in times] == pytest.approx([by_hand(t) for t in times], abs=1e-15)


@pytest.mark.parametrize("normalization", ["none", "weight"])
@pytest.mark.parametrize("schedule", EVERY, ids=lambda s: s.name)
def test_the_flow_agrees_with_an_independent_integration(normalization, schedule):
    decay = 0.0 if normalization == "none" else 0.05
    setup = sbn.TeacherStudent("linear", normalization, 4, 0.3, decay, 0.1)
    start = START if normalization == "weight" else sbn.OrderParameters(0.2, 1.1)
    found = sbn.macroscopic(setup, 1.3, TIME, start, schedule=schedule)
    edges = [t for t in schedule.breakpoints if 0 < t < TIME[-1]]
    wanted = textbook(setup, 1.3, schedule, edges)
    np.testing.assert_allclose(values(found), wanted, rtol=1e-7)


def test_activations_without_series_follow_the_schedule_too():
    """LSODA on integrated averages, and Rodas5P on closed ones, of one and the same unit."""
    x = sbn.symbolic.u
    relu = sbn.TeacherStudent("relu", "weight", 4, label_noise=0.3)
    bent = sbn.TeacherStudent(max_with_a_kink(x), "weight", 4, label_noise=0.3)
    schedule = schedules.step([0.5, 2.0], 0.3)
    fast, slow = (
        sbn.macroscopic(setup, 1.3, TIME[:4], START, schedule=schedule) for setup in (relu, bent)
    )
    np.testing.assert_allclose(values(slow), values(fast), rtol=2e-6)


def max_with_a_kink(x):
    """Return ReLU but for a bend by a part in 10⁹ at 1/2, which rules a series out."""
    import sympy as sp

    return sp.Max(x, 0) + sp.Float(1e-9) * sp.Max(x - sp.Rational(1, 2), 0)


@pytest.mark.thorough
@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
@pytest.mark.parametrize("schedule", EVERY[1:5], ids=lambda s: s.name)
def test_the_chain_agrees_with_the_flow(normalization, schedule):
    """Means of 60 runs at N = 4000 within 4.5 standard errors and O(1/N)."""
    setup = sbn.TeacherStudent("relu", normalization, 8, label_noise=0.3, weight_decay=0.2)
    start = START if normalization != "none" else sbn.OrderParameters(0.2, 1.1)
    run = {"learning_rate": 2.0, "time": TIME[1:5], "start": start, "schedule": schedule}
    flow = values(sbn.macroscopic(setup, **run))
    chain = values(sbn.mesoscopic(setup, dimension=4000, replicas=60, **run))
    error = chain.std(axis=1, ddof=1) / np.sqrt(60)
    assert (np.abs(chain.mean(axis=1) - flow) < 4.5 * error + 1e-3).all()
    plain = values(sbn.macroscopic(setup, **{**run, "schedule": None}))
    assert np.abs(plain - flow).max() > 0.02  # so that the comparison means something


@pytest.mark.thorough
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_network_and_chain_have_the_same_law(normalization):
    setup = sbn.TeacherStudent("relu", normalization, 5, label_noise=0.3, weight_decay=0.3)
    start = sbn.OrderParameters(0.3, 0.9)
    run = {"learning_rate": 2.0, "time": [2.0], "start": start, "dimension": 12}
    chain = sbn.mesoscopic(setup, replicas=3000, seed=1, schedule=STRONG, **run)
    network = sbn.microscopic(setup, replicas=1000, seed=2, schedule=STRONG, **run)
    plain = sbn.mesoscopic(setup, replicas=3000, seed=1, **run)
    smallest = 1.0
    for name in NAMES[: 2 if normalization == "none" else 3]:
        a, b, other = (d[name].values.ravel() for d in (network, chain, plain))
        assert stats.ks_2samp(a, b).pvalue > 1e-5
        assert stats.ttest_ind(a, b, equal_var=False).pvalue > 1e-5
        smallest = min(smallest, stats.ks_2samp(a, other).pvalue)
    assert smallest < 1e-10  # the schedule makes a difference


def levels(setup, learning_rate, **more):
    """Run the three levels with the same arguments."""
    run = {"time": TIME[:4], "start": START, **more}
    finite = {"dimension": 40, "replicas": 2, "seed": 3}
    yield sbn.macroscopic(setup, learning_rate, **run)
    yield sbn.mesoscopic(setup, learning_rate, **run, **finite)
    yield sbn.microscopic(setup, learning_rate, **run, **finite)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_constant_schedule_is_none_bit_for_bit(activation):
    setup = sbn.TeacherStudent(activation, "batch", 6, 0.3, 0.05, 0.1)
    without = levels(setup, [0.5, 2.0])
    constant = levels(setup, [0.5, 2.0], schedule=schedules.constant())
    halved = levels(setup, [1.0, 4.0], schedule=lambda _: 0.5)
    for one, other, half in zip(without, constant, halved, strict=True):
        assert "schedule" not in one.attrs
        xr.testing.assert_equal(one, other)
        for name in NAMES:
            np.testing.assert_array_equal(one[name], half[name])


def test_a_table_is_the_callable_that_it_tabulates():
    """Bends and jumps that nobody declared are found."""
    setup = sbn.TeacherStudent("erf", "weight", 6, 0.3, 0.05, 0.1)
    times, factors = [0.31, 1.17, 2.0], [1.5, 0.2, 0.8]
    table = levels(setup, 1.3, schedule=schedules.table(times, factors))
    bare = levels(setup, 1.3, schedule=lambda t: np.interp(t, times, factors))
    for one, other in zip(table, bare, strict=True):
        np.testing.assert_allclose(values(one), values(other), rtol=1e-8)
    step = levels(setup, 1.3, schedule=schedules.step(1.17, 0.1))
    bare = levels(setup, 1.3, schedule=lambda t: 1.0 if t < 1.17 else 0.1)
    for one, other in zip(step, bare, strict=True):
        np.testing.assert_allclose(values(one), values(other), rtol=1e-8)


@pytest.mark.parametrize("schedule", EVERY, ids=lambda s: s.name)
def test_pieces_are_the_schedule(schedule):
    (edges, factors), _ = prepare(schedule, TIME)
    times = np.linspace(0, TIME[-1], 2000, endpoint=False)
    found = [value_at(edges, factors, t) for t in times]
    np.testing.assert_allclose(found, [schedule(t) for t in times], rtol=1e-10, atol=1e-12)
    assert len(factors) < 20


def test_a_step_takes_the_factor_at_its_beginning():
    """No step that begins at t ≥ 1 moves a student whose learning rate is zero from then on."""
    setup = sbn.TeacherStudent("relu", "weight", 4, label_noise=0.3, weight_decay=0.1)
    time = np.array([0.95, 1.0, 1.05, 2.0])
    for run in (sbn.mesoscopic, sbn.microscopic):
        found = run(setup, 1.0, time, START, 20, schedule=schedules.step(1.0, 0.0))
        overlap = found.overlap.values[0, 0]
        assert overlap[0] != overlap[1]
        np.testing.assert_allclose(overlap[1:], overlap[1], rtol=1e-12)
        late = run(setup, 1.0, [0.05, 0.1], START, 20, schedule=lambda t: float(t >= 0.05))
        moved = late.length.values[0, 0]
        assert moved[0] == pytest.approx(START.length, rel=1e-12)
        assert moved[1] != moved[0]


def test_a_schedule_can_stop_a_divergence_and_start_one():
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1)
    run = {"time": np.linspace(0, 200, 9), "start": sbn.OrderParameters()}
    calm = sbn.macroscopic(setup, 8.0, schedule=schedules.step(3.0, 0.1), **run)
    assert np.isnan(calm.diverged_at).all()
    assert calm.generalization_error[0, -1] < 0.1
    wild = sbn.macroscopic(setup, 8.0, schedule=schedules.table([100, 101], [0.1, 1.0]), **run)
    assert 101 < wild.diverged_at.item() < 200
    assert np.isfinite(wild.length.sel(time=slice(0, 100))).all()
    assert np.isposinf(wild.length[0, -1])


def test_attributes_describe_the_schedule():
    setup = sbn.TeacherStudent("linear", "weight", 4)
    for schedule in EVERY:
        for found in levels(setup, 1.0, schedule=schedule):
            assert json.loads(found.attrs["schedule"]) == schedule.to_attrs()

    def halving(t):
        return 0.5**t

    for found in levels(setup, 1.0, schedule=halving):
        described = json.loads(found.attrs["schedule"])
        assert described["name"] == "halving"
        np.testing.assert_allclose(described["factor"], 0.5 ** np.array(described["time"]))


def test_bad_schedules_are_named():
    setup = sbn.TeacherStudent("linear", "weight", 4)
    invalid = sbn.errors.InvalidSetup

    def run(schedule):
        return list(levels(setup, 1.0, schedule=schedule))

    for schedule, expected in [
        (0.5, "callable"),
        (lambda t: "fast", "finite|number"),
        (lambda t: None, "number"),
        (lambda t: 1 - t, "≥ 0"),
        (lambda t: math.inf if t > 1 else 1.0, "finite"),
        (lambda t: 0.0, "not zero at all times"),
        (lambda t: math.sin(1e9 * t) ** 2, "smooth"),
    ]:
        with pytest.raises(invalid, match=f"schedule.*: .*({expected})"):
            run(schedule)
    for make in (
        lambda: schedules.constant(0.0),
        lambda: schedules.constant("a"),
        lambda: schedules.step([2.0, 1.0]),
        lambda: schedules.step([1.0, 1.0]),
        lambda: schedules.warm_up(1.0, -0.1),
        lambda: schedules.Schedule("own", math.cosh, (-1.0,)),
        lambda: schedules.step(1.0, -0.1),
        lambda: schedules.cosine(0.0),
        lambda: schedules.cosine(1.0, math.nan),
        lambda: schedules.inverse_time(0.0),
        lambda: schedules.warm_up(0.0),
        lambda: schedules.warm_up(1.0, then=0.3),
        lambda: schedules.table([0, 1], [1.0]),
        lambda: schedules.table([0, 1], [1.0, -1.0]),
    ):
        with pytest.raises(invalid):
            make()
    for make in (lambda: schedules.step(-1.0), lambda: schedules.table([-1.0, 1.0], [1.0, 1.0])):
        with pytest.raises(invalid, match=r"^time: "):
            make()


def final_overlap(learning_rate, schedule):
    """Return R at the end."""
    setup = sbn.TeacherStudent("linear", "weight", 4)
    run = sbn.macroscopic(setup, learning_rate, TIME, START, schedule=schedule)
    return run[["overlap"]].isel(learning_rate=0, time=-1, drop=True)


@pytest.mark.parametrize("schedule", EVERY, ids=lambda s: s.name)
def test_schedules_are_pickled_compared_and_swept(schedule, tmp_path):
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert copy.deepcopy(schedule) == schedule
    assert [again(t) for t in TIME] == [schedule(t) for t in TIME]
    assert [schedule == other for other in EVERY].count(True) == 1
    grid, path = {"learning_rate": [0.3, 1.0]}, tmp_path / "run.zarr"
    found = sbn.sweep(partial(final_overlap, schedule=schedule), grid, path, workers=1)
    wanted = [final_overlap(rate, schedule).overlap for rate in grid["learning_rate"]]
    np.testing.assert_array_equal(found.overlap, wanted)
    sbn.sweep(partial(final_overlap, schedule=again), grid, path, workers=1)
    other = schedules.cosine(4.0, 0.06) if schedule.name == "cosine" else EVERY[2]
    with pytest.raises(sbn.errors.InvalidStore, match=r"schedule\.parameters"):
        sbn.sweep(partial(final_overlap, schedule=other), grid, path, workers=1)


def test_schedules_of_ones_own_follow_their_callable():
    own = schedules.Schedule("own", math.cosh, (1.0,))
    assert own != schedules.Schedule("own", math.sinh, (1.0,))
    assert schedules.Schedule("own", math.cosh, [1, 2]).breakpoints == (1.0, 2.0)
    assert pickle.loads(pickle.dumps(own)) == own
    assert schedules.warm_up(1.0, then=own)(2.0) == math.cosh(1.0)
    assert schedules.warm_up(1.0, then=schedules.constant(0.5))(1.0) == 0.5  # from a jump on
    for name, factor in (("sinus", None), ("own", 0.5), (3, math.cosh)):
        with pytest.raises(sbn.errors.InvalidSetup, match=r"^(factor|name): "):
            schedules.Schedule(name, factor)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "cosine"},
        {"name": "cosine", "parameters": {"duration": 1.0}},
        {"name": "constant", "parameters": {"factor": 1.0, "time": 0.0}},
        {"name": "own", "factor": math.cosh, "parameters": {"name": "another"}},
        {"name": "own", "factor": math.cosh, "parameters": {3: 1}},
        {"name": "own", "factor": math.cosh, "parameters": ["a"]},
    ],
)
def test_parameters_belong_to_their_schedule(arguments):
    with pytest.raises(sbn.errors.InvalidSetup, match="parameters: expected"):
        schedules.Schedule(**arguments)


def test_parameters_of_ones_own_are_kept_or_refused():
    own = schedules.Schedule("own", math.cosh, parameters={"a": np.float64(1), "b": np.arange(2)})
    assert json.loads(prepare(own, TIME)[1]) == {"name": "own", "a": 1.0, "b": [0, 1]}
    with pytest.raises(sbn.errors.InvalidSetup, match="JSON"):
        prepare(schedules.Schedule("own", math.cosh, parameters={"a": object()}), TIME)
    assert json.loads(prepare(partial(math.pow, 0.5), TIME)[1])["name"] == "partial"


def test_what_shows_at_a_hundredth_of_the_duration_is_found():
    found, _ = prepare(lambda t: 1.0 + (abs(t - 3.8) < 1e-3), TIME)
    assert value_at(*found, 3.8) == 2.0
    assert value_at(*found, 3.81) == 1.0
