"""The compiled step of a committee's chain; `statmech_bn.online.chain.committee` has its equations.

Loops over samples are the innermost ones, on contiguous rows, so that they become vector
instructions; sums over samples may be taken in any order.
"""

from __future__ import annotations

import numpy as np

from statmech_bn.compile_cache import INNER, numba
from statmech_bn.normalization.compiled import grown, passed
from statmech_bn.online.arguments import LARGEST_LENGTH
from statmech_bn.online.chain.samples import normalize
from statmech_bn.online.chain.triangle import triangularize
from statmech_bn.online.schedules.pieces import value_at_step

PHI, OUTPUT, SLOPE = range(3)
"""Rows of a table: the argument of g, g and g'."""
inlined = numba.njit(
    error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True, **INNER
)
"""Compiles a part of a step into its callers."""
exact = numba.njit(error_model="numpy", **INNER)
"""Compiles what counts on infinite numbers, or is seldom called."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def simulate(generator, problem, pace, committee, record_steps, watch, room, records):
    """Run one replica for all learning rates; fills the records."""
    signals, (drawn, student) = committee.signals, room
    learners, dimension = pace.learning_rate.size, problem.dimension
    units, directions = committee.first.shape
    factors = np.empty((learners, units, directions))
    scales, readouts = np.empty((learners, units)), np.empty((learners, units))
    for learner in range(learners):
        for k in range(units):
            scales[learner, k], readouts[learner, k] = committee.scale[k], committee.readout[k]
            for j in range(directions):
                factors[learner, k, j] = committee.first[k, j]
    beyond = dimension - directions
    tempo, unchanged, step = 0.0, 0.0, 0
    for recorded in range(record_steps.size):
        while step < record_steps[recorded]:
            if watch.stop[0]:
                return
            watch.done[0] += 1.0
            draw_inputs(generator, problem, drawn)
            draw_others(generator, beyond, drawn.others)
            label(signals, committee.teacher, committee.teacher_readout, drawn)
            if step >= unchanged:
                factor, unchanged = value_at_step(pace.edges, pace.factors, step, dimension)
                tempo = factor / dimension
            step += 1
            for k in range(learners):
                if not np.isnan(records.diverged_at[k]):
                    continue
                unit = pace.learning_rate[k] * tempo
                gamma_unit = pace.gamma_learning_rate[k] * tempo
                readout_unit = committee.readout_learning_rate[k] * tempo
                rows, scale, readout = factors[k], scales[k], readouts[k]
                measure(rows, student.spread)
                respond(signals, problem, drawn, rows, scale, readout, student)
                pull_back(problem, scale, readout, student, unit, gamma_unit, readout_unit)
                square = move(drawn, rows, student, 1.0 - problem.weight_decay * unit)
                if not is_finite(square, scale, readout):
                    records.diverged_at[k] = step / dimension
        for k in range(learners):
            if np.isnan(records.diverged_at[k]):
                record(committee.teacher, factors[k], records, k, recorded)
                record_scales(scales[k], readouts[k], records, k, recorded)


@inlined
def draw_inputs(generator, problem, drawn):
    """Draw Z and the noise."""
    inputs, labels = drawn.inputs, drawn.labels
    directions, samples = inputs.shape
    for j in range(directions):
        for m in range(samples):
            inputs[j, m] = generator.standard_normal()
    for m in range(samples):
        labels[m] = 0.0
        if problem.label_noise > 0.0:
            labels[m] = problem.label_noise * generator.standard_normal()


@inlined
def draw_others(generator, directions, others):
    """Draw A, for as many directions outside of the units'."""
    for i in range(others.shape[0]):
        for j in range(i):
            others[i, j] = generator.standard_normal()
        freedom = directions - i
        others[i, i] = np.sqrt(2.0 * generator.standard_gamma(0.5 * freedom))


@inlined
def label(signals, teacher, readout, drawn):
    """Add what the teacher makes of Z to the noise."""
    labels, parts = drawn.labels, drawn.parts
    for n in range(teacher.shape[0]):
        for m in range(labels.size):
            parts[PHI, n, m] = teacher[n, 0] * drawn.inputs[0, m]
        for j in range(1, n + 1):
            for m in range(labels.size):
                parts[PHI, n, m] += teacher[n, j] * drawn.inputs[j, m]
    signals.value(drawn.table)
    for n in range(teacher.shape[0]):
        for m in range(labels.size):
            labels[m] += readout[n] * parts[OUTPUT, n, m]


@inlined
def measure(rows, spread):
    """Measure the lengths of all units."""
    first = rows.shape[1] - rows.shape[0] + 1
    for k in range(rows.shape[0]):
        square = 0.0
        for j in range(first + k):
            square += rows[k, j] * rows[k, j]
        spread[k] = np.sqrt(square)


@inlined
def respond(signals, problem, drawn, rows, scale, readout, student):
    """Compute fields, û, outputs and errors of one learner, by rows of a triangle."""
    fields, parts, error = student.normalized, student.parts, student.error
    units, samples = fields.shape
    first = rows.shape[1] - units + 1
    for k in range(units):
        for m in range(samples):
            fields[k, m] = rows[k, 0] * drawn.inputs[0, m]
        for j in range(1, first + k):
            for m in range(samples):
                fields[k, m] += rows[k, j] * drawn.inputs[j, m]
        size = 1.0
        if problem.of_batch:
            size = scale[k]
            for i in range(student.narrowing.shape[1]):
                part = fields[k, i * problem.group : (i + 1) * problem.group]
                student.narrowing[k, i] = normalize(part)
        elif problem.has_scale:
            size, student.narrowing[k, 0] = scale[k], 1.0 / student.spread[k]
            for m in range(samples):
                fields[k, m] *= student.narrowing[k, 0]
        for m in range(samples):
            parts[PHI, k, m] = size * fields[k, m]
    signals.value_and_slope(student.table)
    for m in range(samples):
        error[m] = drawn.labels[m]
    for k in range(units):
        for m in range(samples):
            error[m] -= readout[k] * parts[OUTPUT, k, m]


@inlined
def pull_back(problem, scale, readout, student, unit, gamma_unit, readout_unit):
    """Compute c times η/N of one learner; changes its γ and v."""
    c, normalized, parts = student.gradient, student.normalized, student.parts
    units, samples = normalized.shape
    share, group_share = unit / samples, 1.0 / problem.group
    for k in range(units):
        for m in range(samples):
            c[k, m] = readout[k] * parts[SLOPE, k, m] * student.error[m]
        pull, factor = 0.0, share
        if problem.has_scale:
            factor *= scale[k]
        for i in range(student.narrowing.shape[1]):
            # an index that may be negative would be wrapped around
            begin, end = np.uintp(i * problem.group), np.uintp((i + 1) * problem.group)
            by = factor * student.narrowing[k, i]
            average, along = 0.0, 0.0
            if problem.has_scale:
                for m in range(begin, end):
                    average += c[k, m]
                    along += c[k, m] * normalized[k, m]
                pull += along
                average, along = group_share * average, group_share * along
            if problem.of_batch:
                for m in range(begin, end):
                    c[k, m] = by * passed(c[k, m], average, normalized[k, m], along)
            else:
                for m in range(begin, end):
                    c[k, m] *= by
        pull /= samples
        student.turn[k] = 0.0
        if problem.by_length:
            student.turn[k] = unit * scale[k] * pull / (student.spread[k] * student.spread[k])
        if problem.has_scale:
            scale[k] = grown(scale[k], gamma_unit, problem.gamma_decay, pull)
    if readout_unit > 0.0:
        for k in range(units):
            towards = 0.0
            for m in range(samples):
                towards += student.error[m] * parts[OUTPUT, k, m]
            readout[k] += readout_unit * towards / samples


@inlined
def move(drawn, rows, student, keep):
    """Move the rows of one learner; returns the largest of their squared lengths."""
    units, directions = rows.shape
    teachers, across = directions - units, drawn.others.shape[0]
    c, inner, moved = student.gradient, student.inner, student.moved
    for k in range(units):
        kept = keep - student.turn[k]
        for j in range(directions):
            total = 0.0
            for m in range(c.shape[1]):
                total += c[k, m] * drawn.inputs[j, m]
            if j < teachers:
                rows[k, j] = kept * rows[k, j] + total
            else:
                moved[k, j - teachers] = kept * rows[k, j] + total
        for m in range(c.shape[1]):
            inner[k, m] = c[k, m]
    if units <= c.shape[1]:
        triangularize(inner)
    for k in range(units):
        for j in range(across):
            total = 0.0
            for i in range(j, across):
                total += inner[k, i] * drawn.others[i, j]
            moved[k, units + j] = total
    triangularize(moved)
    largest = 0.0
    for k in range(units):
        square = 0.0
        for j in range(units):
            rows[k, teachers + j] = moved[k, j]
        for j in range(directions):
            square += rows[k, j] * rows[k, j]
        if not square <= largest:
            largest = square
    return largest


@exact
def is_finite(square, scale, readout):
    """Say whether a learner has not diverged."""
    fine = square < LARGEST_LENGTH**2
    for k in range(scale.size):
        fine = fine and abs(scale[k]) < LARGEST_LENGTH and abs(readout[k]) < LARGEST_LENGTH
    return fine


@exact
def record_scales(scale, readout, records, learner, recorded):
    """Record γ and v of one learner."""
    for k in range(scale.size):
        records.gamma[learner, recorded, k] = scale[k]
        records.readout[learner, recorded, k] = readout[k]


@exact
def record(teacher, rows, records, learner, recorded):
    """Record ρ and Q of one learner."""
    units, directions = rows.shape
    for k in range(units):
        for n in range(teacher.shape[0]):
            total = 0.0
            for j in range(n + 1):
                total += rows[k, j] * teacher[n, j]
            records.student_teacher[learner, recorded, k, n] = total
        for other in range(units):
            total = 0.0
            for j in range(directions):
                total += rows[k, j] * rows[other, j]
            records.student_student[learner, recorded, k, other] = total
