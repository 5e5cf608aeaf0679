r"""Steps on a finite training set, as code for arrays of any library.

K learners share the samples of a data set, and R data sets are stacked: weights W (R, N, K),
samples X/√N (R, P, N), labels (R, P, 1), scales γ (R, 1, K). A step takes M rows B, with which

    h = X_B W/√N                                       fields, (R, M, K)
    W ← a W + η X_B' c/√N        a = 1 − η d − [weight] η Σ c h/(N Q)

c, γ and the population's statistics as in `statmech_bn.online.microscopic`; d is the decay of the
weights. Several steps make a group: one product gives the fields of all of its samples at the
weights of its begin, and each step corrects those of later steps by what it adds to the weights,

    h_j ← a h_j + η (X_j X_B'/N) c ,

so that the weights, much larger than a batch, are read and written once a group and the products
are of large matrices whatever M is. Nothing is read back from a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from statmech_bn.normalization import Normalization, project
from statmech_bn.normalization.batch import products_of_fields, statistics

Array = Any
GROUP = 64
"""A group has so many samples, or one batch: fast products, and corrections of little cost."""


@dataclass(frozen=True)
class Problem:
    """What the steps of a stack of data sets have in common.

    Attributes
    ----------
    normalizer : Normalization
    batch_size : int
    gamma_decay : float
        ζ.
    decay : float
        d, how much of the weights a step of unit learning rate takes away.
    value_and_slope : callable
        Array → (g, g').
    samples : array, (R, P, N)
        Inputs over √N; minus the population's mean for "population".
    labels : array, (R, P, 1)
        With their noise.
    covariance : array (N, N) or None
        Covariance of the population, if it is not isotropic and the student normalizes by it.
    distinct : bool
        Samples are never equal, as Gaussian ones, so that no spread is compared with rounding.
    """

    normalizer: Normalization
    batch_size: int
    gamma_decay: float
    decay: float
    value_and_slope: Callable[[Array], tuple[Array, Array]]
    samples: Array
    labels: Array
    covariance: Array | None = None
    distinct: bool = False


def epoch(
    xp: Any,
    problem: Problem,
    order: Array,
    weights: Array,
    gamma: Array,
    rate: Array,
    gamma_rate: Array,
) -> Array:
    """Take one step for each whole batch in `order`.

    Parameters
    ----------
    xp : module
        The library of the arrays.
    problem : Problem
    order : array of int, (R, P)
        A permutation of the samples for each data set; what is left after the last whole batch
        sits this epoch out.
    weights : array, (R, N, K)
        Changed in place.
    gamma : array, (R, 1, K)
    rate, gamma_rate : array, (K,)
        η and η_γ.

    Returns
    -------
    array
        γ after the epoch.
    """
    size = problem.batch_size
    last = order.shape[1] // size * size
    group = size * (1 if problem.covariance is not None else max(1, GROUP // size))
    stack, samples_of_set, dimension = problem.samples.shape
    flat = xp.reshape(problem.samples, (-1, dimension))
    flat_labels = xp.reshape(problem.labels, (-1, 1))
    places = order + samples_of_set * xp.arange(stack)[:, None]
    for first in range(0, last, group):
        rows = places[:, first : min(first + group, last)]
        samples, labels = (
            xp.reshape(xp.take(values, xp.reshape(rows, (-1,)), axis=0), (*rows.shape, -1))
            for values in (flat, flat_labels)
        )
        gamma = _group(xp, problem, samples, labels, weights, gamma, rate, gamma_rate)
    return gamma


def _group(
    xp: Any,
    problem: Problem,
    samples: Array,
    labels: Array,
    weights: Array,
    gamma: Array,
    rate: Array,
    gamma_rate: Array,
) -> Array:
    """Take the steps of one group; changes the weights, returns γ."""
    size, dimension = problem.batch_size, weights.shape[1]
    across = samples.mT
    fields = samples @ weights
    overlaps = samples @ across if fields.shape[1] > size else None
    spun, variance = weights, None
    products: Any = None
    if problem.normalizer.of_batch and not problem.distinct:
        products = products_of_fields(xp, samples, weights)
    if problem.covariance is not None:
        spun = problem.covariance @ weights
    if problem.normalizer.by_length:
        variance = xp.sum(weights * spun, axis=1, keepdims=True) / dimension
    shrinking = problem.normalizer.by_length or problem.decay > 0
    scale: Any = 1.0  # the weights are `scale` times those of the group's begin plus pushes
    pushes = xp.empty_like(fields)
    for begin in range(0, fields.shape[1], size):
        batch = slice(begin, begin + size)
        h = fields[:, batch, :] * scale
        c, pull, variance = _gradient(
            xp, problem, h, labels[:, batch, :], variance, gamma, products
        )
        c *= rate
        keep: Any = 1.0 - rate * problem.decay
        if problem.normalizer.by_length:
            along = rate * gamma * pull / (dimension * variance)
            if problem.covariance is None:
                keep = keep - along
            else:
                weights -= along / keep * spun
        if shrinking:
            scale = scale * keep
        pushes[:, batch, :] = c / scale if shrinking else c
        wanted = problem.normalizer.by_length or begin + size < fields.shape[1]
        if overlaps is not None and wanted:
            added = overlaps[:, begin:, batch] @ pushes[:, batch, :]
            fields[:, begin + size :, :] += added[:, size:, :]
            if problem.normalizer.by_length:
                square = xp.sum(c * added[:, :size, :], axis=1, keepdims=True) * scale
                growth = 2 * keep * rate * gamma * pull + square
                variance = keep * keep * variance + growth / dimension
        if problem.normalizer.has_scale:
            gamma = gamma + gamma_rate / dimension * (pull - 2 * problem.gamma_decay * gamma)
    weights += across @ pushes
    if shrinking:
        weights *= scale
    return gamma


def _gradient(
    xp: Any,
    problem: Problem,
    h: Array,
    labels: Array,
    variance: Array,
    gamma: Array,
    products: Array | None,
) -> tuple[Array, Array, Array]:
    """Return c, mean(δ û) and σ² for the fields of one batch; `h` may be overwritten."""
    size, rule = problem.batch_size, problem.normalizer
    mean = partial(rule.mean_of_group, xp)
    if not rule.has_scale:
        output, slope = problem.value_and_slope(h)
        return (labels - output) * slope / size, 0.0, variance
    if rule.of_batch:
        if products is None:
            h -= mean(h)
            variance = mean(h * h)
        else:
            precision = float(xp.finfo(h.dtype).eps)
            centre, variance = statistics(xp, h, precision, products, mean)
            h -= centre
    spread = variance**0.5
    h /= spread
    output, slope = problem.value_and_slope(gamma * h)
    delta = (labels - output) * slope
    pull = xp.sum(delta * h, axis=1, keepdims=True) / size
    if rule.of_batch:
        delta = project(delta, h, mean)
    delta *= gamma / (size * spread)
    return delta, pull, variance
