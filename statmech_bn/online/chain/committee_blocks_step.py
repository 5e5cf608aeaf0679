"""The compiled step of a committee's chain on blocks of inputs.

`statmech_bn.online.chain.committee_blocks` has its equations.
"""

from __future__ import annotations

import numpy as np

from statmech_bn.compile_cache import numba
from statmech_bn.online.chain.committee_step import (
    draw_inputs,
    draw_others,
    exact,
    inlined,
    is_finite,
    label,
    pull_back,
    record_scales,
    respond,
)
from statmech_bn.online.chain.triangle import triangularize
from statmech_bn.online.schedules.pieces import value_at_step

DEPENDENT = 1e-13
"""A row whose rest is this part of its length is rounding beside the rows before it."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def simulate(generator, problem, pace, committee, blocks, record_steps, watch, room, records):
    """Run one replica for all learning rates; fills the records."""
    signals, (drawn, student, numbers) = committee.signals, room
    learners, dimension = pace.learning_rate.size, problem.dimension
    units, components = committee.first.shape
    teachers = blocks.teacher.shape[0]
    weights = np.empty((learners, units, components))
    scales, readouts = np.empty((learners, units)), np.empty((learners, units))
    for learner in range(learners):
        for k in range(units):
            scales[learner, k], readouts[learner, k] = committee.scale[k], committee.readout[k]
            for j in range(components):
                weights[learner, k, j] = committee.first[k, j]
    for n in range(teachers):
        orthonormalize(blocks.teacher[n], blocks.root, n, numbers)
    rows = np.ascontiguousarray(numbers.triangle[:teachers, :teachers])
    tempo, unchanged, step = 0.0, 0.0, 0
    for recorded in range(record_steps.size):
        while step < record_steps[recorded]:
            if watch.stop[0]:
                return
            watch.done[0] += 1.0
            draw_inputs(generator, problem, drawn)
            label(signals, rows, committee.teacher_readout, drawn)
            draw_numbers(generator, blocks, numbers)
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
                x, scale, readout = weights[k], scales[k], readouts[k]
                for unit_of in range(units):
                    orthonormalize(x[unit_of], blocks.root, teachers + unit_of, numbers)
                measure(problem, x, numbers, student)
                respond(
                    signals, problem, drawn, numbers.triangle[teachers:], scale, readout, student
                )
                pull_back(problem, scale, readout, student, unit, gamma_unit, readout_unit)
                keep = 1.0 - problem.weight_decay * unit
                square = move(problem, drawn, blocks, x, student, numbers, keep)
                if not is_finite(square, scale, readout):
                    records.diverged_at[k] = step / dimension
        for k in range(learners):
            if np.isnan(records.diverged_at[k]):
                record(blocks, weights[k], records, k, recorded)
                record_scales(scales[k], readouts[k], records, k, recorded)


@inlined
def draw_numbers(generator, blocks, numbers):
    """Draw G and A."""
    for i in range(numbers.along.shape[0]):
        for j in range(numbers.along.shape[1]):
            numbers.along[i, j] = generator.standard_normal()
    across = numbers.across.shape[1]
    for block in range(blocks.others.size):
        others = numbers.across[block]
        if blocks.others[block] >= across:
            draw_others(generator, blocks.others[block], others)
        else:
            for i in range(across):
                for j in range(int(blocks.others[block])):
                    others[i, j] = generator.standard_normal()


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})
def orthonormalize(x, root, place, numbers):
    """Fill a row of Λ and of O, by two passes of Gram and Schmidt, of which one is not enough."""
    own, factors = numbers.orthonormal[place], numbers.triangle[place]
    size, rest = 0.0, 0.0
    for j in range(x.size):
        own[j] = root[j] * x[j]
        size += own[j] * own[j]
    for i in range(factors.size):
        factors[i] = 0.0
    for _ in range(2):
        for i in range(place):
            other, along = numbers.orthonormal[i], 0.0
            for j in range(x.size):
                along += own[j] * other[j]
            for j in range(x.size):
                own[j] -= along * other[j]
            factors[i] += along
    for j in range(x.size):
        rest += own[j] * own[j]
    rest = np.sqrt(rest)
    if not rest > DEPENDENT * np.sqrt(size):
        for j in range(x.size):
            own[j] = 0.0  # its fields do not depend on a direction of its own
        return
    factors[place] = rest
    for j in range(x.size):
        own[j] /= rest


@inlined
def measure(problem, x, numbers, student):
    """Measure what a field is divided by: the length of the weights, or the field's spread."""
    teachers = numbers.triangle.shape[0] - x.shape[0]
    by_weights = problem.by_length and not problem.by_covariance
    for k in range(x.shape[0]):
        row = x[k] if by_weights else numbers.triangle[teachers + k]
        square = 0.0
        for j in range(row.size):
            square += row[j] * row[j]
        student.spread[k] = np.sqrt(square)


@inlined
def move(problem, drawn, blocks, x, student, numbers, keep):
    """Move the weights of one learner; returns the largest of their squared lengths."""
    units, components = x.shape
    across, sums = numbers.along.shape[0], numbers.sums
    for k in range(units):
        for m in range(student.error.size):
            student.inner[k, m] = student.gradient[k, m]
    if units <= student.error.size:
        triangularize(student.inner)
    for k in range(units):
        c, b = student.gradient[k], student.inner[k]
        for j in range(components):
            sums[j] = 0.0
        for i in range(min(k + 1, across) if units <= student.error.size else across):
            for j in range(components):
                sums[j] += b[i] * numbers.along[i, j]
        for i in range(numbers.orthonormal.shape[0]):
            direction, wanted, found = numbers.orthonormal[i], 0.0, 0.0
            for m in range(c.size):
                wanted += c[m] * drawn.inputs[i, m]
            for j in range(components):
                found += sums[j] * direction[j]
            for j in range(components):
                sums[j] += (wanted - found) * direction[j]
        for j in range(components):
            root, turn = blocks.root[j], student.turn[k]
            if problem.by_covariance:
                turn *= root * root
            x[k, j] = (keep - turn) * x[k, j] + root * sums[j]
    spread_out(blocks, x, student, numbers)
    largest = 0.0
    for k in range(units):
        square = 0.0
        for j in range(components):
            square += x[k, j] * x[k, j]
        if not square <= largest:
            largest = square
    return largest


@inlined
def spread_out(blocks, x, student, numbers):
    """Move the weights of one learner in the other directions of each block."""
    units, teachers = x.shape[0], blocks.teacher.shape[0]
    across = numbers.across.shape[1]
    for block in range(blocks.others.size):
        width = int(min(blocks.others[block], across))
        if width == 0:
            continue
        first = blocks.begin[block] + teachers
        root, others = blocks.root[first], numbers.across[block]
        moved = student.moved[:, : units + width]
        for k in range(units):
            for j in range(units):
                moved[k, j] = x[k, first + j]
            for j in range(width):
                total = 0.0
                for i in range(across):
                    total += student.inner[k, i] * others[i, j]
                moved[k, units + j] = root * total
        triangularize(moved)
        for k in range(units):
            for j in range(units):
                x[k, first + j] = moved[k, j]


@exact
def record(blocks, x, records, learner, recorded):
    """Record ρ and Q of one learner in all blocks."""
    units, teachers = x.shape[0], blocks.teacher.shape[0]
    for block in range(blocks.others.size):
        begin, end = blocks.begin[block], blocks.begin[block + 1]
        for k in range(units):
            for n in range(teachers):
                total = 0.0
                for j in range(begin, end):
                    total += x[k, j] * blocks.teacher[n, j]
                records.student_teacher[learner, recorded, block, k, n] = total
            for other in range(units):
                total = 0.0
                for j in range(begin, end):
                    total += x[k, j] * x[other, j]
                records.student_student[learner, recorded, block, k, other] = total
