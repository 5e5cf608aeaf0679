"""Committees: the chain against numbers of another implementation, N-vectors, and one unit."""

import sys
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

sys.path.insert(0, str(Path(__file__).parent))
from committees import CASES, NAMES, SMALLEST_P, numbers, setup_and_run, smallest_p


def name(case):
    return case["case"]


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize(("part", "replicas"), [("small_N", 4000), ("large_N", 24)])
def test_chain_agrees_with_the_reference(case, part, replicas):
    """Means within 4.5 standard errors of both, spreads within 5 of theirs (540 numbers)."""
    setup, run = setup_and_run(case)
    given = case[part]
    found = sbn.mesoscopic(
        setup, time=given["time"], dimension=given["dimension"], replicas=replicas, seed=1, **run
    )
    for time, reference in enumerate(given["mean, std"]):
        for variable in NAMES:
            values = found[variable].isel(learning_rate=0, time=time).values
            mean, std = map(np.array, reference[variable])
            share = np.sqrt(1 / replicas + 1 / given["runs"])
            rounding = 2e-5  # of numbers given to five digits
            deviation = np.abs(values.mean(axis=0) - mean)
            np.testing.assert_array_less(deviation, 4.5 * std * share + rounding)
            if part == "large_N" or not std.any():
                continue
            centred = values - values.mean(axis=0)
            variance = (centred**2).mean(axis=0)
            kurtosis = (centred**4).mean(axis=0) / variance**2
            allowed = 5 * std * np.sqrt(np.maximum(kurtosis - 1, 0) / 4) * share + rounding
            np.testing.assert_array_less(np.abs(np.sqrt(variance) - std), allowed)


@pytest.mark.parametrize(
    ("normalization", "batch_size", "activation"),
    [("none", 1, "erf"), ("weight", 4, "relu"), ("population", 2, "tanh"), ("batch", 6, "relu"),
     ("ghost(3)", 6, "erf")],
)  # fmt: skip
def test_one_unit_is_a_committee_of_one(normalization, batch_size, activation):
    """In law: 3000 runs of each chain at N = 9."""
    decay = 0.0 if normalization == "none" else 0.05
    setup = sbn.TeacherStudent(activation, normalization, batch_size, 0.3, decay, 0.1)
    run = {"learning_rate": 0.8, "time": [2.0], "dimension": 9, "replicas": 3000}
    scale = 1.0 if normalization == "none" else 0.9
    one = sbn.mesoscopic(setup, start=sbn.OrderParameters(0.3, 0.9, scale), seed=1, **run)
    matrices = sbn.OrderParameters(student_teacher=[[0.27]], student_student=[[0.81]], gamma=scale)
    general = sbn.mesoscopic(setup, start=matrices, seed=2, **run)
    first = np.concatenate(
        [(one.overlap * one.length).values[0], one.length.values[0] ** 2, one.gamma.values[0],
         np.ones((3000, 1))], axis=1,
    )  # fmt: skip
    assert smallest_p(first, numbers(general)) > SMALLEST_P
    errors = [d.generalization_error.values.reshape(-1, 1) for d in (one, general)]
    assert smallest_p(*errors) > SMALLEST_P
