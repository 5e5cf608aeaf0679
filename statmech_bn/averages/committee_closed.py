r"""Averages of a committee's errors that are closed, as compiled code takes them.

`statmech_bn.symbolic.committee_flow` derives them for erf, polynomials and what else its averages
reach, and `statmech_bn.averages.orthants` has those of piecewise linear units. Both come as a pair
of callbacks on tables, one column for each pair or quadruple of fields:

    pairs        C_00, C_01, C_11                 ->  E[g g], E[g' g'], E[g'' g]
    quadruples   C_00, C_01, …, C_33 (ten rows)   ->  E[g' g' g g]

so that a trajectory is compiled once for all of them. For z = (h*, φ), ω = (v*, −v) and a student's
unit k, `error_averages` adds them up to

    A_kj = E[δ_k x_j],   B_kl = E[δ_kδ_l],   E_k = E[e g(φ_k)],        x = (h*, h).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.averages.orthants import piecewise_linear_averages
from statmech_bn.codegen import numba_table_function
from statmech_bn.compile_cache import numba
from statmech_bn.errors import NoClosedForm
from statmech_bn.symbolic import committee_flow as s

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


class Room(NamedTuple):
    """Tables and results of one evaluation, made once; `make_room` makes it."""

    pairs: np.ndarray  # (6, K D)
    quadruples: np.ndarray  # (11, K(K+1)/2 D(D+1)/2)
    fields: np.ndarray  # covariance of z, (D, D)
    mixed: np.ndarray  # covariance of z with x, (D, D)
    weights: np.ndarray  # ω, (D,)
    along: np.ndarray  # A, (K, D)
    noise: np.ndarray  # B, (K, K)
    readout: np.ndarray  # E, (K,)


def make_room(students: int, teachers: int) -> Room:
    """Allocate for K and K* units."""
    d = students + teachers
    quadruples = students * (students + 1) // 2 * d * (d + 1) // 2
    shapes = ((6, students * d), (11, quadruples), (d, d), (d, d), (d,))
    found = ((students, d), (students, students), (students,))
    return Room(*(np.zeros(shape) for shape in (*shapes, *found)))


@lru_cache(maxsize=64)
def closed_averages(activation: Activation) -> tuple[Any, Any]:
    """Return the callbacks for pairs and for quadruples of fields.

    Parameters
    ----------
    activation : Activation

    Returns
    -------
    tuple of numba.core.ccallback.CFunc

    Raises
    ------
    NoClosedForm
        The averages of this activation are not closed.
    """
    slopes = slopes_at_zero(activation)
    if slopes is not None:
        return piecewise_linear_averages(*slopes)
    if activation.kinks:
        raise NoClosedForm(f"Four fields of {activation.name} have no closed average.")
    pair, quadruple = s.pair_averages(activation), s.quadruple_average(activation)
    return numba_table_function(pair, s.PAIR), numba_table_function([quadruple], s.QUADRUPLE)


def slopes_at_zero(activation: Activation) -> tuple[float, float] | None:
    """Return the slopes left and right of zero of g if it is piecewise linear, with g(0) = 0."""
    if activation.kinks != (0.0,):
        return None
    sides = []
    for side in (sp.Symbol("x", negative=True), sp.Symbol("x", positive=True)):
        branch = sp.simplify(sp.piecewise_fold(activation.expression.subs(z, side)))
        slope = sp.simplify(branch / side)
        if slope.free_symbols or not slope.is_real:
            return None
        sides.append(float(slope))
    return sides[0], sides[1]


@compiled
def error_averages(pairs, quadruples, room, noise):
    """Fill A, B and E of a room, whose covariances and weights are there; `noise` is Δ²."""
    students, d = room.along.shape
    teachers = d - students
    n = 0
    for k in range(teachers, d):
        for i in range(d):
            room.pairs[0, n] = room.fields[k, k]
            room.pairs[1, n] = room.fields[k, i]
            room.pairs[2, n] = room.fields[i, i]
            n += 1
    pairs(room.pairs)
    n = 0
    index = np.empty(4, np.int64)
    for k in range(teachers, d):
        for m in range(k, d):
            for i in range(d):
                for j in range(i, d):
                    index[0], index[1], index[2], index[3] = k, m, i, j
                    row = 0
                    for a in range(4):
                        for b in range(a, 4):
                            room.quadruples[row, n] = room.fields[index[a], index[b]]
                            row += 1
                    n += 1
    quadruples(room.quadruples)
    n = 0
    for k in range(students):
        own = -room.weights[teachers + k]  # v_k
        room.readout[k] = 0.0
        for j in range(d):
            room.along[k, j] = 0.0
        for i in range(d):
            room.readout[k] += room.weights[i] * room.pairs[3, n]
            for j in range(d):
                grown = room.pairs[5, n] * room.mixed[teachers + k, j]
                grown += room.pairs[4, n] * room.mixed[i, j]
                room.along[k, j] += own * room.weights[i] * grown
            n += 1
    n = 0
    for k in range(students):
        for m in range(k, students):
            total = noise * room.pairs[4, k * d + teachers + m]
            for i in range(d):
                for j in range(i, d):
                    both = 1.0 if i == j else 2.0
                    total += both * room.weights[i] * room.weights[j] * room.quadruples[10, n]
                    n += 1
            total *= room.weights[teachers + k] * room.weights[teachers + m]
            room.noise[k, m] = room.noise[m, k] = total
