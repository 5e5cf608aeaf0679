"""Kernels of random features against wide random networks, and against draws of one unit."""

import numpy as np
import pytest

from statmech_bn import depth
from statmech_bn.depth.features import _normalized
from statmech_bn.errors import InvalidSetup

pytestmark = pytest.mark.thorough

OWN = 12


def inputs():
    """Return samples that have something in common, and few directions."""
    rng = np.random.default_rng(0)
    return 0.7 + rng.normal(size=(15, 6)) * np.array([2.0, 1.0, 1.0, 0.5, 0.5, 0.2])


def random_features(x, layers, width, normalization, rng):
    for _ in range(layers):
        weight = rng.normal(size=(x.shape[1], width)) * np.sqrt(2 / x.shape[1])
        h = x @ weight
        if normalization == "batch":
            h = (h - h[:OWN].mean(0)) / h[:OWN].std(0)
        x = np.maximum(h, 0)
    return x @ x.T / width


@pytest.mark.parametrize(("normalization", "layers"), [("none", 1), ("none", 3), ("batch", 3)])
def test_wide_networks_have_the_kernel(normalization, layers):
    rng, x = np.random.default_rng(1), inputs()
    expected = depth.relu_features(x, layers, normalization, OWN)
    draws = [random_features(x, layers, 2000, normalization, rng) for _ in range(12)]
    found = np.mean(draws, axis=0)
    error = np.std(draws, axis=0, ddof=1) / np.sqrt(len(draws))
    # û is not quite Gaussian where few directions make the variance
    slack = 0.02 * np.abs(expected).max() if normalization == "batch" else 0
    assert (np.abs(found - expected) < 5 * error + slack).all()


def test_fields_that_are_normalized_have_the_covariance():
    """Exactly so in the first layer, for samples in the statistics and others."""
    rng, x = np.random.default_rng(2), inputs()
    h = x @ rng.normal(size=(6, 400_000)) / np.sqrt(6)
    u = (h - h[:OWN].mean(0)) / h[:OWN].std(0)
    products = np.einsum("iu,ju->iju", u, u)
    found, error = products.mean(2), products.std(2) / np.sqrt(u.shape[1])
    expected = _normalized(x @ x.T / 6, OWN)
    assert (np.abs(found - expected) < 4.5 * error + 1e-9).all()
    assert np.trace(expected[:OWN, :OWN]) == pytest.approx(OWN, rel=1e-6)


def test_two_samples_are_normalized_to_plus_and_minus_one():
    found = depth.relu_features([[1.0, 2.0], [3.0, -1.0]], 3, "batch")
    np.testing.assert_allclose(found, np.eye(2) / 2, atol=1e-6)


def test_wrong_arguments_are_refused():
    with pytest.raises(InvalidSetup, match="samples that differ"):
        depth.relu_features(np.ones((4, 3)), 1, "batch")
    with pytest.raises(InvalidSetup, match="reference"):
        depth.relu_features(inputs(), 1, "batch", 99)
