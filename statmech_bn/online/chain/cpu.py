r"""The chain on the processor: one compiled loop for each replica, over all its learning rates.

The samples of a step are a table of seven rows; the errors δ of all of them are one call of printed
code. ρ, Q and γ after a step are SymPy's (`statmech_bn.symbolic.step`), as on a GPU; only loops
over samples and groups, and the sums over them, are written here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from statmech_bn.activations import Activation, z
from statmech_bn.codegen import numba_inline_function, numba_table_function, stable
from statmech_bn.compile_cache import numba
from statmech_bn.normalization.compiled import grown, passed
from statmech_bn.online.arguments import LARGEST_LENGTH
from statmech_bn.online.schedules.pieces import value_at_step
from statmech_bn.symbolic import step as s

moved_across = numba_inline_function(s.chain_step(has_scale=True), s.WEIGHTS)
"""ρ and Q after a step orthogonal to w."""
moved = numba_inline_function(s.chain_step(has_scale=False), s.WEIGHTS)
"""ρ and Q after any step."""


class Origin(NamedTuple):
    """R, L and γ at the start."""

    overlap: float
    length: float
    gamma: float


def error_function(activation: Activation) -> Any:
    """Compile δ = g'(φ)(g(h*) + noise − g(φ)), for the rows h*, φ, noise and δ of a table."""
    target, phi, noise = sp.symbols("target phi noise", real=True)
    g, slope = stable(activation.expression), stable(activation.derivative)
    delta = s.error_signal(g, slope, g.xreplace({z: target}) + noise, phi)
    return numba_table_function([delta], [target, phi, noise])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def simulate(generator, signal, problem, pace, origin, record_steps, states, diverged_at):
    """Run one replica for all learning rates; fills `states` (3, learners, times).

    Sums over the batch may be taken in any order, so that they become vector instructions.
    """
    batch_size, dimension, group = problem.batch_size, problem.dimension, problem.group
    has_scale, of_batch = problem.has_scale, problem.of_batch
    learners = pace.learning_rate.size
    rho = np.full(learners, origin.overlap * origin.length)
    q = np.full(learners, origin.length * origin.length)
    scale = np.full(learners, origin.gamma)
    table = np.zeros((7, batch_size))
    target, phi, noise, delta, u, v, student = table
    narrowing = np.ones(batch_size // group)
    share, group_share = 1.0 / batch_size, 1.0 / group
    tempo, unchanged, step = 0.0, 0.0, 0
    for recorded in range(record_steps.size):
        while step < record_steps[recorded]:
            for m in range(batch_size):
                u[m] = generator.standard_normal()
                v[m] = generator.standard_normal()
                if problem.label_noise > 0.0:
                    noise[m] = problem.label_noise * generator.standard_normal()
            rest = 2.0 * generator.standard_gamma(0.5 * (dimension - 2.0))
            student[:] = u
            if of_batch:
                for i in range(narrowing.size):
                    narrowing[i] = normalize(student[i * group : (i + 1) * group])
            if step >= unchanged:
                factor, unchanged = value_at_step(pace.edges, pace.factors, step, dimension)
                tempo = factor / dimension
            step += 1
            for k in range(learners):
                if not np.isnan(diverged_at[k]):
                    continue
                root = np.sqrt(q[k])
                cosine = rho[k] / root
                sine = np.sqrt(max(0.0, q[k] - rho[k] * rho[k])) / root
                size = scale[k] if has_scale else root
                for m in range(batch_size):
                    target[m] = cosine * u[m] + sine * v[m]
                    phi[m] = size * student[m]
                signal(table)
                unit = pace.learning_rate[k] * tempo
                keep = 1.0 - problem.weight_decay * unit
                unit *= share
                cu, cv, cc, pull = 0.0, 0.0, 0.0, 0.0
                if has_scale:
                    for i in range(narrowing.size):
                        part = slice(i * group, (i + 1) * group)
                        errors, fields, other = delta[part], student[part], v[part]
                        total, along, across, square = 0.0, 0.0, 0.0, 0.0
                        for m in range(group):  # as a function of its own it is slower by a tenth
                            total += errors[m]
                            along += errors[m] * fields[m]
                        pull += along
                        total, along = total * group_share, along * group_share
                        for m in range(group):
                            c = errors[m]
                            if of_batch:
                                c = passed(c, total, fields[m], along)
                            across += c * other[m]
                            square += c * c
                        cv += narrowing[i] * across
                        cc += narrowing[i] * narrowing[i] * square
                    unit *= scale[k] / root
                    rho[k], q[k] = moved_across(rho[k], root, sine, keep, unit, 0.0, cv, rest * cc)
                    gamma_unit = pace.gamma_learning_rate[k] * tempo
                    scale[k] = grown(scale[k], gamma_unit, problem.gamma_decay, share * pull)
                else:
                    for m in range(batch_size):
                        cu += delta[m] * u[m]
                        cv += delta[m] * v[m]
                        cc += delta[m] * delta[m]
                    rho[k], q[k] = moved(rho[k], root, sine, keep, unit, cu, cv, rest * cc)
                if not (q[k] < LARGEST_LENGTH**2 and abs(scale[k]) < LARGEST_LENGTH):
                    diverged_at[k] = step / dimension
        for k in range(learners):
            if np.isnan(diverged_at[k]):
                root = np.sqrt(q[k])
                states[0, k, recorded] = min(1.0, max(-1.0, rho[k] / root))
                states[1, k, recorded] = root
                states[2, k, recorded] = scale[k]


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def normalize(fields):
    """Turn the fields of a group into normalized ones; returns L/σ_B."""
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
