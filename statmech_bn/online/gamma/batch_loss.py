r"""The loss of batch normalization as a function of γ, measured over many batches.

A batch of M fields u with mean μ_B and biased standard deviation σ_B (at length 1) is normalized by

    both     û = (u − μ_B)/σ_B       batch normalization
    mean     û = u − μ_B             only the mean fluctuates: mean-only batch normalization
    spread   û = u/σ_B               only the spread does

and each sample has the loss ½(g(h*) − g(γû))², averaged over batches at fixed overlap. Label noise
adds Δ²/2 whatever γ is, and is left out. All γ see the same batches, so that differences between
them, and the γ at which the loss is least, are less noisy than the loss itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.activations import Activation, z
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import choice, count, dataset, integer, real, thread_count, vector
from statmech_bn.codegen import numba_array_function
from statmech_bn.compile_cache import numba
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.interrupts import Watch, in_threads
from statmech_bn.random.streams import stream
from statmech_bn.symbolic.gamma_decay import PARTS

MEAN, SPREAD = PARTS.index("mean"), PARTS.index("spread")
BLOCK = 65_536
"""Samples drawn at a time; the numbers drawn do not depend on it."""
LARGEST_GAMMA = 1e100
"""Largest |γ|, as squares of larger numbers overflow."""


def batch_loss(
    activation: str | sp.Expr | Activation,
    batch_size: int,
    gamma: ArrayLike,
    part: str = "both",
    overlap: float = 1.0,
    batches: int = 10_000,
    replicas: int = 8,
    seed: int = 0,
    field: Any = None,
    workers: int | None = None,
) -> xr.Dataset:
    """Measure the loss and its slope in γ.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        As in `statmech_bn.activation`.
    batch_size : int
        M, at least 3.
    gamma : array_like
        Scales, of one dimension.
    part : {"both", "mean", "spread"}
        Which of μ_B and σ_B fluctuate.
    overlap : float, optional
        R in [−1, 1]; the rest of the teacher's field is Gaussian.
    batches, replicas : int, optional
        Batches of a replica, and independent replicas.
    seed : int, optional
    field : frozen distribution of scipy.stats, optional
        Law of the student's field, standardized to mean 0 and variance 1. Default: Gaussian.
    workers : int, optional
        Threads, by default one a core. The result does not depend on it.

    Returns
    -------
    xarray.Dataset
        ``loss`` and ``loss_slope``, its derivative, over (gamma, replica).

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> losses = batch_loss("linear", 8, [0.8, 0.9, 1.0], batches=2000)
    >>> dict(losses["loss_slope"].sizes)
    {'gamma': 3, 'replica': 8}
    >>> round(float(loss_minimum(losses).mean()), 1)
    0.9
    """
    g = as_activation(activation)
    size = count("batch_size", batch_size, 3)
    choice("part", part, PARTS)
    cosine = real("overlap", overlap, minimum=-1.0, maximum=1.0)
    batches, replicas = count("batches", batches), count("replicas", replicas)
    scales = vector("gamma", gamma, -LARGEST_GAMMA, LARGEST_GAMMA)
    threads = thread_count(workers)
    value_and_slope = numba_array_function([g.expression, g.derivative], z)
    seed = integer("seed", seed, 0)

    def one_replica(index: int, _: Watch) -> np.ndarray:
        generator, rest = (stream(seed, 4, index, part) for part in range(2))
        sums = np.zeros((2, scales.size))
        for first in range(0, batches, max(1, BLOCK // size)):
            shape = (min(max(1, BLOCK // size), batches - first), size)
            u = _fields(field, generator, shape)
            teacher = u
            if abs(cosine) < 1:
                teacher = cosine * u + np.sqrt(1 - cosine**2) * rest.standard_normal(shape)
            elif cosine == -1:
                teacher = -u
            add_losses(value_and_slope, PARTS.index(part), u, teacher, scales, sums)
        return sums / (batches * size)

    found = in_threads(one_replica, range(replicas), threads)
    loss, slope = np.stack(found, axis=2)
    dims = ("gamma", "replica")
    return describe(
        xr.Dataset(
            {"loss": (dims, loss), "loss_slope": (dims, slope)},
            {"gamma": scales, "replica": np.arange(replicas)},
            {"activation": g.name, "batch_size": size, "part": part, "overlap": cosine},
        )
    )


def loss_minimum(losses: xr.Dataset) -> xr.DataArray:
    """Find the γ at which the slope of a measured loss vanishes, for each replica.

    γ is interpolated as a polynomial of the slope through all the γ that were measured: three of
    them, close around the minimum, are best.

    Parameters
    ----------
    losses : xarray.Dataset
        From `batch_loss`, at two γ or more.

    Returns
    -------
    xarray.DataArray
        ``gamma`` over replica.

    Raises
    ------
    InvalidSetup
        The slope does not rise through zero between the smallest and the largest γ.
    """
    dataset("losses", losses, {"gamma": ("gamma",), "loss_slope": ("gamma", "replica")})
    losses = losses.sortby("gamma").transpose("gamma", "replica", ...)
    gamma, slope = losses["gamma"].values, losses["loss_slope"].values
    if gamma.size < 2 or not (np.diff(slope, axis=0) > 0).all() or (slope[0] * slope[-1] > 0).any():
        raise invalid("losses", "slopes that rise through zero along γ", slope.mean(axis=1))
    degree = gamma.size - 1
    found = [np.polynomial.Polynomial.fit(column, gamma, degree)(0.0) for column in slope.T]
    coordinate = {"replica": losses["replica"]}
    return xr.DataArray(found, coordinate, name="gamma", attrs=losses["gamma"].attrs)


def _fields(field: Any, generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw standardized fields."""
    if field is None:
        return generator.standard_normal(shape)
    if not (hasattr(field, "rvs") and hasattr(field, "stats")):
        raise invalid("field", "a frozen distribution of scipy.stats", field)
    centre, variance = (float(moment) for moment in field.stats("mv"))
    if not (np.isfinite(centre) and 0 < variance < np.inf):
        raise invalid("field", "a distribution with finite mean and variance", field)
    return (field.rvs(size=shape, random_state=generator) - centre) / np.sqrt(variance)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_losses(value_and_slope, part, u, teacher, gamma, sums):
    """Add the losses and slopes of a block of batches to `sums` (2, scales)."""
    size = u.shape[1]
    target, unused = np.empty(size), np.empty(size)
    phi, output, slope = np.empty(size), np.empty(size), np.empty(size)
    normalized = np.empty(size)
    for b in range(u.shape[0]):
        mean = u[b].mean()
        spread = np.sqrt(np.mean((u[b] - mean) ** 2))
        if part == MEAN:
            spread = 1.0
        elif part == SPREAD:
            mean = 0.0
        for m in range(size):
            normalized[m] = (u[b, m] - mean) / spread
        value_and_slope(teacher[b], target, unused)
        for k in range(gamma.size):
            for m in range(size):
                phi[m] = gamma[k] * normalized[m]
            value_and_slope(phi, output, slope)
            for m in range(size):
                error = target[m] - output[m]
                sums[0, k] += 0.5 * error * error
                sums[1, k] -= normalized[m] * slope[m] * error
