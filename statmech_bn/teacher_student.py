"""What is studied: a student that learns from a teacher through a normalization.

Inputs x in R^N are i.i.d. N(0, 1). The teacher's field is h* = w*·x/√N with |w*|² = N and the
label is y = g(h*) + Δ ξ. The student's field is h = w·x/√N and its output g(φ) with

    none                 φ = h
    weight, population   φ = γ h/L              L = |w|/√N
    batch                φ = γ (h − μ_B)/σ_B    mean and spread of the M fields of the step

It descends ½(y − g(φ))² + ζγ² + (λ/2N)|w|². (Luo, Wang, Shao, Peng 2019, arXiv 1809.00846.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from statmech_bn.activations import Activation
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import array, instance, integer, real
from statmech_bn.errors import InvalidStore, StatmechError, invalid
from statmech_bn.normalization import Normalization
from statmech_bn.normalization import normalization as as_normalization
from statmech_bn.spectrum.record import Blocks
from statmech_bn.untrusted import from_json

if TYPE_CHECKING:
    from statmech_bn.spectrum import Spectrum


@dataclass(frozen=True)
class TeacherStudent:
    """The learning problem, without the learning rate, the start and the dimension.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        g: "linear", "relu", "erf", "softplus", "tanh", or an expression in one symbol.
    normalization : str or Normalization
        "none", "weight", "population", "batch", or "ghost(8)" for batch normalization by groups of
        8 samples; see `statmech_bn.normalization`. It is kept as text.
    batch_size : int
        M ≥ 1 samples a step; M ≥ 3 for "batch", where one or two normalized fields are always
        ±1 and carry nothing to learn from.
    label_noise : float
        Δ ≥ 0, standard deviation of the noise on the labels.
    gamma_decay : float
        ζ ≥ 0, coefficient of the penalty ζγ²; 0 for "none", which has no γ.
    weight_decay : float
        λ ≥ 0, coefficient of the penalty (λ/2)|w|².

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> TeacherStudent(activation="relu", normalization="batch", batch_size=32).activation.name
    'relu'
    """

    activation: Activation = field(default_factory=lambda: as_activation("linear"))
    normalization: str = "batch"
    batch_size: int = 32
    label_noise: float = 0.0
    gamma_decay: float = 0.0
    weight_decay: float = 0.0

    def __init__(
        self,
        activation: str | sp.Expr | Activation = "linear",
        normalization: str | Normalization = "batch",
        batch_size: int = 32,
        label_noise: float = 0.0,
        gamma_decay: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        normalizer = as_normalization(normalization)
        values: dict[str, Any] = {
            "activation": as_activation(activation),
            "normalization": normalizer.name,
            "batch_size": integer("batch_size", batch_size, 1),
            "label_noise": real("label_noise", label_noise, minimum=0.0),
            "gamma_decay": real("gamma_decay", gamma_decay, minimum=0.0),
            "weight_decay": real("weight_decay", weight_decay, minimum=0.0),
        }
        normalizer.check_batch(values["batch_size"])
        if not normalizer.has_scale and values["gamma_decay"] > 0:
            raise invalid(
                "gamma_decay",
                f"0 for normalization {normalizer.name!r}, which has no gamma",
                gamma_decay,
                "Use weight_decay, or another normalization.",
            )
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def normalizer(self) -> Normalization:
        """What the normalization does, see `statmech_bn.normalization`."""
        return as_normalization(self.normalization)

    @property
    def group(self) -> int | None:
        """Samples of a step that share mean and spread; None if those are not of the batch."""
        size: int | None = self.normalizer.group(self.batch_size)
        return size

    def to_attrs(self) -> dict[str, str]:
        """Return Dataset attributes from which :meth:`from_attrs` gives this setup back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["activation"] = self.activation.to_text()
        return {"setup": json.dumps(values)}

    @classmethod
    def from_attrs(cls, attributes: Mapping[Any, Any]) -> TeacherStudent:
        """Read the setup from a Dataset's attributes.

        Raises
        ------
        InvalidStore
            The attributes hold no setup, or one that is not readable.
        """
        instance("attributes", attributes, Mapping)
        try:
            values = from_json(attributes["setup"], "attrs['setup']")
            return cls(**{**values, "activation": Activation.from_text(values["activation"])})
        except (LookupError, TypeError, StatmechError) as error:
            raise InvalidStore(
                "The attributes hold no readable 'setup'. A sweep over several has none, but "
                "attrs['sweep'], which says what was computed; was this made by statmech_bn? "
                f"({type(error).__name__}: {error})"
            ) from error


@dataclass(frozen=True)
class OrderParameters:
    """Where learning starts.

    Parameters
    ----------
    overlap : float
        R in [−1, 1], cosine between the weights of student and teacher.
    length : float
        L > 0, |w|/√N.
    gamma : float
        γ, scale of the normalization; leave at 1 for "none".
    block_student_teacher, block_student_student : sequence of float, optional
        What :meth:`of_blocks` gives; by default the direction is random at the given overlap.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> OrderParameters(overlap=0.1, length=2.0)
    OrderParameters(overlap=0.1, length=2.0, gamma=1.0)
    """

    overlap: float = 0.05
    length: float = 1.0
    gamma: float = 1.0
    block_student_teacher: tuple[float, ...] | None = field(default=None, kw_only=True)
    block_student_student: tuple[float, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        overlap = real("overlap", self.overlap, minimum=-1.0, maximum=1.0)
        length = real("length", self.length, minimum=0.0)
        if length == 0:
            raise invalid("length", "a number > 0", self.length, "Start from a small length.")
        object.__setattr__(self, "overlap", overlap)
        object.__setattr__(self, "length", length)
        object.__setattr__(self, "gamma", real("gamma", self.gamma))
        if self.block_student_teacher is None and self.block_student_student is None:
            return
        rho, q = _block_arrays(self.block_student_teacher, self.block_student_student)
        if not np.allclose(_cosine_and_length(rho, q), (overlap, length), rtol=0, atol=1e-9):
            raise invalid(
                "overlap, length", "those of the blocks", (overlap, length),
                "Use OrderParameters.of_blocks(student_teacher, student_student, gamma).",
            )  # fmt: skip
        object.__setattr__(self, "block_student_teacher", tuple(rho.tolist()))
        object.__setattr__(self, "block_student_student", tuple(q.tolist()))

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"OrderParameters({', '.join(shown)})"

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
            Its `overlap` is the cosine of the weights, Σρ_i/√ΣQ_i, and its `length` √ΣQ_i.

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
        rho, q = _block_arrays(student_teacher, student_student)
        overlap, length = _cosine_and_length(rho, q)
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
        """Return what the constructor takes, without blocks if there are none."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _block_arrays(rho: Any, q: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check ρ_i and Q_i without a spectrum."""
    products, squares = array("student_teacher", rho, 1), array("student_student", q, 1, 0.0)
    if products.shape != squares.shape:
        sizes = (products.size, squares.size)
        raise invalid("student_teacher, student_student", "as many of each", sizes)
    if not squares.any():
        raise invalid("student_student", "one number > 0 at least", q, "Start from a small length.")
    return products, squares


def _cosine_and_length(rho: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    length = float(np.sqrt(q.sum()))
    return float(rho.sum()) / length, length
