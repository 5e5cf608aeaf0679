r"""The exact Markov chain of the order parameters at finite N: O(M) a step, whatever N is.

For Gaussian inputs the law of the next (ρ, Q, γ) depends on the weights only through (ρ, Q, γ),
with ρ = w·w*/N and Q = |w|²/N. Draw u, v ~ N(0, 1) for each of the M samples; then h = L u and
h* = R u + √(1−R²) v are the fields, δ = g'(φ)(y − g(φ)), and the weights move by
(η/√N) Σ c x, where

    none                 c = δ/M
    weight, population   c = γ δ/(M L)
    batch                c = γ [δ − mean δ − û mean(δ û)]/(M σ_B),   û = (h − μ_B)/σ_B

Besides the directions of w and w*, the inputs enter by X ~ χ²(N−2) alone. With κ = 1 − ηλ/N,
where the step is orthogonal to w (all but none):

    ρ ← κρ + (η/N) √(1−R²) Σ c v
    Q ← κ²Q + (η²/N²) [(Σ c v)² + X Σ c²]

and for none

    ρ ← κρ + (η/N) Σ c h*
    Q ← κ²Q + 2κ(η/N) Σ c h + (η²/N²) [(Σ c u)² + (Σ c v)² + X Σ c²]

while γ ← γ + (η_γ/N)(mean(δ φ/γ) − 2ζγ). The law is that of the N-dimensional simulation at
every N ≥ 3 (the tests compare them).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.arrays import DEVICES, namespace
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.checks import choice, flag, thread_count
from statmech_bn.compile_cache import numba
from statmech_bn.dataset import order_parameter_dataset, provenance
from statmech_bn.online.arguments import (
    COST,
    check_committee_work,
    check_finite_dimension,
    check_gaussian,
    check_room_for_units,
    check_run,
    check_units,
    check_work,
    is_committee,
)
from statmech_bn.online.chain import structured
from statmech_bn.online.chain.blocks_cuda import simulate_on_device as blocks_on_device
from statmech_bn.online.chain.committee import simulate_committee
from statmech_bn.online.chain.committee_blocks import check_blocks, simulate_blocks
from statmech_bn.online.chain.committee_cuda import simulate_on_device as committees_on_device
from statmech_bn.online.chain.cpu import simulate_on_processor
from statmech_bn.online.chain.cuda import simulate_on_device
from statmech_bn.online.committee import committee_dataset
from statmech_bn.online.independent import one_by_one
from statmech_bn.online.schedules.schedule import Schedule, prepare
from statmech_bn.online.structured import structured_dataset
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent


def mesoscopic(
    setup: TeacherStudent,
    learning_rate: ArrayLike,
    time: ArrayLike,
    start: OrderParameters,
    dimension: int,
    replicas: int = 1,
    seed: int = 0,
    gamma_learning_rate: ArrayLike | None = None,
    device: str = "cpu",
    workers: int | None = None,
    schedule: Schedule | Callable[[float], float] | None = None,
    inputs: Spectrum | None = None,
    readout_learning_rate: ArrayLike | None = None,
    progress: bool | None = None,
    common_random_numbers: bool = True,
) -> xr.Dataset:
    """Simulate the exact finite-N chain of the order parameters.

    Parameters
    ----------
    setup : TeacherStudent
    learning_rate : float or sequence
        η > 0. All learning rates of a call see the same random numbers, so a value does not
        depend on which others it is computed with, and differences between them are less noisy.
    time : sequence of float
        Increasing, in units of steps/N; each is recorded after the nearest whole step.
    start : OrderParameters
    dimension : int
        N ≥ 3; N ≥ K* + K + min(K, M) for committees.
    replicas : int
        Independent runs.
    seed : int
        The stream of a replica depends on the seed and the replica's index only.
    gamma_learning_rate : float or sequence, optional
        η_γ > 0, by default the learning rate.
    device : {"cpu", "cuda"}
        "cuda" is for many chains (thousands of replicas and learning rates at once). The two
        devices have other random numbers and the same law, see `online.chain.cuda`.
    workers : int, optional
        Threads of the processor, by default one a core. The result does not depend on it.
    schedule : Schedule or callable, optional
        Factor s(t) of both learning rates, see `statmech_bn.schedules`.
    inputs : Spectrum, optional
        Covariance of the Gaussian inputs, by default 1; the chain then has a pair of order
        parameters for each block (`statmech_bn.online.chain.blocks`), or matrices
        (`statmech_bn.online.chain.committee_blocks`, at least K* components in each).
    readout_learning_rate : float or sequence, optional
        η_v > 0 of a second layer that is learned, by default the learning rate.
    progress : bool, optional
        Whether to show a bar on stderr; by default on a terminal alone, after a second.
    common_random_numbers : bool
        Whether all learning rates share random numbers: their differences have less noise, and the
        points of one curve err together. With False each learning rate has a stream of its own.

    Returns
    -------
    xarray.Dataset
        See `statmech_bn.dataset`.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    NoDevice
        There is no GPU, or no CuPy.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "batch", batch_size=8, label_noise=0.3)
    >>> start = sbn.OrderParameters(overlap=0.1)
    >>> run = sbn.mesoscopic(setup, 2.0, [0, 5, 10], start, dimension=1000, replicas=4)
    >>> run["overlap"].dims
    ('learning_rate', 'replica', 'time')
    >>> run["overlap"].mean("replica").values.round(1)
    array([[0.1, 1. , 1. ]])

    Inputs with a covariance have ρ_i and Q_i in each block:

    >>> inputs = sbn.Spectrum([2, 0.5], multiplicities=[100, 200])
    >>> run = sbn.mesoscopic(setup, 2.0, [0, 5], start, dimension=300, inputs=inputs)
    >>> run["block_student_teacher"].dims
    ('learning_rate', 'replica', 'time', 'block')

    Committees have matrices (`statmech_bn.online.chain.committee`):

    >>> setup = sbn.TeacherStudent("erf", "batch", 8, student_units=2, teacher_units=3)
    >>> start = sbn.OrderParameters.random(setup, dimension=1000, seed=0)
    >>> run = sbn.mesoscopic(setup, 2.0, [0, 5], start, dimension=1000)
    >>> run["student_teacher"].dims
    ('learning_rate', 'replica', 'time', 'student_unit', 'teacher_unit')
    """
    run = check_run(
        setup, learning_rate, gamma_learning_rate, time, start, readout_learning_rate, True
    )
    check_gaussian(inputs, start)
    several = is_committee(setup, start)
    xp = namespace(choice("device", device, DEVICES))
    dimension, replicas, seed = check_finite_dimension(dimension, replicas, seed)
    if not flag("common_random_numbers", common_random_numbers):
        alone = partial(
            mesoscopic, setup, time=time, start=start, dimension=dimension, replicas=replicas,
            device=device, workers=workers, schedule=schedule, inputs=inputs, progress=progress,
        )  # fmt: skip
        return one_by_one(alone, run, seed, setup.readout == "learned")
    if several:
        check_units(setup, dimension)
    threads = thread_count(workers)
    steps, learners = run.record_steps(dimension), run.learning_rate.size
    factors, described = prepare(schedule, run.time)
    attributes = provenance(
        setup,
        start,
        "mesoscopic",
        dimension=dimension,
        seed=seed,
        schedule=described,
        array_library=(
            f"numba {numba.__version__}" if device == "cpu" else f"cupy {xp.__version__}"
        ),
    )
    if several:
        if inputs is None:
            check_room_for_units(setup, dimension)
        else:
            check_blocks(setup, inputs, dimension)
        blocks = 1 if inputs is None else inputs.blocks
        check_committee_work(setup, run, dimension, replicas, threads, blocks, device)
        if device != "cpu":
            records = committees_on_device(
                xp, setup, inputs, run, start, dimension, replicas, seed=seed, schedule=factors
            )
        elif inputs is None:
            records = simulate_committee(
                setup, run, start, dimension, replicas, seed, factors,
                threads=threads, progress=progress,
            )  # fmt: skip
        else:
            records = simulate_blocks(
                setup, inputs, run, start, dimension, replicas, seed, factors,
                threads=threads, progress=progress,
            )  # fmt: skip
        return committee_dataset(setup, run, *records, attributes, spectrum=inputs)
    if inputs is not None:
        chain_of = partial(structured.chain_of_blocks, inputs, start, dimension)
        size = dimension, replicas, inputs.blocks, 2 * inputs.blocks
        if device == "cpu":
            found = structured.simulate(
                setup, run, factors, chain_of, start.gamma, size, (seed, 1),
                threads=threads, progress=progress,
            )  # fmt: skip
        else:
            structured.check_size(setup, run, size, replicas, device)
            found = blocks_on_device(
                xp, setup, run, factors, inputs, chain_of, start.gamma,
                dimension=dimension, replicas=replicas, seed=seed,
            )  # fmt: skip
        return structured_dataset(setup, inputs, run, *found, attributes)
    numbers = COST * setup.batch_size * (2 + learners)
    held = 4 * replicas * learners * steps.size + 7 * setup.batch_size * min(threads, replicas)
    check_work(replicas, float(steps[-1]), numbers, held, device)
    if device == "cpu":
        states, diverged_at = simulate_on_processor(
            setup, run, start, dimension, replicas, seed, factors,
            threads=threads, progress=progress,
        )  # fmt: skip
    else:
        states, diverged_at = simulate_on_device(
            xp, setup, run, start, dimension, replicas, seed, factors
        )
    overlap, length, gamma = states
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
