r"""The compiled step of the N-vector simulation; `microscopic` states its equations.

Fields of all learners are one matrix product, their updates another; for one learner they are
products of a matrix with a vector, and a batch is used while it is still in the cache.

Samples, weights and c have the precision of the weights; all other numbers and sums are float64.
"""

import numpy as np

from statmech_bn.compile_cache import numba
from statmech_bn.online.piecewise import value_at_step
from statmech_bn.teacher_student import NORMALIZATIONS

NONE, BATCH = NORMALIZATIONS.index("none"), NORMALIZATIONS.index("batch")
LARGEST, LARGEST_SINGLE = 1e150, 1e15
"""A gradient or a γ beyond this has diverged, for weights of float64 and of float32."""


@numba.njit(cache=True, nogil=True)
def fill_normal(generator, block):
    """Fill a contiguous array with N(0, 1) numbers."""
    flat = block.reshape(-1)
    for i in range(flat.size):
        flat[i] = generator.standard_normal()


@numba.njit(cache=True, nogil=True)
def apply(value, points, results):
    """Fill g at an array of points."""
    value(points, results)


@numba.njit(cache=True, nogil=True)
def inner(left, right):
    """Return the inner product, summed in float64."""
    total = 0.0
    for n in range(left.size):
        total += left[n] * right[n]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def learn(
    generator,
    gaussian,
    block,
    noise,
    value,
    value_and_slope,
    normalization,
    gamma_decay,
    weight_decay,
    learning_rate,
    gamma_learning_rate,
    edges,
    factors,
    mean,
    covariance,
    teacher,
    weights,
    gamma,
    done,
    diverged_at,
):
    """Take one step for each row of `noise`; updates weights (learners, N), gamma, diverged_at.

    With `gaussian`, `block` is room for one batch, filled from the generator and used while it is
    in the cache; otherwise it holds the samples of all steps, (steps, M, N).
    """
    _, batch_size, dimension = block.shape
    learners = gamma.size
    root = np.sqrt(dimension)
    general = mean.size > 0  # population statistics of inputs that are not isotropic
    target, centre = np.empty(batch_size), np.zeros(learners)
    fields = np.empty((batch_size, learners), weights.dtype)
    phi, output = np.empty(learners * batch_size), np.empty(learners * batch_size)
    slope = np.empty(learners * batch_size)
    student, c = np.empty((learners, batch_size)), np.empty((learners, batch_size), weights.dtype)
    spread, keep, along_mean = np.ones(learners), np.ones(learners), np.zeros(learners)
    change, spun = np.empty_like(weights), weights
    variance = np.empty(learners)
    factor, unchanged = 1.0, 0.0
    limit = LARGEST if weights.itemsize == 8 else LARGEST_SINGLE
    for k in range(learners):
        variance[k] = inner(weights[k], weights[k]) / dimension
    for step in range(noise.shape[0]):
        x = block[0] if gaussian else block[step]
        if gaussian:
            fill_normal(generator, x)
        value(np.dot(x, teacher) / root, target)
        if learners == 1:  # matrix times vector: BLAS would copy x for a product of matrices
            fields[:, 0] = np.dot(x, weights[0])
        else:
            np.dot(x, weights.T, fields)
        if general:
            spun = np.dot(weights, covariance)
            centre[:] = np.dot(weights, mean) / root
            for k in range(learners):
                variance[k] = inner(weights[k], spun[k]) / dimension
        for k in range(learners):
            if normalization == BATCH:
                centre[k] = fields[:, k].mean() / root
                variance[k] = 0.0
                for m in range(batch_size):
                    variance[k] += (fields[m, k] / root - centre[k]) ** 2 / batch_size
            spread[k] = 1.0 if normalization == NONE else np.sqrt(variance[k])
            for m in range(batch_size):
                student[k, m] = (fields[m, k] / root - centre[k]) / spread[k]
                phi[k * batch_size + m] = gamma[k] * student[k, m]
        value_and_slope(phi, output, slope)
        if done + step >= unchanged:
            factor, unchanged = value_at_step(edges, factors, done + step, dimension)
        for k in range(learners):
            average, pull = 0.0, 0.0
            for m in range(batch_size):
                i = k * batch_size + m
                c[k, m] = slope[i] * (target[m] + noise[step, m] - output[i])
                average += c[k, m] / batch_size
                pull += c[k, m] * student[k, m] / batch_size
            unit = learning_rate[k] * factor * gamma[k] / (batch_size * spread[k] * root)
            largest, total = 0.0, 0.0
            for m in range(batch_size):
                if normalization == BATCH:
                    c[k, m] -= average + student[k, m] * pull
                c[k, m] *= unit
                total += c[k, m]
                largest = max(largest, abs(c[k, m]))
                if np.isnan(c[k, m]):
                    largest = np.inf
            keep[k] = 1.0 - learning_rate[k] * factor * weight_decay / dimension
            along_mean[k] = total if general else 0.0
            # Σ c (h − μ)/(√N σ²) with the factor η/√N that c already has; 0 for batch and none
            along_spun = unit * batch_size * pull / (root * spread[k])
            if normalization in (NONE, BATCH):
                along_spun = 0.0
            if normalization != NONE:
                gamma_unit = gamma_learning_rate[k] * factor / dimension
                gamma[k] += gamma_unit * (pull - 2.0 * gamma_decay * gamma[k])
            if not (largest < limit and abs(gamma[k]) < limit):
                if np.isnan(diverged_at[k]):
                    diverged_at[k] = (done + step + 1) / dimension
                c[k], keep[k], along_spun, along_mean[k] = 0.0, 1.0, 0.0, 0.0
                weights[k], gamma[k] = 1.0, 1.0
            spread[k] = along_spun
        if batch_size > 1 and learners == 1:
            np.dot(c[0], x, change[0])
        elif batch_size > 1:
            np.dot(c, x, change)
        for k in range(learners):
            towards, by = (change[k], 1.0) if batch_size > 1 else (x[0], 1.0 * c[k, 0])
            square = move(weights[k], keep[k], towards, by, spun[k], spread[k])
            variance[k] = square / dimension
            if general:
                weights[k] -= along_mean[k] * mean


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def move(weights, keep, towards, by, spun, along):
    """Move one learner's weights; returns their new squared length, summed in any order."""
    square = 0.0
    for n in range(weights.size):
        moved = keep * weights[n] + by * towards[n] - along * spun[n]
        weights[n] = moved
        square += moved * moved
    return square
