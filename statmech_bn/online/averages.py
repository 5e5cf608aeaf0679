"""The averages that have no closed form, as one function of (R, γ) for each setup.

Whatever the normalization, the flow needs four numbers of a state: the drive D, the pull A₂, the
noise B at Δ = 0 and the coefficient of Δ² in it. `statmech_bn.online.quadrature` integrates them
for population statistics, `statmech_bn.online.batch_averages` for batches of finite size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from statmech_bn.activations import Activation, z
from statmech_bn.codegen import numba_array_function
from statmech_bn.errors import NotConverged
from statmech_bn.online.batch_averages import batch_averages
from statmech_bn.online.quadrature import field_averages
from statmech_bn.teacher_student import TeacherStudent

Averages = Callable[[float, float], tuple[float, float, float, float]]
AGREEMENT = 1e-6
"""Of two successive rules; convergence is exponential, so the finer one is off by far less."""


@dataclass(frozen=True)
class Quadrature:
    """What the quadrature kernels take besides the state."""

    value_and_slope: Any
    kinks: np.ndarray
    refinement: float

    @classmethod
    def for_activation(cls, activation: Activation) -> Quadrature:
        """Compile the activation and choose how fine its nodes must be.

        Raises
        ------
        NotConverged
            No refinement up to 16 is accurate; the activation varies too fast.
        """
        return _quadrature(activation)


@lru_cache(maxsize=64)
def _quadrature(activation: Activation) -> Quadrature:
    compiled = numba_array_function([activation.expression, activation.derivative], z)
    kinks = np.array(activation.kinks, dtype=float)
    probes = [(0.6, 1.3), (-0.3, 0.4), (0.9, 2.0)]
    coarse = np.array([field_averages(compiled, kinks, *probe, 1.0) for probe in probes])
    for refinement in (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0):
        fine = np.array([field_averages(compiled, kinks, *p, refinement) for p in probes])
        if np.allclose(coarse, fine, rtol=AGREEMENT, atol=AGREEMENT):
            return Quadrature(compiled, kinks, refinement)
        coarse = fine
    raise NotConverged(
        f"Quadrature of {activation.expression} has not converged to {AGREEMENT:g}: it changes over "
        "lengths much shorter than one. Rescale it, or study it with the mesoscopic level."
    )


def field_average_function(setup: TeacherStudent) -> Averages:
    """Return (R, γ) ↦ (D, A₂, B, B_Δ), integrated numerically; for "none" call it with L for γ."""
    rule = Quadrature.for_activation(setup.activation)
    if setup.normalization == "batch":
        return lambda overlap, gamma: batch_averages(
            rule.value_and_slope, rule.kinks, overlap, gamma, setup.batch_size
        )
    return lambda overlap, gamma: field_averages(
        rule.value_and_slope, rule.kinks, overlap, gamma, rule.refinement
    )
