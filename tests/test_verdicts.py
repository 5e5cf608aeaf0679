"""One rule says what becomes of a claim, and it gives false alarms as rarely as it says."""

import math

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup

ALARM = math.erfc(3 / math.sqrt(2))


def around(*means, error=0.01, replicas=6):
    """Make points whose means and standard errors over replicas are given."""
    jitter = np.linspace(-1, 1, replicas)
    jitter *= error * math.sqrt(replicas) / jitter.std(ddof=1)
    return xr.DataArray(np.add.outer(means, jitter), dims=("point", "replica"))


@pytest.mark.parametrize(
    ("values", "expected", "verdict"),
    [
        ([0.9, 1.0, 1.1], "=1", "reproduced"),
        ([1.9, 1.9, 2.0, 2.1, 2.1], "=1", "with a correction"),
        ([0.9, 0.9, 1.0, 1.1, 1.1], ">0", "reproduced"),
        ([-1.1, -1.1, -1.0, -0.9, -0.9], ">0", "the opposite"),
        ([-1.0, 0.1, 1.0], ">0", "not seen"),
        ([1.0, 1.1], ">0", "not seen"),
    ],
)
def test_a_mean_is_judged_beside_a_claim(values, expected, verdict):
    mean, error, found = sbn.study.judge(xr.DataArray(values), expected)
    assert found == verdict
    assert mean == pytest.approx(np.mean(values))
    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)))


def test_many_replicas_and_one_comparison_are_three_standard_errors():
    assert sbn.study.limit(10**6) == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize("replicas", [2, 5, 30])
@pytest.mark.parametrize("points", [1, 20])
def test_false_alarms_are_as_rare_as_three_standard_errors(replicas, points):
    trials = 40_000 // points
    generator = np.random.default_rng(0)
    values = generator.standard_normal((trials, points, replicas))
    score = values.mean(-1) / (values.std(-1, ddof=1) / math.sqrt(replicas))
    alarms = (np.abs(score).max(-1) > sbn.study.limit(replicas, points)).sum()
    assert abs(alarms - trials * ALARM) < 4 * math.sqrt(trials * ALARM)


@pytest.mark.parametrize(
    ("effect", "rest", "verdict"),
    [
        ((1.0, 0.0), None, "reproduced"),
        ((1.0, 0.0), (0.0, 0.02), "reproduced"),
        ((1.0, -1.0), None, "with a correction"),
        ((1.0, 0.0), (0.0, 0.2), "with a correction"),
        ((0.0, -1.0), None, "the opposite"),
        ((0.0, -1.0), (0.2, 0.2), "the opposite"),
        ((0.0, 0.02), (0.2, -0.2), "fails"),
        ((0.0, 0.02), None, "not seen"),
        ((0.0, 0.02), (0.02, 0.0), "not seen"),
    ],
)
def test_every_claim_can_come_to_everything(effect, rest, verdict):
    claimed = None if rest is None else around(*rest)
    assert sbn.study.decide(around(*effect), claimed) == verdict


def test_points_of_several_arrays_are_judged_together():
    apart = [around(0.07), around(*[0.0] * 30)]
    assert sbn.study.decide(apart[:1]) == "reproduced"
    assert sbn.study.decide(apart) == "not seen"


def test_theory_has_no_error():
    assert sbn.study.decide(xr.DataArray(-0.03)) == "the opposite"
    assert sbn.study.decide(xr.DataArray(1e-12)) == "not seen"


def test_what_has_no_standard_error_is_refused():
    with pytest.raises(InvalidSetup, match="at least 2"):
        sbn.study.decide(around(1.0).isel(replica=[0]))
    with pytest.raises(InvalidSetup, match="finite"):
        sbn.study.decide(around(math.inf))
    with pytest.raises(InvalidSetup, match="at least one"):
        sbn.study.decide([])
    with pytest.raises(InvalidSetup, match="comparisons"):
        sbn.study.limit(3, 0)
