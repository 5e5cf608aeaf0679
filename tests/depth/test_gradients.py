"""Steps, alignment, noise and training of deep networks against theory and exact identities."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.depth import DeepNetwork
from statmech_bn.errors import InvalidSetup, NotConverged

pytestmark = pytest.mark.thorough

LOGISTIC = 1 / (1 + sp.exp(-sp.Symbol("x", real=True)))


@pytest.fixture(scope="module")
def task():
    return sbn.depth.teacher_classes(64, 20, 5, np.random.default_rng(4))


def test_unnormalized_fields_grow_as_powers_of_the_step(task):
    network = DeepNetwork(8, 40, 20, 5)
    found = sbn.depth.step_moments(network, *task, [0.0, 1e3, 1e4, 1e5], replicas=3)
    growth = sbn.depth.growth_per_layer(found)
    slope = np.diff(growth.isel(learning_rate=slice(1, None)), axis=0) / np.log(10)
    np.testing.assert_allclose(slope, 2.0, atol=0.02)
    np.testing.assert_allclose(growth.isel(learning_rate=0), 0.0, atol=0.3)


def test_normalized_fields_do_not_grow(task):
    network = DeepNetwork(8, 40, 20, 5, normalization="batch")
    found = sbn.depth.step_moments(network, *task, [1e3, 1e5], replicas=3)
    growth = sbn.depth.growth_per_layer(found, skip=2)
    assert (growth < 0.2).all()
    np.testing.assert_allclose(*growth.values, atol=0.05)


def test_a_fit_is_what_a_line_is(task):
    found = sbn.depth.step_moments(DeepNetwork(5, 10, 20, 5), *task, [1.0], replicas=1)
    layer = found["layer"]
    exact = found.assign(
        channel_mean=0 * found["channel_mean"],
        channel_variance=0 * found["channel_variance"] + np.exp(0.7 * layer),
    )
    assert sbn.depth.growth_per_layer(exact).item() == pytest.approx(0.7)
    overflown = exact.assign(channel_mean=exact["channel_mean"] + np.inf)
    assert np.isnan(sbn.depth.growth_per_layer(overflown)).all()
    with pytest.raises(InvalidSetup, match="skip"):
        sbn.depth.growth_per_layer(exact, skip=4)


def test_steps_that_overflow_are_infinite(task):
    found = sbn.depth.step_moments(DeepNetwork(8, 20, 20, 5), *task, [1e60], replicas=1)
    assert np.isinf(found["channel_variance"].isel(layer=-1)).all()
    assert not any(np.isnan(found[name]).any() for name in found)


def test_the_largest_step_is_where_the_loss_rises(task):
    network = DeepNetwork(3, 20, 20, 5, normalization="batch")
    for factor in (1.0, 2.0):
        edge = sbn.depth.largest_step(network, *task, replicas=1, factor=factor).item()
        rates = [0.0, edge / 1.05, edge * 1.05]
        loss = sbn.depth.step_moments(network, *task, rates, replicas=1)["loss"].values.ravel()
        assert loss[1] < factor * loss[0] < loss[2]


def test_mean_square_gradients_follow_the_multiplier():
    inputs, labels = sbn.depth.teacher_classes(96, 40, 5, np.random.default_rng(0))
    for activation in ("relu", "tanh", LOGISTIC):
        for gain in (0.7, 2.0):
            network = DeepNetwork(8, 150, 40, 5, activation, gain=gain)
            found = sbn.depth.gradient_squares(network, inputs, labels, replicas=8)
            logarithm = np.log(found["gradient_square"].transpose("layer", "replica").values)
            apart = logarithm.mean(axis=1) - np.log(found["theory"].values)
            error = logarithm.std(axis=1, ddof=1) / np.sqrt(8)
            # Logarithms of fluctuating sums lie below the sum by O(layers/width).
            assert (np.abs(apart) <= 3.5 * error + 8 / 150).all()


@pytest.mark.parametrize("samples", [16, 200])
def test_normalized_gradients_explode_by_yang_s_factor(samples):
    """Within 3.5 standard errors plus 1/width, by the factor of a batch of all samples."""
    inputs, labels = sbn.depth.teacher_classes(samples, 40, 5, np.random.default_rng(0))
    network = DeepNetwork(12, 100, 40, 5, normalization="batch")
    found = sbn.depth.gradient_squares(network, inputs, labels, replicas=6)
    logarithm = np.log(found["gradient_square"].transpose("layer", "replica").values)
    growth = (logarithm[1] - logarithm[8]) / 7
    error = growth.std(ddof=1) / np.sqrt(6)
    expected = float(sbn.symbolic.gradient_multiplier("relu", "batch", samples))
    assert abs(growth.mean() - np.log(expected)) < 3.5 * error + 0.01
    np.testing.assert_allclose(found["theory"], expected ** np.arange(11.0, -1, -1))


def test_coherence_approaches_the_mean_field():
    inputs, labels = sbn.depth.teacher_classes(48, 40, 5, np.random.default_rng(0))
    apart = []
    for width, replicas in ((40, 60), (320, 20)):
        network = DeepNetwork(5, width, 40, 5, gain=2.0)
        found = sbn.depth.gradient_alignment(network, inputs, labels, replicas)
        difference = found["gradient_coherence"] - found["theory"]
        error = difference.std("replica", ddof=1) / np.sqrt(replicas)
        apart.append(difference.mean("replica").isel(layer=0).item())
    assert apart[1] < apart[0] / 3  # of order 1/width
    assert abs(apart[1]) < 3.5 * error.isel(layer=0).item() + apart[0] / 8


@pytest.mark.parametrize("kernel", [1, 3])
def test_alignment_before_normalization_is_zero(kernel):
    images, labels = (d[:48] for d in sbn.depth.digits())
    network = DeepNetwork(5, 24, 8, normalization="batch", kernel=kernel)
    found = sbn.depth.gradient_alignment(network, images.reshape(-1, 8, 8), labels, 3)
    assert found["gradient_alignment"].max() < 1e-14
    assert found["gradient_coherence"].max() < 1e-28
    assert found["alignment_behind"].min() > 1e-3
    assert "theory" not in found


def test_what_is_aligned_is_measured(task):
    found = sbn.depth.gradient_alignment(DeepNetwork(3, 30, 20, 5), *task, replicas=2)
    np.testing.assert_allclose(found["alignment_positions"], 1.0)  # there is but one
    np.testing.assert_array_equal(found["gradient_alignment"], found["alignment_behind"])
    np.testing.assert_allclose(found["gradient_alignment"], found["alignment_batch"])
    for name in ("gradient_alignment", "alignment_weights", "gradient_coherence"):
        assert ((found[name] > 0) & (found[name] < 1)).all()


def test_noise_is_the_covariance_over_the_batch_size(task):
    network = DeepNetwork(3, 12, 20, 5)
    found = sbn.depth.gradient_noise(network, *task, [4, 48], draws=40, replicas=10)
    for way in ("with", "without"):
        noise, theory = found[f"noise_{way}"], found[f"theory_{way}"]
        error = noise.std("replica", ddof=1) / np.sqrt(10)
        assert (np.abs(noise.mean("replica") - theory) < 3.5 * error).all()
    both = found["theory_without"] / found["theory_with"]
    np.testing.assert_allclose(both, [60 / 63, 16 / 63])


def test_normalized_noise_falls_faster_than_the_inverse_batch_size(task):
    network = DeepNetwork(3, 12, 20, 5, normalization="batch")
    found = sbn.depth.gradient_noise(network, *task, [4, 32], draws=40, replicas=6)
    scaled = (found["batch_size"] * found["noise_with"]).mean("replica")
    assert scaled.sel(batch_size=4) > 1.3 * scaled.sel(batch_size=32)
    assert "theory_with" not in found


def test_training_learns_with_normalization_from_any_gain(task):
    final = []
    for gain in (0.1, 10.0):
        for normalization in ("none", "batch"):
            network = DeepNetwork(6, 20, 20, 5, "tanh", normalization, gain=gain)
            found = sbn.depth.train(network, *task, 0.3, 32, epochs=20, replicas=2)
            final.append(found["training_accuracy"].isel(epoch=-1).mean().item())
    assert min(final[1], final[3]) > 0.9
    assert final[0] < 0.6


def test_a_run_that_diverges_is_a_result(task):
    network = DeepNetwork(6, 20, 20, 5, gain=3.0)
    found = sbn.depth.train(network, *task, 1e8, 32, epochs=3, replicas=1)
    assert np.isinf(found["loss"].isel(epoch=-1)).all()
    assert np.isfinite(found["loss"].isel(epoch=0)).all()
    assert not found["training_accuracy"].isnull().any()


def test_replicas_do_not_depend_on_each_other(task):
    network = DeepNetwork(3, 10, 20, 5, normalization="batch")
    few, many = (sbn.depth.train(network, *task, 0.1, 16, 2, replicas=n) for n in (1, 2))
    np.testing.assert_array_equal(few["loss"], many["loss"].isel(replica=slice(1)))


def test_arguments_are_checked(task):
    network = DeepNetwork(3, 10, 20, 5, normalization="batch")
    with pytest.raises(InvalidSetup, match="learning_rate"):
        sbn.depth.step_moments(network, *task, [-1.0])
    with pytest.raises(InvalidSetup, match="factor"):
        sbn.depth.largest_step(network, *task, factor=0.5)
    with pytest.raises(InvalidSetup, match="batch_sizes"):
        sbn.depth.gradient_noise(network, *task, [64])
    with pytest.raises(InvalidSetup, match="batch_size"):
        sbn.depth.train(network, *task, 0.1, 65)
    with pytest.raises(NotConverged, match="No step"):
        sbn.depth.largest_step(network, *task, replicas=1, factor=1e300)
