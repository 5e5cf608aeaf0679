"""The chain of the order parameters as a CUDA kernel, for `mesoscopic(..., device="cuda")`.

The kernel (``lanes.cu``, ``samples.cu`` and ``chain.cu``; ``blocks.cu`` for inputs with a
covariance; `statmech_bn.online.chain.committee_cuda` for several units) is made for one activation,
normalization and batch size: the activation is printed from its expression by
`statmech_bn.codegen.cuda_source`, the rest are constants. CuPy compiles it at first use and keeps
the machine code on disk.

Random numbers are functions of (seed, replica, step, sample) by a counter-based generator
(``random_numbers.cu``), so that all learning rates of a replica see the same samples and a result
depends neither on the layout of the threads nor on which others it is computed with. On one kind
of device they are the same bits in each run; those of the processor are other ones, of the same
law. Everything is computed in float64.

The samples of a step are drawn once and kept in registers, since batch statistics and the
projection of the gradient need them again: a second draw would cost some hundred operations a
sample. For that, a replica's samples are split over as many threads of a warp as leave
`SAMPLES_PER_THREAD` to each, up to the 32 that there are (beyond M = 256 the samples no longer
fit into registers and go to the cache).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from statmech_bn.activations import z
from statmech_bn.arrays import to_numpy
from statmech_bn.codegen import cuda_source
from statmech_bn.compile_cache import numba
from statmech_bn.errors import invalid
from statmech_bn.online.arguments import LARGEST_LENGTH, Run
from statmech_bn.online.schedules.pieces import value_at
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.random.device import SOURCE
from statmech_bn.symbolic import step as s
from statmech_bn.teacher_student import OrderParameters, TeacherStudent

SAMPLES_PER_THREAD = 4
"""A choice from counting registers; it has not been measured."""
LARGEST_BATCH = 4096
"""Samples of a step that a device's memory holds for all threads that it runs at once."""
THREADS = 128
"""A block has so many threads."""
THREADS_AT_ONCE = 2**17
"""A device runs about so many threads at once; beyond, learning rates share a thread's draws."""
SAMPLES_OF_LAUNCH = 2**31
STEPS_OF_LAUNCH = 2**17
"""A launch ends after so many samples or so many steps, so that none takes more than seconds."""
NUMBERS_OF_RECORDS = 2**27
"""Recorded numbers that the device keeps before they go to the host: 1 GiB."""


def lanes(batch_size: int) -> int:
    """Return how many threads share a replica: a power of 2 that depends on M alone."""
    return min(32, 2 ** max(0, (-(-batch_size // SAMPLES_PER_THREAD) - 1).bit_length()))


def kernel_source(setup: TeacherStudent, lanes: int, blocks: bool = False) -> str:
    """Return the CUDA source of a setup's chain; its kernel is named ``simulate``.

    The chain is that of isotropic inputs, or of blocks (``blocks.cu``).

    Raises
    ------
    NotPrintable
        The activation has a function that CUDA does not have.
    """
    rule, size = setup.normalizer, setup.batch_size
    flags = {}
    if blocks:
        flags = {"BY_LENGTH": rule.by_length, "BY_COVARIANCE": rule.by_covariance}
        moves = [
            cuda_source(s.regression(), s.REGRESSION, "regressed"),
            cuda_source([s.component_step(rule.by_covariance)], s.COMPONENT, "component"),
            cuda_source([s.rest_step()], s.REST, "lengthened"),
        ]
    else:
        moves = [cuda_source(s.chain_step(rule.has_scale), s.WEIGHTS, "moved")]
    # a pair of neighbouring samples has the labels' noise of one draw
    slots = size if lanes == 1 else 2 * -(-size // (2 * lanes))
    texts = ["samples.cu", "blocks.cu" if blocks else "chain.cu"]
    return written(setup, {"LANES": lanes, "SLOTS": slots}, flags, moves, texts)


def written(
    setup: TeacherStudent,
    sizes: dict[str, float],
    flags: dict[str, bool],
    moves: Sequence[str],
    texts: Sequence[str],
) -> str:
    """Return texts of this folder behind what all of them need: constants and printed functions."""
    g, rule = setup.activation, setup.normalizer
    sizes = sizes | {
        "BATCH_SIZE": setup.batch_size,
        "GROUP": setup.group or setup.batch_size,
        "THREADS": THREADS,
        "LARGEST_LENGTH": LARGEST_LENGTH,
    }
    flags = flags | {
        "SCALED": rule.has_scale,
        "OF_BATCH": rule.of_batch,
        "NOISY": setup.label_noise > 0,
    }
    folder = files(__package__)
    return "\n".join(
        [
            *(
                f"constexpr {'int' if isinstance(size, int) else 'double'} {name} = {size!r};"
                for name, size in sizes.items()
            ),
            *(f"constexpr bool {name} = {str(on).lower()};" for name, on in flags.items()),
            cuda_source([g.expression], [z], "value"),
            cuda_source([g.expression, g.derivative], [z], "value_and_slope"),
            cuda_source([s.passed_back()], [s.delta, s.average, s.normalized, s.along], "passed"),
            *moves,
            cuda_source([s.scale_step()], s.SCALE, "grown"),
            SOURCE,
            *((folder / text).read_text() for text in ("lanes.cu", *texts)),
        ]
    )


def simulate_on_device(
    xp: Any,
    setup: TeacherStudent,
    run: Run,
    start: OrderParameters,
    dimension: int,
    replicas: int,
    seed: int,
    schedule: Pieces,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate all chains on a GPU.

    Parameters
    ----------
    xp : module
        CuPy.

    Returns
    -------
    states : ndarray, shape (3, learning rates, replicas, times)
        Overlap, length and γ; infinite from a divergence on.
    diverged_at : ndarray, shape (learning rates, replicas)
        Time of the divergence, NaN without one.

    Raises
    ------
    InvalidSetup
        The batch is larger than `LARGEST_BATCH`.
    """
    width, learners = lanes(setup.batch_size), run.learning_rate.size
    kernel = compiled(xp, setup, width)
    state = xp.empty((3, learners, replicas))
    state[0], state[1], state[2] = start.overlap * start.length, start.length**2, start.gamma
    diverged_at = xp.full((learners, replicas), xp.nan)
    work = Work(setup, run, dimension, replicas, seed, schedule, width, setup.batch_size)
    (records,) = work.launch(xp, kernel, (state, diverged_at), [state.shape])
    return np.moveaxis(records, 0, -1), to_numpy(diverged_at)


def compiled(xp: Any, setup: TeacherStudent, width: int, blocks: bool = False) -> Any:
    """Compile the kernel of a setup.

    Raises
    ------
    InvalidSetup
        The batch is larger than `LARGEST_BATCH`.
    """
    check_batch(setup, LARGEST_BATCH)
    return kernel_of(xp, kernel_source(setup, width, blocks))


def check_batch(setup: TeacherStudent, largest: int) -> None:
    """Refuse batches that are too large for a device.

    Raises
    ------
    InvalidSetup
        The batch is larger than that.
    """
    if setup.batch_size > largest:
        raise invalid(
            "setup.batch_size", f"at most {largest} on a GPU", setup.batch_size,
            "Use device='cpu'.",
        )  # fmt: skip


def kernel_of(xp: Any, code: str) -> Any:
    """Compile the kernel of a source."""
    return xp.RawModule(code=code, options=("--std=c++17",)).get_function("simulate")


@dataclass(frozen=True)
class Work:
    """Steps of all chains, in launches of a kernel.

    Attributes
    ----------
    setup : TeacherStudent
    run : Run
    dimension, replicas, seed : int
    schedule : tuple of ndarray
    width : int
        Threads that share a replica.
    numbers : int
        About so many numbers are computed in a step of a chain.
    """

    setup: TeacherStudent
    run: Run
    dimension: int
    replicas: int
    seed: int
    schedule: Pieces
    width: int
    numbers: int

    @property
    def together(self) -> int:
        """Learning rates that share a thread's draws."""
        learners = self.run.learning_rate.size
        return min(learners, max(1, learners * self.replicas * self.width // THREADS_AT_ONCE))

    @property
    def blocks(self) -> int:
        """Blocks of threads."""
        groups = -(-self.run.learning_rate.size // self.together)
        return -(-groups * self.replicas * self.width // THREADS)

    def launch(
        self, xp: Any, kernel: Any, held: tuple, shapes: list[tuple[int, ...]]
    ) -> list[np.ndarray]:
        """Take all steps; returns the records, (times, …) of each shape.

        The kernel's last arguments are what it holds (the state and more), and the records.
        """
        setup, run, dimension = self.setup, self.run, self.dimension
        key = np.random.SeedSequence(self.seed, spawn_key=(1,)).generate_state(2, np.uint32)
        learners, record_steps = run.learning_rate.size, run.record_steps(dimension)
        longest = SAMPLES_OF_LAUNCH // (learners * self.replicas * self.numbers)
        longest = min(STEPS_OF_LAUNCH, max(1, longest))
        rates, gamma_rates = xp.asarray(run.learning_rate), xp.asarray(run.gamma_learning_rate)
        found = [np.empty((record_steps.size, *shape)) for shape in shapes]
        times = max(1, NUMBERS_OF_RECORDS // sum(math.prod(shape) for shape in shapes))
        done = 0
        for first in range(0, record_steps.size, times):
            block = record_steps[first : first + times]
            records = [xp.full((block.size, *shape), xp.inf) for shape in shapes]
            steps, recorded = xp.asarray(block), 0
            while recorded < block.size:
                last = min(done + longest, int(block[-1]))
                factors = np.empty(last - done)
                fill_factors(*self.schedule, done, dimension, factors)
                arguments = (
                    *key,
                    float(dimension),
                    setup.label_noise,
                    setup.gamma_decay,
                    setup.weight_decay,
                    np.int64(self.replicas),
                    np.int32(learners),
                    np.int32(self.together),
                    rates,
                    gamma_rates,
                    np.int64(done),
                    np.int64(last),
                    xp.asarray(factors),
                    np.int32(recorded),
                    np.int32(block.size),
                    steps,
                    *held,
                    *records,
                )
                kernel((self.blocks,), (THREADS,), arguments)
                done, recorded = last, int(np.searchsorted(block, last, side="right"))
            for kept, record in zip(found, records, strict=True):
                kept[first : first + times] = to_numpy(record)
        return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def fill_factors(edges, coefficients, first_step, dimension, factors):
    """Fill the schedule's factor of each step from the first one on."""
    for i in range(factors.size):
        factors[i] = value_at(edges, coefficients, (first_step + i) / dimension)
