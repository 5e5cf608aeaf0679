r"""The compiled step of the N-vector simulation; `microscopic` states its equations.

Fields of all learners are one matrix product, their updates another; for one learner they are
products of a matrix with a vector, and a batch is used while it is still in the cache.

Samples, weights and c have the precision of the weights; all other numbers and sums are float64.
"""

from typing import Any, NamedTuple

import numpy as np

from statmech_bn.compile_cache import numba
from statmech_bn.normalization.batch import rounding_of_fields
from statmech_bn.normalization.compiled import grown, means, passed
from statmech_bn.online.schedules.pieces import value_at_step

DOUBLE, SINGLE = float(np.finfo(np.float64).eps), float(np.finfo(np.float32).eps)
"""ε of the weights' precision."""
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


class Task(NamedTuple):
    """What the learners of a replica have in common.

    Attributes
    ----------
    value, value_and_slope : Numba C callbacks
        g and (g, g').
    teacher : ndarray, (N,)
    mean, covariance : ndarray, (N,) and (N, N)
        Moments of inputs that are not isotropic, for students that know them; else empty.
    """

    value: Any
    value_and_slope: Any
    teacher: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


class Samples(NamedTuple):
    """Samples of the steps of one call.

    Attributes
    ----------
    drawn : bool
        Whether `block` has the samples of all steps, (steps, M, N). Otherwise it is room for one
        batch, (1, M, N), which is filled with normals and used while it is in the cache.
    block : ndarray
    noise : ndarray, (steps, M)
        Noise of the labels.
    """

    drawn: bool
    block: np.ndarray
    noise: np.ndarray


class Learners(NamedTuple):
    """The students of one replica, changed in place.

    Attributes
    ----------
    weights : ndarray, (learners, N)
    gamma, diverged_at : ndarray, (learners,)
        γ, and the time of a divergence or NaN.
    """

    weights: np.ndarray
    gamma: np.ndarray
    diverged_at: np.ndarray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def learn(generator, samples, problem, pace, task, learners, done):
    """Take one step for each row of the labels' noise, after `done` steps; changes the learners."""
    block, noise = samples.block, samples.noise
    weights, gamma, diverged_at = learners.weights, learners.gamma, learners.diverged_at
    _, batch_size, dimension = block.shape
    group, count = problem.group, gamma.size
    groups = batch_size // group
    root = np.sqrt(dimension)
    known = task.mean.size > 0  # moments of inputs that are not isotropic
    by_length = problem.has_scale and not problem.of_batch
    target = np.empty(batch_size)
    fields = np.empty((batch_size, count), weights.dtype)
    phi, output = np.empty(count * batch_size), np.empty(count * batch_size)
    slope = np.empty(count * batch_size)
    student, c = np.empty((count, batch_size)), np.empty((count, batch_size), weights.dtype)
    centre, spread = np.zeros((count, groups)), np.ones((count, groups))
    keep, along, along_mean = np.ones(count), np.zeros(count), np.zeros(count)
    change, spun = np.empty_like(weights), weights
    variance = np.empty(count)
    factor, unchanged = 1.0, 0.0
    limit = LARGEST if weights.itemsize == 8 else LARGEST_SINGLE
    precision, longest = 0.0, 0.0  # Gaussian samples are not equal
    if samples.drawn:
        precision = DOUBLE if weights.itemsize == 8 else SINGLE
    for k in range(count):
        variance[k] = inner(weights[k], weights[k]) / dimension
    for step in range(noise.shape[0]):
        x = block[step] if samples.drawn else block[0]
        if not samples.drawn:
            fill_normal(generator, x)
        task.value(np.dot(x, task.teacher) / root, target)
        if count == 1:  # matrix times vector: BLAS would copy x for a product of matrices
            own = np.dot(x, weights[0])
            for m in range(own.size):
                fields[m, 0] = own[m]
        else:
            np.dot(x, weights.T, fields)
        if known:
            spun = np.dot(weights, task.covariance)
            means = np.dot(weights, task.mean)
            for k in range(count):
                centre[k, 0] = means[k] / root
                variance[k] = inner(weights[k], spun[k]) / dimension
        if samples.drawn and problem.of_batch:
            longest = longest_row(x)
        for k in range(count):
            if by_length:
                spread[k, 0] = np.sqrt(variance[k])
            for i in range(groups):
                part = slice(i * group, (i + 1) * group)
                if problem.of_batch:
                    centre[k, i], spread[k, i] = statistics(
                        fields[part, k], root, precision, longest * np.sqrt(variance[k])
                    )
                for m in range(i * group, (i + 1) * group):
                    student[k, m] = (fields[m, k] / root - centre[k, i]) / spread[k, i]
                    phi[k * batch_size + m] = gamma[k] * student[k, m]
        task.value_and_slope(phi, output, slope)
        if done + step >= unchanged:
            factor, unchanged = value_at_step(pace.edges, pace.factors, done + step, dimension)
        for k in range(count):
            for m in range(batch_size):
                i = k * batch_size + m
                c[k, m] = slope[i] * (target[m] + noise[step, m] - output[i])
            unit = pace.learning_rate[k] * factor * gamma[k] / (batch_size * root)
            largest, total, pull = 0.0, 0.0, 0.0
            for i in range(groups):
                part = slice(i * group, (i + 1) * group)
                pull += project(c[k, part], student[k, part], unit / spread[k, i], problem.of_batch)
            pull /= batch_size
            for m in range(batch_size):
                total += c[k, m]
                largest = max(largest, abs(c[k, m]))
                if np.isnan(c[k, m]):
                    largest = np.inf
            keep[k] = 1.0 - pace.learning_rate[k] * factor * problem.weight_decay / dimension
            along_mean[k] = total if known else 0.0
            # Σ c (h − μ)/(√N σ²) with the factor η/√N that c already has; 0 for batch and none
            along[k] = 0.0
            if by_length:
                along[k] = unit * batch_size * pull / (root * variance[k])
            if problem.has_scale:
                gamma_unit = pace.gamma_learning_rate[k] * factor / dimension
                gamma[k] = grown(gamma[k], gamma_unit, problem.gamma_decay, pull)
            if not (largest < limit and abs(gamma[k]) < limit):
                if np.isnan(diverged_at[k]):
                    diverged_at[k] = (done + step + 1) / dimension
                c[k], keep[k], along[k], along_mean[k] = 0.0, 1.0, 0.0, 0.0
                weights[k], gamma[k] = 1.0, 1.0
        if batch_size > 1 and count == 1:
            np.dot(c[0], x, change[0])
        elif batch_size > 1:
            np.dot(c, x, change)
        for k in range(count):
            towards, by = (change[k], 1.0) if batch_size > 1 else (x[0], 1.0 * c[k, 0])
            square = move(weights[k], keep[k], towards, by, spun[k], along[k])
            variance[k] = square / dimension
            if known:
                weights[k] -= along_mean[k] * task.mean


@numba.njit(cache=True, nogil=True, error_model="numpy")
def statistics(fields, root, precision, products):
    """Return mean and spread of a group's fields x·w/√N; the spread is infinite if it is rounding.

    As `normalization.batch.statistics` does; `products` are |x||w|/√N.
    """
    first, away, variance = fields[0] / root, 0.0, 0.0
    for m in range(fields.size):
        away += fields[m] / root - first
    centre = first + away / fields.size
    for m in range(fields.size):
        variance += (fields[m] / root - centre) ** 2 / fields.size
    rounding = rounding_of_field(precision, products, centre)
    return centre, np.inf if variance <= rounding * rounding else np.sqrt(variance)


rounding_of_field = numba.njit(error_model="numpy")(rounding_of_fields)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def longest_row(x):
    """Return the largest |x| of some samples."""
    largest = 0.0
    for m in range(x.shape[0]):
        largest = max(largest, inner(x[m], x[m]))
    return np.sqrt(largest)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def project(c, normalized, unit, of_batch):
    """Turn the errors δ of a group into c, times `unit`; returns Σ δ û."""
    average, along = means(c, normalized)
    for m in range(c.size):
        c[m] = unit * (passed(c[m], average, normalized[m], along) if of_batch else c[m])
    return along * c.size


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def move(weights, keep, towards, by, spun, along):
    """Move one learner's weights; returns their new squared length, summed in any order."""
    square = 0.0
    for n in range(weights.size):
        moved = keep * weights[n] + by * towards[n] - along * spun[n]
        weights[n] = moved
        square += moved * moved
    return square
