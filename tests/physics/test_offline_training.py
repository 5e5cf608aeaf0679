"""Training against linear algebra on the same data, and against statistical mechanics."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import gammaln
from scipy.stats import ttest_1samp

import statmech_bn as sbn
from statmech_bn.offline.training_set import Source

pytestmark = pytest.mark.thorough

NOISE = 0.5
SETUP = sbn.TeacherStudent("linear", "none", 1, label_noise=NOISE)
SHORT = sbn.OrderParameters(0.0, 1e-9)
"""Without penalty, least squares keeps what the initial weights have outside of the data."""


def data_set(dimension, load, replica=0, seed=0):
    """The training set of one replica: X/√N, y and the teacher over √N."""
    found = Source(dimension, None, None).draw(SETUP, round(load * dimension), replica, seed)
    return found.samples / np.sqrt(dimension), found.labels, found.teacher / np.sqrt(dimension)


def solution_error(weights, teacher):
    """ε_g and R of h = v·x/√N, for v and w* over √N."""
    overlap = weights @ teacher / np.linalg.norm(weights)
    return 0.5 * np.sum((weights - teacher) ** 2), overlap


def full_batch(setup, load, epochs, dimension, **more):
    """Train by gradient descent at two thirds of the largest stable learning rate."""
    rate = dimension / (1 + load**-0.5) ** 2
    return sbn.offline.train(setup, load, rate, dimension, epochs=epochs, **more)


def z_score(values, expected):
    return abs(values.mean() - expected) / (values.std(ddof=1) / np.sqrt(values.size))


@pytest.mark.parametrize("load", [0.5, 2.0])
@pytest.mark.parametrize("normalization", ["none", "weight", "population"])
def test_gradient_descent_lands_on_ridge_regression(normalization, load):
    """The student without normalization by its ridge, the others by λ_r = 2αζ; every replica."""
    dimension, penalty = 40, 0.3
    decay = 0.0 if normalization == "none" else penalty / (2 * load)
    setup = sbn.TeacherStudent(
        "linear", normalization, round(load * dimension), NOISE, gamma_decay=decay
    )
    found = full_batch(
        setup, load, 4000, dimension, replicas=2, ridge=penalty if not decay else 0.0
    ).squeeze()
    for replica in range(2):
        x, y, teacher = data_set(dimension, load, replica)
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(dimension), x.T @ y)
        error, overlap = solution_error(weights / np.sqrt(dimension), teacher)
        one = found.sel(replica=replica)
        np.testing.assert_allclose(one.generalization_error, error, rtol=1e-6)
        np.testing.assert_allclose(one.overlap, overlap, rtol=1e-6)
        residual = y - x @ weights
        np.testing.assert_allclose(one.training_loss, 0.5 * np.mean(residual**2), rtol=1e-6)


@pytest.mark.parametrize("load", [0.5, 3.0])
def test_without_penalty_it_lands_on_least_squares(load):
    dimension = 40
    setup = sbn.TeacherStudent("linear", "none", round(load * dimension), NOISE)
    found = full_batch(setup, load, 3000, dimension, start=SHORT).squeeze()
    x, y, teacher = data_set(dimension, load)
    weights = np.linalg.lstsq(x, y)[0] / np.sqrt(dimension)
    error, _ = solution_error(weights, teacher)
    np.testing.assert_allclose(found.generalization_error, error, rtol=1e-6)


def test_exact_errors_agree_with_fresh_samples():
    """The same students measured on 4000 samples: all normalizations, within 4 standard errors."""

    def normal(generator, samples, dimension):
        return generator.standard_normal((samples, dimension))

    run = {"load": 1.5, "learning_rate": [1.0, 3.0], "dimension": 30, "epochs": 10}
    for name, normalization in (("relu", "batch"), ("erf", "weight"), ("linear", "none")):
        setup = sbn.TeacherStudent(name, normalization, 5, NOISE)
        exact = sbn.offline.train(setup, replicas=20, **run)
        measured = sbn.offline.train(setup, replicas=20, inputs=normal, **run)
        xr.testing.assert_allclose(exact.training_loss, measured.training_loss)
        ratio = (measured.generalization_error / exact.generalization_error).values
        assert z_score(ratio.mean(axis=(0, 1)), 1.0) < 4, (name, normalization)


def interpolating(dimension, load, replica, initializations=1):
    """Return the part of the initial weights outside of the data, and the least solution.

    Batches see differences of samples only, so "the data" are centred. Divided by √N.
    """
    x, y, _ = data_set(dimension, load, replica)
    start = Source(dimension, None, None).draw(SETUP, len(y), replica, 0)
    first = start.initial_weights(sbn.OrderParameters(0.0), initializations) / np.sqrt(dimension)
    differences = x[1:] - x[0]
    inverse = np.linalg.solve(differences @ differences.T, differences).T
    return first - inverse @ (differences @ first), inverse @ (y[1:] - y[0]) / np.sqrt(dimension)


def test_batch_normalization_interpolates_and_remembers():
    """α < 1: w is what was outside of the data plus the least solution, long as it has grown."""
    dimension, load, size = 60, 0.5, 6
    setup = sbn.TeacherStudent("linear", "batch", size, NOISE)
    found = sbn.offline.train(
        setup, load, [2.0, 10.0, 50.0], dimension, epochs=3000, gamma_learning_rate=0.5
    ).squeeze()
    _, y, teacher = data_set(dimension, load)
    outside, least = interpolating(dimension, load, 0)
    outside = outside[:, 0]
    # each label is in as many batches as any other
    batches = np.random.default_rng(0).permuted(np.tile(y, (40_000, 1)), axis=1)[:, :size]
    for k in range(3):
        one = found.isel(learning_rate=k)
        factor = np.sqrt((one.growth.item() - outside @ outside) / (least @ least))
        _, overlap = solution_error(outside + factor * least, teacher)
        np.testing.assert_allclose(one.overlap, overlap, atol=1e-6)
        np.testing.assert_allclose(one.gamma, batches.std(axis=1).mean(), rtol=0.01)


def test_small_learning_rates_keep_the_length():
    setup = sbn.TeacherStudent("linear", "batch", 6, NOISE)
    found = sbn.offline.train(setup, 0.5, [0.03, 0.3, 3.0], 60, epochs=200, replicas=4)
    growth = found.growth.mean("replica").squeeze()
    assert (growth[:2] - 1 < 0.1).all()
    assert (growth.diff("learning_rate") > 0).all()


def cosine(done):
    """Anneal from 1 to 0."""
    return 0.5 * (1 + np.cos(np.pi * done))


def shrinkage(size):
    """s_M, the mean spread of M unit Gaussians."""
    return np.sqrt(2 / size) * np.exp(gammaln(size / 2) - gammaln((size - 1) / 2))


def predicted_error(dimension, load, replica, scale, growth):
    """ε_g of BN by linear algebra, α < 1, for growth (learning rates, initializations).

    `scale` is the spread of its outputs, over that of the labels.
    """
    x, _, teacher = data_set(dimension, load, replica)
    outside, least = interpolating(dimension, load, replica, growth.shape[1])
    factor = np.sqrt((growth - (outside**2).sum(axis=0)) / (least @ least))
    weights = scale * (least[:, None, None] + outside[:, None] / factor)
    shift = np.tensordot(x.mean(axis=0), weights, 1) * np.sqrt(dimension)
    return 0.5 * ((weights - teacher[:, None, None]) ** 2).sum(axis=0) + 0.5 * shift**2


@pytest.mark.slow
@pytest.mark.parametrize("size", [5, 10, 40])
@pytest.mark.parametrize(("load", "rates"), [(0.3, (0.1, 10)), (0.5, (0.1, 10)), (0.8, (0.2, 20))])
def test_batch_normalization_below_one(load, rates, size):
    """Growth from 1 to 20 by the learning rate: every data set as linear algebra says.

    γ is the mean spread of the labels of a batch drawn without replacement, within 3 standard
    errors over data sets. That is not s_M times the spread of all: P labels are no Gaussian, their
    tails end.
    """
    dimension, replicas = 200, 8
    setup = sbn.TeacherStudent("linear", "batch", size, NOISE)
    rates = np.array(rates) * size
    found = sbn.offline.train(
        setup, load, rates, dimension, replicas, epochs=3000 if load > 0.5 else 1200,
        gamma_learning_rate=1.0, initializations=2,
    ).squeeze()  # fmt: skip
    error = found.generalization_error.transpose("learning_rate", "replica", "initialization")
    growth = found.growth.transpose(*error.dims)
    assert growth[0].mean() < (1.6 if load > 0.5 else 1.2)
    assert growth[1].mean() > 8
    scales = np.empty(replicas)
    for replica in range(replicas):
        _, y, _ = data_set(dimension, load, replica)
        batches = np.random.default_rng(0).permuted(np.tile(y, (20_000, 1)), axis=1)[:, :size]
        scales[replica] = found.gamma[:, replica].mean() / batches.std(axis=1).mean()
        scale = found.gamma[:, replica].values / y.std(ddof=0)
        expected = predicted_error(dimension, load, replica, scale, growth[:, replica].values)
        np.testing.assert_allclose(error[:, replica], expected, rtol=2e-3)
    assert ttest_1samp(scales, 1.0).pvalue > 0.0027  # 3 standard errors, if there were many


def errors_by_algebra(load, growth, dimension=400, size=10, replicas=12):
    """At N = 400 corrections in 1/N are within the error bars of 12 data sets."""
    growth = np.full((1, 2), growth)
    return np.array(
        [
            predicted_error(dimension, load, replica, shrinkage(size), growth).mean()
            for replica in range(replicas)
        ]
    )


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
def test_linear_algebra_is_the_formula(load):
    """Within 3 standard errors where the length has not grown; ridge is beyond 10."""
    errors = errors_by_algebra(load, 1.0)
    assert z_score(errors, sbn.offline.batch_normalized(load, 10, NOISE, 1.0)) < 3
    assert z_score(errors, sbn.offline.ridge(load, load * 3 / 20, NOISE)) > 10


@pytest.mark.parametrize("growth", [4.0, 20.0])
@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
def test_growth_takes_from_the_error_what_the_formula_says(load, growth):
    """The gain on the same data, within 3 standard errors; no gain at all is beyond 10."""
    gain = errors_by_algebra(load, 1.0) - errors_by_algebra(load, growth)
    before, after = (sbn.offline.batch_normalized(load, 10, NOISE, g) for g in (1.0, growth))
    assert z_score(gain, before - after) < 3
    assert z_score(gain, 0.0) > 10
    assert z_score(errors_by_algebra(load, growth), after) < 3


@pytest.mark.slow
@pytest.mark.parametrize("size", [5, 10, 40])
@pytest.mark.parametrize("load", [1.5, 2.0, 4.0])
def test_batch_normalization_above_one(load, size):
    """Annealed: least squares of the same data shrunken by s_M, not ridge of the same data.

    The slowest mode has the eigenvalue (√α − 1)², which sets the epochs: thousands near α = 1. A
    student that is stopped early is regularized by that, and better than least squares.

    What is left over is what uneven weights of the samples cost. It is derived to first order in
    their variance; later orders add to it, most near α = 1, where weights and residuals depend on
    each other, but less than as much again: between once and twice, within 3 standard errors.
    """
    dimension, replicas = 150, 20
    setup = sbn.TeacherStudent("linear", "batch", size, NOISE)
    found = sbn.offline.train(
        setup,
        load,
        0.5 * size,
        dimension,
        replicas,
        schedule=cosine,
        epochs=round(200 / (np.sqrt(load) - 1) ** 2),
    ).squeeze()
    decay = 3 / (4 * size)
    other = sbn.TeacherStudent(
        "linear", "population", round(load * dimension), NOISE, gamma_decay=decay
    )
    ridge = full_batch(other, load, 2000, dimension, replicas=replicas).squeeze()
    excess, beside = np.empty(replicas), np.empty(replicas)
    for replica in range(replicas):
        x, y, teacher = data_set(dimension, load, replica)
        centred = x - x.mean(axis=0)
        least = np.linalg.lstsq(centred, y - y.mean())[0] / np.sqrt(dimension)
        weights = shrinkage(size) * least
        shift = x.mean(axis=0) @ weights * np.sqrt(dimension)
        one = found.generalization_error[replica].item()
        excess[replica] = one - solution_error(weights, teacher)[0] - 0.5 * shift**2
        beside[replica] = one - ridge.generalization_error[replica].item()
    error = excess.std(ddof=1) / np.sqrt(replicas)
    shrunken, uneven = (
        sbn.offline.batch_normalized(load, size, NOISE, uneven_weights=w) for w in (False, True)
    )
    first = uneven - shrunken
    assert first - 3 * error < excess.mean() < 2 * first + 3 * error
    theories = (
        uneven,
        sbn.offline.ridge(load, 2 * load * decay, NOISE),
    )
    if abs(np.log(theories[0] / theories[1])) > 0.1:  # elsewhere the curves cross
        assert z_score(beside, 0.0) > 3
