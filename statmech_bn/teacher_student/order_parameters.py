"""Order parameters at which learning starts: of one unit, of blocks of inputs, or of several units.

One unit has the cosine R = w·w*/(|w||w*|) and the length L = |w|/√N; several have the matrices
ρ_kn = w_k·w*_n/N and Q_kl = w_k·w_l/N (`statmech_bn.teacher_student.gram`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import array, instance, integer, real
from statmech_bn.described import ADDED
from statmech_bn.errors import invalid
from statmech_bn.spectrum.blocks import block_arrays, cosine_and_length
from statmech_bn.spectrum.record import Blocks
from statmech_bn.teacher_student.gram import (
    LONGEST,
    MOST_UNITS,
    SHORTEST,
    as_tuples,
    by_unit,
    factor,
    random_rows,
    symmetric,
)
from statmech_bn.teacher_student.setup import TeacherStudent

if TYPE_CHECKING:
    from statmech_bn.spectrum import Spectrum


@dataclass(frozen=True)
class OrderParameters:
    """Where learning starts.

    One unit is given by its overlap and its length. Several units, or one that is to be treated as
    such, are given by matrices; overlap and length are then None.

    Parameters
    ----------
    overlap : float
        R in [−1, 1], cosine between the weights of student and teacher.
    length : float
        L > 0, |w|/√N.
    gamma : float, or array_like (K,) with matrices
        γ, scale of the normalization; leave at 1 for "none".
    block_student_teacher, block_student_student : sequence of float, optional
        What :meth:`of_blocks` gives; by default the direction is random at the given overlap.
    student_teacher : array_like, optional
        ρ_kn = w_k·w*_n/N, shape (K, K*).
    student_student : array_like, optional
        Q_kl = w_k·w_l/N, shape (K, K), positive semidefinite.
    readout : float or array_like, optional
        v of the student, a number or (K,); with matrices only, and 1 by default.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> OrderParameters(overlap=0.1, length=2.0)
    OrderParameters(overlap=0.1, length=2.0, gamma=1.0)
    >>> OrderParameters(student_teacher=[[0.1, 0.2]], student_student=[[1.0]]).readout
    (1.0,)
    """

    overlap: float = 0.05
    length: float = 1.0
    gamma: Any = 1.0
    block_student_teacher: tuple[float, ...] | None = field(default=None, kw_only=True)
    block_student_student: tuple[float, ...] | None = field(default=None, kw_only=True)
    student_teacher: Any = field(default=None, kw_only=True, metadata=ADDED)
    student_student: Any = field(default=None, kw_only=True, metadata=ADDED)
    readout: Any = field(default=None, kw_only=True, metadata=ADDED)

    def __post_init__(self) -> None:
        matrices = (self.student_teacher, self.student_student)
        if any(matrix is not None for matrix in (*matrices, self.readout)):
            self._fill_matrices(*matrices)
            return
        overlap = real("overlap", self.overlap, minimum=-1.0, maximum=1.0)
        length = real("length", self.length, minimum=0.0)
        if length == 0:
            raise invalid("length", "a number > 0", self.length, "Start from a small length.")
        hint = "Several are of several units: student_teacher=…, student_student=…."
        self._set(overlap=overlap, length=length, gamma=real("gamma", self.gamma, hint=hint))
        if self.block_student_teacher is None and self.block_student_student is None:
            return
        rho, q = block_arrays(self.block_student_teacher, self.block_student_student)
        if not np.allclose(cosine_and_length(rho, q), (overlap, length), rtol=0, atol=1e-9):
            raise invalid(
                "overlap, length", "those of the blocks", (overlap, length),
                "Use OrderParameters.of_blocks(student_teacher, student_student, gamma).",
            )  # fmt: skip
        self._set(
            block_student_teacher=tuple(rho.tolist()), block_student_student=tuple(q.tolist())
        )

    def _fill_matrices(self, student_teacher: Any, student_student: Any) -> None:
        """Check what is given of several units, and keep it as tuples."""
        blocks = (self.block_student_teacher, self.block_student_student)
        usual = {"overlap": (0.05, None), "length": (1.0, None)}
        if blocks != (None, None) or any(getattr(self, n) not in v for n, v in usual.items()):
            raise invalid(
                "start", "matrices, or an overlap and a length, or blocks", "several of them",
                "Q has the lengths: student_student[k][k] = length².",
            )  # fmt: skip
        if student_teacher is None or student_student is None:
            raise invalid(
                "student_teacher, student_student", "both of them", "only one, or readout"
            )
        q = symmetric("student_student", student_student)
        rho = array("student_teacher", student_teacher, 2)
        if rho.shape[0] != q.shape[0] or rho.shape[1] > MOST_UNITS:
            expected = f"{q.shape[0]} rows, one for each unit of student_student"
            raise invalid("student_teacher", expected, f"shape {rho.shape}")
        factor(np.ones((1, 1)), np.zeros((q.shape[0], 1)), q)  # checks Q alone
        units, readout = q.shape[0], 1.0 if self.readout is None else self.readout
        self._set(
            overlap=None,
            length=None,
            gamma=by_unit("gamma", self.gamma, units),
            readout=by_unit("readout", readout, units),
            student_teacher=as_tuples(rho),
            student_student=as_tuples(q),
        )

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"OrderParameters({', '.join(shown)})"

    @property
    def is_committee(self) -> bool:
        """Whether the start is given by matrices."""
        return self.student_student is not None

    @classmethod
    def random(
        cls,
        setup: TeacherStudent,
        dimension: int,
        seed: int,
        length: ArrayLike = 1.0,
        gamma: ArrayLike = 1.0,
        readout: ArrayLike = 1.0,
    ) -> OrderParameters:
        """Start from weights of independent components N(0, length²), as they are at random.

        Parameters
        ----------
        setup : TeacherStudent
        dimension : int
            N ≥ K + K*, and N ≥ 3.
        seed : int
        length : float or array_like
            √⟨Q_kk⟩, a number or (K,).
        gamma, readout : float or array_like
            γ and v, numbers or (K,).

        Returns
        -------
        OrderParameters
            Matrices, of order 1/√N off the diagonal; for one unit its overlap and length.

        Raises
        ------
        InvalidSetup
            An argument is outside of its range.

        Examples
        --------
        >>> setup = TeacherStudent("erf", "none", 1, student_units=2, teacher_units=2)
        >>> start = OrderParameters.random(setup, dimension=10**6, seed=0)
        >>> np.round(start.student_student, 2)
        array([[1., 0.],
               [0., 1.]])
        """
        instance("setup", setup, TeacherStudent)
        units, teacher_units = setup.student_units, setup.teacher_units
        dimension = integer("dimension", dimension, max(3, units + teacher_units))
        lengths = np.array(by_unit("length", length, units, SHORTEST, LONGEST))
        generator = np.random.default_rng(integer("seed", seed, 0))
        rows = random_rows(generator, teacher_units, units, dimension)
        rows *= lengths[:, None] / math.sqrt(dimension)
        rho = rows[:, :teacher_units] @ np.linalg.cholesky(setup.teacher_gram).T
        start = cls(
            student_teacher=rho, student_student=rows @ rows.T, gamma=gamma, readout=readout
        )
        if setup.is_committee or start.readout != (1.0,):
            return start
        long = float(np.linalg.norm(rows))
        return cls(float(rho[0, 0]) / long, long, start.gamma[0])

    def matrices(
        self, setup: TeacherStudent
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return ρ, Q, γ and v of the units of a setup, of one unit as well.

        Parameters
        ----------
        setup : TeacherStudent

        Returns
        -------
        tuple of ndarray
            Shapes (K, K*), (K, K), (K,) and (K,).

        Raises
        ------
        InvalidSetup
            The start has other numbers of units, or no weights have its products with the teacher.

        Examples
        --------
        >>> OrderParameters(0.5, 2.0).matrices(TeacherStudent())
        (array([[1.]]), array([[4.]]), array([1.]), array([1.]))
        """
        instance("setup", setup, TeacherStudent)
        units = (setup.student_units, setup.teacher_units)
        if not self.is_committee:
            if setup.is_committee or self.block_student_teacher is not None:
                raise invalid(
                    "start", f"matrices of {units[0]} units of the student and {units[1]} of the "
                    "teacher", self, "Use OrderParameters(student_teacher=…, student_student=…) "
                    "or OrderParameters.random(setup, dimension, seed).",
                )  # fmt: skip
            rho, q = self.overlap * self.length, self.length**2
            return np.array([[rho]]), np.array([[q]]), np.array([self.gamma]), np.ones(1)
        found = tuple(
            np.array(a)
            for a in (self.student_teacher, self.student_student, self.gamma, self.readout)
        )
        if found[0].shape != units:
            raise invalid("start", f"student_teacher of shape {units}, by setup", found[0].shape)
        factor(setup.teacher_gram, *found[:2])
        return found[0], found[1], found[2], found[3]

    @classmethod
    def of_blocks(
        cls, student_teacher: ArrayLike, student_student: ArrayLike, gamma: float = 1.0
    ) -> OrderParameters:
        """Start from order parameters that are given block by block of a `Spectrum`.

        Parameters
        ----------
        student_teacher : array_like
            ρ_i = w_i·w*_i/N, shape (d,).
        student_student : array_like
            Q_i = |w_i|²/N ≥ 0, shape (d,), not all zero; ρ_i² ≤ Q_i T_i.
        gamma : float
            γ.

        Returns
        -------
        OrderParameters
            Its overlap is the cosine of the weights, Σρ_i/√ΣQ_i, and its length √ΣQ_i.

        Raises
        ------
        InvalidSetup
            An argument is outside of its range.

        Examples
        --------
        >>> start = OrderParameters.of_blocks([0.1, 0.05, 0.2], [0.4, 0.3, 0.5], gamma=0.9)
        >>> round(start.overlap, 4), round(start.length, 4)
        (0.3195, 1.0954)
        """
        rho, q = block_arrays(student_teacher, student_student)
        overlap, length = cosine_and_length(rho, q)
        if abs(overlap) > 1 + 1e-9:
            raise invalid(
                "student_teacher", f"a sum of at most √Σ student_student = {length:g}", rho,
                "The teacher has |w*|² = N.",
            )  # fmt: skip
        return cls(
            float(np.clip(overlap, -1.0, 1.0)), length, gamma,
            block_student_teacher=tuple(rho), block_student_student=tuple(q),
        )  # fmt: skip

    def blocks(self, spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
        """Return ρ_i and Q_i in the blocks of a spectrum.

        Without blocks of its own, this is a student of random direction at the given cosine,
        w = L(R w* + √(1−R²) ŵ), with ŵ ⟂ w* spread over all directions alike: ρ_i = L R T_i and
        Q_i = L²(R² T_i + (1−R²) f_i). These are means over ŵ for large N; one random ŵ of N
        components misses them by O(1/√N_i).

        Parameters
        ----------
        spectrum : Spectrum

        Returns
        -------
        tuple of ndarray
            ρ_i and Q_i, shape (d,) each.

        Raises
        ------
        InvalidSetup
            The start has another number of blocks, or has ρ_i² > Q_i T_i in one.

        Examples
        --------
        >>> from statmech_bn import Spectrum
        >>> OrderParameters(0.5, 2.0).blocks(Spectrum([2, 1], fractions=[0.5, 0.5]))
        (array([0.5, 0.5]), array([2., 2.]))
        """
        instance("spectrum", spectrum, Blocks, "sbn.Spectrum(...)")
        if self.block_student_teacher is None:
            parts, shares = spectrum.teacher, spectrum.fractions
            square = self.overlap**2 * parts + (1 - self.overlap**2) * shares
            return self.length * self.overlap * parts, self.length**2 * square
        rho, q = np.array(self.block_student_teacher), np.array(self.block_student_student)
        if rho.size != spectrum.blocks:
            raise invalid("start", f"{spectrum.blocks} blocks, those of the spectrum", rho.size)
        beyond = rho**2 > q * spectrum.teacher * (1 + 1e-9)
        if beyond.any():
            worst = int(np.argmax(beyond))
            raise invalid(
                "start", "student_teacher² ≤ student_student · teacher in each block",
                f"{rho[worst]:g}² > {q[worst]:g} · {spectrum.teacher[worst]:g} in block {worst}",
                "No weights have such products.",
            )  # fmt: skip
        return rho, q

    def to_dict(self) -> dict[str, Any]:
        """Return what the constructor takes, without what the start does not have."""
        return {name: value for name, value in vars(self).items() if value is not None}
