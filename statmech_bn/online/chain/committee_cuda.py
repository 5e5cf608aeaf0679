"""The chain of committees as a CUDA kernel; `statmech_bn.online.chain.cuda` has that of one unit.

``committee_samples.cu`` has what the samples of a step give, ``committee.cu`` the directions of
isotropic inputs, ``committee_blocks.cu`` those of blocks, and ``committee_kernel.cu`` the steps. K,
K* and M are constants of a kernel. The lanes of a replica share its samples; small matrices are the
same in all of them, but that of a block is one lane's. Starts are those of the processor; the
numbers of the steps are others, of the same law.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from statmech_bn.arrays import to_numpy
from statmech_bn.online.arguments import Run
from statmech_bn.online.chain import cuda
from statmech_bn.online.chain.committee import Records
from statmech_bn.online.chain.committee_blocks import Blocks
from statmech_bn.online.chain.committee_blocks_step import DEPENDENT
from statmech_bn.online.chain.triangle import SMALLEST_SQUARE
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.random.streams import stream
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters, TeacherStudent
from statmech_bn.teacher_student.gram import factor

LARGEST_ROOM = 5 * cuda.LARGEST_BATCH
"""Numbers of the samples of a step that a device's memory holds for all threads."""


def lanes(setup: TeacherStudent, blocks: int) -> int:
    """Return how many threads share a replica: a power of 2 ≤ 32 that M, K, K* and blocks give."""
    size = setup.batch_size
    directions = setup.teacher_units + setup.student_units
    # one unit of each kind has two numbers a sample; more than M threads have no samples
    widest = 2 ** (size - 1).bit_length()
    return max(min(widest, cuda.lanes(size * directions // 2)), cuda.lanes(blocks))


def kernel_source(setup: TeacherStudent, lanes: int, blocks: bool = False) -> str:
    """Return the CUDA source of a committee's chain; its kernel is named ``simulate``.

    The chain is that of isotropic inputs, or of blocks.

    Raises
    ------
    NotPrintable
        The activation has a function that CUDA does not have.
    """
    rule = setup.normalizer
    sizes = {
        "LANES": lanes,
        "SLOTS": -(-setup.batch_size // lanes),
        "UNITS": setup.student_units,
        "TEACHERS": setup.teacher_units,
        "SMALLEST_SQUARE": SMALLEST_SQUARE,
        "DEPENDENT": DEPENDENT,
    }
    flags = {
        "BY_LENGTH": rule.by_length,
        "BY_COVARIANCE": rule.by_covariance,
        "LEARNED": setup.readout == "learned",
    }
    directions = "committee_blocks.cu" if blocks else "committee.cu"
    texts = ["committee_samples.cu", directions, "committee_kernel.cu"]
    return cuda.written(setup, sizes, flags, [], texts)


def simulate_on_device(
    xp: Any,
    setup: TeacherStudent,
    spectrum: Spectrum | None,
    run: Run,
    start: OrderParameters,
    dimension: int,
    replicas: int,
    seed: int,
    schedule: Pieces,
) -> Records:
    """Simulate all chains on a GPU.

    Parameters
    ----------
    xp : module
        CuPy.
    spectrum : Spectrum or None
        None for isotropic inputs.

    Returns
    -------
    Records
        What `statmech_bn.online.chain.committee.simulate_committee` returns, or
        `statmech_bn.online.chain.committee_blocks.simulate_blocks`.

    Raises
    ------
    InvalidSetup
        The batch is too large for so many units.
    """
    units, teachers, size = setup.student_units, setup.teacher_units, setup.batch_size
    rho, q, scale, readout = start.matrices(setup)
    if spectrum is None:
        rows = factor(setup.teacher_gram, rho, q)
        directions = teachers + units
        blocks = Blocks(
            np.ones(directions), np.array([0, directions]),
            np.array([float(dimension - directions)]), rows[:teachers],
        )  # fmt: skip
        first = np.broadcast_to(rows[teachers:], (replicas, units, directions))
    else:
        blocks = Blocks.of(setup, spectrum, dimension)
        streams = (stream(seed, 1, index, 0) for index in range(replicas))
        first = np.stack([blocks.students(setup, start, own) for own in streams])
    cuda.check_batch(setup, max(1, LARGEST_ROOM // (teachers + 4 * units + 1)))
    width, learners, components = (
        lanes(setup, blocks.others.size),
        run.learning_rate.size,
        blocks.root.size,
    )
    kernel = cuda.kernel_of(xp, kernel_source(setup, width, spectrum is not None))
    numbers = size * (teachers + units) + units * components
    work = cuda.Work(setup, run, dimension, replicas, seed, schedule, width, numbers)
    own = np.concatenate(
        [first.reshape(replicas, -1), np.tile(np.concatenate([scale, readout]), (replicas, 1))], 1
    )
    states = xp.asarray(np.repeat(own[None], learners, axis=0))
    diverged_at = xp.full((learners, replicas), xp.nan)
    orthonormal, triangle = orthonormal_rows(blocks.root * blocks.teacher)
    across = min(units, size)
    room = (units + across + 1) * components + blocks.others.size * across**2
    held = (
        xp.asarray((setup.readout == "learned") * run.readout_learning_rate),
        xp.asarray(triangle),
        xp.asarray(np.array(setup.teacher_readout, float)),
        np.int32(components),
        np.int32(blocks.others.size),
        xp.asarray(blocks.begin.astype(np.int64)),
        xp.asarray(blocks.root),
        xp.asarray(blocks.others),
        xp.asarray(orthonormal),
        np.int64(room),
        xp.empty(room * work.blocks * cuda.THREADS // width if spectrum is not None else 1),
        states,
        diverged_at,
    )
    (found,) = work.launch(xp, kernel, held, [states.shape])
    return _records(setup, blocks, np.moveaxis(found, 0, 2), to_numpy(diverged_at), spectrum)


def orthonormal_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal O and lower triangular Λ ≥ 0 on the diagonal, rows = Λ O."""
    q, r = np.linalg.qr(rows.T)
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    return np.ascontiguousarray((q * signs).T), np.ascontiguousarray((signs[:, None] * r).T)


def _records(
    setup: TeacherStudent,
    blocks: Blocks,
    found: np.ndarray,
    diverged_at: np.ndarray,
    spectrum: Spectrum | None,
) -> Records:
    """Return ρ and Q of recorded numbers, which are infinite from a divergence on."""
    units, components = setup.student_units, blocks.root.size
    x = found[..., : units * components].reshape(*found.shape[:-1], units, components)
    gamma, readout = np.split(found[..., units * components :], 2, axis=-1)
    lost = np.isinf(x[..., 0, 0])
    ends = blocks.begin[1:-1]
    with np.errstate(invalid="ignore"):  # of runs that have diverged
        parts = [np.split(rows, ends, axis=-1) for rows in (x, blocks.teacher)]
        rho = np.stack([a @ b.T for a, b in zip(*parts, strict=True)], axis=-3)
        q = np.stack([a @ a.swapaxes(-1, -2) for a in parts[0]], axis=-3)
    rho[lost], q[lost] = np.inf, np.inf
    if spectrum is None:
        rho, q = rho[..., 0, :, :], q[..., 0, :, :]
    return Records(rho, q, gamma, readout, diverged_at)
