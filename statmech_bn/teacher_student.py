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
from typing import Any

import sympy as sp

from statmech_bn.activations import Activation
from statmech_bn.activations import activation as as_activation
from statmech_bn.checks import instance, integer, real
from statmech_bn.errors import InvalidStore, StatmechError, invalid
from statmech_bn.normalization import Normalization
from statmech_bn.normalization import normalization as as_normalization
from statmech_bn.untrusted import from_json


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
        except (KeyError, TypeError, StatmechError) as error:
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
        R in [−1, 1], cosine between student and teacher.
    length : float
        L > 0, |w|/√N.
    gamma : float
        γ, scale of the normalization; leave at 1 for "none".

    Examples
    --------
    >>> OrderParameters(overlap=0.1, length=2.0)
    OrderParameters(overlap=0.1, length=2.0, gamma=1.0)
    """

    overlap: float = 0.05
    length: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        overlap = real("overlap", self.overlap, minimum=-1.0, maximum=1.0)
        length = real("length", self.length, minimum=0.0)
        if length == 0:
            raise invalid("length", "a number > 0", self.length, "Start from a small length.")
        object.__setattr__(self, "overlap", overlap)
        object.__setattr__(self, "length", length)
        object.__setattr__(self, "gamma", real("gamma", self.gamma))
