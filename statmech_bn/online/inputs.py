r"""Where the N-vector simulation takes its inputs from.

Gaussian: i.i.d. N(0, 1), drawn in compiled code. Otherwise a callable that draws an (M, N) block
from any distribution, or an array of real data, resampled with replacement, so that the data are
the population. Population normalization uses the true mean m and covariance Σ if they are given,
those of the data for an array, and else estimates from a sample of `ESTIMATION_SAMPLES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import array, count, instance
from statmech_bn.checks import covariance as checked_covariance
from statmech_bn.errors import invalid

ESTIMATION_SAMPLES = 20_000
MOST_ROWS, TEST_SAMPLES = 10_000, 4_000
"""The error on data of at most so many rows is that on all of them, and on so many samples else."""
LEAST_SPREAD, LEAST_SPREAD_SINGLE = 1e-12, 1e-4
"""Samples that vary by less than this part of their values vary by rounding, or nearly so."""
LARGEST_SINGLE = 1e15
"""Fields of larger inputs have squares beyond float32."""
Draw = Callable[[np.random.Generator, int, int], np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """A distribution of inputs.

    Parameters
    ----------
    source : callable or array_like
        ``source(generator, batch_size, dimension)`` returns fresh samples of shape (M, N); or an
        array of shape (samples, N), whose rows are drawn at random with replacement.
    mean : array_like, optional
        Shape (N,).
    covariance : array_like, optional
        Shape (N, N), or (N,) if it is diagonal.
    name : str, optional
        What the Dataset's attributes call it.

    Raises
    ------
    InvalidSetup
        Shapes do not fit, values are not finite numbers, only one of mean and covariance is given,
        or the covariance is not symmetric or has negative eigenvalues. What a callable returns is
        checked at each draw.

    Examples
    --------
    >>> import numpy as np
    >>> def signs(generator, samples, dimension):
    ...     return generator.choice([-1.0, 1.0], size=(samples, dimension))
    >>> Inputs(signs, mean=np.zeros(50), covariance=np.ones(50)).label
    'signs'
    """

    source: Draw | ArrayLike
    mean: ArrayLike | None = None
    covariance: ArrayLike | None = None
    name: str = ""

    def __post_init__(self) -> None:
        instance("inputs.name", self.name, str)
        if not callable(self.source):
            data = array(
                "inputs", self.source, 2, hint="Give a finite array of shape (samples, N)."
            )
            if data.shape[0] < 2:
                raise invalid("inputs", "at least two samples", f"shape {data.shape}")
            object.__setattr__(self, "source", data)
        if (self.mean is None) != (self.covariance is None):
            raise invalid(
                "inputs",
                "both mean and covariance, or neither",
                self,
                "Give zeros for the mean of centred inputs.",
            )
        if self.mean is not None:
            _check_moments(self.mean, self.covariance)

    @property
    def label(self) -> str:
        """Name for the attributes."""
        if self.name:
            return self.name
        kind = getattr(self.source, "__name__", "callable") if callable(self.source) else "data"
        return str(kind)

    def draw(
        self, generator: np.random.Generator, samples: int, dimension: int, place: str
    ) -> np.ndarray:
        """Return a block of shape (samples, dimension), float64 and contiguous.

        Errors name the place, such as a step, that the samples are for.
        """
        fix = "The callable gets (generator, batch_size, dimension)."
        instance("generator", generator, np.random.Generator)
        samples, dimension = count("samples", samples), count("dimension", dimension)
        if callable(self.source):
            name = f"inputs, what {self.label!r} returns for {place}"
            try:
                drawn = self.source(generator, samples, dimension)
            except (TypeError, ValueError) as error:
                raise invalid(name, "samples", f"{type(error).__name__}: {error}", fix) from error
            block = np.ascontiguousarray(array(name, drawn, 2))
        else:
            block = np.asarray(self.source)[self.rows(generator, samples)]
        return self._of_shape(block, (samples, dimension), place, fix)

    def error_samples(self, generator: np.random.Generator, dimension: int) -> np.ndarray:
        """Return what an error is measured on, of shape (samples, dimension).

        These are all rows of data that have at most `MOST_ROWS`, and otherwise samples that the
        generator draws.
        """
        place = "the test samples"
        if callable(self.source) or len(np.asarray(self.source)) > MOST_ROWS:
            return self.draw(generator, TEST_SAMPLES, dimension, place)
        rows = np.asarray(self.source)
        return self._of_shape(rows, (len(rows), count("dimension", dimension)), place)

    def _of_shape(
        self, block: np.ndarray, shape: tuple[int, int], place: str, fix: str = ""
    ) -> np.ndarray:
        """Return a block unless it has another shape."""
        if block.shape != shape and not callable(self.source):
            expected = f"rows of {shape[1]} numbers, which is the dimension"
            fix = f"Set dimension={block.shape[1]}."
            raise invalid("inputs", expected, block.shape, fix)
        if block.shape != shape:
            raise invalid(f"inputs, for {place}", f"a block of shape {shape}", block.shape, fix)
        return block

    def rows(self, generator: np.random.Generator, samples: int) -> np.ndarray:
        """Draw which rows of the data are the next samples."""
        if callable(self.source):
            raise invalid("inputs", "an array, whose rows are drawn", self.source)
        instance("generator", generator, np.random.Generator)
        return generator.integers(len(np.asarray(self.source)), size=count("samples", samples))

    def moments(
        self, generator: np.random.Generator, dimension: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the population's mean (N,) and covariance, (N, N) or (N,) if diagonal."""
        if self.mean is not None and self.covariance is not None:
            mean = np.asarray(self.mean, dtype=float)
            covariance = np.asarray(self.covariance, dtype=float)
            if mean.shape != (dimension,):
                raise invalid("inputs.mean", f"shape {(dimension,)}", mean.shape)
            if covariance.shape not in ((dimension,), (dimension, dimension)):
                raise invalid("inputs.covariance", "shape (N, N) or (N,)", covariance.shape)
            return mean, covariance
        sample = (
            self.draw(generator, ESTIMATION_SAMPLES, dimension, "an estimate of their moments")
            if callable(self.source)
            else np.asarray(self.source)
        )
        mean = sample.mean(axis=0)
        centred = sample - mean
        covariance = centred.T @ centred / sample.shape[0]
        if np.abs(centred).max() <= LEAST_SPREAD * np.abs(sample).max():
            raise invalid("inputs", "samples that vary", "equal ones", "Nothing normalizes them.")
        return mean, covariance


def check_single(inputs: Inputs, normalized: bool) -> None:
    """Refuse data that float32 cannot hold, or whose population's spread it loses.

    Raises
    ------
    InvalidSetup
        Values are beyond `LARGEST_SINGLE`; or, if population statistics normalize them, they vary
        by less than `LEAST_SPREAD_SINGLE` of their values.
    """
    if callable(inputs.source):
        return
    fix = "Use dtype='float64', or subtract the mean of the data and scale them."
    data = np.asarray(inputs.source)
    largest, spread = np.abs(data).max(), np.ptp(data, axis=0).max()
    if largest > LARGEST_SINGLE:
        expected = f"values of at most {LARGEST_SINGLE:g} with dtype='float32'"
        raise invalid("inputs", expected, largest, fix)
    if normalized and 0 < spread <= LEAST_SPREAD_SINGLE * largest:
        expected = f"samples that vary by {LEAST_SPREAD_SINGLE:g} of their values in float32"
        raise invalid("inputs", expected, spread, fix)


def _check_moments(mean: ArrayLike, covariance: ArrayLike | None) -> None:
    """Refuse moments that no distribution has."""
    size = array("inputs.mean", mean, 1).size
    shape = checked_covariance("inputs.covariance", covariance).shape
    if shape[0] != size:
        raise invalid("inputs.covariance", f"shape {(size, size)} or {(size,)}", shape)
