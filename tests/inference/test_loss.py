"""Losses in training mode and in inference mode, and the gap between them."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import inference

UNITS = ("linear", "relu", "erf", "tanh")


def spread_mean(size):
    """E σ_B of Gaussian fields, by numbers: the mean of the law of χ."""
    from scipy.stats import chi

    return chi(size - 1).mean() / np.sqrt(size)


@pytest.mark.parametrize("size", [4, 8, 100])
def test_linear_losses_are_closed(size):
    for gamma, overlap in ((0.4, 0.3), (0.9, 1.0), (1.7, -0.2)):
        closed = 0.5 * (1 - 2 * gamma * overlap * spread_mean(size) + gamma**2)
        found = inference.training_loss("linear", size, gamma, overlap)
        assert found == pytest.approx(closed, rel=2e-8)  # the quadrature's accuracy
        found = inference.inference_loss("linear", gamma, overlap)
        assert found == pytest.approx(0.5 * (1 - 2 * gamma * overlap + gamma**2), rel=1e-12)


@pytest.mark.parametrize("unit", UNITS[1:])
def test_training_losses_are_those_of_batches(unit):
    losses = sbn.batch_loss(unit, 8, [0.9], overlap=0.7, batches=4_000, workers=1)["loss"]
    error = float(losses.std("replica", ddof=1).item()) / np.sqrt(losses.sizes["replica"])
    assert abs(inference.training_loss(unit, 8, 0.9, 0.7) - losses.mean().item()) < 4.5 * error


@pytest.mark.thorough
@pytest.mark.parametrize("unit", UNITS)
def test_inference_losses_are_those_of_the_online_levels(unit):
    setup = sbn.TeacherStudent(unit, "population", 8)
    start = sbn.OrderParameters(overlap=0.4, gamma=1.3)
    run = sbn.macroscopic(setup, 1.0, [0.0], start, workers=1)
    found = inference.inference_loss(unit, 1.3, 0.4)
    assert found == pytest.approx(run["generalization_error"].item(), rel=1e-9)


def test_inference_losses_with_own_statistics_are_those_of_samples():
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, 400_000))
    target = np.maximum(0.6 * u + 0.8 * v, 0)
    output = np.maximum(1.2 * inference.inference_field(u, 0.2), 0)
    losses = 0.5 * (target - output) ** 2
    error = losses.std() / np.sqrt(losses.size)
    found = inference.inference_loss("relu", 1.2, 0.6, own_weight=0.2)
    assert abs(found - losses.mean()) < 4 * error


@pytest.mark.parametrize(("unit", "overlap"), [("linear", 0.8), ("relu", 0.8), ("erf", 1.0)])
def test_the_gap_is_that_of_the_self_term(unit, overlap):
    """Exact losses at two large M, extrapolated to M → ∞."""
    gamma, weight, scale = 0.9, 1.0, 1.25
    rows = []
    for size in (128, 512):
        training = inference.training_loss(unit, size, gamma, overlap)
        plain = inference.inference_loss(unit, gamma, overlap)
        own = inference.inference_loss(
            unit, gamma * (1 + scale / size), overlap, own_weight=weight / size
        )
        rows.append(size * (training - np.array([plain, own])))
    expected = [
        inference.first_order_gap(unit, gamma, overlap),
        inference.first_order_gap(unit, gamma, overlap, weight, scale),
    ]
    limit = rows[1] + (rows[1] - rows[0]) / 3
    np.testing.assert_allclose(limit, expected, rtol=2e-3)
    assert np.abs(rows[0] - expected).max() < 0.02


def test_own_statistics_do_not_lower_the_loss():
    """A single unit at rest on its teacher wants a larger scale, and no statistics of its own."""
    size = 16
    for unit, gamma in (("linear", 0.952), ("relu", 0.956), ("erf", 0.91)):
        plain = inference.inference_loss(unit, gamma)
        for scale in (1.0, 1 / gamma):
            with_own = inference.inference_loss(unit, gamma * scale, own_weight=1 / size)
            assert with_own > inference.inference_loss(unit, gamma * scale)
        assert inference.inference_loss(unit, 1.0) < 1e-12 < plain


def test_running_averages_cost_what_independent_statistics_do():
    """A linear unit: ½γ²(1 + ½)/M' + ¾γ(γ − R)/M', against averages over their law."""
    size, momentum, gamma, overlap = 200, 0.5, 0.9, 0.8
    rng = np.random.default_rng(2)
    mean, variance = np.zeros(20_000), np.ones(20_000)
    for _ in range(40):
        mean += momentum * (rng.standard_normal(mean.size) / np.sqrt(size) - mean)
        new = rng.chisquare(size - 1, mean.size) / (size - 1)
        variance += momentum * (new - variance)
    losses = -gamma * overlap / np.sqrt(variance) + gamma**2 * (1 + mean**2) / variance / 2
    added = losses - (gamma**2 / 2 - gamma * overlap)
    found = inference.running_average_excess("linear", size, momentum, gamma, overlap)
    closed = (0.75 * gamma**2 + 0.75 * gamma * (gamma - overlap)) / (3 * size)
    assert found == pytest.approx(closed, rel=1e-10)
    assert abs(added.mean() - found) < 4 * added.std() / np.sqrt(added.size) + 0.05 * found
