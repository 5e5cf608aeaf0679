"""Setups and states of several units: what is refused, what random weights have, round trips."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.teacher_student.gram import factor, random_rows

TWO = {"student_units": 2, "teacher_units": 2}
EYE = [[1.0, 0.0], [0.0, 1.0]]


def committee(**more):
    return sbn.TeacherStudent("erf", "none", 1, **TWO | more)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"student_units": 0}, ["student_units", "an integer ≥ 1"]),
        ({"teacher_units": 1.5}, ["teacher_units", "an integer", "1.5"]),
        ({"student_units": 10**6}, ["student_units", "≤ 1000"]),
        ({"teacher_overlaps": [[1, 0]]}, ["teacher_overlaps", "shape (2, 2)", "(1, 2)"]),
        ({"teacher_overlaps": [[1, 1], [1, 1]]}, ["teacher_overlaps", "positive definite"]),
        ({"teacher_overlaps": [[1, 2], [2, 1]]}, ["teacher_overlaps", "eigenvalue -1"]),
        ({"teacher_overlaps": [[1, 0.1], [0.2, 1]]}, ["equal entries [0][1] and [1][0]", "0.2"]),
        ({"teacher_overlaps": [[1, 0], [0, 0]]}, ["teacher_overlaps[1][1]", "got 0.0"]),
        ({"teacher_overlaps": [[1, np.nan], [0, 1]]}, ["teacher_overlaps", "finite"]),
        ({"teacher_readout": [1, 2, 3]}, ["teacher_readout", "2 of them", "one for each unit"]),
        ({"teacher_readout": "one"}, ["teacher_readout", "finite numbers"]),
        ({"readout": "free"}, ["readout", "fixed, learned", "'free'"]),
        ({"readout": "learnt"}, ["readout", "Did you mean 'learned'?"]),
    ],
    ids=str,
)
def test_setup_refuses(arguments, words):
    with pytest.raises(InvalidSetup) as caught:
        committee(**arguments)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"student_teacher": EYE}, ["student_teacher, student_student", "both"]),
        ({"readout": 1.0}, ["student_teacher, student_student", "both"]),
        ({"student_teacher": EYE, "student_student": [[1.0]]}, ["student_teacher", "1 rows"]),
        ({"student_teacher": EYE, "student_student": [[1, 0], [0.1, 1]]}, ["[0][1] and [1][0]"]),
        ({"student_teacher": EYE, "student_student": [[1, 1.1], [1.1, 1]]},
         ["student_student[0][1]", "product of the two lengths", "1.1 times"]),
        ({"student_teacher": np.zeros((3, 1)),
          "student_student": [[1, 0.9, 0], [0.9, 1, 0.9], [0, 0.9, 1]]},
         ["positive semidefinite", "eigenvalue -0.27"]),
        ({"student_teacher": EYE, "student_student": EYE, "overlap": 0.3}, ["matrices, or"]),
        ({"student_teacher": EYE, "student_student": EYE, "gamma": [1, 2, 3]}, ["gamma", "2 of"]),
        ({"student_teacher": EYE, "student_student": EYE, "readout": [1, 2, 3]}, ["readout"]),
        ({"gamma": [1, 2]}, ["gamma", "student_teacher=…"]),
    ],
    ids=str,
)  # fmt: skip
def test_start_refuses(arguments, words):
    with pytest.raises(InvalidSetup) as caught:
        sbn.OrderParameters(**arguments)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("rho", "words"),
    [
        ([[0.1, 0.0], [0.0, 1.2]], ["student_teacher[1][1]", "1.2 times"]),
        ([[0.9, 0.9], [0.0, 0.0]], ["positive semidefinite", "eigenvalue -0.2"]),
        ([[0.1], [0.1]], ["student_teacher of shape (2, 2)", "(2, 1)"]),
    ],
    ids=str,
)
def test_products_that_no_weights_have_are_refused_with_the_teacher(rho, words):
    start = sbn.OrderParameters(student_teacher=rho, student_student=EYE)
    with pytest.raises(InvalidSetup) as caught:
        start.matrices(committee())
    for word in words:
        assert word in str(caught.value)


def test_a_start_of_one_unit_is_refused_for_several():
    with pytest.raises(InvalidSetup, match=r"start: expected matrices of 2 units.*random"):
        sbn.OrderParameters(0.1).matrices(committee())
    with pytest.raises(InvalidSetup, match=r"^start: expected matrices"):  # before inputs are drawn
        sbn.microscopic(committee(), 1.0, [1.0], sbn.OrderParameters(), 8, inputs=pytest.fail)


ONE_UNIT = {
    "rates.effective": lambda setup, start: sbn.rates.effective(setup, start, 1.0),
    "offline.train": lambda setup, start: sbn.offline.train(
        setup, 2.0, 0.1, dimension=8, epochs=1, start=start
    ),
}
BY_SETUP = {
    "rates.fixed_point": sbn.rates.fixed_point,
    "rates.equilibrium": lambda setup: sbn.rates.equilibrium(setup, 1.0),
    "rates.late_time": lambda setup: sbn.rates.late_time(setup, [10.0, 20.0]),
    "measure": lambda setup: sbn.measure(np.eye(4)[:3], np.ones(4), setup=setup),
}


@pytest.mark.parametrize("name", [*ONE_UNIT, *BY_SETUP])
@pytest.mark.parametrize("more", [{}, {"student_units": 1, "teacher_units": 1,
                                       "readout": "learned"}], ids=str)  # fmt: skip
def test_what_knows_one_unit_refuses_committees(name, more):
    setup = sbn.TeacherStudent("linear", "weight", 8, **TWO | more)
    start = sbn.OrderParameters.random(setup, 100, seed=0)
    with pytest.raises(InvalidSetup, match="setup: expected one unit on each side"):
        BY_SETUP[name](setup) if name in BY_SETUP else ONE_UNIT[name](setup, start)


@pytest.mark.parametrize("name", BY_SETUP)
def test_what_knows_one_unit_refuses_what_is_no_setup(name):
    with pytest.raises(InvalidSetup, match=r"^setup: expected TeacherStudent"):
        BY_SETUP[name]("relu")


@pytest.mark.parametrize("name", ONE_UNIT)
def test_what_knows_one_unit_refuses_matrices(name):
    start = sbn.OrderParameters(student_teacher=[[0.1]], student_student=[[1.0]])
    with pytest.raises(InvalidSetup, match="start: expected one unit on each side"):
        ONE_UNIT[name](sbn.TeacherStudent("linear", "weight", 8), start)


def test_other_functions_of_one_unit_refuse_committees():
    start = sbn.OrderParameters(student_teacher=[[0.1]], student_student=[[1.0]])
    with pytest.raises(InvalidSetup, match="start: expected one unit"):
        sbn.offline.replica_symmetric("linear", [2.0], 0.1, 0.5, start=start)
    setup = sbn.TeacherStudent("linear", "batch", 8, **TWO)
    run = sbn.macroscopic(
        sbn.TeacherStudent("linear", "batch", 8), 0.5, [1.0], sbn.OrderParameters()
    )
    with pytest.raises(InvalidSetup, match="setup: expected one unit"):
        sbn.effective_gamma_decay(run.assign_attrs(setup.to_attrs()))


def test_attributes_of_one_unit_are_what_they_were():
    assert json.loads(sbn.TeacherStudent("relu", "weight", 4).to_attrs()["setup"]) == {
        "activation": "relu", "normalization": "weight", "batch_size": 4, "label_noise": 0.0,
        "gamma_decay": 0.0, "weight_decay": 0.0,
    }  # fmt: skip
    assert sbn.OrderParameters(0.1, 2.0).to_dict() == {"overlap": 0.1, "length": 2.0, "gamma": 1.0}
    assert repr(sbn.TeacherStudent()).endswith("weight_decay=0.0)")


@st.composite
def grams(draw):
    """A Gram matrix of K* + K random weights, lengths of many orders of magnitude."""
    units, teacher_units = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    size = units + teacher_units
    rows = np.random.default_rng(draw(st.integers(0, 2**32))).standard_normal((size, 3 * size))
    lengths = 10.0 ** np.array(draw(st.lists(st.floats(-20, 20), min_size=size, max_size=size)))
    return rows @ rows.T * np.outer(lengths, lengths), teacher_units


def parts(gram, teacher_units):
    """Return T, ρ and Q."""
    n = teacher_units
    return gram[:n, :n], gram[n:, :n], gram[n:, n:]


@given(grams(), st.sampled_from(["fixed", "learned"]), st.floats(-10, 10))
def test_setups_and_starts_survive_the_attributes(drawn, readout, number):
    teacher, rho, q = parts(*drawn)
    units, teacher_units = rho.shape
    setup = sbn.TeacherStudent(
        "erf", "weight", 4, student_units=units, teacher_units=teacher_units,
        teacher_overlaps=teacher, teacher_readout=np.arange(teacher_units) - number,
        readout=readout,
    )  # fmt: skip
    start = sbn.OrderParameters(
        student_teacher=rho, student_student=q, gamma=np.arange(units) * number, readout=number
    )
    assert sbn.TeacherStudent.from_attrs(setup.to_attrs()) == setup
    assert hash(sbn.TeacherStudent.from_attrs(setup.to_attrs())) == hash(setup)
    again = sbn.OrderParameters(**json.loads(json.dumps(start.to_dict())))
    assert again == start
    assert hash(again) == hash(start)
    for found, expected in zip(start.matrices(setup), (rho, q), strict=False):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(grams())
def test_the_factor_has_the_products(drawn):
    gram, teacher_units = drawn
    c = factor(*parts(gram, teacher_units))
    assert np.array_equal(c, np.tril(c))
    assert (np.diag(c) >= 0).all()
    root = np.sqrt(np.diag(gram))
    np.testing.assert_allclose(
        c @ c.T / np.outer(root, root), gram / np.outer(root, root), atol=1e-12
    )


def test_a_student_that_equals_its_teacher_has_no_rest():
    teacher = np.array([[1.0, 0.3], [0.3, 1.2]])
    c = factor(teacher, teacher, teacher)
    np.testing.assert_allclose(c[2:, :2], c[:2, :2], atol=1e-15)
    np.testing.assert_allclose(c[2:, 2:], 0.0, atol=1e-7)


def test_an_identity_is_the_default():
    assert committee(teacher_overlaps=np.eye(2)) == committee()
    assert committee(teacher_readout=[1, 1]) == committee()
    assert committee().is_committee
    assert not sbn.TeacherStudent(teacher_overlaps=[[1.0]], teacher_readout=[1.0]).is_committee
    assert sbn.TeacherStudent(teacher_overlaps=[[2.0]]).is_committee
    np.testing.assert_array_equal(committee().teacher_gram, np.eye(2))


def test_random_starts_have_the_law_of_random_weights():
    """Second and fourth moments are those of 4000 sets of N-vectors, to 4.5 standard errors."""
    runs, dimension, units, teacher_units = 4000, 7, 3, 2
    generator = np.random.default_rng(0)
    drawn = [random_rows(generator, teacher_units, units, dimension) for _ in range(runs)]
    teacher = np.linalg.qr(generator.standard_normal((dimension, teacher_units)))[0]
    weights = generator.standard_normal((runs, units, dimension))
    found, expected = [
        np.concatenate([along.reshape(runs, -1), (along * along).reshape(runs, -1),
                        gram.reshape(runs, -1), (gram * gram).reshape(runs, -1)], axis=1)
        for along, gram in (
            (np.stack(drawn)[:, :, :teacher_units], np.stack([c @ c.T for c in drawn])),
            (weights @ teacher, weights @ weights.mT),
        )
    ]  # fmt: skip
    error = np.sqrt((found.var(axis=0) + expected.var(axis=0)) / runs)
    assert (np.abs(found.mean(axis=0) - expected.mean(axis=0)) < 4.5 * error).all()


def test_random_starts_use_the_arguments():
    setup = committee(teacher_overlaps=[[4.0, 0.0], [0.0, 9.0]])
    start = sbn.OrderParameters.random(setup, 10**8, 1, length=[0.5, 2.0], readout=0.3)
    np.testing.assert_allclose(start.student_student, [[0.25, 0], [0, 4]], atol=2e-3)
    assert start.readout == (0.3, 0.3)
    assert start == sbn.OrderParameters.random(setup, 10**8, 1, length=[0.5, 2.0], readout=0.3)
    rho = np.array(start.student_teacher)
    assert (np.abs(rho) < 4 * np.outer([0.5, 2.0], [2.0, 3.0]) / 1e4).all()
    one = sbn.OrderParameters.random(sbn.TeacherStudent(), 100, 0, length=2.0, gamma=0.5)
    assert not one.is_committee
    assert one.gamma == 0.5
    assert 1.5 < one.length < 2.5


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"dimension": 3}, "dimension"), ({"seed": -1}, "seed"), ({"length": 0.0}, "length"),
     ({"length": [1, 1, 1]}, "length"), ({"gamma": [1, 1, 1]}, "gamma"), ({"setup": 1}, "setup")],
)  # fmt: skip
def test_random_starts_refuse(arguments, name):
    good = {"setup": committee(), "dimension": 100, "seed": 0}
    with pytest.raises(InvalidSetup, match=f"^{name}: expected"):
        sbn.OrderParameters.random(**good | arguments)
