r"""How far, and over how many samples, boundaries move from one mini-batch to the next.

The boundary w·x = μ_B − bσ_B of a unit (b = β/γ) depends on the batch. Around the boundary of the
whole population it has the standard deviation

    (σ/|w|) √(v_b/M),   v_b = 1 − bκ₃ + b²(ρ_h + 2)/4,   v₀ = 1,

for M fields of skewness κ₃ and excess kurtosis ρ_h, times √((P − M)/(P − 1)) if the batch is drawn
without replacement from P samples. This is exact at b = 0, and of order 1/M otherwise; Gaussian
fields have v_b = 1 + b²(2M − 1 − 2M s_M), s_M = E σ_B/σ, at any M. At b = 0 a sample with a
Gaussian field changes sides with the probability arcsin(M^(−1/2))/π if it belongs to the batch,
and arctan(M^(−1/2))/π if it does not, at any M ≥ 2. `statmech_bn.symbolic` derives all of these.
Any other fields have Gaussian means at large M, so that the rates are averages over the samples,

    inside  E Φ(−|u| √((M − 1)/k)),   outside  E Φ(−|u| √(M/k)),   k = (P − M)/(P − 1),

with the standardized field u and the Gaussian distribution function Φ.

References
----------
R. Balestriero, R. G. Baraniuk 2022, arXiv:2209.14778, for the jitter; the rates are this project's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import ndtr, poch

from statmech_bn import __version__
from statmech_bn.checks import array, choice, count, integer, integers, real
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.random.streams import stream

FARTHEST = 1e100
"""A shift is at most this; the square of a larger one overflows."""
CHUNK = 2**18
"""At most so many fields are held in memory at a time."""


def flip_rate(batch_size: ArrayLike, sample: str = "inside") -> np.ndarray:
    """Return the probability that a Gaussian field's sample changes sides by the batch's mean.

    Parameters
    ----------
    batch_size : array_like
        M ≥ 2.
    sample : {"inside", "outside"}
        Whether the sample is one of the batch.

    Returns
    -------
    ndarray
        In [0, ½], of the sizes' shape.

    Examples
    --------
    >>> flip_rate([2, 4]).round(6)
    array([0.25    , 0.166667])
    """
    size = array("batch_size", batch_size, minimum=2)
    choice("sample", sample, ("inside", "outside"))
    angle = np.arcsin if sample == "inside" else np.arctan
    return angle(1 / np.sqrt(size)) / np.pi


def boundary_jitter(
    batch_size: Sequence[int],
    fields: ArrayLike | None = None,
    shift: float = 0.0,
    batches: int = 1000,
    replicas: int = 8,
    seed: int = 0,
) -> xr.Dataset:
    """Move a boundary by mini-batches, and count the samples that change sides.

    Parameters
    ----------
    batch_size : sequence of int
        M ≥ 2, each at most the number of fields if these are given.
    fields : array_like, optional
        Fields w·x of one unit over a data set, shape (samples,); batches are drawn from it without
        replacement. Default: fresh Gaussian fields.
    shift : float
        b = β/γ.
    batches, replicas : int
        Batches for each replica; at least two of both.
    seed : int

    Returns
    -------
    xarray.Dataset
        Over ``batch_size`` and ``replica``: ``jitter``, the standard deviation of the boundary's
        displacement in units of σ/|w|, ``inside`` and ``outside``, the part of the samples in and
        out of the batch that are on the other side of the batch's boundary than of the
        population's. ``predicted_jitter``, ``predicted_inside`` and ``predicted_outside`` over
        ``batch_size``, exact for Gaussian fields and for large M otherwise; the rates are NaN
        except at b = 0.

    Raises
    ------
    InvalidSetup
        A number is out of its range, or the fields do not vary.
    """
    sizes = integers("batch_size", batch_size, 2)
    number, copies = count("batches", batches, 2), count("replicas", replicas, 2)
    seed, move = integer("seed", seed, 0), real("shift", shift, -FARTHEST, FARTHEST)
    population = None if fields is None else _standardized(fields)
    if population is not None and max(sizes) >= population.size:
        raise invalid("batch_size", f"fewer than the {population.size} fields", max(sizes))
    names = ("jitter", "inside", "outside")
    values = np.empty((3, len(sizes), copies))
    for k, size in enumerate(sizes):
        for replica in range(copies):
            generator = stream(seed, size, replica)
            values[:, k, replica] = _measure(generator, population, size, move, number)
    data: dict[str, object] = {
        name: (("batch_size", "replica"), found) for name, found in zip(names, values, strict=True)
    }
    data["predicted_jitter"] = ("batch_size", _predicted_jitter(sizes, population, move))
    for sample in ("inside", "outside"):
        rate = (
            _predicted_rate(sizes, population, sample) if move == 0 else np.full(len(sizes), np.nan)
        )
        data[f"predicted_{sample}"] = ("batch_size", rate)
    coordinates = {"batch_size": sizes, "replica": np.arange(copies)}
    attributes = {"shift": move, "batches": number, "seed": seed, "version": __version__}
    return describe(xr.Dataset(data, coordinates, attributes))


def _standardized(fields: ArrayLike) -> np.ndarray:
    values = array("fields", fields, 1)
    if (values == values[0]).all():
        raise invalid("fields", "finite numbers of shape (samples,) that vary", fields)
    values /= np.abs(values).max()  # no square overflows
    return (values - values.mean()) / values.std()


def _predicted_jitter(
    sizes: Sequence[int], population: np.ndarray | None, shift: float
) -> np.ndarray:
    size = np.array(sizes, dtype=float)
    if population is None:
        spread = np.sqrt(2 / size) * poch((size - 1) / 2, 0.5)  # s_M
        return np.sqrt(1 / size + shift**2 * (2 - 1 / size - 2 * spread))
    skewness, kurtosis = float((population**3).mean()), float((population**4).mean())
    kept = (population.size - size) / (population.size - 1)
    return np.sqrt(kept * (1 - shift * skewness + shift**2 * (kurtosis - 1) / 4) / size)


def _predicted_rate(sizes: Sequence[int], population: np.ndarray | None, sample: str) -> np.ndarray:
    if population is None:
        return flip_rate(sizes, sample)
    size = np.array(sizes, dtype=float)
    kept = (population.size - size) / (population.size - 1)
    others = size - 1 if sample == "inside" else size
    return ndtr(-abs(population)[:, None] * np.sqrt(others / kept)).mean(axis=0)


def _measure(
    generator: np.random.Generator,
    population: np.ndarray | None,
    size: int,
    shift: float,
    batches: int,
) -> tuple[float, float, float]:
    """Return the jitter, and the rates of flips inside and outside of the batch."""
    chunk = max(1, CHUNK // (size if population is None else population.size))
    places, inside, outside = [], 0.0, 0.0
    for first in range(0, batches, chunk):
        number = min(chunk, batches - first)
        if population is None:  # as many samples outside as inside
            batch, others = generator.standard_normal((2, number, size))
        else:
            order = generator.permuted(np.tile(population, (number, 1)), axis=1)
            batch, others = order[:, :size], order[:, size:]
        boundary = batch.mean(axis=1) - shift * batch.std(axis=1)
        places.append(boundary + shift)
        inside += _flips(batch, boundary, -shift)
        outside += _flips(others, boundary, -shift)
    # About the population's boundary, not about the mean over batches (E σ_B < σ).
    jitter = np.sqrt(np.mean(np.concatenate(places) ** 2))
    return float(jitter), inside / batches, outside / batches


def _flips(fields: np.ndarray, boundary: np.ndarray, reference: float) -> float:
    """Sum over batches of the part of the samples between two boundaries."""
    flipped = (fields > boundary[:, None]) != (fields > reference)
    return float(flipped.mean(axis=1).sum())
