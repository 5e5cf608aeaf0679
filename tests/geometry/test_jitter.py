"""Jitter and flip rates against the theory, with standard errors over replicas."""

import numpy as np
import pytest

from statmech_bn import symbolic
from statmech_bn.errors import InvalidSetup
from statmech_bn.geometry import boundary_jitter, flip_rate
from statmech_bn.symbolic.geometry import shift as b

SIZES = (2, 3, 8, 64)


def errors_away(found, name):
    error = found[name].std("replica", ddof=1) / np.sqrt(found.sizes["replica"])
    return (found[name].mean("replica") - found[f"predicted_{name}"]) / error


@pytest.mark.parametrize("sample", ["inside", "outside"])
def test_the_rate_is_the_derived_one(sample):
    derived = symbolic.flip_rate(sample)
    expected = [float(derived.subs(symbolic.M, size)) for size in SIZES]
    np.testing.assert_allclose(flip_rate(SIZES, sample), expected)


@pytest.mark.parametrize("shift", [0.0, 1.0, -0.7])
def test_gaussian_fields_follow_the_theory_at_any_batch_size(shift):
    found = boundary_jitter(SIZES, shift=shift, batches=12_000, replicas=16, seed=4)
    for name in ("jitter", "inside", "outside") if shift == 0 else ("jitter",):
        assert (abs(errors_away(found, name)) < 4).all(), name
    derived = symbolic.boundary_variance("gaussian").subs(b, shift)
    expected = [float(derived.subs(symbolic.M, size)) ** 0.5 for size in SIZES]
    np.testing.assert_allclose(found["predicted_jitter"], expected, rtol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_skewed_fields_without_replacement(shift):
    """Large batches: away from b = 0 the theory is of order 1/M."""
    fields = np.random.default_rng(0).gamma(2.0, size=1200)
    found = boundary_jitter((400, 800), fields, shift, batches=250, replicas=12, seed=1)
    for name in ("jitter",) if shift else ("jitter", "inside", "outside"):
        assert (abs(errors_away(found, name)) < 4).all()
    if shift:  # neither skewness nor the finite set may be forgotten
        kept = (1200 - found["batch_size"]) / 1199
        for square in (kept / found["batch_size"], found["predicted_jitter"] ** 2 / kept):
            naive = found.assign(predicted_jitter=square**0.5)
            assert (abs(errors_away(naive, "jitter")) > 5).all()


def test_results_do_not_depend_on_the_other_batch_sizes():
    alone = boundary_jitter((8,), batches=50, replicas=3, seed=2)
    among = boundary_jitter((4, 8), batches=50, replicas=3, seed=2)
    np.testing.assert_array_equal(alone["inside"][0], among["inside"].sel(batch_size=8))


WRONG = {
    "batch_size": lambda: boundary_jitter((1,)),
    "fewer than the 4": lambda: boundary_jitter((4,), [1.0, 2.0, 3.0, 4.0]),
    "fields": lambda: boundary_jitter((2,), np.ones(9)),
    "replicas": lambda: boundary_jitter((2,), replicas=1),
    "numbers ≥ 2": lambda: flip_rate(1),
    "'inside'": lambda: flip_rate(2, "insied"),
}


@pytest.mark.parametrize("message", WRONG)
def test_an_error_names_what_is_wrong(message):
    with pytest.raises(InvalidSetup, match=message):
        WRONG[message]()
