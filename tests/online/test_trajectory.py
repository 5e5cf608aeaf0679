"""The compiled solver: its order, its interpolation, and what its results do not depend on."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import sympy as sp
import xarray as xr
from scipy.integrate import solve_ivp

import statmech_bn as sbn
from statmech_bn.averages.chebyshev import four_averages
from statmech_bn.averages.choice import field_average_function
from statmech_bn.codegen import numba_vector_function
from statmech_bn.interrupts import Watch
from statmech_bn.online.flow import lsoda
from statmech_bn.online.flow.adaptive import DIVERGED, FINISHED, Problem
from statmech_bn.online.flow.derivatives import compiled_flow, flow_function
from statmech_bn.online.flow.rosenbrock import (
    DIAGONAL,
    NODES,
    STAGES,
    dense_terms,
    factorize,
    interpolate,
    solve,
    solve_stage,
    stage_state,
)
from statmech_bn.online.flow.trajectory import Records, integrate

START = sbn.OrderParameters(0.1, 1.3, 0.6)
TIME = np.array([0.0, 0.5, 2.0, 10.0, 100.0])


def rotor(t, y):
    a, b, c = y
    return np.array([b * c + np.sin(t), -a * c * np.cos(t), -a * b / 2 - 0.3 * c + np.cos(2 * t)])


def slopes(t, y):
    """∂f/∂y and ∂f/∂t of the rotor."""
    a, b, c = y
    jacobian = np.array(
        [[0, c, b], [-c * np.cos(t), 0, -a * np.cos(t)], [-b / 2, -a / 2, -0.3]], dtype=float
    )
    return jacobian, np.array([np.cos(t), a * c * np.sin(t), -2 * np.sin(2 * t)])


def errors_of(steps):
    """Largest errors at the end of Rodas5P on the rotor, inside of its steps, and its estimate."""
    exact = solve_ivp(
        rotor, (0, 2), [0, 1, 1], "DOP853", rtol=1e-13, atol=1e-14, dense_output=True
    ).sol
    size, state, inside = 2 / steps, np.array([0.0, 1.0, 1.0]), 0.0
    for k in range(steps):
        now, found = k * size, np.empty(3)
        jacobian, drift = slopes(now, state)
        factors, increments, terms = np.empty((3, 3)), np.zeros((STAGES, 3)), np.empty((3, 3))
        order, right = np.empty(3, np.int64), np.empty(3)
        factorize(jacobian, 1 / (size * DIAGONAL), factors, order)
        for stage in range(STAGES):
            stage_state(state, increments, stage, found)
            rates = rotor(now + NODES[stage] * size, found)
            solve_stage(factors, order, increments, stage, size, rates, drift, right)
        found += increments[-1]
        dense_terms(increments, terms)
        for part in (0.3, 0.7):
            at = [interpolate(state, found, terms, part, n) for n in range(3)]
            inside = max(inside, np.abs(at - exact(now + part * size)).max())
        state = found
    return np.array([np.abs(state - exact(2.0)).max(), inside, np.abs(increments[-1]).max()])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 41])
def test_linear_equations_of_any_size(size):
    """The first pivot is zero, so that rows must change places; entries differ by decades."""
    generator = np.random.default_rng(size)
    matrix = generator.normal(size=(size, size)) * 10.0 ** generator.integers(-6, 7, (size, 1))
    matrix[0, 0] = 0.0 if size > 1 else matrix[0, 0]
    right, found = generator.normal(size=size), np.empty(size)
    factors, order = np.empty((size, size)), np.empty(size, np.int64)
    factorize(-matrix, 0.0, factors, order)
    solve(factors, order, right, found)
    residual = np.abs(matrix @ found - right) / (np.abs(matrix) @ np.abs(found))
    assert residual.max() < 1e-13


def test_order_five_inside_four_estimate_of_local_order_five():
    coarse, fine = errors_of(20), errors_of(40)
    order = np.log2(coarse / fine)
    assert order[0] > 4.8
    assert order[1] > 3.8
    assert order[2] > 4.5
    assert (fine < 1e-7).all()


def test_stiffness_costs_no_accuracy():
    """γ follows its fixed point at once at η_γ = 10⁷; R as in the limit η_γ → ∞."""
    setup = sbn.TeacherStudent("linear", "weight", 4, label_noise=0.3)
    run = {"learning_rate": 1.0, "time": np.linspace(0.1, 5, 30), "start": START}
    found = sbn.macroscopic(setup, **run, gamma_learning_rate=1e7)
    np.testing.assert_allclose(found.gamma, found.overlap, rtol=1e-6)

    def slaved(_time, state):
        overlap, square = state
        noise = 1 - overlap**2 + 0.3**2  # B at γ = R
        turn = overlap * (1 - overlap**2) / square
        return [
            turn - overlap**3 * noise / (8 * square**2),
            overlap**2 * noise / (4 * square),
        ]

    limit = solve_ivp(
        slaved, (0, 5), [START.overlap, START.length**2], "DOP853", run["time"], rtol=1e-11
    )
    np.testing.assert_allclose(found.overlap[0], limit.y[0], rtol=3e-6)


def test_results_do_not_depend_on_workers_company_or_other_times():
    setup = sbn.TeacherStudent("tanh", "weight", 6, label_noise=0.3)
    rates = np.geomspace(1e-3, 1e5, 70)
    one = sbn.macroscopic(setup, rates, TIME, START, workers=1)
    two = sbn.macroscopic(setup, rates, TIME, START, workers=2)
    xr.testing.assert_identical(one, two)
    alone = sbn.macroscopic(setup, rates[37], TIME, START)
    np.testing.assert_array_equal(alone.overlap[0], one.overlap[37])
    more = sbn.macroscopic(setup, rates, np.union1d(TIME, np.linspace(0, 100, 77)), START)
    np.testing.assert_array_equal(more.sel(time=TIME).overlap, one.overlap)


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
def test_compiled_and_integrated_flows_agree(normalization, activation):
    setup = sbn.TeacherStudent(activation, normalization, 8, 0.3, 0.0, 0.05)
    length = START.length if normalization == "none" else START.gamma
    flow, slow = compiled_flow(setup, length), flow_function(setup, length)
    for overlap, log_length, gamma in [(0.3, 0.2, 0.7), (-0.9, -1.0, 1.9), (0.999, 0.6, 0.05)]:
        point = np.array([overlap, log_length, gamma, 0.7, 1.1, *flow.tail])
        if flow.table.size:
            scale = np.exp(log_length) if flow.of_length else gamma
            sums = np.empty(flow.table.shape[1])
            four_averages(
                flow.table, flow.lengths, flow.lower, flow.upper, overlap, scale, sums, point[9:]
            )
            averages = field_average_function(setup, length)(overlap, scale)
            np.testing.assert_allclose(point[9:], averages, rtol=1e-6, atol=1e-8)
        found = np.empty(3)
        call(flow.derivatives, point, found)
        wanted = slow(overlap, log_length, gamma, 0.7, 1.1)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_averages_go_on_where_their_series_ends(normalization):
    """From γ = 2 on they are integrated, for the same statistics."""
    averages = field_average_function(sbn.TeacherStudent("tanh", normalization, 8), 1.0)
    below, above = averages(0.3, 2.0), averages(0.3, 2.0 + 1e-8)
    np.testing.assert_allclose(below, above, rtol=1e-6)
    assert tuple(below) != tuple(above)


@numba.njit
def call(callback, x, out):
    """Call a C callback, which Python itself cannot."""
    callback(x, out)


def test_a_vector_function_has_its_arguments_in_order():
    a, b = sp.symbols("a b")
    found = np.empty(2)
    call(
        numba_vector_function([a - 2 * b, sp.exp(b) * sp.Max(a, 0)], [b, a]),
        np.array([1.0, 3.0]),
        found,
    )
    np.testing.assert_allclose(found, [1.0, 3 * np.e])


def test_a_student_that_leaves_the_series_is_followed_by_lsoda():
    """tanh without normalization grows beyond the L that the series of its averages covers."""
    setup = sbn.TeacherStudent("tanh", "none", 2, label_noise=1.0)
    start, time = sbn.OrderParameters(0.1), np.linspace(0, 3, 7)
    assert compiled_flow(setup, 1.0).upper == 2.0
    found = sbn.macroscopic(setup, [0.1, 8.0], time, start)
    assert found.length[1].max() > 2.0
    schedule = np.array([0.0, time[-1]]), np.ones((1, 1))
    first = np.array([0.1, 0.0, 1.0])
    for k, rate in enumerate((0.1, 8.0)):
        slow = flow_function(setup, 1.0)
        states, ended, _ = lsoda.integrate(slow, np.array([rate, rate]), first, schedule, time[1:])
        assert ended == FINISHED
        np.testing.assert_allclose(found.overlap[k, 1:], states[0], rtol=1e-6)
        np.testing.assert_allclose(found.length[k, 1:], np.exp(states[1]), rtol=1e-6)


def test_divergence_is_found_where_it_is():
    """Far out, a linear student's length grows with the exponent that the flow has there."""
    setup = sbn.TeacherStudent("linear", "none", 1)
    eta = 20.0
    found = sbn.macroscopic(setup, eta, [0.0, 2.0, 100.0], sbn.OrderParameters(0.0, 1e50))
    growth = eta * (eta / 2 - 1)  # (dL/dt)/L = −η + η²/(2M)
    assert found.diverged_at.item() == pytest.approx(100 * np.log(10) / growth, rel=1e-6)
    assert np.isfinite(found.length[0, 0])
    assert np.isposinf(found.length[0, 1:]).all()


def test_the_kernel_reports_how_a_trajectory_ended():
    flow = compiled_flow(sbn.TeacherStudent("linear", "none", 1), 1.0)
    rates, time = np.array([[0.5, 0.5], [50.0, 50.0]]), np.array([5.0])
    problem = Problem(np.array([0.2, 0.0, 1.0]), np.array([0.0, 5.0]), np.ones((1, 1)), time, 10.0)
    records = Records(np.full((2, 3, 1), np.inf), np.empty(2, dtype=int), np.empty(2))
    integrate(flow, rates, problem, records, Watch(np.zeros(1, bool), np.zeros(1)))
    states, ended, reached = records
    assert ended.tolist() == [FINISHED, DIVERGED]
    assert reached[0] == 5.0
    assert 0 < reached[1] < 5.0
    assert np.isfinite(states[0]).all()
    assert np.isposinf(states[1]).all()


def test_lsoda_may_run_in_several_threads():
    """Threads take turns within a step, where a solver with global numbers would mix them."""

    def relax(rate):
        return lsoda.integrate_piece(
            lambda y, t: [rotor(t, y)[0] - rate * y[0], *rotor(t, y)[1:]],
            np.ones(3), np.linspace(0, 20, 41),
        )[0]  # fmt: skip

    rates, interval = np.linspace(0.3, 100, 16), sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-6)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(relax, rates))
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(found, [relax(rate) for rate in rates])
