r"""Inputs with a covariance, as blocks of its eigenvalues.

In the eigenbasis of their covariance Gaussian inputs are independent. The N components fall into
blocks i = 1 … d of eigenvalue λ_i and multiplicity N_i = f_i N, and what a student has learned is
told by one pair of order parameters for each block,

    ρ_i = w_i·w*_i/N,     Q_i = |w_i|²/N,     T_i = |w*_i|²/N,     Σ_i T_i = |w*|²/N = 1.

The fields h = w·x/√N and h* = w*·x/√N have

    σ_h² = Σ_i λ_i Q_i,     σ_*² = Σ_i λ_i T_i,     E[h h*] = Σ_i λ_i ρ_i.

A part of the teacher in a block of λ_i = 0 is outside of the data's span: it moves no label, and
no student learns it. (Saad & Solla 1995 for λ = 1; Yoshida & Okada, NeurIPS 2019, for blocks.)
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import array, count, real
from statmech_bn.errors import invalid
from statmech_bn.spectrum.blocks import (
    block_states,
    groups,
    largest_remainder,
    merge,
    reordered_components,
)
from statmech_bn.spectrum.record import Blocks


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Spectrum(Blocks):
    """Eigenvalues of the inputs' covariance, and how much of the teacher each block holds.

    Parameters
    ----------
    eigenvalues : array_like
        λ_i ≥ 0 of the d blocks, shape (d,), not all zero.
    fractions : array_like, optional
        f_i = N_i/N > 0, shape (d,), of sum 1: the spectrum is for any dimension N.
    multiplicities : array_like of int, optional
        N_i ≥ 1, shape (d,): the spectrum is for the dimension N = Σ N_i only. Either these or the
        fractions are given.
    teacher : array_like, optional
        T_i = |w*_i|²/N ≥ 0, shape (d,), of sum 1 as |w*|² = N; by default the fractions, which is
        a teacher of random direction.

    Attributes
    ----------
    eigenvalues, fractions, teacher : ndarray
        Shape (d,), read-only.
    multiplicities : ndarray of int or None
    label_noise : float
        Δ that :meth:`from_data` finds in labels, 0 otherwise.
    label_scale : float
        By what :meth:`from_data` divides labels, 1 otherwise.
    merge_error : MergeError
        By how much :meth:`merged` has changed the spectrum.
    basis : ndarray or None
        Eigenvectors as columns, shape (N, N), block by block; for a diagonal covariance the order
        of the components, shape (N,). None if weights are in the eigenbasis, in order, already.
        Stores and comparisons of spectra leave it out.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the whole teacher is outside of the data's span.

    Warns
    -----
    InputsWarning
        A part of the teacher is in a block of λ_i = 0.

    Examples
    --------
    >>> spectrum = Spectrum([3, 1, 0.2], fractions=[0.2, 0.3, 0.5], teacher=[0.3, 0.4, 0.3])
    >>> spectrum.blocks, round(spectrum.teacher_variance, 12)
    (3, 1.36)
    >>> spectrum.counts(20)
    array([ 4,  6, 10])
    """

    def __init__(
        self,
        eigenvalues: ArrayLike,
        fractions: ArrayLike | None = None,
        multiplicities: ArrayLike | None = None,
        teacher: ArrayLike | None = None,
    ) -> None:
        self._fill(eigenvalues, fractions, multiplicities, teacher)
        self._warn_of_outside(stacklevel=3)

    @classmethod
    def power_law(
        cls,
        exponent: float,
        blocks: int,
        fractions: ArrayLike | None = None,
        multiplicities: ArrayLike | None = None,
        teacher: ArrayLike | None = None,
    ) -> Spectrum:
        """Return λ_k ∝ k^(−a), k = 1 … d, scaled to Σ f_k λ_k = 1.

        Parameters
        ----------
        exponent : float
            a ≥ 0; 0 is isotropic.
        blocks : int
            The number d of blocks.
        fractions, multiplicities, teacher : array_like, optional
            As of the class; by default the blocks are of equal size.

        Returns
        -------
        Spectrum

        Raises
        ------
        InvalidSetup
            An argument is outside of its range.

        Examples
        --------
        >>> Spectrum.power_law(1, 3).eigenvalues.round(3)
        array([1.636, 0.818, 0.545])
        """
        number = count("blocks", blocks)
        steepness = real("exponent", exponent, 0.0, 100.0)
        if fractions is None and multiplicities is None:
            fractions = np.full(number, 1.0 / number)
        values = np.arange(1.0, number + 1.0) ** -steepness
        shares = cls(values, fractions, multiplicities, teacher).fractions
        return cls(values / (shares @ values), fractions, multiplicities, teacher)

    @classmethod
    def from_covariance(cls, covariance: ArrayLike, teacher: ArrayLike | None = None) -> Spectrum:
        """Return the spectrum of a covariance, the largest eigenvalue first.

        Parameters
        ----------
        covariance : array_like
            Symmetric and positive semidefinite, shape (N, N); or (N,) if it is diagonal.
        teacher : array_like, optional
            w*, shape (N,), of any length > 0: it is rescaled to |w*|² = N. By default T_i are the
            fractions.

        Returns
        -------
        Spectrum
            With multiplicities and `basis`. Eigenvalues that are equal to rounding are one block,
            those that are zero to rounding are 0.

        Raises
        ------
        InvalidSetup
            There is no such covariance or teacher.

        Warns
        -----
        InputsWarning
            A part of the teacher is outside of the span of the covariance.

        Examples
        --------
        >>> Spectrum.from_covariance([2, 1, 1, 0.5], teacher=[1, 1, 0, 0]).teacher
        array([0.5, 0.5, 0. ])
        """
        from statmech_bn.spectrum.of_data import of_covariance

        return of_covariance(covariance, teacher)

    @classmethod
    def from_data(
        cls,
        samples: ArrayLike,
        teacher: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        centre: bool = True,
    ) -> Spectrum:
        """Return the spectrum of data, with a teacher or the best linear one for labels.

        Labels y are fitted by least squares, y ≈ v·x/√N (+ a constant if centred), with the
        shortest such v. The teacher is w* = v/s, s = |v|/√N (`label_scale`), and what it leaves is
        label noise: Δ (`label_noise`) is the root mean square of the residuals, divided by s. Data
        divided so, y/s, are those of the model y = h* + Δξ with |w*|² = N.

        Parameters
        ----------
        samples : array_like
            Shape (P, N). They are the population: the covariance is that of the rows, which at
            P ~ N is wider than the one that they were drawn from.
        teacher : array_like, optional
            w*, shape (N,), of any length > 0: it is rescaled to |w*|² = N.
        labels : array_like, optional
            y, shape (P,); not together with a teacher.
        centre : bool
            Subtract the mean of the samples, and of the labels. Otherwise the second moments about
            zero take the covariance's place.

        Returns
        -------
        Spectrum
            With multiplicities and `basis`, as from :meth:`from_covariance`.

        Raises
        ------
        InvalidSetup
            Values are missing (the columns are named), nothing varies, or the labels do not depend
            on the samples.

        Warns
        -----
        InputsWarning
            There are fewer samples than dimensions, constant columns, or a teacher that is not in
            the span of the samples.

        Examples
        --------
        >>> samples = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]
        >>> found = Spectrum.from_data(samples, labels=[1.0, -1.0, 2.0, -2.0])
        >>> found.eigenvalues, found.teacher, round(found.label_noise, 12)
        (array([2. , 0.5]), array([0.5, 0.5]), 0.0)
        """
        from statmech_bn.spectrum.of_data import of_data

        return of_data(samples, teacher, labels, centre)

    def counts(self, dimension: int) -> np.ndarray:
        """Return the multiplicities N_i ≥ 1 at a dimension.

        Parameters
        ----------
        dimension : int
            N. Fractions of it are rounded by largest remainder.

        Returns
        -------
        ndarray of int
            Shape (d,), of sum N.

        Raises
        ------
        InvalidSetup
            N is less than d, or is not the sum of the multiplicities that were given.

        Examples
        --------
        >>> Spectrum([2, 1], fractions=[1 / 3, 2 / 3]).counts(10)
        array([3, 7])
        """
        size = count("dimension", dimension)
        if self.multiplicities is not None:
            if size != self.dimension:
                raise invalid(
                    "dimension", f"{self.dimension}, the sum of the multiplicities", dimension,
                    "Give the spectrum by fractions to use it at any dimension.",
                )  # fmt: skip
            return self.multiplicities.copy()
        if size < self.blocks:
            raise invalid(
                "dimension", f"at least {self.blocks}, one for each block", dimension,
                "Merge blocks by spectrum.merged(tolerance), or take a larger dimension.",
            )  # fmt: skip
        return largest_remainder(self.fractions, size)

    def field_cosine(self, student_teacher: ArrayLike, student_student: ArrayLike) -> np.ndarray:
        """Return the correlation of the two fields, ``Σλ_iρ_i/(σ_h σ_*)``.

        Parameters
        ----------
        student_teacher, student_student : array_like
            ρ_i and Q_i, shape (…, d).

        Returns
        -------
        ndarray
            Shape (…), in [−1, 1]; NaN where σ_h = 0 or a state is not finite.

        Raises
        ------
        InvalidSetup
            The last axes are not of d numbers.

        Examples
        --------
        >>> spectrum = Spectrum([3, 1], fractions=[0.5, 0.5])
        >>> float(spectrum.field_cosine([0.4, 0.0], [0.5, 0.5]).round(4))
        0.6
        """
        rho = block_states("student_teacher", student_teacher, self.blocks)
        q = block_states("student_student", student_student, self.blocks)
        with np.errstate(all="ignore"):
            # a product of matrices rounds one row by how many others there are
            variance = (q * self.eigenvalues).sum(axis=-1)
            spread = np.sqrt(variance) * np.sqrt(self.teacher_variance)
            cosine = (rho * self.eigenvalues).sum(axis=-1) / spread
        return np.clip(cosine, -1.0, 1.0)

    def block_products(self, first: ArrayLike, second: ArrayLike) -> np.ndarray:
        """Return a_i·b_i/N of vectors in each block, such as ρ_i of weights w and w*.

        Parameters
        ----------
        first, second : array_like
            Shape (…, N), of coordinates as the inputs that `basis` is of; without a basis, of
            coordinates along the eigenvectors, block by block.

        Returns
        -------
        ndarray
            Shape (…, d).

        Raises
        ------
        InvalidSetup
            N is not the dimension of the spectrum.

        Examples
        --------
        >>> Spectrum([2, 1], fractions=[0.5, 0.5]).block_products([1, 1, 1, 2], [1, 1, 2, 2])
        array([0.5, 1.5])
        """
        a, b = array("first", first), array("second", second)
        if a.shape[-1:] != b.shape[-1:] or not a.ndim:
            raise invalid("first, second", "as many numbers on the last axis", (a.shape, b.shape))
        counts = self.counts(a.shape[-1])
        if self.basis is not None:
            a, b = (v[..., self.basis] if self.basis.ndim == 1 else v @ self.basis for v in (a, b))
        with np.errstate(over="ignore"):  # weights may be as large as floats are
            return np.add.reduceat(a * b, np.cumsum(counts) - counts, axis=-1) / a.shape[-1]

    def merged(self, tolerance: float) -> Spectrum:
        """Merge blocks of nearly equal eigenvalues.

        Blocks are taken from the largest eigenvalue down. One joins those before it if it is not
        smaller than 1 − `tolerance` times the first of them. The eigenvalue of the whole is
        λ̄ = Σ f_i λ_i/Σ f_i, so that the inputs' variance Σ f_i λ_i stays.

        Parameters
        ----------
        tolerance : float
            In [0, 1); 0 merges equal eigenvalues only.

        Returns
        -------
        Spectrum
            Its `merge_error` says by how much eigenvalues and ``σ_*²`` have changed, earlier merges
            included.

        Raises
        ------
        InvalidSetup
            The tolerance is out of range.

        Examples
        --------
        >>> spectrum = Spectrum([3, 1, 0.98], fractions=[0.2, 0.4, 0.4], teacher=[0.2, 0.8, 0])
        >>> found = spectrum.merged(0.05)
        >>> found.eigenvalues, round(found.merge_error.teacher_variance, 5)
        (array([3.  , 0.99]), -0.00571)
        """
        if real("tolerance", tolerance, 0.0) >= 1:
            raise invalid("tolerance", "a number in [0, 1)", tolerance, "Try 0.05.")
        order, first = groups(self.eigenvalues, tolerance)
        values, shares, teacher, change = merge(
            self.eigenvalues[order], self.fractions[order], self.teacher[order], first
        )
        found = copy(self)
        found._set(eigenvalues=values, fractions=shares, teacher=teacher)
        found._set(merge_error=self.merge_error.then(change))
        if self.multiplicities is not None:
            found._set(multiplicities=np.add.reduceat(self.multiplicities[order], first))
            if self.basis is not None:
                places = reordered_components(self.multiplicities, order)
                found._set(basis=self.basis[..., places])
        return found
