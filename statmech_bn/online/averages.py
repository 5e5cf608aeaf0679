"""Averages over the fields, as one compiled function of (R, γ) for each setup.

Whatever the normalization, the flow needs four numbers of a state: the drive D, the pull A2, the
noise B at Δ = 0 and the coefficient of Δ² in it (`statmech_bn.online.quadrature` defines them).
They come from the closed form that SymPy derives, where there is one, from quadrature elsewhere,
and for batch statistics of finite size from the integrals of `batch_averages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

from statmech_bn import symbolic
from statmech_bn.activations import Activation, z
from statmech_bn.codegen import numba_array_function, numba_function
from statmech_bn.errors import NoClosedForm, NotConverged
from statmech_bn.online.batch_averages import batch_averages
from statmech_bn.online.quadrature import field_averages
from statmech_bn.teacher_student import TeacherStudent

Averages = Callable[[float, float], tuple[float, float, float, float]]
ACCURACY = 1e-10


@dataclass(frozen=True)
class Quadrature:
    """What the quadrature kernels take besides the state."""

    value_and_slope: Any
    kinks: np.ndarray
    refinement: int

    @classmethod
    def for_activation(cls, activation: Activation) -> Quadrature:
        """Compile the activation and choose how fine its nodes must be.

        Raises
        ------
        NotConverged
            No refinement up to 16 gives the averages to 1e-10; the activation varies too fast.
        """
        return _quadrature(activation)


@lru_cache(maxsize=64)
def _quadrature(activation: Activation) -> Quadrature:
    compiled = numba_array_function([activation.expression, activation.derivative], z)
    kinks = np.array(activation.kinks, dtype=float)
    probes = [(0.6, 1.3), (-0.3, 0.4), (0.9, 2.0)]
    coarse = np.array([field_averages(compiled, kinks, *probe, 1) for probe in probes])
    for refinement in (1, 2, 4, 8):
        fine = np.array([field_averages(compiled, kinks, *p, 2 * refinement) for p in probes])
        if np.allclose(coarse, fine, rtol=ACCURACY, atol=ACCURACY):
            return Quadrature(compiled, kinks, refinement)
        coarse = fine
    raise NotConverged(
        f"Quadrature of {activation.expression} has not converged to {ACCURACY:g}: it changes over "
        "lengths much shorter than one. Rescale it, or study it with the mesoscopic level."
    )


def field_average_function(setup: TeacherStudent) -> Averages:
    """Return (R, γ) ↦ (D, A2, B, B_Δ) for a setup; for "none" call it with L for γ.

    Closed forms are derived for γ > 0; γ < 0 is mapped there by the symmetry
    (u, γ, R) → (−u, −γ, −R), under which only A2 changes sign.
    """
    g = setup.activation
    is_batch = setup.normalization == "batch"
    try:
        closed = symbolic.batch_field_averages(g) if is_batch else symbolic.field_averages(g)
    except NoClosedForm:
        rule = Quadrature.for_activation(g)
        if is_batch:
            return lambda overlap, gamma: batch_averages(
                rule.value_and_slope, rule.kinks, overlap, gamma, setup.batch_size
            )
        return lambda overlap, gamma: field_averages(
            rule.value_and_slope, rule.kinks, overlap, gamma, rule.refinement
        )
    # Γ(M/2) overflows a double at M > 340, so the constants are evaluated by SymPy.
    batch_size = sp.Float(setup.batch_size, 30)
    constants = [e.subs(symbolic.M, batch_size).evalf(17) if is_batch else e for e in closed]
    compiled = numba_function(constants, [symbolic.R, symbolic.gamma])

    def mirrored(overlap: float, gamma: float) -> tuple[float, float, float, float]:
        if gamma >= 0:
            return compiled(overlap, gamma)
        drive, pull, noise, label_noise = compiled(-overlap, -gamma)
        return drive, -pull, noise, label_noise

    return mirrored
