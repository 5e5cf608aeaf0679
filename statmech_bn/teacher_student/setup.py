"""What is studied: a student that learns from a teacher through a normalization.

Inputs x in R^N are i.i.d. N(0, 1). The teacher's field is h* = w*·x/√N with |w*|² = N and the
label is y = g(h*) + Δ ξ. The student's field is h = w·x/√N and its output g(φ) with

    none                 φ = h
    weight, population   φ = γ h/L              L = |w|/√N
    batch                φ = γ (h − μ_B)/σ_B    mean and spread of the M fields of the step

It descends ½(y − g(φ))² + ζγ² + (λ/2N)|w|². (Luo, Wang, Shao, Peng 2019, arXiv 1809.00846.)

With several units, committees, y = Σ_n v*_n g(h*_n) + Δ ξ and the output is Σ_k v_k g(φ_k), where
T_{nn'} = w*_n·w*_n'/N, ρ_kn = w_k·w*_n/N and Q_kl = w_k·w_l/N (Saad & Solla 1995; Goldt et al.
2019). Each unit is normalized by itself and has its own γ_k, and the penalties are those of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from statmech_bn.activations import Activation
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import choice, instance, integer, real
from statmech_bn.described import ADDED, described
from statmech_bn.errors import InvalidStore, StatmechError, invalid
from statmech_bn.normalization import Normalization
from statmech_bn.normalization import normalization as as_normalization
from statmech_bn.teacher_student.gram import MOST_UNITS, as_tuples, by_unit, teacher_gram
from statmech_bn.untrusted import from_json


@dataclass(frozen=True)
class TeacherStudent:
    """The learning problem, without the learning rate, the start and the dimension.

    Parameters
    ----------
    activation : str, sympy.Expr or Activation
        g: a name of `statmech_bn.activations`, such as "relu", or an expression in one symbol.
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
    student_units, teacher_units : int
        K and K* ≥ 1, hidden units of the student and of the teacher.
    teacher_overlaps : array_like, optional
        T, shape (K*, K*), positive definite; its diagonal need not be 1. By default the identity.
    teacher_readout : float or array_like
        v*, a number or (K*,).
    readout : {"fixed", "learned"}
        Whether the student's second layer v keeps the values of the start.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.

    Examples
    --------
    >>> TeacherStudent(activation="relu", normalization="batch", batch_size=32).activation.name
    'relu'
    >>> TeacherStudent("erf", "none", 1, student_units=2, teacher_units=3).is_committee
    True
    """

    activation: Activation = field(default_factory=lambda: as_activation("linear"))
    normalization: str = "batch"
    batch_size: int = 32
    label_noise: float = 0.0
    gamma_decay: float = 0.0
    weight_decay: float = 0.0
    student_units: int = field(default=1, metadata=ADDED)
    teacher_units: int = field(default=1, metadata=ADDED)
    teacher_overlaps: tuple[tuple[float, ...], ...] | None = field(default=None, metadata=ADDED)
    teacher_readout: tuple[float, ...] = field(default=(1.0,), metadata=ADDED)
    readout: str = field(default="fixed", metadata=ADDED)

    def __init__(
        self,
        activation: str | sp.Expr | Activation = "linear",
        normalization: str | Normalization = "batch",
        batch_size: int = 32,
        label_noise: float = 0.0,
        gamma_decay: float = 0.0,
        weight_decay: float = 0.0,
        *,
        student_units: int = 1,
        teacher_units: int = 1,
        teacher_overlaps: ArrayLike | None = None,
        teacher_readout: ArrayLike = 1.0,
        readout: str = "fixed",
    ) -> None:
        normalizer = as_normalization(normalization)
        values: dict[str, Any] = {
            "activation": as_activation(activation),
            "normalization": normalizer.name,
            "batch_size": integer("batch_size", batch_size, 1),
            "label_noise": real("label_noise", label_noise, minimum=0.0),
            "gamma_decay": real("gamma_decay", gamma_decay, minimum=0.0),
            "weight_decay": real("weight_decay", weight_decay, minimum=0.0),
            "student_units": integer("student_units", student_units, 1, maximum=MOST_UNITS),
            "teacher_units": integer("teacher_units", teacher_units, 1, maximum=MOST_UNITS),
            "readout": choice("readout", readout, ("fixed", "learned")),
        }
        units = values["teacher_units"]
        values["teacher_readout"] = by_unit("teacher_readout", teacher_readout, units)
        values["teacher_overlaps"] = None
        if teacher_overlaps is not None:
            gram = teacher_gram("teacher_overlaps", teacher_overlaps, units)
            if not np.array_equal(gram, np.eye(units)):
                values["teacher_overlaps"] = as_tuples(gram)
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

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in described(self).items())
        return f"TeacherStudent({', '.join(shown)})"

    @property
    def normalizer(self) -> Normalization:
        """What the normalization does, see `statmech_bn.normalization`."""
        return as_normalization(self.normalization)

    @property
    def group(self) -> int | None:
        """Samples of a step that share mean and spread; None if those are not of the batch."""
        size: int | None = self.normalizer.group(self.batch_size)
        return size

    @property
    def is_committee(self) -> bool:
        """Whether there are several units, or one with a length or a readout of its own."""
        one = self.student_units, self.teacher_units, self.teacher_overlaps, self.teacher_readout
        return one != (1, 1, None, (1.0,)) or self.readout != "fixed"

    @property
    def teacher_gram(self) -> np.ndarray:
        """T, shape (K*, K*)."""
        return (
            np.eye(self.teacher_units)
            if self.teacher_overlaps is None
            else np.array(self.teacher_overlaps)
        )

    def to_attrs(self) -> dict[str, str]:
        """Return Dataset attributes from which :meth:`from_attrs` gives this setup back."""
        values = described(self)
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
