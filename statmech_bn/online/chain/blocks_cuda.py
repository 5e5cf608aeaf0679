"""The chain of blocks as a CUDA kernel (``blocks.cu``), as `statmech_bn.online.chain.cuda` has it.

The components of a chain stay in the device's memory, and its lanes share them as they share the
samples. Starts are those of the processor; the numbers of the steps are others, of the same law.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from statmech_bn.arrays import to_numpy
from statmech_bn.online.arguments import Run
from statmech_bn.online.chain import cuda
from statmech_bn.online.chain.structured import Chain
from statmech_bn.online.schedules.schedule import Pieces
from statmech_bn.random.streams import stream
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import TeacherStudent


def simulate_on_device(
    xp: Any,
    setup: TeacherStudent,
    run: Run,
    schedule: Pieces,
    spectrum: Spectrum,
    chain_of: Callable[[np.random.Generator], Chain],
    gamma: float,
    dimension: int,
    replicas: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Simulate all chains on a GPU.

    Parameters
    ----------
    xp : module
        CuPy.
    chain_of : callable
        Lays out a replica, by a generator.

    Returns
    -------
    tuple of ndarray
        What `statmech_bn.online.chain.structured.simulate` returns.
    """
    chains = [chain_of(stream(seed, 1, index, 0)) for index in range(replicas)]
    parts, block = chains[0].components, chains[0].block
    starts = np.stack([chain.first for chain in chains])
    learners, size = run.learning_rate.size, parts.root.size
    eigenvalues = parts.root**2
    moments = (
        starts**2 @ np.ones(size),
        starts**2 @ eigenvalues,
        starts @ (eigenvalues * parts.teacher),
    )
    states = np.empty((4, learners, replicas))
    states[:] = np.stack([*moments, np.full(replicas, gamma)])[:, None]
    weights = np.repeat(starts[None], learners, axis=0)
    diverged_at = xp.full((learners, replicas), xp.nan)
    width = cuda.lanes(max(setup.batch_size, size))
    kernel = cuda.compiled(xp, setup, width, blocks=True)
    work = cuda.Work(
        setup, run, dimension, replicas, seed, schedule, width, setup.batch_size + size
    )
    teams = work.blocks * cuda.THREADS // width
    held = (
        np.int32(size),
        np.int32(parts.others.size),
        float(np.sqrt(eigenvalues @ parts.teacher**2)),
        xp.asarray(parts.root),
        xp.asarray(parts.teacher),
        xp.asarray(parts.others),
        xp.empty((teams, size + parts.others.size)),
        xp.asarray(weights),
        xp.asarray(states),
        diverged_at,
    )
    x, scale = work.launch(xp, kernel, held, [weights.shape, weights.shape[:2]])
    x, scale = np.moveaxis(x, 0, 2), np.moveaxis(scale, 0, 2)
    rho = x[..., : spectrum.blocks] * parts.teacher[: spectrum.blocks]
    q = x[..., : spectrum.blocks] ** 2
    q[..., block[spectrum.blocks :]] += x[..., spectrum.blocks :] ** 2
    lost = np.isinf(x[..., 0])
    rho[lost] = np.inf
    return rho, q, scale, to_numpy(diverged_at)
