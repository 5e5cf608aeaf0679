"""The maximum learning rate of committees: one unit, the flow, the chain, and what is known."""

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize(
    ("normalization", "batch_size", "tolerance"),
    [("none", 1, 1e-6), ("weight", 4, 1e-6), ("population", 2, 1e-6), ("batch", 10, 5e-3)],
)
def test_one_unit_is_a_committee_of_one(normalization, batch_size, tolerance):
    """Another derivation, by SymPy; batches of several units are averaged over points, to 5e-3."""
    setup = sbn.TeacherStudent("erf", normalization, batch_size, 0.3, weight_decay=0.1)
    scale = 1.0 if normalization == "none" else 0.8
    one = sbn.rates.maximum(setup, sbn.OrderParameters(0.6, 0.9, scale))
    matrices = sbn.OrderParameters(student_teacher=[[0.54]], student_student=[[0.81]], gamma=scale)
    assert sbn.rates.maximum(setup, matrices) == pytest.approx(one, rel=tolerance)
    run = sbn.macroscopic(setup, 0.1, [0.0], matrices)
    assert sbn.rates.maximum(setup, run).item() == pytest.approx(one, rel=tolerance)


@pytest.mark.parametrize(("normalization", "length", "gamma"), [("none", 4, 1), ("weight", 0.1, 4)])
def test_a_steep_unit_is_a_committee_of_one(normalization, length, gamma):
    """Points for fields of the teacher's spread miss 10⁻³ at a spread of 4."""
    setup = sbn.TeacherStudent("tanh", normalization, 4, 0.3, weight_decay=0.1)
    one = sbn.rates.maximum(setup, sbn.OrderParameters(0.6, length, gamma))
    matrices = sbn.OrderParameters(
        student_teacher=[[0.6 * length]], student_student=[[length**2]], gamma=gamma
    )
    assert sbn.rates.maximum(setup, matrices) == pytest.approx(one, rel=1e-6)


def near_the_teacher(setup, distance, gamma=1.0):
    """Units of the teacher, turned a little towards each other's."""
    turn = np.array([[np.cos(distance), np.sin(distance)], [np.sin(distance), np.cos(distance)]])
    return sbn.OrderParameters(student_teacher=turn, student_student=turn @ turn.T, gamma=gamma)


@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_the_flow_improves_below_it_and_not_above(normalization):
    """Near the specialized fixed point; γ and v are at rest, which the flow moves as well."""
    setup = sbn.TeacherStudent("erf", normalization, 2, 0.2, student_units=2, teacher_units=2)
    start = near_the_teacher(setup, 0.3)
    largest = sbn.rates.maximum(setup, start)
    for factor, sign in ((0.98, -1), (1.02, 1)):
        run = sbn.macroscopic(setup, factor * largest, [0.0, 1e-4], start, gamma_learning_rate=1e-9)
        change = np.diff(run["generalization_error"].values[0]).item()
        assert np.sign(change) == sign, factor


@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
def test_the_chain_neither_improves_nor_gets_worse_there(normalization):
    """Means of a short time at N = 2000; Δε_g is as small at η_max as steps differ, 4.5 errors."""
    setup = sbn.TeacherStudent("erf", normalization, 4, 0.4, student_units=2, teacher_units=2)
    start = near_the_teacher(setup, 0.3)
    largest = sbn.rates.maximum(setup, start)
    changes = []
    for factor in (0.5, 1.0, 1.5):
        run = sbn.mesoscopic(
            setup, factor * largest, [0.0, 0.005], start, 2000, replicas=4000,
            gamma_learning_rate=1e-9,
        )  # fmt: skip
        change = run["generalization_error"].diff("time").values.ravel()
        changes.append((change.mean(), change.std() / np.sqrt(change.size)))
    assert changes[0][0] < -4.5 * changes[0][1]
    assert abs(changes[1][0]) < 4.5 * changes[1][1]
    assert changes[2][0] > 4.5 * changes[2][1]


def test_results_and_what_diverged():
    setup = sbn.TeacherStudent("erf", "none", 1, 0.1, student_units=2, teacher_units=2)
    start = near_the_teacher(setup, 0.4)
    run = sbn.macroscopic(setup, [0.1, 0.5], [0.0, 1.0, 2.0], start)
    found = sbn.rates.maximum(setup, run)
    assert found.dims == ("learning_rate", "time")
    assert found.attrs["symbol"]
    np.testing.assert_allclose(found[:, 0], sbn.rates.maximum(setup, start), rtol=1e-9)
    turned = sbn.rates.maximum(setup, run.transpose("time", ..., "learning_rate"))
    xr.testing.assert_allclose(turned.transpose(*found.dims), found)
    gone = run.where(run["time"] < 2, np.inf)
    assert (sbn.rates.maximum(setup, gone)[:, 2] == 0).all()
    xr.testing.assert_allclose(sbn.rates.maximum(setup, gone)[:, :2], found[:, :2])


def test_an_exact_student_of_noisy_labels_only_gets_worse():
    setup = sbn.TeacherStudent("erf", "none", 1, 0.1, student_units=2, teacher_units=2)
    assert sbn.rates.maximum(setup, near_the_teacher(setup, 0.0)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("normalization", "distance", "gamma"), [("none", 0.0, 1.0), ("weight", 0.3, 0.0)]
)
def test_where_no_rate_improves_it_is_zero(normalization, distance, gamma):
    """Decay shortens an exact student, and no gradient turns one of γ = 0."""
    setup = sbn.TeacherStudent(
        "erf", normalization, 1, 0.1, weight_decay=0.1, student_units=2, teacher_units=2
    )
    assert sbn.rates.maximum(setup, near_the_teacher(setup, distance, gamma)) == 0


@pytest.mark.parametrize("normalization", ["weight", "population"])
def test_a_student_that_points_away_improves_at_every_rate(normalization):
    """As one unit does: noise alone turns it back to R = 0."""
    setup = sbn.TeacherStudent("erf", normalization, 4, 0.3)
    away = sbn.OrderParameters(student_teacher=[[-0.2]], student_student=[[1.0]])
    assert (
        sbn.rates.maximum(setup, away)
        == np.inf
        == sbn.rates.maximum(setup, sbn.OrderParameters(-0.2))
    )


def test_refuses():
    setup = sbn.TeacherStudent("erf", "none", 1, student_units=2, teacher_units=2)
    start = near_the_teacher(setup, 0.3)
    with pytest.raises(InvalidSetup, match="inputs: expected None"):
        sbn.rates.maximum(setup, start, sbn.Spectrum([2, 1], fractions=[0.5, 0.5]))
    with pytest.raises(InvalidSetup, match="state: expected"):
        sbn.rates.maximum(setup, {"overlap": 0.5, "length": 1.0})
