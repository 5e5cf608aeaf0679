"""What training shows a sample, and the inference nearest to it."""

import numpy as np
import pytest
import sympy as sp
from scipy.special import roots_genlaguerre, roots_hermitenorm

from statmech_bn import inference, symbolic
from statmech_bn.symbolic import M, u
from statmech_bn.symbolic.gamma_decay import gaussian_batch_mean


@pytest.mark.parametrize(("size", "accuracy"), [(5, 1e-3), (8, 1e-5), (64, 1e-9)])
def test_the_mean_is_that_of_its_definition(size, accuracy):
    """Two Gauss rules: over the mean of the other samples, and over their squares about it."""
    half, weight = roots_genlaguerre(120, (size - 4) / 2)
    deviation, density = roots_hermitenorm(120)
    fields = np.array([0.3, 1.7, 4.0])
    d = np.sqrt((size - 1) / size) * fields[:, None] + deviation / np.sqrt(size)
    shown = np.sqrt(size - 1) * d[..., None] / np.sqrt(2 * half + d[..., None] ** 2)
    expected = (shown @ weight @ density) / (weight.sum() * density.sum())
    np.testing.assert_allclose(inference.training_mean(fields, size), expected, rtol=accuracy)


def test_the_mean_is_that_of_batches():
    others = np.random.default_rng(0).standard_normal((100_000, 7))
    for field in (0.5, 2.0):
        batch = np.column_stack([np.full(len(others), field), others])
        shown = (field - batch.mean(axis=1)) / batch.std(axis=1)
        error = shown.std() / np.sqrt(shown.size)
        assert abs(shown.mean() - float(inference.training_mean(field, 8))) < 4 * error


def test_the_mean_follows_its_expansion():
    """The rest behind order 1/M² falls like M⁻³; the expansion is derived another way."""
    fields = np.linspace(-2.0, 2.0, 9)
    expansion = sp.lambdify((u, M), u + gaussian_batch_mean(2))
    rest = [
        np.abs(inference.training_mean(fields, m) - expansion(fields, m)).max() for m in (100, 400)
    ]
    assert np.log(rest[0] / rest[1]) / np.log(4) == pytest.approx(3.0, abs=0.15)


def test_own_statistics_are_mixed_by_their_moments():
    a, fields = 0.2, np.linspace(-3, 3, 7)
    mean = a * fields
    variance = (1 - a) + a * fields**2 - mean**2
    np.testing.assert_allclose(
        inference.inference_field(fields, a), (fields - mean) / np.sqrt(variance), rtol=1e-13
    )


def test_the_weight_is_one_over_the_batch_size():
    weight, scale = symbolic.own_weight()
    assert (weight, scale) == (1 / M, 1 + 5 / (4 * M))
    weight, scale = symbolic.own_weight(2)
    assert (weight, scale) == (1 / M + 4 / M**2, 1 + 5 / (4 * M) + sp.Rational(129, 32) / M**2)


@pytest.mark.parametrize(
    ("size", "weight", "scale"), [(8, 1.51, 1.76), (16, 1.26, 1.50), (64, 1.06, 1.31)]
)
def test_the_nearest_inference_is_that_of_simulations(size, weight, scale):
    """A Monte-Carlo search for the best a and c gave these to about a hundredth."""
    found = inference.nearest_inference(size)
    assert size * found[0] == pytest.approx(weight, abs=0.02)
    assert size * (found[1] - 1) == pytest.approx(scale, abs=0.02)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_nearest_inference_is_the_derived_one_up_to_order_three(size):
    """A coefficient of order M⁻² that is off by a fifth would be noticed."""
    weight, scale = (float(k.subs(M, size)) for k in symbolic.own_weight(2))
    found = inference.nearest_inference(size)
    assert abs(found[0] - weight) < 6 / size**3
    assert abs(found[1] - scale) < 6 / size**3


def test_distances_to_training():
    """The derived inference is an order nearer than the best scale alone."""
    fields, weight = np.polynomial.hermite_e.hermegauss(80)
    weight = weight / weight.sum()
    target = inference.training_mean(fields, 64)

    def distance(a, c):
        return np.sqrt(weight @ (target - c * inference.inference_field(fields, a)) ** 2)

    best = inference.nearest_inference(64)
    assert distance(0.0, 1.0) == pytest.approx(0.0218, abs=2e-4)
    assert distance(0.0, weight @ (target * fields)) == pytest.approx(0.0184, abs=2e-4)
    assert distance(1 / 64, 1 + 5 / 256) == pytest.approx(0.0013, abs=1e-4)
    assert distance(*best[:2]) == pytest.approx(best[2], rel=1e-2)
    assert best[2] < 1e-4
