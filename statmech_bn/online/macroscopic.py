r"""The flow of the order parameters at N → ∞, integrated.

The flow itself is SymPy's (`statmech_bn.symbolic.order_parameter_flow`), in terms of the averages
D, A₂ and B over the fields; those come from `statmech_bn.averages.choice`. The state that is
integrated is (R, log L, γ): the length of a student that diverges grows exponentially, and that of
a normalized one can grow by decades at once at a large learning rate.

`statmech_bn.online.flow.trajectory` integrates the averages' closed forms and series in compiled
code, `statmech_bn.online.flow.lsoda` what has neither.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.averages.generalization import generalization_error
from statmech_bn.checks import real, thread_count
from statmech_bn.dataset import describe, order_parameter_dataset, provenance
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.online.arguments import Run, check_gaussian, check_run, is_committee
from statmech_bn.online.committee import committee_dataset
from statmech_bn.online.flow import lsoda
from statmech_bn.online.flow.adaptive import DIVERGED, STOPPED, UNCOVERED, Problem
from statmech_bn.online.flow.blocks import integrate_blocks
from statmech_bn.online.flow.committee import integrate_committee
from statmech_bn.online.flow.committee_blocks import integrate_committee_blocks
from statmech_bn.online.flow.derivatives import LARGEST_LOG_LENGTH, compiled_flow, flow_function
from statmech_bn.online.flow.trajectory import Records, integrate
from statmech_bn.online.flow.zero_scale import jumps_at_zero, leaving, resting
from statmech_bn.online.schedules.schedule import Pieces, Schedule, prepare
from statmech_bn.online.structured import structured_dataset
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

SMALLEST_ACCURACY = 1e-12
"""What averages of committees are not asked to be more accurate than."""
CHUNK = 16
"""Trajectories that a thread takes at a time."""


def macroscopic(
    setup: TeacherStudent,
    learning_rate: ArrayLike,
    time: ArrayLike,
    start: OrderParameters,
    gamma_learning_rate: ArrayLike | None = None,
    workers: int | None = None,
    schedule: Schedule | Callable[[float], float] | None = None,
    inputs: Spectrum | None = None,
    readout_learning_rate: ArrayLike | None = None,
    progress: bool | None = None,
    accuracy: float | None = None,
) -> xr.Dataset:
    """Integrate the order parameters at N → ∞.

    Parameters
    ----------
    setup : TeacherStudent
        With "batch" the batch size must be at least 4: at 3 the noise E[1/σ_B²] is infinite.
    learning_rate : float or sequence
        η > 0, one trajectory each.
    time : sequence of float
        Increasing, ≥ 0; learning starts at 0.
    start : OrderParameters
    gamma_learning_rate : float or sequence, optional
        η_γ > 0, by default the learning rate.
    workers : int, optional
        Threads, by default one a core. The result does not depend on it.
    schedule : Schedule or callable, optional
        Factor s(t) of both learning rates, see `statmech_bn.schedules`.
    inputs : Spectrum, optional
        Covariance of the Gaussian inputs, by default 1; the flow then has a pair of order
        parameters for each block (`statmech_bn.online.flow.blocks`), or matrices
        (`statmech_bn.online.flow.committee_blocks`).
    readout_learning_rate : float or sequence, optional
        η_v > 0 of a second layer that is learned, by default the learning rate.
    progress : bool, optional
        Whether to show a bar on stderr; by default on a terminal alone, after a second.
    accuracy : float, optional
        Largest ``averages_error`` of a committee; points are added until it is reached. By default
        `statmech_bn.averages.committee` says how large it is; averages over batches are sought to
        1e-3.

    Returns
    -------
    xarray.Dataset
        See `statmech_bn.dataset`; relative accuracy 1e-6. Those of committees have the variable
        ``averages_error``, the error of the averages that drive the flow, relative to the largest
        that each could be; it is 0 where they are closed (`statmech_bn.averages.committee`).

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the start is γ = 0 at a kink from which N → ∞ has
        no single limit (`statmech_bn.online.flow.zero_scale`).
    NotConverged
        The solver gave up; the message names the learning rate and the time. Or the averages of a
        committee do not reach the accuracy.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "batch", batch_size=8, label_noise=0.3)
    >>> start = sbn.OrderParameters(overlap=0.1)
    >>> run = sbn.macroscopic(setup, [0.5, 2], [0, 5, 10], start)
    >>> run["overlap"].values.round(3)
    array([[0.1  , 0.918, 0.996],
           [0.1  , 0.994, 0.995]])

    With a covariance the block of the larger eigenvalue is learned first:

    >>> inputs = sbn.Spectrum([2, 0.5], fractions=[0.5, 0.5])
    >>> run = sbn.macroscopic(setup, 0.5, [0, 1], start, inputs=inputs)
    >>> run["block_student_teacher"].values[0].round(2)
    array([[0.05, 0.05],
           [0.33, 0.13]])

    Committees have matrices:

    >>> setup = sbn.TeacherStudent("erf", "none", 1, student_units=2, teacher_units=2)
    >>> start = sbn.OrderParameters(student_teacher=[[0.03, 0.01], [0, 0.02]],
    ...                             student_student=[[0.5, 0.05], [0.05, 0.6]])
    >>> run = sbn.macroscopic(setup, 0.8, [20, 120], start)
    >>> run["student_teacher"].values[0].round(2).tolist()  # the plateau, and after it
    [[[0.47, 0.43], [0.43, 0.46]], [[0.85, 0.08], [0.08, 0.85]]]
    """
    run = check_run(
        setup, learning_rate, gamma_learning_rate, time, start, readout_learning_rate, True
    )
    check_gaussian(inputs, start)
    setup.normalizer.check_flow(setup.batch_size)
    threads = thread_count(workers)
    factors, described = prepare(schedule, run.time)
    attributes = provenance(setup, start, "macroscopic", schedule=described)
    several = is_committee(setup, start)
    if accuracy is not None:
        if not several:
            raise invalid("accuracy", "None for one unit, whose accuracy is 1e-6", accuracy)
        accuracy = real("accuracy", accuracy, SMALLEST_ACCURACY)
    if several:
        if inputs is None:
            records, error = integrate_committee(
                setup, start, run, factors, threads, accuracy, progress
            )
        else:
            records, error = integrate_committee_blocks(
                setup, inputs, start, run, factors, threads, accuracy, progress
            )
        result = committee_dataset(setup, run, *records, attributes, spectrum=inputs)
        return describe(result.assign(averages_error=(("learning_rate", "time"), error)))
    if inputs is not None:
        found = integrate_blocks(setup, inputs, start, run, factors, progress)
        return structured_dataset(setup, inputs, run, *found, attributes=attributes)
    states, diverged_at = _integrate(setup, start, run, factors, threads, progress)
    overlap, log_length, gamma = np.moveaxis(states, 1, 0)
    overlap, length = np.clip(overlap, -1, 1), np.exp(log_length)
    overlap[np.isposinf(length)] = np.inf
    variables = {
        "overlap": overlap,
        "length": length,
        "gamma": gamma,
        "generalization_error": generalization_error(setup, overlap, length, gamma),
        "diverged_at": diverged_at,
    }
    return order_parameter_dataset(
        variables, run.learning_rate, run.gamma_learning_rate, run.time, attributes
    )


def _integrate(
    setup: TeacherStudent,
    start: OrderParameters,
    run: Run,
    schedule: Pieces,
    threads: int,
    progress: bool | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate all trajectories; returns (R, log L, γ), shape (rates, 3, times), and t_∞."""
    rates = np.stack([run.learning_rate, run.gamma_learning_rate], axis=1)
    first = np.array([start.overlap, np.log(start.length), start.gamma])
    gamma = leaving(setup, start)
    if gamma is None:
        return resting(setup, rates, first, schedule, run.time), np.full(len(rates), np.nan)
    given, first = first, np.array([first[0], first[1], gamma])
    states = np.full((len(rates), 3, run.time.size), np.inf)
    ended, reached = np.full(len(rates), UNCOVERED), np.zeros(len(rates))
    scale = gamma if setup.normalizer.has_scale else start.length
    flow = compiled_flow(setup, scale)
    if flow is not None:
        problem = Problem(first, *schedule, run.time, LARGEST_LOG_LENGTH)

        def one_chunk(begin: int, watch: Watch) -> None:
            part = slice(begin, begin + CHUNK)
            records = Records(states[part], ended[part], reached[part])
            integrate(flow, rates[part], problem, records, watch)

        begins = range(0, len(rates), CHUNK)
        in_threads(one_chunk, begins, threads, float(len(rates)), progress, "macroscopic", "rates")
    left = np.flatnonzero(ended == UNCOVERED).tolist()
    if left:
        slow, kinked = flow_function(setup, scale), jumps_at_zero(setup)

        def one(k: int, watch: Watch) -> None:
            found = lsoda.integrate(slow, rates[k], first, schedule, run.time, kinked, watch.reach)
            states[k], ended[k], reached[k] = found

        in_threads(one, left, 1, progress=progress, label="macroscopic", unit="rates")
    states[:, :, run.time == 0] = given[:, None]
    if (ended == STOPPED).any():
        k = int(np.argmax(ended == STOPPED))
        slope = flow_function(setup, scale)(*first, *rates[k])
        reason = "no step is accurate, or the bound on its work is reached"
        if not np.isfinite(slope).all():
            reason = "the derivative at the start is not finite"
        raise NotConverged(
            f"The solver stopped at t = {reached[k]:g} for learning rate {rates[k, 0]:g}: "
            f"{reason}. Ask for a shorter time, a smaller learning rate or a less extreme start."
        )
    return states, np.where(ended == DIVERGED, reached, np.nan)
