r"""Training on P = αN samples, epoch after epoch: what gradient descent makes of a finite set.

The data are drawn once: P inputs, a teacher, P labels with their noise. An epoch takes the samples
in a new random order, M at a time without replacement (what is left after the last whole batch
sits out), and each batch makes the step of the online levels (`statmech_bn.online.microscopic`),
in the same units: w moves by (η/√N) Σ c x with 1/M in c, and γ by η_γ/N, so that learning rates of
order one are stable: without normalization up to about 2M/(1 + √(M/N))², which for the full batch
M = P is of order N. Learning takes of the order of N/η steps, that is M/(αη) epochs.

Penalties, in the units of the mean loss per sample: ζγ², (λ/2N)|w|², and for the student without
normalization (λ_r/2P)|w|², ridge regression's λ_r beside the sum of the losses.

At test time "batch" takes the mean and the spread of the training set's P fields, "population"
those of the population.

All learning rates (and initial weights) of a data set are the columns of one matrix, all data sets
of a worker are stacked, see `statmech_bn.offline.training_step`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from statmech_bn import __version__
from statmech_bn.activations import z
from statmech_bn.arrays import library, namespace, to_numpy
from statmech_bn.checks import count, function, integer, integers, real, thread_count
from statmech_bn.codegen import array_function
from statmech_bn.dataset import describe, provenance
from statmech_bn.errors import invalid
from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.offline.measurement import Ruler, complete
from statmech_bn.offline.training_set import STREAM, Source, TrainingSet, training_sizes
from statmech_bn.offline.training_step import Array, Problem, epoch
from statmech_bn.online.arguments import (
    check_dtype,
    check_finite_dimension,
    check_no_blocks,
    check_run,
    check_work,
)
from statmech_bn.online.inputs import Draw, Inputs
from statmech_bn.random.streams import stream
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

ORIGIN = OrderParameters(overlap=0.0)
"""Training starts with weights that know nothing of the teacher, at L = γ = 1."""
STACK_SIZE = 65_536
"""A thread trains so many weights at a time, which its cache holds."""
DEVICE_STACK_SIZE = 2**26
"""A GPU holds so many weights and samples of what it trains at a time."""


def train(
    setup: TeacherStudent,
    load: ArrayLike,
    learning_rate: ArrayLike,
    dimension: int,
    replicas: int = 1,
    epochs: int = 100,
    seed: int = 0,
    device: str = "cpu",
    ridge: float = 0.0,
    start: OrderParameters = ORIGIN,
    initializations: int | None = None,
    gamma_learning_rate: ArrayLike | None = None,
    schedule: Callable[[float], float] | None = None,
    history: bool | Sequence[int] = False,
    inputs: Inputs | Draw | ArrayLike | None = None,
    labels: ArrayLike | None = None,
    dtype: str = "float64",
    workers: int | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Train students on finite training sets.

    Parameters
    ----------
    setup : TeacherStudent
        Its batch size may be that of the whole training set, not more.
    load : float or sequence
        α = P/N > 0; P is rounded.
    learning_rate : float or sequence
        η > 0; all of them are trained on the same data, in the same order.
    dimension : int
        N ≥ 3.
    replicas : int
        Independent training sets, each with its own teacher, order and initial weights.
    epochs : int
        How often the training set is gone through.
    seed : int
        The streams of a training set depend on the seed, P and the replica's index only. Results
        do not depend on the workers or the other replicas and loads, bit for bit, and on the
        number of learning rates and initializations to rounding (products of matrices of another
        width add in another order).
    device : {"cpu", "cuda"}
        "cuda" is an NVIDIA GPU, through CuPy. Data, orders and initial weights are drawn on the CPU
        and are the same on both, results equal to rounding. The order of an epoch goes to the
        GPU at its begin; nothing comes back before the last.
    ridge : float
        λ_r ≥ 0, coefficient of (λ_r/2)|w|² beside the sum of the P losses; 0 unless the
        normalization is "none".
    start : OrderParameters
        The initial weights have exactly this overlap and length, in a random direction.
    initializations : int, optional
        Initial weights for each training set, in a dimension of this name; by default one, and no
        such dimension.
    gamma_learning_rate : float or sequence, optional
        η_γ > 0, by default the learning rate.
    schedule : callable, optional
        Fraction of the epochs that are done, in [0, 1) → factor ≥ 0 of both learning rates.
    history : bool or sequence of int
        Record after each epoch and before the first, or after these numbers of epochs (increasing,
        0 is the start), in a dimension `epoch`; by default at the end only.
    inputs : Inputs, callable or array_like, optional
        By default i.i.d. N(0, 1). The rows of an array are drawn without replacement, and those
        left over measure the generalization error; a callable's is measured on 4000 more samples.
    labels : array_like, optional
        One for each row of an array of inputs, in place of a teacher's; there is no overlap then.
        The setup's label noise is added to those of the training set.
    dtype : {"float64", "float32"}
    workers : int, optional
        Threads, by default one a core. No effect on the result, nor on a GPU.
    progress : bool, optional
        Whether to show a bar on stderr; by default on a terminal alone, after a second.

    Returns
    -------
    xarray.Dataset
        Dims (load, learning_rate, replica[, initialization][, epoch]); `overlap` R, `length` L,
        `gamma` γ, `growth` Q/Q₀, `training_loss` (without penalties), `generalization_error`
        (without label noise, exact for Gaussian inputs) and `diverged_at`, an epoch.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, a training set is smaller than a batch, or there are
        too few rows of data.
    NoDevice
        There is no GPU, or CuPy is not installed.

    Examples
    --------
    >>> import statmech_bn as sbn
    >>> setup = sbn.TeacherStudent("linear", "batch", batch_size=10, label_noise=0.5)
    >>> found = sbn.offline.train(setup, [2, 4], 1.0, dimension=50, epochs=100)
    >>> found["generalization_error"].dims
    ('load', 'learning_rate', 'replica')
    """
    run = check_run(setup, learning_rate, gamma_learning_rate, [0.0], start)
    check_no_blocks(start)
    dimension, replicas, seed = check_finite_dimension(dimension, replicas, seed)
    epochs = integer("epochs", epochs, 0, maximum=1e300)  # a float; too many are too long
    starts = 1 if initializations is None else count("initializations", initializations)
    threads = thread_count(workers)
    check_dtype(dtype)
    xp = namespace(device)
    source = Source.check(inputs, labels, dimension)
    loads, sizes = training_sizes(load, setup, source)
    learners = run.learning_rate.size * starts
    times = (epochs + 1) if history is True else 1 if history is False else np.size(history)
    held = 5.0 * replicas * learners * times * sizes.size + dimension * (learners + sizes.max())
    each = float(dimension) * learners * sizes.mean()
    factors = "epochs × load × dimension"
    check_work(replicas * sizes.size, epochs, each, held + epochs, device, factors)
    plan = _Plan(
        xp=xp,
        setup=setup,
        start=start,
        source=source,
        seed=seed,
        epochs=epochs,
        ridge=_check_ridge(setup, ridge),
        rates=np.tile(run.learning_rate, starts),
        gamma_rates=np.tile(run.gamma_learning_rate, starts),
        starts=starts,
        factors=_factors(schedule, epochs),
        records=_records(history, epochs),
        dtype=dtype,
    )
    jobs = [
        (size, range(first, min(first + depth, replicas)))
        for size in sizes
        for depth in [_depth(plan, int(size), replicas, threads, device)]
        for first in range(0, replicas, depth)
    ]
    with threadpool_limits(limits=1, user_api="blas"):
        stacks = in_threads(
            lambda job, watch: _train_stack(plan, job[0], job[1], watch),
            jobs,
            threads if device == "cpu" else 1,
            float(len(jobs)) * (epochs + 1),
            progress,
            "offline",
            "epochs",
        )

    dims = ["load", "learning_rate", "replica", "initialization", "epoch"]
    data = {}
    for name in stacks[0]:
        values = np.concatenate([found[name] for found in stacks])  # (loads × replicas, K, times)
        values = values.reshape(loads.size, replicas, starts, run.learning_rate.size, -1)
        data[name] = (dims, np.moveaxis(values, 3, 1))
    coordinates: dict[str, Any] = {
        "load": loads,
        "samples": ("load", sizes),
        "learning_rate": run.learning_rate,
        "gamma_learning_rate": ("learning_rate", run.gamma_learning_rate),
        "replica": np.arange(replicas),
        "initialization": np.arange(starts),
        "epoch": plan.records,
    }
    attributes = provenance(
        setup,
        start,
        "offline",
        dimension=dimension,
        seed=seed,
        epochs=epochs,
        ridge=plan.ridge,
        schedule=None if schedule is None else getattr(schedule, "__name__", repr(schedule)),
        inputs="Gaussian" if plan.source.inputs is None else plan.source.inputs.label,
        labels="teacher" if plan.source.labels is None else "given",
        dtype=dtype,
        array_library=library(xp),
        version=__version__,
    )
    diverged_at = data.pop("diverged_at")
    found = xr.Dataset(data, coordinates, attributes)
    found["diverged_at"] = xr.DataArray(diverged_at[1], dims=diverged_at[0])[..., 0]
    if history is False:
        found = found.isel(epoch=0, drop=True)
    if initializations is None:
        found = found.isel(initialization=0, drop=True)
    describe(found)["diverged_at"].attrs.update(long_name="epoch of divergence", units="epochs")
    return found


@dataclass(frozen=True)
class _Plan:
    """What all stacks share and only read."""

    xp: Any
    setup: TeacherStudent
    start: OrderParameters
    source: Source
    seed: int
    epochs: int
    ridge: float
    rates: np.ndarray
    gamma_rates: np.ndarray
    starts: int
    factors: np.ndarray
    records: np.ndarray
    dtype: str

    def problem(
        self, sets: Sequence[TrainingSet], moments: tuple[np.ndarray, np.ndarray] | None
    ) -> Problem:
        """Put a stack of data sets where `xp` computes."""
        setup, dimension, g = self.setup, self.source.dimension, self.setup.activation
        samples = np.stack([data.samples for data in sets])
        if moments is not None:
            samples = samples - moments[0]
        return Problem(
            setup.normalizer,
            setup.batch_size,
            setup.gamma_decay,
            setup.weight_decay / dimension + self.ridge / samples.shape[1],
            array_function(self.xp, [g.expression, g.derivative], [z], self.dtype),
            self.put(samples / np.sqrt(dimension)),
            self.put(np.stack([data.labels for data in sets])[:, :, None]),
            None if moments is None else self.put(moments[1]),
            distinct=self.source.inputs is None,
        )

    def put(self, values: np.ndarray) -> Array:
        """Copy to where `xp` computes, in the precision that is asked for."""
        return self.xp.asarray(values, dtype=getattr(self.xp, self.dtype))


def _train_stack(
    plan: _Plan, size: int, replicas: Sequence[int], watch: Watch
) -> dict[str, np.ndarray]:
    """Train on the data sets of some replicas; returns arrays (replicas, K, records)."""
    xp = plan.xp
    sets = [plan.source.draw(plan.setup, size, replica, plan.seed) for replica in replicas]
    orders = [stream(plan.seed, STREAM, size, replica, 3) for replica in replicas]
    known = plan.setup.normalizer.by_covariance
    moments = plan.source.moments(plan.seed) if known else None
    problem = plan.problem(sets, moments)
    ruler = Ruler.prepare(xp, problem, sets, 0.0 if moments is None else moments[0])
    first = np.stack([data.initial_weights(plan.start, plan.starts) for data in sets])
    weights = plan.put(np.repeat(first, plan.rates.size // plan.starts, axis=2))
    gamma = plan.put(np.full((len(sets), 1, plan.rates.size), plan.start.gamma))
    diverged_at = xp.asarray(np.full(gamma.shape, np.nan))
    limit = float(np.finfo(plan.dtype).max) ** 0.25
    measured = []
    with np.errstate(all="ignore"):  # runs that diverge
        for done in range(plan.epochs + 1):
            watch.done[0] = done + 1.0
            if done in plan.records:
                measured.append(ruler.measure(weights, gamma))
            if done == plan.epochs:
                break
            order = xp.asarray(np.stack([generator.permutation(size) for generator in orders]))
            rates, gamma_rates = (
                plan.put(float(plan.factors[done]) * r) for r in (plan.rates, plan.gamma_rates)
            )
            gamma = epoch(xp, problem, order, weights, gamma, rates, gamma_rates)
            largest = xp.max(xp.abs(weights), axis=1, keepdims=True)
            broken = ~((largest < limit) & (xp.abs(gamma) < limit))
            first_time = broken & xp.isnan(diverged_at)
            diverged_at = xp.where(first_time, done + 1.0, diverged_at)
            weights = xp.where(broken, xp.ones_like(weights), weights)
            gamma = xp.where(broken, xp.ones_like(gamma), gamma)
    states = {
        name: np.stack([to_numpy(found[name]).astype(float) for found in measured], axis=-1)
        for name in measured[0]
    }
    diverged_at = to_numpy(diverged_at)[:, 0, :, None]
    found = complete(plan.setup, states, plan.start.length, diverged_at <= plan.records)
    return {**found, "diverged_at": np.broadcast_to(diverged_at, found["gamma"].shape)}


def _depth(plan: _Plan, size: int, replicas: int, threads: int, device: str) -> int:
    """Return how many data sets of P samples are trained together."""
    dimension, learners = plan.source.dimension, plan.rates.size
    if device == "cpu":
        return max(1, min(-(-replicas // threads), STACK_SIZE // (dimension * learners)))
    return max(1, DEVICE_STACK_SIZE // (dimension * learners + size * (dimension + learners)))


def _check_ridge(setup: TeacherStudent, ridge: float) -> float:
    value = real("ridge", ridge, minimum=0.0)
    if value > 0 and setup.normalizer.has_scale:
        raise invalid(
            "ridge",
            "0 for a normalized student, whose output does not depend on its length",
            ridge,
            "Use the setup's gamma_decay ζ: λ_r = 2αζ.",
        )
    return value


def _factors(schedule: Callable[[float], float] | None, epochs: int) -> np.ndarray:
    """Evaluate the schedule at the begin of each epoch."""
    if schedule is None:
        return np.ones(epochs)
    function("schedule", schedule)
    return np.array([real("schedule", schedule(k / epochs), minimum=0.0) for k in range(epochs)])


def _records(history: bool | Sequence[int], epochs: int) -> np.ndarray:
    """Return the numbers of epochs after which to measure, ascending."""
    if history is False:
        return np.array([epochs])
    if history is True:
        return np.arange(epochs + 1)
    asked = np.array(integers("history", history, 0))
    if (np.diff(asked) <= 0).any() or asked[-1] > epochs:
        raise invalid("history", f"increasing numbers of epochs up to {epochs}", list(asked))
    return asked
