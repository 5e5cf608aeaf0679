r"""Averages over four fields of a committee or fewer as integrals one within the other.

With the students first, the fields are (h, h*) = C ξ, C lower triangular and ξ independent unit
Gaussians. Given all others the last, one of the teacher's, is a Gaussian of mean m and standard
deviation s = C_DD. With f(m) and f'(m) the means of g and g' under it and V(m) the variance of g,
from a table, e' = Σ_{i<D} ω_i g(z_i) + ω_D f(m) is the mean of e, and the averages of
`statmech_bn.averages.committee_points` are, with G_k = v_k g'(z_k) and Stein's lemma,

    E[G_k e x_j] = E[G_k e' x_j] for j < D,   E[G_k e h*_D] = E[G_k (e' m + ω_D s² f'(m))],
    E[G_k G_l e²] = E[G_k G_l (e'² + ω_D² V(m))],   E[e g(z_k)] = E[e' g(z_k)].

What is left are integrals over ξ_1, …, ξ_{D−1}, three at most, of which
`statmech_bn.averages.committee_panels` has the nodes. Rules of two orders are compared: the
averages are those of the higher order, and their distance from the lower one's is the error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee_panels import REACH, SPACING, Fields, Rule, level_nodes
from statmech_bn.averages.committee_points import (
    Sums,
    clear,
    compiled,
    empty_sums,
    finish,
    square_root,
)

MOST_FIELDS = 4
"""Fields of the integrals; those that a setup lacks are zeros and come first."""
ORDERS = 6, 7
"""Nodes of a panel by the two rules."""
MOST_KINKS, MOST_NODES = 4, 2**23
"""A unit has at most so many kinks, and a smooth one as many nodes at the start."""
KNOWN = 1e-7
"""A field of a smaller standard deviation at given others is its mean."""
NEAREST = 1e-9
"""Kinks lie where they do at scales from this on."""
TABLE_REACH = 8.0
"""Standard deviations of m that a table covers."""
ROWS, MOST_ROWS = 128, 2**11
"""Rows of a table over the order, and at most."""


class Table(NamedTuple):
    """What is known of the last field's g at given m.

    Attributes
    ----------
    width, reach : float
        s, and the largest |m|.
    rows : ndarray, (rows, 3)
        f, f' and V on an even grid of m.
    """

    width: float
    reach: float
    rows: np.ndarray

    @classmethod
    def of(cls, rule: Quadrature, width: float, spread: float, order: int) -> Table:
        """Make one for m of a standard deviation, finer where kinks are smeared little."""
        reach = TABLE_REACH * spread + 1e-3
        rows = ROWS * order * max(1.0, rule.refinement / 2)
        if rule.kinks.size:
            rows = max(rows, 4 * order * reach / max(width, KNOWN) ** 0.75)
        centres = np.linspace(-reach, reach, int(min(rows, MOST_ROWS * order)))
        mean, square, tilt = rule.moments(centres, width).T
        columns = mean, tilt, np.maximum(square - mean**2, 0.0)
        return cls(width, reach, np.ascontiguousarray(np.stack(columns, axis=1)))


@compiled
def look_up(value_and_slope, table, m, moments):
    """Fill f, f' and V by the cubics through four rows of the table."""
    if table.width < KNOWN:
        value_and_slope(m, moments[0], moments[1])
        moments[2] = 0.0
        return
    rows = table.rows
    for n in range(m.size):
        place = (m[n] / table.reach + 1.0) * 0.5 * (len(rows) - 1)
        place = min(max(place, 1.0), len(rows) - 2.0)
        i = min(int(place), len(rows) - 3)
        t = place - i
        before, after = -t * (t - 1.0) * (t - 2.0) / 6.0, t * (t * t - 1.0) / 6.0
        left, right = 0.5 * (t * t - 1.0) * (t - 2.0), -0.5 * t * (t + 1.0) * (t - 2.0)
        for q in range(3):
            around = left * rows[i, q] + right * rows[i + 1, q]
            moments[q, n] = before * rows[i - 1, q] + around + after * rows[i + 2, q]


@compiled
def inner_sums(value_and_slope, fields, table, rule, past, reach, powers, found):
    """Fill the integral over ξ_3.

    Parameters
    ----------
    value_and_slope : C callback
        Fills g and g' at an array of points.
    fields, table, rule : Fields, Table and Rule
    past : ndarray, (4,), and float
        What ξ_1 and ξ_2 give to the fields, and to e'.
    reach : float
        How far ξ_3 goes.
    powers : int
        Three if the third field is a student's, else one.
    found : ndarray, (3, 6)
        Filled with the averages of 1, e', e'² + ω²V, e'x_3, e'm + ωs²f' and e'g(z_3), times G_3 to
        the power 0, 1 and 2.
    """
    offsets, error = past
    xi, weights = level_nodes(fields, 2, offsets, reach, rule)
    x, m = offsets[2] + fields.factor[2, 2] * xi, offsets[3] + fields.factor[3, 2] * xi
    output, slope, moments = np.empty(xi.size), np.empty(xi.size), np.empty((3, xi.size))
    value_and_slope(fields.scales[2] * x, output, slope)
    look_up(value_and_slope, table, m, moments)
    readout, last = fields.readout[2], fields.readout[3]
    for p in range(powers):
        whole = errors = squares = along = last_along = readouts = 0.0
        for c in range(xi.size):
            mean, tilt, variance = moments[0, c], moments[1, c], moments[2, c]
            e, factor = error + readout * output[c] + last * mean, weights[c]
            whole += factor
            errors += factor * e
            squares += factor * (e * e + last * last * variance)
            along += factor * e * x[c]
            last_along += factor * (e * m[c] + last * table.width * table.width * tilt)
            readouts += factor * e * output[c]
            weights[c] *= -readout * slope[c]
        found[p] = whole, errors, squares, along, last_along, readouts


@compiled
def nested_sums(value_and_slope, fields, table, rule, sums):
    """Fill the averages of δ by one rule, without upper triangles."""
    students, d = sums.along.shape
    first, powers = MOST_FIELDS - d, 3 if students == d - 1 else 1
    clear(sums)
    offsets, found, x = np.zeros((3, 4)), np.empty((3, 6)), np.empty(2)
    value, gain = np.empty(2), np.ones(3)
    xi, weights = level_nodes(fields, 0, offsets[0], REACH, rule)
    output, slope = np.empty(xi.size), np.empty(xi.size)
    value_and_slope(fields.scales[0] * fields.factor[0, 0] * xi, output, slope)
    for a in range(xi.size):
        offsets[1] = fields.factor[:, 0] * xi[a]
        x[0], value[0], gain[0] = offsets[1, 0], output[a], -fields.readout[0] * slope[a]
        left = np.sqrt(max(0.0, REACH**2 - xi[a] ** 2))
        eta, shares = level_nodes(fields, 1, offsets[1], left, rule)
        inner_output, inner_slope = np.empty(eta.size), np.empty(eta.size)
        argument = fields.scales[1] * (offsets[1, 1] + fields.factor[1, 1] * eta)
        value_and_slope(argument, inner_output, inner_slope)
        for b in range(eta.size):
            offsets[2] = offsets[1] + fields.factor[:, 1] * eta[b]
            x[1], value[1] = offsets[2, 1], inner_output[b]
            gain[1] = -fields.readout[1] * inner_slope[b]
            error = fields.readout[0] * value[0] + fields.readout[1] * value[1]
            within = np.sqrt(max(0.0, left**2 - eta[b] ** 2))
            past = offsets[2], error
            inner_sums(value_and_slope, fields, table, rule, past, within, powers, found)
            share = weights[a] * shares[b]
            for k in range(students):
                i = first + k
                p, own = i // 2, share * gain[i]  # the third unit's gain is in what is found
                sums.readout[k] += share * (found[0, 5] if p else value[i] * found[0, 1])
                for j in range(first, MOST_FIELDS):
                    moment = found[p, 1] * x[j] if j < 2 else found[p, j + 1]
                    sums.along[k, (j - first - students) % d] += own * moment
                for q in range(k + 1):
                    both, power = own * gain[first + q], p + (first + q) // 2
                    sums.noise[k, q] += both * found[power, 2]
                    sums.of_labels[k, q] += both * found[power, 0]


def serves(rule: Quadrature, d: int, largest: float) -> bool:
    """Say whether D fields are few, and g's arguments of this standard deviation not too wide."""
    if d > MOST_FIELDS or rule.growth > 0:
        return False
    across = 2 * REACH * ORDERS[1] * rule.refinement * max(1.0, largest) / SPACING
    return 0 < rule.kinks.size <= MOST_KINKS or across ** (d - 1) < MOST_NODES


def finer_orders(finer: int) -> tuple[int, int]:
    """Return orders of rules with two to this power times as many points as usual."""
    lower, higher = (round(n * 2 ** (finer / (MOST_FIELDS - 1))) for n in ORDERS)
    return lower, higher


def over_nested(
    rule: Quadrature,
    orders: tuple[int, int],
    gram: np.ndarray,
    scales: np.ndarray,
    readout: np.ndarray,
) -> list[Sums]:
    """Return averages by two rules.

    Parameters
    ----------
    rule : Quadrature
        Of the activation.
    orders : tuple of int
        The lower and the higher order.
    gram : ndarray, (D, D)
        Covariance of x = (h*, h).
    scales, readout : ndarray
        As `statmech_bn.averages.committee_points.point_sums` takes them.

    Returns
    -------
    list of Sums
        Those of the lower order, and their mirror images in those of the higher one: the mean is
        the higher order's, and its standard error is the distance of the two.
    """
    students, d = scales.size, len(gram)
    first, order = MOST_FIELDS - d, np.roll(np.arange(d), students - d)
    root, own, factors = np.empty_like(gram), np.empty_like(gram), np.ones(d)
    square_root(gram, root)
    square_root(np.ascontiguousarray(gram[np.ix_(order, order)]), own)
    factors[d - students :] = scales / np.sqrt(np.diag(gram)[d - students :])
    factor = np.pad(own, (first, 0))
    squares = np.cumsum(factor[:, ::-1] ** 2, axis=1)[:, ::-1]
    rest = np.sqrt(np.pad(squares[:, 1:], ((0, 0), (0, 1))))
    all_scales = np.pad(factors[order], (first, 0), constant_values=1.0)
    all_readout = np.pad(readout[order], (first, 0))
    near = np.where(np.abs(all_scales) < NEAREST, NEAREST, all_scales)
    fields = Fields(factor, rest, all_scales, all_readout, rule.kinks / near[:, None])
    found = []
    for n in orders:
        table = Table.of(rule, float(factor[3, 3]), float(np.linalg.norm(factor[3, :3])), n)
        sums = empty_sums(students, d)
        fine = Rule(*np.polynomial.legendre.leggauss(n), rule.refinement)
        nested_sums(rule.value_and_slope, fields, table, fine, sums)
        finish(root, factors, sums)
        found.append(sums)
    lower, higher = found
    return [lower, Sums(*(2 * b - a for a, b in zip(lower, higher, strict=True)))]
