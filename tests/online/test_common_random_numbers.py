"""Learning rates share random numbers, or have streams of their own."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup

START = sbn.OrderParameters(0.2)
RATES = [0.5, 0.5, 0.55]
LEVELS = {"mesoscopic": sbn.mesoscopic, "microscopic": sbn.microscopic}


def run(level, **more):
    setup = sbn.TeacherStudent("linear", "weight", 4, label_noise=1.0)
    arguments = {"time": [0, 3], "start": START, "dimension": 40, "replicas": 300, **more}
    return LEVELS[level](setup, RATES, **arguments)


@pytest.mark.parametrize("level", LEVELS)
def test_streams_of_learning_rates(level):
    shared = run(level).overlap.values[..., -1]
    alone = run(level, common_random_numbers=False)
    np.testing.assert_array_equal(shared[0], shared[1])
    assert np.corrcoef(shared)[0, 2] > 0.9
    apart = np.corrcoef(alone.overlap.values[..., -1])[np.triu_indices(3, 1)]
    assert np.abs(apart).max() < 4 / np.sqrt(300)
    difference = alone.overlap.values[..., -1].mean(1) - shared.mean(1)
    assert np.abs(difference).max() < 4 * shared.std() * np.sqrt(2 / 300)
    assert alone.attrs["common_random_numbers"] == 0
    assert alone.attrs["seed"] == 0
    assert alone.identical(run(level, common_random_numbers=False))
    assert not np.isclose(alone.overlap, run(level, common_random_numbers=False, seed=1).overlap)[
        ..., -1
    ].any()


@pytest.mark.parametrize("level", LEVELS)
def test_one_dataset_whatever_the_streams(level):
    shared, alone = run(level), run(level, common_random_numbers=False)
    assert alone.sizes == shared.sizes
    assert list(alone.coords) == list(shared.coords)
    assert {n: v.dims for n, v in alone.items()} == {n: v.dims for n, v in shared.items()}
    assert {n: v.attrs for n, v in alone.items()} == {n: v.attrs for n, v in shared.items()}
    assert shared.attrs.items() <= {**alone.attrs}.items()
    with pytest.raises(InvalidSetup, match="common_random_numbers"):
        run(level, common_random_numbers="no")


def test_committees_have_streams_of_their_own():
    setup = sbn.TeacherStudent(
        "erf", "batch", 4, student_units=2, teacher_units=2, readout="learned"
    )
    start = sbn.OrderParameters.random(setup, dimension=50, seed=0)
    runs = sbn.mesoscopic(
        setup, [0.3, 0.3], [0, 1], start, 50, 2, readout_learning_rate=[0.1, 0.2],
        common_random_numbers=False,
    )  # fmt: skip
    np.testing.assert_array_equal(runs.readout_learning_rate, [0.1, 0.2])
    ends = runs.student_teacher.values[:, :, -1]
    assert not np.isclose(ends[0], ends[1]).any()
