r"""N-vector simulation: weights, samples, gradients. The level that assumes nothing.

A step draws M inputs x in R^N and moves the weights of every learner by η times the mean gradient:

    none        w ← κw + (η/√N) Σ c x                              c = δ/M
    weight,     w ← κw + (η/√N) [Σ c (x − m) − Σ c (h − μ_P) Σw/(√N σ_P²)],
    population                                                      c = γ δ/(M σ_P)
    batch       w ← κw + (η/√N) Σ c x       c = γ [δ − mean δ − û mean(δ û)]/(M σ_B)

with κ = 1 − ηλ/N, h = w·x/√N, δ = g'(φ)(y − g(φ)) and γ ← γ + (η_γ/N)(mean(δ φ/γ) − 2ζγ).
"population" knows the inputs' mean m and covariance Σ, μ_P = w·m/√N and σ_P² = w'Σw/N; "weight"
puts m = 0 and Σ = 1, that is σ_P = L.

On Gaussian inputs the samples themselves are not needed: the 2M fields of a step, and the sum Σ c x
given them, are N + 2M random numbers instead of NM, and have the same law
(`statmech_bn.online.chain.blocks` with N blocks of one weight). All learning rates of a call share
these numbers. The floor of a step is the time to draw them.

Other inputs, float32 and GPUs take samples: all learning rates learn from the same, one block of
which is in memory at a time, and the fields and updates of all learners are two matrix products. On
the CPU a replica is a compiled loop in a thread (`statmech_bn.online.network.step`), on a GPU all
replicas make their steps together (`statmech_bn.online.network.arrays`). Committees do so on both
(`statmech_bn.online.network.committee`), with samples of all inputs, those of a spectrum too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.activations import z
from statmech_bn.arrays import DEVICES, library, namespace
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.checks import array, choice, flag, thread_count
from statmech_bn.dataset import order_parameter_dataset, provenance
from statmech_bn.errors import invalid
from statmech_bn.online.arguments import (
    check_dtype,
    check_finite_dimension,
    check_gaussian,
    check_no_blocks,
    check_run,
    check_units,
    check_work,
    is_committee,
)
from statmech_bn.online.chain import structured
from statmech_bn.online.chain.committee_blocks import check_blocks
from statmech_bn.online.committee import committee_dataset
from statmech_bn.online.independent import one_by_one
from statmech_bn.online.inputs import TEST_SAMPLES, Draw, Inputs, check_single
from statmech_bn.online.network.committee import learn_committees
from statmech_bn.online.network.replicas import learn_in_threads
from statmech_bn.online.network.stacks import learn_stacks
from statmech_bn.online.network.world import Plan, World
from statmech_bn.online.schedules.schedule import Schedule, prepare
from statmech_bn.online.structured import structured_dataset
from statmech_bn.spectrum import Spectrum
from statmech_bn.spectrum.of_data import best_linear
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

SEEN = "rows of the inputs"
"""The error of students who learn from an array is measured on these, unless others are given."""


def microscopic(
    setup: TeacherStudent,
    learning_rate: ArrayLike,
    time: ArrayLike,
    start: OrderParameters,
    dimension: int,
    replicas: int = 1,
    seed: int = 0,
    gamma_learning_rate: ArrayLike | None = None,
    device: str = "cpu",
    inputs: Inputs | Spectrum | Draw | ArrayLike | None = None,
    teacher: ArrayLike | None = None,
    workers: int | None = None,
    schedule: Schedule | Callable[[float], float] | None = None,
    dtype: str = "float64",
    readout_learning_rate: ArrayLike | None = None,
    progress: bool | None = None,
    test_inputs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    common_random_numbers: bool = True,
) -> xr.Dataset:
    """Simulate students of N weights.

    Parameters
    ----------
    setup : TeacherStudent
    learning_rate : float or sequence
        η > 0.
    time : sequence of float
        Increasing, in units of steps/N; each is recorded after the nearest whole step.
    start : OrderParameters
        The initial weights have exactly this overlap and length, in a random direction.
    dimension : int
        N ≥ 3; N ≥ K* + K for committees.
    replicas : int
        Independent teachers, initial weights and streams of samples.
    seed : int
        The stream of a replica depends on the seed and the replica's index only. Teachers and
        initial weights are the same on all devices, and so are inputs of one's own. Gaussian inputs
        and the noise beside them are drawn where they are used: CPU and GPU agree in law, not in
        bits, and each is reproducible with itself (a GPU of one kind; with other learning rates or
        replicas beside, its products may round in another way). On the CPU replicas do not matter;
        the other learning rates of a call change the last bits where samples are drawn, that is
        for float32, inputs of one's own and committees, and whole trajectories of chaotic runs.
    gamma_learning_rate : float or sequence, optional
        η_γ > 0, by default the learning rate.
    device : {"cpu", "cuda"}
        "cuda" is an NVIDIA GPU, through CuPy. It keeps samples, weights and order parameters until
        a time is recorded. Real data are copied to it once; what a callable draws is drawn on the
        CPU and moved in blocks.
    inputs : Inputs, Spectrum, callable or array_like, optional
        By default i.i.d. N(0, 1). A `statmech_bn.Spectrum` is Gaussian inputs with a covariance,
        for one unit in float64 on the processor; its teacher is the teacher. See
        `statmech_bn.Inputs` for other distributions and data; the generalization error is then
        measured without label noise, on all rows of an array of at most 10,000, otherwise on 4000
        samples, which all replicas of a call share. Rows of an array are also learned from, unless
        `test_inputs` are given; the attribute ``error_samples`` says which.
    teacher : array_like, optional
        Direction of w*, shape (N,), of all replicas; of any length ≠ 0, as it is scaled to √N. For
        committees w*, shape (K*, N), with the products N T of the setup. By default each replica
        draws its own.
    workers : int, optional
        Threads, by default one a core; replicas run in parallel. No effect on the result, nor on
        a GPU.
    schedule : Schedule or callable, optional
        Factor s(t) of both learning rates, see `statmech_bn.schedules`.
    dtype : {"float64", "float32"}
        Of samples and weights; order parameters are summed and kept in float64. A step in float32
        takes its M N samples, so that on Gaussian inputs it is slower than one in float64.
    readout_learning_rate : float or sequence, optional
        η_v > 0 of a second layer that is learned, by default the learning rate.
    progress : bool, optional
        Whether to show a bar on stderr; by default on a terminal alone, after a second.
    test_inputs : array_like, optional
        Rows that are held out of an array of inputs, of shape (samples, N); the error is measured
        on all of them.
    labels : array_like, optional
        The data's own labels, of shape (samples,), one a row of an array of inputs, for a linear
        student on the processor. As for `Spectrum.from_data`, the teacher is the best linear one
        and labels are in units of its field, but they are not centred; what it leaves of them goes
        with its row. The error is measured from the teacher's field.
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
        An argument is outside of its range, or the inputs or the teacher do not have N components.
    NoDevice
        There is no GPU, or CuPy is not installed.

    Examples
    --------
    >>> import numpy as np, statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "batch", batch_size=8, label_noise=0.3)
    >>> start = sbn.OrderParameters(overlap=0.1)
    >>> run = sbn.microscopic(setup, 2.0, [0, 5, 10], start, dimension=100, replicas=4)
    >>> run["overlap"].mean("replica").values.round(1)
    array([[0.1, 1. , 1. ]])

    >>> inputs = sbn.Spectrum.power_law(1.0, blocks=100)
    >>> run = sbn.microscopic(setup, 2.0, [0, 10], start, dimension=100, inputs=inputs)
    >>> run["block_student_student"].shape
    (1, 1, 2, 100)
    """
    run = check_run(
        setup, learning_rate, gamma_learning_rate, time, start, readout_learning_rate, True
    )
    several = is_committee(setup, start)
    dimension, replicas, seed = check_finite_dimension(dimension, replicas, seed)
    if not flag("common_random_numbers", common_random_numbers):
        alone = partial(
            microscopic, setup, time=time, start=start, dimension=dimension, replicas=replicas,
            device=device, inputs=inputs, teacher=teacher, workers=workers, schedule=schedule,
            dtype=dtype, progress=progress, test_inputs=test_inputs, labels=labels,
        )  # fmt: skip
        return one_by_one(alone, run, seed, setup.readout == "learned")
    check_dtype(dtype)
    choice("device", device, DEVICES)
    spectrum, given = (inputs, None) if isinstance(inputs, Spectrum) else (None, inputs)
    if given is not None and not isinstance(given, Inputs):
        given = Inputs(given)
    if given is None:
        check_gaussian(spectrum, start)
    else:
        check_no_blocks(start)
        if dtype == "float32":
            check_single(given, setup.normalizer.by_covariance)
    if several:
        check_units(setup, dimension)
        if spectrum is not None:
            check_blocks(setup, spectrum, dimension)
    on_processor = device == "cpu" and dtype == "float64"
    by_sums = on_processor and given is None and not several
    if spectrum is not None and not ((on_processor or several) and teacher is None):
        raise invalid(
            "device, dtype, teacher",
            "'cpu', 'float64' and None for inputs with a covariance (any of the first two for "
            "committees)",
            (device, dtype, teacher),
            "The spectrum has the teacher: sbn.Spectrum.from_covariance(covariance, teacher).",
        )
    held_out = _held_out(test_inputs, given, dimension)
    residuals = None
    if labels is not None:
        wrong = {
            "a teacher": teacher is not None,
            "a GPU": device != "cpu",
            setup.activation.name: setup.activation.expression != z,
            "several units": several,
        }
        if any(wrong.values()):
            raise invalid(
                "labels",
                "None, or a linear student of one unit on the processor without a teacher",
                [what for what, is_so in wrong.items() if is_so],
                "Labels make the teacher, by least squares: set activation='linear'; or leave "
                "labels out and give w* as teacher.",
            )
        teacher, residuals = _best_linear_teacher(given, labels, dimension)
    xp = namespace(device)
    threads = thread_count(workers)
    steps, learners = run.record_steps(dimension), run.learning_rate.size
    factors, described = prepare(schedule, run.time)
    attributes = provenance(
        setup,
        start,
        "microscopic",
        dimension=dimension,
        seed=seed,
        schedule=described,
        inputs="Gaussian" if given is None else given.label,
        error_samples=_error_samples(given, held_out),
        dtype=dtype,
        array_library=library(xp),
    )
    direction = _units(teacher, setup, dimension) if several else _direction(teacher, dimension)
    if by_sums:
        blocks = spectrum or Spectrum([1.0], fractions=[1.0])
        found = structured.simulate(
            setup,
            run,
            factors,
            partial(structured.chain_of_weights, blocks, start, dimension, direction),
            start.gamma,
            (dimension, replicas, blocks.blocks, dimension),
            (seed, 2),
            threads=threads,
            progress=progress,
        )
        return structured_dataset(setup, spectrum, run, *found, attributes)
    columns = learners * setup.student_units
    weights = dimension * (columns + setup.batch_size) * min(threads, replicas)
    held = 5 * replicas * columns * steps.size + weights
    if given is not None:
        held += dimension * (TEST_SAMPLES + dimension * setup.normalizer.by_covariance)
    each = setup.batch_size * dimension * (setup.teacher_units + columns)
    check_work(replicas, float(steps[-1]), each, held, device)
    world = World.prepare(
        setup, dimension, given, direction, seed, held_out, spectrum=spectrum, residuals=residuals
    )
    plan = Plan(setup, start, run, world, factors, seed, dtype)
    if several:
        of_units = learn_committees(xp, plan, replicas, progress)
        return committee_dataset(setup, run, attributes=attributes, **of_units, spectrum=spectrum)
    if device == "cpu":
        states, diverged_at = learn_in_threads(plan, replicas, threads, progress)
    else:
        states, diverged_at = learn_stacks(xp, plan, replicas, progress)
    overlap, length, gamma = states[:3]
    variables = {
        "overlap": overlap,
        "length": length,
        "gamma": gamma,
        "generalization_error": (
            generalization_error(setup, overlap, length, gamma) if given is None else states[3]
        ),
        "diverged_at": diverged_at,
    }
    result = order_parameter_dataset(
        variables, run.learning_rate, run.gamma_learning_rate, run.time, attributes
    )
    if attributes.get("error_samples") == SEEN:
        result["generalization_error"].attrs["long_name"] = "error on rows that are learned from"
    return result


def _held_out(
    test_inputs: ArrayLike | None, given: Inputs | None, dimension: int
) -> np.ndarray | None:
    """Check rows that are held out."""
    if test_inputs is None:
        return None
    if given is None or callable(given.source):
        raise invalid(
            "test_inputs", "None, unless inputs is an array", test_inputs,
            "Samples that are drawn are tested on more of them.",
        )  # fmt: skip
    rows = array("test_inputs", test_inputs, 2)
    if rows.shape[1] != dimension:
        raise invalid("test_inputs", f"shape (samples, {dimension})", rows.shape)
    return np.ascontiguousarray(rows)


def _best_linear_teacher(
    given: Inputs | None, labels: ArrayLike, dimension: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return w* of least squares, |w*| = √N, and what it leaves of each row's label."""
    if given is None or callable(given.source):
        raise invalid("labels", "None, unless inputs is an array of data to go with them", given)
    data = np.asarray(given.source)
    if data.shape[1] != dimension:
        raise invalid("inputs", f"shape (samples, {dimension})", data.shape)
    y = array("labels", labels, 1)
    teacher, _, scale = best_linear(data, y, centre=False)
    return teacher, y / scale - data @ teacher / np.sqrt(dimension)


def _error_samples(given: Inputs | None, held_out: np.ndarray | None) -> str | None:
    """Say what the error is measured on; None is exact."""
    if given is None:
        return None
    if held_out is not None:
        return "held out"
    return "fresh" if callable(given.source) else SEEN


def _units(teacher: ArrayLike | None, setup: TeacherStudent, dimension: int) -> np.ndarray | None:
    """Check a given teacher of several units."""
    if teacher is None:
        return None
    units = array("teacher", teacher, 2)
    if units.shape != (setup.teacher_units, dimension):
        raise invalid("teacher", f"shape {(setup.teacher_units, dimension)}", units.shape)
    products = units @ units.T / dimension
    if not np.allclose(products, setup.teacher_gram, rtol=1e-6, atol=1e-6):
        raise invalid(
            "teacher", f"units of the products {setup.teacher_gram.tolist()} by the dimension",
            products.tolist(), "Give these as the setup's teacher_overlaps.",
        )  # fmt: skip
    return units


def _direction(teacher: ArrayLike | None, dimension: int) -> np.ndarray | None:
    """Check a given teacher."""
    if teacher is None:
        return None
    direction = array("teacher", teacher, 1)
    if direction.shape != (dimension,) or not direction.any():
        raise invalid("teacher", f"{dimension} finite numbers, not all zero", teacher)
    largest: float = np.abs(direction).max()  # squares of huge and tiny numbers have no float
    return direction / largest
