"""The factor after many steps against a Gram matrix that is computed with more digits."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.random.streams import stream
from statmech_bn.teacher_student.gram import factor

pytestmark = pytest.mark.thorough

UNITS = 2
PRECISE = np.longdouble


def triangle(gram):
    """Cholesky's factor with the digits of the matrix."""
    c = np.zeros_like(gram)
    for i in range(len(gram)):
        for j in range(i + 1):
            rest = gram[i, j] - c[i, :j] @ c[j, :j]
            c[i, j] = np.sqrt(rest) if i == j else rest / c[j, j]
    return c


def recursion(setup, start, learning_rate, dimension, steps, seed):
    """Return the Gram matrix of tanh units without normalization, from the chain's numbers.

    It is the recursion of Q and ρ themselves, sums of squares and all, in 64-bit mantissas:
    w ← w + (η/√N) Σ c x, with Z the inputs along the units, C Cᵀ the Gram matrix and W the Wishart
    matrix of the other directions.
    """
    rho, q, _, _ = start.matrices(setup)
    rows = factor(setup.teacher_gram, rho, q).astype(PRECISE)
    gram, size, samples = rows @ rows.T, len(rows), setup.batch_size
    generator, unit = stream(seed, 1, 0), PRECISE(learning_rate) / dimension
    for _ in range(steps):
        inputs = generator.standard_normal((size, samples)).astype(PRECISE)
        noise = setup.label_noise * generator.standard_normal(samples)
        others = np.zeros((UNITS, UNITS), PRECISE)
        for i in range(UNITS):
            for j in range(i):
                others[i, j] = generator.standard_normal()
            freedom = dimension - size - i
            others[i, i] = np.sqrt(PRECISE(2.0 * generator.standard_gamma(0.5 * freedom)))
        c = triangle(gram)
        outputs = np.tanh(c @ inputs)
        error = outputs[:UNITS].sum(axis=0) + noise - outputs[UNITS:].sum(axis=0)
        pulled = unit / samples * error * (1 - outputs[UNITS:] ** 2)
        moved = c.copy()
        moved[UNITS:] += pulled @ inputs.T
        across = triangle(pulled @ pulled.T) @ others
        gram = moved @ moved.T
        gram[UNITS:, UNITS:] += across @ across.T
    return gram


def largest_error(steps, dimension):
    """Largest relative difference of ρ and Q from the recursion's."""
    setup = sbn.TeacherStudent(
        "tanh", "none", 3, 0.1, student_units=UNITS, teacher_units=UNITS,
        teacher_overlaps=[[1.0, 0.3], [0.3, 1.2]],
    )  # fmt: skip
    start = sbn.OrderParameters(
        student_teacher=[[0.3, 0.1], [0.0, 0.4]], student_student=[[0.5, 0.1], [0.1, 0.7]]
    )
    run = sbn.mesoscopic(setup, 0.4, [steps / dimension], start, dimension, seed=4)
    gram = recursion(setup, start, 0.4, dimension, steps, 4)
    expected = gram[UNITS:].astype(float)
    found = np.concatenate(
        [run.student_teacher.values.reshape(UNITS, UNITS),
         run.student_student.values.reshape(UNITS, UNITS)], axis=1,
    )  # fmt: skip
    return np.abs(found - expected).max() / np.abs(expected).max()


def test_digits_after_a_thousand_steps():
    assert largest_error(1000, 200) < 1000 * 2.2e-16


@pytest.mark.slow
@pytest.mark.parametrize("steps", [10**4, 10**5, 10**6])
def test_rounding_grows_no_faster_than_the_number_of_steps(steps):
    assert largest_error(steps, 5000) < steps * 2.2e-16
