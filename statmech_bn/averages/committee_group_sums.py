r"""Sums over the points of one rule for averages over batches of a committee's fields.

Equations and symbols are those of `statmech_bn.averages.committee_groups`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.averages.committee_points import BLOCK, clear, compiled, square_root
from statmech_bn.averages.quadrature import conditional_moments

ROWS = 1024
"""Rows of a table of f_n."""


class World(NamedTuple):
    """What follows from the covariance of x = (h*, h).

    Attributes
    ----------
    students, own : ndarray, (K, K)
        Q, the covariance of h, and its square root.
    regression : ndarray, (K*, K)
        b of E[h*|h] = b h.
    covariance, rest : ndarray, (K*, K*)
        S, the covariance of h* at given h, and its square root.
    """

    students: np.ndarray
    own: np.ndarray
    regression: np.ndarray
    covariance: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(cls, gram: np.ndarray, students: int) -> World:
        """Read a covariance."""
        teachers = gram.shape[0] - students
        q = np.ascontiguousarray(gram[teachers:, teachers:])
        own, rest = np.empty_like(q), np.empty((teachers, teachers))
        square_root(q, own)
        regression = gram[:teachers, teachers:] @ np.linalg.pinv(q, rcond=1e-12, hermitian=True)
        covariance = gram[:teachers, :teachers] - regression @ gram[teachers:, :teachers]
        square_root(covariance, rest)
        return cls(q, own, regression, covariance, rest)


@compiled
def fill_tables(value_and_slope, kinks, refinement, reaches, widths, tables):
    """Fill f_n and f'_n for each unit of the teacher, on a grid of b_n·h."""
    for n in range(reaches.size):
        centres = reaches[n] * (2.0 * np.arange(ROWS) / (ROWS - 1) - 1.0)
        found = conditional_moments(value_and_slope, kinks, centres, widths[n], refinement, 0.0)
        tables[n, 0], tables[n, 1] = found[:, 0], found[:, 2]


@compiled
def look_up(tables, n, reach, mean):
    """Interpolate the n-th table's function and its two derivatives by a cubic."""
    step = 2.0 * reach / (ROWS - 1)
    place = min(max((mean + reach) / step, 0.0), ROWS - 1.001)
    i = int(place)
    t = place - i
    before, after = tables[n, 0, i], tables[n, 0, i + 1]
    left, right = step * tables[n, 1, i], step * tables[n, 1, i + 1]
    rise = after - before
    first, second = left - rise, rise - right
    bend = first * (1.0 - t) + second * t
    value = before + t * (rise + (1.0 - t) * bend)
    slope = rise + (1.0 - 2.0 * t) * bend + t * (1.0 - t) * (second - first)
    curvature = 2.0 * (second - 2.0 * first + 3.0 * t * (first - second))
    return value, slope / step, curvature / step**2


class Block(NamedTuple):
    """Groups that are averaged over together.

    Attributes
    ----------
    mean, z : ndarray, (groups, samples, D)
        E[h*|h] and û, and the arguments of g.
    correlation : ndarray, (groups, K, K)
        r.
    spread, weight : ndarray, (groups, K) and (groups,)
        σ, and a group's share of the average.
    """

    mean: np.ndarray
    z: np.ndarray
    correlation: np.ndarray
    spread: np.ndarray
    weight: np.ndarray


@compiled
def fill_block(group, rule, first, world, scales, block):
    """Fill a block with the groups of points of a rule from the first on, and with their opposites.

    Returns
    -------
    int
        How many groups there are.
    """
    count, drawn, teachers = rule.hidden.shape
    students, size = scales.size, min(block.weight.size // 2, count - first)
    factor, product = np.empty((students, students)), np.empty((students, students))
    field = np.empty(students)
    for b in range(size):
        i, s = first + b, rule.shrunk[first + b]
        for k in range(students):
            slope = (rule.shrinkage[i] - 1.0) * world.students[k, s] / world.students[s, s]
            for n in range(students):
                factor[k, n] = world.own[k, n] + slope * world.own[s, n]
            for n in range(students):
                product[k, n] = 0.0
                for q in range(students):
                    product[k, n] += factor[k, q] * rule.scatter[i, q, n]
        density = 0.0
        for k in range(students):
            for q in range(k + 1):
                moment = 0.0
                for n in range(students):
                    moment += product[k, n] * factor[q, n]
                block.correlation[b, k, q] = block.correlation[b, q, k] = moment
            block.spread[b, k] = np.sqrt(block.correlation[b, k, k] / group)
            own = (group - 3) * world.students[k, k] / block.correlation[b, k, k]
            density += own / students
        block.weight[b] = 0.5 / (density * count)
        for k in range(students):
            for q in range(students):
                spreads = block.spread[b, k] * block.spread[b, q]
                block.correlation[b, k, q] /= group * spreads
        for m in range(drawn):
            for k in range(students):
                centre = apart = 0.0
                for n in range(students):
                    centre += world.own[k, n] * rule.mean[i, n]
                    apart += factor[k, n] * rule.apart[i, m, n]
                field[k] = centre + apart
                block.mean[b, m, teachers + k] = apart / block.spread[b, k]
                block.z[b, m, teachers + k] = scales[k] * block.mean[b, m, teachers + k]
            for j in range(teachers):
                mean = rest = 0.0
                for k in range(students):
                    mean += world.regression[j, k] * field[k]
                for n in range(j + 1):
                    rest += world.rest[j, n] * rule.hidden[i, m, n]
                block.mean[b, m, j], block.z[b, m, j] = mean, mean + rest
        block.mean[size + b], block.z[size + b] = -block.mean[b], -block.z[b]
        block.correlation[size + b] = block.correlation[b]
        block.spread[size + b], block.weight[size + b] = block.spread[b], block.weight[b]
    return 2 * size


@compiled
def fill_errors(world, tables, readout, block, b, value, found):
    """Fill e', E[e²|h], of which a part is drawn, and S v* f' for the samples of a group."""
    reaches, functions = tables
    error, square, stein = found
    teachers, d = reaches.size, readout.size
    tilts, bends = np.empty(teachers), np.empty(teachers)
    for m in range(error.size):
        mean = drawn = known = 0.0
        for j in range(teachers):
            centre, tilt, bend = look_up(functions, j, reaches[j], block.mean[b, m, j])
            y = block.z[b, m, j] - block.mean[b, m, j]
            mean += readout[j] * centre
            drawn += readout[j] * (value[b, m, j] - centre - tilt * y)
            drawn -= readout[j] * 0.5 * bend * (y * y - world.covariance[j, j])
            tilts[j], bends[j] = readout[j] * tilt, readout[j] * bend
        for i in range(teachers, d):
            mean += readout[i] * value[b, m, i]
        for j in range(teachers):
            stein[m, j] = 0.0
            for n in range(teachers):
                covariance = world.covariance[j, n]
                stein[m, j] += covariance * tilts[n]
                known += 0.5 * covariance * covariance * bends[j] * bends[n]
            known += tilts[j] * stein[m, j]
        error[m], square[m] = mean, mean * mean + known + drawn * drawn


@compiled
def noise_of(group, k, q, r, unit, gain, error, square):
    """Return what one group adds to N_kq / (G u_ku_q), and what Δ² multiplies in it.

    Parameters
    ----------
    group, k, q : int
        G and two units.
    r : float
        r_kq.
    unit, gain : ndarray, (K, samples)
        û and v g'(z).
    error, square : ndarray, (samples,)
        e' and E[e²|h].
    """
    drawn = error.size
    noise = labels = twice = 0.0
    first = second = first_k = first_q = second_k = second_q = 0.0
    for m in range(drawn):
        a, c, slopes = unit[k, m], unit[q, m], gain[k, m] * gain[q, m]
        shared = 1.0 + a * a + c * c - r * a * c
        labels += slopes * (1.0 - shared / group)
        noise += square[m] * slopes * (1.0 - shared / group)
        twice += error[m] * error[m] * slopes * shared
        here, there = gain[k, m] * error[m], gain[q, m] * error[m]
        first += here
        second += there
        first_k += here * a
        first_q += here * c
        second_k += there * a
        second_q += there * c
    pairs = first * second + first_k * second_k + first_q * second_q - r * first_k * second_q
    noise -= (group - 1) / (drawn - 1) * (pairs - twice) / group
    return noise / drawn, labels / drawn


@compiled
def group_sums(value_and_slope, group, rule, world, tables, scales, readout, sums):
    """Add up the averages over the points of one rule.

    Parameters
    ----------
    value_and_slope : C callback
        Fills g and g' at an array of points.
    group : int
        G.
    rule : Groups
        See `statmech_bn.averages.committee_groups`.
    world : World
    tables : tuple of ndarray
        Reaches, (K*,), and tables, (K*, 2, ROWS), of the teacher's units.
    scales : ndarray, (K,)
        γ.
    readout : ndarray, (D,)
        ω = (v*, −v).
    sums : Sums
        Filled.
    """
    count, drawn, teachers = rule.hidden.shape
    students, d = scales.size, readout.size
    clear(sums)
    block = Block(
        np.empty((BLOCK, drawn, d)),
        np.zeros((BLOCK, drawn, d)),
        np.empty((BLOCK, students, students)),
        np.empty((BLOCK, students)),
        np.empty(BLOCK),
    )
    output, slope = np.empty(block.z.size), np.empty(block.z.size)
    value, derivative = output.reshape(block.z.shape), slope.reshape(block.z.shape)
    error, square, stein = np.empty(drawn), np.empty(drawn), np.empty((drawn, teachers))
    unit, gain = np.empty((students, drawn)), np.empty((students, drawn))
    for first in range(0, count, BLOCK // 2):
        size = fill_block(group, rule, first, world, scales, block)
        value_and_slope(block.z.ravel(), output, slope)
        for b in range(size):
            found = error, square, stein
            fill_errors(world, tables, readout, block, b, value, found)
            share = block.weight[b] / drawn
            for m in range(drawn):
                for k in range(students):
                    i = teachers + k
                    unit[k, m] = block.mean[b, m, i]
                    gain[k, m] = -readout[i] * derivative[b, m, i]
                    sums.pull[k] += share * gain[k, m] * error[m] * unit[k, m]
                    sums.readout[k] += share * error[m] * value[b, m, i]
            for k in range(students):
                factor = scales[k] / block.spread[b, k]
                for m in range(drawn):
                    own = share * factor * gain[k, m]
                    for q in range(students):
                        rest = unit[q, m] - block.correlation[b, k, q] * unit[k, m]
                        sums.along[k, teachers + q] += own * error[m] * block.spread[b, q] * rest
                    aligned = (1.0 + unit[k, m] * unit[k, m]) / group
                    for j in range(teachers):
                        sums.along[k, j] += own * (1.0 - aligned) * stein[m, j]
                for q in range(k + 1):
                    r = block.correlation[b, k, q]
                    noise, labels = noise_of(group, k, q, r, unit, gain, error, square)
                    both = block.weight[b] * factor * scales[q] / (block.spread[b, q] * group)
                    sums.noise[k, q] += both * noise
                    sums.of_labels[k, q] += both * labels
    for k in range(students):
        sums.along[k, teachers + k] = 0.0
        for j in range(teachers):
            for q in range(students):
                sums.along[k, j] += world.regression[j, q] * sums.along[k, teachers + q]
        for q in range(k):
            sums.noise[q, k], sums.of_labels[q, k] = sums.noise[k, q], sums.of_labels[k, q]
