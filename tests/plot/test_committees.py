"""Figures of committees show every pair of units, matched, and say what they cannot show."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.plot.committees import matching

SETUP = sbn.TeacherStudent(
    "erf", "none", 2, student_units=3, teacher_units=2, teacher_overlaps=[[4, 0], [0, 0.25]]
)
START = sbn.OrderParameters.random(SETUP, 200, seed=0)


@pytest.fixture(scope="module")
def chain():
    return sbn.mesoscopic(SETUP, 1.0, np.linspace(0, 10, 11), START, 200, replicas=4)


@pytest.mark.thorough
def test_trajectories_have_a_curve_for_each_pair(chain):
    network = sbn.microscopic(SETUP, 1.0, [0, 5, 10], START, 200)
    figure = sbn.plot.trajectories(None, chain, network, points=5)
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels[0].endswith(r"$\rho_{kn}$")
    assert labels[1].endswith("$Q_{kl}$")
    assert labels[2].endswith(r"$\gamma_{k}$")
    assert labels[3].endswith(r"$\varepsilon_g$")
    assert [len(axis.containers) for axis in figure.axes] == [12, 12, 6, 2]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[:3] == ["$k = 0$", "$k = 1$", "$k = 2$"]
    assert {"$n, l = 0$", "$n, l = 2$", "chain, $N = 200$", "network, $N = 200$"} <= set(texts)
    first = figure.axes[0].containers[2]  # (k, n) = (1, 0)
    mean = chain.student_teacher.mean("replica").values[0, :, 1, 0]
    np.testing.assert_allclose(first.lines[0].get_ydata(), mean[::2])
    assert first.lines[0].get_color() == figure.axes[0].containers[3].lines[0].get_color()
    assert first.lines[0].get_marker() != figure.axes[0].containers[3].lines[0].get_marker()


@pytest.mark.thorough
def test_overlaps_are_cosines_in_the_teachers_order(chain):
    figure = sbn.plot.overlaps(chain, times=[0, 4.2, 10], replica=1)
    maps = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in maps] == ["$t = 0$", "$t = 4$", "$t = 10$"]
    shown = np.stack([axis.images[0].get_array() for axis in maps])
    run = chain.isel(learning_rate=0, replica=1)
    length = np.sqrt(np.diagonal(run.student_student.values, axis1=1, axis2=2))
    cosines = run.student_teacher.values / length[:, :, None] / [2.0, 0.5]
    order = [int(label.get_text()) for label in maps[0].get_yticklabels()]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(shown, cosines[[0, 4, 10]][:, order])
    diagonal = np.abs(np.diagonal(shown[-1])).sum()
    others = [np.abs(np.diagonal(cosines[-1][[a, b]])).sum() for a in range(3) for b in range(3)
              if a != b]  # fmt: skip
    assert diagonal == pytest.approx(max(others))


def test_units_are_matched_all_together():
    assert matching(np.array([[0.9, 0.8], [0.8, 0.1], [0.0, 0.2]])).tolist() == [1, 0, 2]
    assert matching(np.array([[0.1, -0.9, 0.2]])).tolist() == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run, [0], 9), "replica: expected an integer ≥ 0 and ≤ 3"),
        (lambda run: (run.assign_attrs(setup="{}"), [0], 0), "no readable 'setup'"),
        (lambda run: (run.drop_vars("student_student"), [0], 0), "a variable 'student_student'"),
        (lambda run: (run.where(run.time < 5, np.inf), [10], 0), "before the run diverges"),
        (lambda run: (run, [[0]], 0), "times: expected numbers, of one dimension"),
        (lambda run: (run.isel(replica=0), [0], 1), "replica: expected 0"),
    ],
    ids=range(6),
)
def test_overlaps_refuses(chain, change, message):
    with pytest.raises(ValueError, match=message):
        sbn.plot.overlaps(*change(chain))


@pytest.mark.parametrize(
    ("variable", "entries"),
    [("generalization_error", 0), ("gamma", 3), ("student_teacher", 5), ("student_student", 6)],
)
def test_a_legend_names_units_and_pairs_that_are_drawn(chain, variable, entries):
    [legend] = sbn.plot.trajectories(chain, variables=[variable]).legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert sum("=" in text and "N" not in text for text in texts) == entries
    assert bool(legend.get_title().get_text()) == (entries > 0)


def test_one_learning_rate_at_a_time(chain):
    two = sbn.mesoscopic(SETUP, [0.5, 1.0], [0, 1], START, 200)
    for figure in (sbn.plot.overlaps, sbn.plot.trajectories):
        with pytest.raises(InvalidSetup, match=r"learning_rate: expected one.*isel"):
            figure(two)
    assert len(sbn.plot.trajectories(two.isel(learning_rate=1)).axes) == 4
    one = sbn.macroscopic(sbn.TeacherStudent("linear"), 1.0, [0, 1], sbn.OrderParameters())
    with pytest.raises(InvalidSetup, match="committees alone or"):
        sbn.plot.trajectories(one, two.isel(learning_rate=1), variables=["gamma"])
