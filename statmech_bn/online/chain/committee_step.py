"""The compiled step of a committee's chain; `statmech_bn.online.chain.committee` has its equations.

Loops over samples are the innermost ones, on contiguous rows, so that they become vector
instructions; sums over samples may be taken in any order.
"""

from __future__ import annotations

import numpy as np

from statmech_bn.compile_cache import numba
from statmech_bn.normalization.compiled import grown, means, passed
from statmech_bn.online.arguments import LARGEST_LENGTH
from statmech_bn.online.chain.samples import normalize
from statmech_bn.online.chain.triangle import triangularize
from statmech_bn.online.schedules.pieces import value_at_step

PHI, OUTPUT, SLOPE = range(3)
"""Rows of a table: the argument of g, g and g'."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def simulate(generator, problem, pace, committee, record_steps, watch, room, records):
    """Run one replica for all learning rates; fills the records."""
    signals, (drawn, student) = committee.signals, room
    learners, dimension = pace.learning_rate.size, problem.dimension
    units, directions = committee.first.shape
    factors = np.empty((learners, units, directions))
    scales, readouts = np.empty((learners, units)), np.empty((learners, units))
    for k in range(learners):
        factors[k], scales[k], readouts[k] = committee.first, committee.scale, committee.readout
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
                records.gamma[k, recorded] = scales[k]
                records.readout[k, recorded] = readouts[k]


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})
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


@numba.njit(error_model="numpy")
def draw_others(generator, directions, others):
    """Draw A, for as many directions outside of the units'."""
    for i in range(others.shape[0]):
        for j in range(i):
            others[i, j] = generator.standard_normal()
        freedom = directions - i
        others[i, i] = np.sqrt(2.0 * generator.standard_gamma(0.5 * freedom))


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})
def label(signals, teacher, readout, drawn):
    """Add what the teacher makes of Z to the noise."""
    labels, table = drawn.labels, drawn.table
    samples = labels.size
    for n in range(teacher.shape[0]):
        fields = table[PHI, n * samples : (n + 1) * samples]
        project(teacher[n], drawn.inputs, n + 1, fields)
    signals.value(table)
    for n in range(teacher.shape[0]):
        weight, values = readout[n], table[OUTPUT, n * samples :]
        for m in range(samples):
            labels[m] += weight * values[m]


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})
def measure(rows, spread):
    """Measure the lengths of all units."""
    first = rows.shape[1] - rows.shape[0] + 1
    for k in range(rows.shape[0]):
        square = 0.0
        for j in range(first + k):
            square += rows[k, j] * rows[k, j]
        spread[k] = np.sqrt(square)


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"}, forceinline=True)
def project(row, inputs, directions, fields):
    """Fill the fields of a unit, whose first so many components are not zero."""
    for m in range(fields.size):
        fields[m] = row[0] * inputs[0, m]
    for j in range(1, directions):
        along, values = row[j], inputs[j]
        for m in range(fields.size):
            fields[m] += along * values[m]


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})
def respond(signals, problem, drawn, rows, scale, readout, student):
    """Compute fields, û, outputs and errors of one learner, by rows of a triangle."""
    units, samples = student.normalized.shape
    first = rows.shape[1] - units + 1
    for k in range(units):
        fields = student.normalized[k]
        project(rows[k], drawn.inputs, first + k, fields)
        size = 1.0
        if problem.of_batch:
            size = scale[k]
            for i in range(student.narrowing.shape[1]):
                part = fields[i * problem.group : (i + 1) * problem.group]
                student.narrowing[k, i] = normalize(part)
        elif problem.has_scale:
            size, student.narrowing[k, 0] = scale[k], 1.0 / student.spread[k]
            for m in range(samples):
                fields[m] *= student.narrowing[k, 0]
        phi = student.table[PHI, k * samples : (k + 1) * samples]
        for m in range(samples):
            phi[m] = size * fields[m]
    signals.value_and_slope(student.table)
    error = student.error
    for m in range(samples):
        error[m] = drawn.labels[m]
    for k in range(units):
        weight, values = readout[k], student.table[OUTPUT, k * samples :]
        for m in range(samples):
            error[m] -= weight * values[m]


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})
def pull_back(problem, scale, readout, student, unit, gamma_unit, readout_unit):
    """Compute c times η/N of one learner; changes its γ and v."""
    units, samples = student.normalized.shape
    group, share = problem.group, unit / samples
    for k in range(units):
        c, normalized = student.gradient[k], student.normalized[k]
        weight, slope = readout[k], student.table[SLOPE, k * samples :]
        for m in range(samples):
            c[m] = weight * slope[m] * student.error[m]
        pull, factor = 0.0, share
        if problem.has_scale:
            factor *= scale[k]
        for i in range(student.narrowing.shape[1]):
            # an index that may be negative would be wrapped around
            begin, end = np.uintp(i * group), np.uintp((i + 1) * group)
            by = factor * student.narrowing[k, i]
            average, along = 0.0, 0.0
            if problem.has_scale:
                average, along = means(c[begin:end], normalized[begin:end])
                pull += along * group
            for m in range(begin, end):
                c[m] = by * (
                    passed(c[m], average, normalized[m], along) if problem.of_batch else c[m]
                )
        pull /= samples
        student.turn[k] = 0.0
        if problem.by_length:
            student.turn[k] = unit * scale[k] * pull / (student.spread[k] * student.spread[k])
        if problem.has_scale:
            scale[k] = grown(scale[k], gamma_unit, problem.gamma_decay, pull)
    if readout_unit > 0.0:
        for k in range(units):
            towards, values = 0.0, student.table[OUTPUT, k * samples :]
            for m in range(samples):
                towards += student.error[m] * values[m]
            readout[k] += readout_unit * towards / samples


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})
def move(drawn, rows, student, keep):
    """Move the rows of one learner; returns the largest of their squared lengths."""
    units, directions = rows.shape
    teachers, across = directions - units, drawn.others.shape[0]
    inner, moved = student.inner, student.moved
    for k in range(units):
        c = student.gradient[k]
        for m in range(c.size):
            inner[k, m] = c[m]
        for j in range(directions):
            values, total = drawn.inputs[j], 0.0
            for m in range(c.size):
                total += c[m] * values[m]
            if j < teachers:
                rows[k, j] = (keep - student.turn[k]) * rows[k, j] + total
            else:
                moved[k, j - teachers] = (keep - student.turn[k]) * rows[k, j] + total
    if units <= student.error.size:
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


@numba.njit(error_model="numpy")
def is_finite(square, scale, readout):
    """Say whether a learner has not diverged."""
    fine = square < LARGEST_LENGTH**2
    for k in range(scale.size):
        fine = fine and abs(scale[k]) < LARGEST_LENGTH and abs(readout[k]) < LARGEST_LENGTH
    return fine


@numba.njit(error_model="numpy")
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
