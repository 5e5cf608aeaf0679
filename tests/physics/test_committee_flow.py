"""The flow of committees against public implementations, the chain and the flow of one unit."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, NoClosedForm, NotConverged
from statmech_bn.online.flow import committee
from statmech_bn.online.flow.adaptive import FINISHED, STOPPED, Problem
from statmech_bn.online.flow.committee import CommitteeFlow
from statmech_bn.online.flow.committee_rates import pack
from statmech_bn.online.flow.committee_trajectory import Learner, integrate
from statmech_bn.online.flow.derivatives import flow_function

sys.path.insert(0, str(Path(__file__).parent))
from committees import CASES, NAMES, setup_and_run

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
SAAD_SOLLA = json.loads((Path(__file__).parent / "reference_saad_solla.json").read_text())["cases"]


def matrices(overlap, length, gamma):
    """Write one unit as a committee."""
    return sbn.OrderParameters(
        student_teacher=[[overlap * length]], student_student=[[length**2]], gamma=[gamma]
    )


@pytest.mark.parametrize("case", SAAD_SOLLA, ids=lambda case: case["case"])
def test_a_public_implementation_of_saad_and_solla(case):
    """Its Euler steps are extrapolated, and its numbers are rounded to 10⁻⁵."""
    teacher = np.array(case["teacher_teacher"])
    setup = sbn.TeacherStudent(
        "erf", "none", 1, case["label_noise"], student_units=len(case["student_student"]),
        teacher_units=len(teacher), teacher_overlaps=teacher,
    )  # fmt: skip
    start = sbn.OrderParameters(
        student_teacher=case["student_teacher"], student_student=case["student_student"]
    )
    run = sbn.macroscopic(setup, case["eta"], case["time"], start)
    np.testing.assert_allclose(run["student_teacher"].values[0], case["R"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(run["student_student"].values[0], case["Q"], rtol=0, atol=2e-5)


def check_case(case):
    """Means over runs at N = 3000: within four standard errors and O(1/N)."""
    setup, arguments = setup_and_run(case)
    block = case["large_N"]
    run = sbn.macroscopic(setup, time=block["time"], **arguments)
    for i, moments in enumerate(block["mean, std"]):
        for name in NAMES:
            mean, spread = np.array(moments[name])
            allowed = 4 * spread / np.sqrt(block["runs"]) + 2 / block["dimension"]
            found = run[name].values[0, i]
            assert (np.abs(found - mean) < allowed).all(), (name, found, mean)


@pytest.mark.parametrize("case", [c for c in CASES if "batch" not in c["case"]],
                         ids=lambda case: case["case"])  # fmt: skip
def test_an_independent_chain_at_large_dimension(case):
    check_case(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if "batch" in c["case"]],
                         ids=lambda case: case["case"])  # fmt: skip
def test_an_independent_chain_with_batch_statistics(case):
    check_case(case)


@pytest.mark.parametrize("name", ["linear", "erf", "relu"])
@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_one_unit_through_the_general_path(name, normalization):
    """Derivatives agree to 10⁻¹⁰, where both averages are closed."""
    decay = 0.05 if normalization == "weight" else 0.0
    setup = sbn.TeacherStudent(name, normalization, 3, 0.3, decay, 0.02)
    overlap, length, gamma = 0.35, 1.3, 0.8 if normalization == "weight" else 1.0
    rates = 1.2, 0.7
    one = flow_function(setup, gamma)(overlap, np.log(length), gamma, *rates)
    square = 2 * length**2 * one[1]
    rho = length * (one[0] + overlap * one[1])
    state = pack(
        np.array([[overlap * length]]), np.array([[length**2]]), np.array([gamma]), np.ones(1)
    )
    found = CommitteeFlow(setup, 1.0)(state, np.array([*rates, 0.0]))
    np.testing.assert_allclose(found[:3], [rho, square, one[2]], rtol=1e-10, atol=1e-12)


def test_trajectories_of_one_unit_through_the_general_path():
    setup = sbn.TeacherStudent("relu", "weight", 3, 0.3, 0.05, 0.02)
    time = [0, 0.5, 2, 10]
    one = sbn.macroscopic(setup, [0.4, 1.2], time, sbn.OrderParameters(0.1, 1.3, 0.8), 0.7)
    run = sbn.macroscopic(setup, [0.4, 1.2], time, matrices(0.1, 1.3, 0.8), 0.7)
    length = np.sqrt(run["student_student"].values[..., 0, 0])
    np.testing.assert_allclose(length, one["length"], rtol=1e-7)
    cosine = run["student_teacher"].values[..., 0, 0] / length
    np.testing.assert_allclose(cosine, one["overlap"], atol=1e-7)
    np.testing.assert_allclose(run["gamma"].values[..., 0], one["gamma"], rtol=1e-7)
    np.testing.assert_allclose(run["generalization_error"], one["generalization_error"], atol=1e-7)
    assert (run["averages_error"] == 0).all()


def test_points_and_closed_averages_give_one_trajectory(monkeypatch):
    start = sbn.OrderParameters(
        student_teacher=[[0.3, 0.05], [0.02, 0.25]], student_student=[[0.5, 0.05], [0.05, 0.6]]
    )
    setup = sbn.TeacherStudent("erf", "none", 2, 0.1, student_units=2, teacher_units=2)
    runs = [sbn.macroscopic(setup, 0.8, [1.0, 3.0], start)]

    def no_closed_form(setup):
        raise NoClosedForm("as if it had none")

    monkeypatch.setattr(committee, "closed_system", no_closed_form)
    runs.append(sbn.macroscopic(setup, 0.8, [1.0, 3.0], start))
    assert 0 < runs[1]["averages_error"].max() < 1e-5
    for name in NAMES:
        np.testing.assert_allclose(runs[0][name], runs[1][name], atol=1e-6)


def test_points_are_added_until_an_accuracy_is_reached():
    tried = []

    def integrate(finer):
        tried.append(finer)
        return np.zeros((1, 2)), np.nan, np.array([8e-4, np.inf]) * 2.0**-finer

    _, _, errors = committee.accurate(lambda finer: finer, integrate, 5e-4, 4, True)
    assert (errors[0], tried) == (2e-4, [0, 2])
    with pytest.raises(NotConverged, match=r"known to 5e-05.*accuracy=1e-06.*Ask for 0\.0001"):
        committee.accurate(lambda finer: finer, integrate, 1e-6, 4, True)
    assert tried[2:] == [0, 4]
    _, _, errors = committee.accurate(lambda finer: finer, integrate, 1e-6, 3, False)
    assert errors[0] == 1e-4


def test_points_are_as_many_as_is_asked_for():
    """A unit with its kink away from zero has no closed averages, and no lattice."""
    setup = sbn.TeacherStudent(sp.Max(x, 1), "weight", 2, 0.1, student_units=2, teacher_units=1)
    start = sbn.OrderParameters.random(setup, 100, seed=0)
    run = {"setup": setup, "learning_rate": 0.8, "time": [0.2], "start": start}
    usual = sbn.macroscopic(**run)
    error = usual["averages_error"].item()
    assert 0 < error < 1e-3
    fine = sbn.macroscopic(**run, accuracy=error / 2)
    assert fine["averages_error"].item() <= error / 2
    off = np.abs(usual["student_teacher"] - fine["student_teacher"]).max()
    assert 0 < off < 2 * error
    with pytest.raises(InvalidSetup, match="accuracy: expected None for one unit"):
        sbn.macroscopic(sbn.TeacherStudent(), 1.0, [1.0], sbn.OrderParameters(), accuracy=1e-3)


@pytest.mark.parametrize("inputs", [None, sbn.Spectrum([0.5, 1.5], [0.5, 0.5])], ids=["", "blocks"])
@pytest.mark.thorough
def test_batches_are_known_to_a_thousandth(inputs):
    """E[1/σ⁴] of four samples is infinite, and with it the variance of plain draws."""
    setup = sbn.TeacherStudent("erf", "batch", 4, 0.1, student_units=2, teacher_units=2)
    start = sbn.OrderParameters.random(setup, 100, seed=0)
    run = {"setup": setup, "learning_rate": 0.8, "time": [0.2], "start": start, "inputs": inputs}
    usual = sbn.macroscopic(**run)
    error = usual["averages_error"].item()
    assert 0 < error < 1e-3
    xr.testing.assert_identical(usual, sbn.macroscopic(**run, workers=1))
    fine = sbn.macroscopic(**run, accuracy=0.8 * error)
    assert fine["averages_error"].item() < 0.8 * error
    assert 0 < np.abs(usual["student_teacher"] - fine["student_teacher"]).max() < 1e-4


def test_a_schedule_is_followed():
    """Halved after t = 1: the rest is the run at half the rate that starts there."""
    setup = sbn.TeacherStudent(
        "erf", "weight", 2, 0.1, student_units=2, teacher_units=2, readout="learned"
    )
    start = sbn.OrderParameters.random(setup, dimension=500, seed=1)
    schedule = sbn.schedules.step([1.0], 0.5)
    run = sbn.macroscopic(setup, 1.0, [1.0, 3.0], start, 0.5, schedule=schedule)
    middle = sbn.OrderParameters(
        **{name: run[name].values[0, 0] for name in NAMES[:2]},
        gamma=run["gamma"].values[0, 0], readout=run["readout"].values[0, 0],
    )  # fmt: skip
    rest = sbn.macroscopic(setup, 0.5, [2.0], middle, 0.25)
    for name in NAMES:
        np.testing.assert_allclose(run[name].values[0, 1], rest[name].values[0, 0], atol=1e-7)


def test_a_committee_that_diverges_is_a_result():
    setup = sbn.TeacherStudent("linear", "none", 1, student_units=2, teacher_units=2)
    start = sbn.OrderParameters.random(setup, dimension=1000, seed=0)
    run = sbn.macroscopic(setup, [0.2, 9.0], [1.0, 1000.0], start)
    assert np.isnan(run["diverged_at"].values[0])
    assert 0 < run["diverged_at"].values[1] < 1000
    assert np.isinf(run["student_student"].values[1, 1]).all()
    assert np.isinf(run["generalization_error"].values[1, 1])
    assert np.isfinite(run["student_student"].values[0]).all()


def test_a_trajectory_ends_when_it_is_told_to():
    setup = sbn.TeacherStudent("erf", "none", 1, student_units=2, teacher_units=2)
    start = sbn.OrderParameters.random(setup, dimension=1000, seed=0)
    first, time = pack(*start.matrices(setup)), np.array([1.0])
    problem = Problem(first, np.array([0.0, 1.0]), np.ones((1, 1)), time, 100.0)
    learner = Learner(committee.closed_system(setup), np.array([0.5, 0.0, 0.0]))
    for told, ended in ((True, STOPPED), (False, FINISHED)):
        states = np.full((first.size, 1), np.inf)
        found = integrate(learner, problem, states, np.array([told]))
        assert found == (ended, 0.0 if told else 1.0)
        assert np.isfinite(states).all() == (not told)


def test_what_is_not_known_is_refused():
    setup = sbn.TeacherStudent("relu", "weight", 2, student_units=2, teacher_units=2)
    matrices = {"student_teacher": np.zeros((2, 2)), "student_student": np.eye(2)}
    with pytest.raises(InvalidSetup, match=r"start\.gamma"):
        sbn.macroscopic(setup, 1.0, [1.0], sbn.OrderParameters(**matrices, gamma=[0.0, 1.0]))


def test_the_chain_at_large_dimension_follows_the_flow():
    """tanh, K = 2, K* = 1: averages over a lattice; within four standard errors and O(1/N)."""
    setup = sbn.TeacherStudent(
        "tanh", "weight", 3, 0.2, 0.01, 0.02, student_units=2, readout="learned"
    )
    start = sbn.OrderParameters(
        student_teacher=[[0.2], [0.05]], student_student=[[0.6, 0.1], [0.1, 0.9]],
        gamma=[0.8, 1.1], readout=[0.5, 0.7],
    )  # fmt: skip
    time = [1.0, 3.0]
    flow = sbn.macroscopic(setup, 0.8, time, start)
    chain = sbn.mesoscopic(setup, 0.8, time, start, dimension=1000, replicas=24, seed=2)
    for name in NAMES:
        drawn = chain[name].isel(learning_rate=0)
        allowed = 4 * drawn.std("replica") / np.sqrt(24) + 2 / 1000
        assert (abs(drawn.mean("replica") - flow[name].isel(learning_rate=0)) < allowed).all()
    assert 0 < flow["averages_error"].max() < 1e-5
