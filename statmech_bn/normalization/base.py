r"""What a normalization is: the one interface that every room asks.

A unit has the field h = w·x/√N of variance σ² and the output g(φ). A normalization says

    φ(h)         the argument of g, as a SymPy expression of h, |w|²/N and γ,
    statistics   which samples of a step share a mean and a spread, if any do,
    projection   whether the step has a part along w that the normalization takes out,

and nothing else: the flow, the chain, the simulations of N weights and the training on finite sets
follow from these. A new one is a subclass in a module of this room and an entry of
`statmech_bn.normalization.NAMED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import sympy as sp

from statmech_bn.errors import invalid

Array = Any


@dataclass(frozen=True)
class Normalization:
    """How a student turns its field into the argument of its activation.

    Attributes
    ----------
    kind : str
        The word by which it is asked for.
    has_scale : bool
        Whether there is a γ.
    by_length : bool
        Whether the spread is a function of the weights alone, so that the step loses its part
        along w (along Σw for `by_covariance`).
    by_covariance : bool
        Whether mean and covariance of the inputs are known to the student.
    smallest_group : int
        Fewest samples that may share statistics.
    smallest_group_of_flow : int
        Fewest samples for which the averages of the flow are finite.
    """

    kind: ClassVar[str]
    has_scale: ClassVar[bool] = True
    by_length: ClassVar[bool] = False
    by_covariance: ClassVar[bool] = False
    smallest_group: ClassVar[int] = 1
    smallest_group_of_flow: ClassVar[int] = 1

    @property
    def by_weights(self) -> bool:
        """Whether the spread is the length of the weights, whatever the inputs' covariance."""
        return self.by_length and not self.by_covariance

    @property
    def name(self) -> str:
        """The text from which `statmech_bn.normalization.normalization` gives it back."""
        return self.kind

    def phi(self, h: sp.Expr, square: sp.Expr, gamma: sp.Expr) -> sp.Expr:
        """Return φ for a field h of the variance `square`, which is |w|²/N for isotropic inputs."""
        return gamma * h / sp.sqrt(square)

    def group(self, batch_size: Any) -> Any:
        """Return how many samples of a step share statistics; None if statistics are not drawn."""
        return None

    def mean_of_group(self, xp: Any, values: Array) -> Array:
        """Return the mean over the samples that share statistics, along the last axis but one.

        Parameters
        ----------
        xp : module
            The library of the array.
        values : array, (..., M, K)

        Returns
        -------
        array
            (..., 1, K) if all samples share them, else (..., M, K).
        """
        *others, samples, units = values.shape
        size = self.group(samples)
        if size == samples:
            return xp.mean(values, axis=-2, keepdims=True)
        groups = xp.reshape(values, (*others, samples // size, size, units))
        mean = xp.mean(groups, axis=-2, keepdims=True)
        return xp.reshape(xp.broadcast_to(mean, groups.shape), values.shape)

    @property
    def of_batch(self) -> bool:
        """Whether mean and spread are those of the samples of a step."""
        return self.group(1) is not None

    def check_batch(self, batch_size: int) -> None:
        """Refuse a batch for which the student cannot learn.

        Raises
        ------
        InvalidSetup
            Fewer than `smallest_group` samples share statistics.
        """
        fix = "Normalized over one or two samples, fields are ±1 and nothing is learned."
        self._check_group(batch_size, self.smallest_group, "", fix)

    def check_flow(self, batch_size: int) -> None:
        """Refuse a batch whose flow at N → ∞ has infinite coefficients.

        Raises
        ------
        InvalidSetup
            Fewer than `smallest_group_of_flow` samples share statistics.
        """
        fix = "With 3 samples the noise E[1/σ_B²] is infinite; use the mesoscopic level."
        where = f" for {self.kind!r} at N → ∞"
        self._check_group(batch_size, self.smallest_group_of_flow, where, fix)

    def _check_group(self, batch_size: int, smallest: int, where: str, fix: str) -> None:
        size = self.group(batch_size)
        if size is not None and size < smallest:
            raise invalid("batch_size", f"an integer ≥ {smallest}{where}", size, fix)
