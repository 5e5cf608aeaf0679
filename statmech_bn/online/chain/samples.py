r"""The samples of a step of the chain: their fields, what they are normalized to, and their errors.

Each sample has the field u of the student in units of its spread, and v, the part of the teacher's
that is independent of it. The errors δ of all samples are one call of printed code, and what of
them passes back through the statistics is c = P δ (`statmech_bn.symbolic.step`). The step needs

    Σ c u/(M s),     Σ c v/(M s),     Σ c²/(M s)²,     mean δû,

with s the spread of the group's fields u (1 where statistics are not drawn). The samples are
the columns of one table, whose rows an argument takes whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.codegen import numba_table_function, stable
from statmech_bn.compile_cache import numba
from statmech_bn.normalization.compiled import passed
from statmech_bn.symbolic import step as s


def error_function(activation: Activation) -> Any:
    """Compile δ = g'(φ)(g(h*) + noise − g(φ)), for the rows h*, φ, noise and δ of a table."""
    target, phi, noise = sp.symbols("target phi noise", real=True)
    g, slope = stable(activation.expression), stable(activation.derivative)
    delta = s.error_signal(g, slope, g.xreplace({z: target}) + noise, phi)
    return numba_table_function([delta], [target, phi, noise])


TARGET, PHI, NOISE, DELTA, U, V, STUDENT = range(7)
"""Rows of the table: h*, φ, noise and δ, which the printed code reads and writes, u, v and û."""


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def draw(generator, problem, table, narrowing):
    """Draw the noise, u and v of all samples, and normalize u; fills 1/s of each group."""
    for m in range(problem.batch_size):
        table[U, m] = generator.standard_normal()
        table[V, m] = generator.standard_normal()
        if problem.label_noise > 0.0:
            table[NOISE, m] = problem.label_noise * generator.standard_normal()
        table[STUDENT, m] = table[U, m]
    if problem.of_batch:
        for i in range(narrowing.size):
            narrowing[i] = normalize(table[STUDENT, i * problem.group : (i + 1) * problem.group])


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def normalize(fields):
    """Turn the fields of a group into normalized ones; returns 1/s."""
    mean, square = 0.0, 0.0
    for m in range(fields.size):
        mean += fields[m]
    mean /= fields.size
    for m in range(fields.size):
        square += (fields[m] - mean) ** 2
    narrowing = 1.0 / np.sqrt(square / fields.size)
    for m in range(fields.size):
        fields[m] = (fields[m] - mean) * narrowing
    return narrowing


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def respond(signal, problem, table, narrowing, teacher, size):
    """Return the four sums for a learner.

    The teacher's field is teacher[0] u + teacher[1] v, and φ is `size` times û. Sums over the
    samples may be taken in any order, so that they become vector instructions.
    """
    for m in range(problem.batch_size):
        table[TARGET, m] = teacher[0] * table[U, m] + teacher[1] * table[V, m]
        table[PHI, m] = size * table[STUDENT, m]
    signal(table)
    cu, cv, cc, pull, group_share = 0.0, 0.0, 0.0, 0.0, 1.0 / problem.group
    for i in range(narrowing.size):
        # an index that may be negative would be wrapped around
        begin, end = np.uintp(i * problem.group), np.uintp((i + 1) * problem.group)
        total, along, straight, across, square = 0.0, 0.0, 0.0, 0.0, 0.0
        if problem.has_scale:
            for m in range(begin, end):
                total += table[DELTA, m]
                along += table[DELTA, m] * table[STUDENT, m]
        pull += along
        total, along = total * group_share, along * group_share
        for m in range(begin, end):
            c = table[DELTA, m]
            if problem.of_batch:
                c = passed(c, total, table[STUDENT, m], along)
            straight += c * table[U, m]
            across += c * table[V, m]
            square += c * c
        cu += narrowing[i] * straight
        cv += narrowing[i] * across
        cc += narrowing[i] * narrowing[i] * square
    share = 1.0 / problem.batch_size
    return share * cu, share * cv, share * share * cc, share * pull
