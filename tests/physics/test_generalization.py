"""The theory of finite training sets against direct solves and gradient descent."""

import numpy as np
import pytest
from scipy.special import poch

import statmech_bn as sbn

pytestmark = pytest.mark.thorough

NOISE = 0.5


def data(rng, load, dimension, unit=lambda h: h):
    samples = round(load * dimension)
    x = rng.standard_normal((samples, dimension)) / np.sqrt(dimension)
    teacher = rng.standard_normal(dimension)
    teacher *= np.sqrt(dimension) / np.linalg.norm(teacher)
    return x, teacher, unit(x @ teacher) + NOISE * rng.standard_normal(samples)


def linear_error(student, teacher):
    return ((student - teacher) ** 2).mean() / 2


def assert_agree(values, expected, standard_errors=3.0):
    values = np.asarray(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    np.testing.assert_array_less(np.abs(values.mean(axis=0) - expected), standard_errors * error)


def ridge_errors(load, penalties, dimension, seeds):
    found = []
    for seed in range(seeds):
        x, teacher, y = data(np.random.default_rng([seed, round(1000 * load)]), load, dimension)
        values, vectors = np.linalg.eigh(x.T @ x)
        projected = vectors.T @ (x.T @ y)
        found.append(
            [linear_error(vectors @ (projected / (values + r)), teacher) for r in penalties]
        )
    return found


@pytest.mark.parametrize("load", [0.5, 1.0, 2.0])
def test_ridge_equals_direct_solves(load):
    penalties = np.array([0.05, 0.25, 1.0])
    expected = sbn.offline.ridge(load, penalties, NOISE)
    assert_agree(ridge_errors(load, penalties, 200, 20), expected)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.2, 0.5, 0.8, 0.95, 1.0, 1.05, 1.25, 1.5, 2.0, 4.0, 8.0])
def test_ridge_equals_direct_solves_across_the_peak(load):
    penalties = np.array([0.01, 0.05, 0.25, 1.0, 4.0])
    expected = sbn.offline.ridge(load, penalties, NOISE)
    assert_agree(ridge_errors(load, penalties, 400, 20), expected)


def least_squares_errors(load, dimension, seeds):
    found = []
    for seed in range(seeds):
        x, teacher, y = data(np.random.default_rng([seed, round(1000 * load)]), load, dimension)
        found.append(linear_error(np.linalg.lstsq(x, y, rcond=None)[0], teacher))
    return found


@pytest.mark.parametrize("load", [0.5, 2.0])
def test_least_squares_equals_direct_solves(load):
    assert_agree(least_squares_errors(load, 200, 20), sbn.offline.least_squares(load, NOISE))


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.2, 0.5, 0.8, 0.9, 1.1, 1.25, 2.0, 4.0, 8.0])
def test_least_squares_equals_direct_solves_on_both_sides(load):
    assert_agree(least_squares_errors(load, 400, 20), sbn.offline.least_squares(load, NOISE))


def test_the_peak_of_least_squares_is_infinite():
    """At α = 1 the smallest eigenvalue is of order N⁻², and ε_g = ½Δ² tr C⁻¹/N of order N."""
    small, large = (np.median(least_squares_errors(1.0, n, 101)) for n in (20, 80))
    assert 4 / 1.6 < large / small < 4 * 1.6
    assert sbn.offline.least_squares(1.0, NOISE) == np.inf


def full_batch(x, y, rng, steps=3000, rate=0.025, gamma_rate=0.5):
    """Descend with batch normalization over the whole training set; return v and Q_∞/Q₀."""
    samples, dimension = x.shape
    w, gamma = rng.standard_normal(dimension), 1.0
    start = w @ w
    for _ in range(steps):
        h = x @ w
        spread = h.std()
        u = (h - h.mean()) / spread
        error = y - gamma * u
        pull = error @ u / samples
        w = w + rate * gamma / spread * x.T @ (error - error.mean() - u * pull)
        gamma += gamma_rate * pull
    return gamma * w / spread, w @ w / start


def test_full_batch_normalization_keeps_its_start():
    """For α < 1 and small steps it ends κ/2 above least squares, and far from that."""
    load, found, growth = 0.5, [], []
    for seed in range(8):
        rng = np.random.default_rng([seed, 77])
        x, teacher, y = data(rng, load, 200)
        student, grown = full_batch(x, y, rng)
        found.append(linear_error(student, teacher))
        growth.append(grown)
    expected = sbn.offline.batch_normalized(load, np.inf, NOISE, np.mean(growth))
    assert_agree(found, expected)
    assert 1 < np.mean(growth) < 1.1
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert expected - sbn.offline.least_squares(load, NOISE) > 5 * error


def stationary_batches(rng, load, size, dimension=150, batches=500, steps=160):
    """Find where the mean over random batches of the gradients of w and γ vanishes.

    Steps preconditioned by C⁻¹ and decreasing, averaged over the second half; return ε_g and that
    of least squares shrunk by s_M.
    """
    x, teacher, y = data(rng, load, dimension)
    centred = x - x.mean(axis=0)
    fitted = np.linalg.lstsq(centred, y - y.mean(), rcond=None)[0]
    inverse = np.linalg.inv(centred.T @ centred / len(x))
    shrinkage = np.sqrt(2 / size) * poch((size - 1) / 2, 0.5)
    length = (x @ fitted).std()
    v, gamma, kept = fitted.copy(), length * shrinkage, []
    for step in range(steps):
        chosen = rng.integers(len(x), size=(batches, size))
        h = (x @ v)[chosen]
        spread = h.std(axis=1, keepdims=True)
        u = (h - h.mean(axis=1, keepdims=True)) / spread
        error = y[chosen] - gamma * u
        pull = (error * u).mean(axis=1, keepdims=True)
        force = (error - error.mean(axis=1, keepdims=True) - u * pull) / spread
        total = np.bincount(chosen.ravel(), force.ravel(), len(x)) / chosen.size
        rate = 0.5 * min(1.0, 40 / (step + 1))
        v = v + rate * length * inverse @ (x.T @ total)
        v *= length / (x @ v).std()
        gamma += 2 * rate * pull.mean()
        if step >= steps // 2:
            kept.append(v * gamma / length)
    student = np.mean(kept, axis=0)
    return linear_error(student, teacher), linear_error(shrinkage * fitted, teacher)


@pytest.mark.slow
def test_batches_weight_their_samples_unevenly():
    """At α > 1 and η → 0, order M⁻² beyond shrunk least squares, to 3 errors and order M⁻³."""
    load, size = 4.0, 8
    found = np.array(
        [stationary_batches(np.random.default_rng([seed, 3]), load, size) for seed in range(40)]
    )
    change = found[:, 0] - found[:, 1]
    shrinkage = np.sqrt(2 / size) * poch((size - 1) / 2, 0.5)
    derived = sbn.symbolic.offline.uneven_weights_error()
    expected = float(
        derived.subs(
            {
                sbn.symbolic.offline.alpha: load,
                sbn.symbolic.offline.shrinkage: shrinkage,
                sbn.symbolic.Delta: NOISE,
                sbn.symbolic.M: size,
            }
        )
    )
    error = change.std(ddof=1) / np.sqrt(len(change))
    assert error < 0.25 * expected
    assert abs(change.mean() - expected) < 3 * error + expected * 2 / size


def relu_descent(load, penalty, seed, dimension, steps):
    """Heavy-ball descent from small weights, then ε_g from the overlap and length that it found."""
    rng = np.random.default_rng([seed, 11])
    x, teacher, y = data(rng, load, dimension, lambda h: np.maximum(h, 0))
    v, momentum = 0.1 * rng.standard_normal(dimension), np.zeros(dimension)
    rate = 0.5 / (0.6 * (1 + np.sqrt(load)) ** 2 + penalty)
    for _ in range(steps):
        h = x @ v
        gradient = x.T @ np.where(h > 0, h - y, 0) + penalty * v
        momentum = 0.9 * momentum - rate * gradient
        v = v + momentum
    length, overlap = np.sqrt(v @ v / dimension), teacher @ v / np.linalg.norm(v)
    overlap /= np.sqrt(dimension)
    half = (np.sqrt(1 - overlap**2) + overlap * (np.pi - np.arccos(overlap))) / (2 * np.pi)
    return (1 + length**2) / 4 - length * half, overlap


def assert_descent_agrees(load, penalty, seeds, dimension, steps):
    theory = sbn.offline.replica_symmetric("relu", load, penalty, NOISE).isel(load=0)
    assert bool(theory.converged)
    found = [relu_descent(load, penalty, seed, dimension, steps) for seed in range(seeds)]
    assert_agree(found, [float(theory.generalization_error), float(theory.overlap)])


def test_relu_student_by_gradient_descent():
    assert_descent_agrees(3.0, 0.5, 8, 300, 400)


@pytest.mark.slow
@pytest.mark.parametrize(("load", "penalty"), [(3.0, 0.5), (3.0, 0.1), (5.0, 0.5), (5.0, 0.1)])
def test_relu_student_by_gradient_descent_at_large_loads(load, penalty):
    assert_descent_agrees(load, penalty, 12, 400, 1500)
