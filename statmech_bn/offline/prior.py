r"""What the penalty and the inputs' spectrum make of the averages over a sample.

The averages over a sample give (m̂, q̂, V̂) of `statmech_bn.offline.replica_symmetric`. Block i of the
inputs answers with D_i = λ + λ_i V̂,

    ρ_i = λ_i m̂ T_i/D_i,     Q_i = (λ_i² m̂² T_i + λ_i q̂ f_i)/D_i²,
    m = Σ λ_i ρ_i,           q = Σ λ_i Q_i,          V = Σ f_i λ_i/D_i,

where m, q and V are of the fields. The λ_i are divided by σ_*² = Σ λ_i T_i, for a teacher of unit
variance with the activation g(σ_* z) (`statmech_bn.averages.structured`). Then

    q − m² = m̂² Var(λ_i/D_i) + q̂ Σ f_i λ_i²/D_i²,

with the variance over blocks of weights λ_iT_i, has positive terms only. One block of λ_i = 1 gives
V = 1/D, m = V m̂ and q = V²(m̂² + q̂). (B. Loureiro et al., NeurIPS 2021, arXiv:2102.08127.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import OrderParameters

LEAST_SPREAD = 1e-14
"""Smallest q − m²; a teacher that is found exactly counts as found to this accuracy."""
LARGEST_SUSCEPTIBILITY = 1e8


@dataclass(frozen=True)
class Prior:
    """The blocks, with eigenvalues divided by σ_*², and the ridge λ."""

    eigenvalues: np.ndarray
    fractions: np.ndarray
    teacher: np.ndarray
    ridge: float

    @classmethod
    def of(cls, spectrum: Spectrum, ridge: float) -> Prior:
        """Divide the eigenvalues; several need a ridge, as its limit 0 relates them."""
        values = spectrum.eigenvalues / spectrum.teacher_variance
        if values.size > 1:
            ridge = max(ridge, values.max() / LARGEST_SUSCEPTIBILITY)
        return cls(values, spectrum.fractions, spectrum.teacher, ridge)

    def first(self, start: OrderParameters, spectrum: Spectrum) -> np.ndarray:
        """Return the state (m, log(q − m²), log V = 0) of a start."""
        rho, q = start.blocks(spectrum)
        m = self.eigenvalues @ rho
        spread = self.eigenvalues @ q - m**2
        return np.array([m, np.log(max(spread, LEAST_SPREAD)), 0.0])

    def state(self, m_hat: float, q_hat: float, v_hat: float) -> tuple[float, float, float]:
        """Return (m, q − m², V)."""
        values, shares = self.eigenvalues, self.fractions
        ratio = values / self._stiffness(v_hat)
        weights = values * self.teacher
        mean = float(weights @ ratio)
        variance = float(weights @ (ratio - mean) ** 2)
        spread = m_hat**2 * variance + q_hat * float(shares @ ratio**2)
        return m_hat * mean, spread, float(shares @ ratio)

    def blocks(self, m_hat: float, q_hat: float, v_hat: float) -> tuple[np.ndarray, np.ndarray]:
        """Return ρ_i and Q_i."""
        values, stiffness = self.eigenvalues, self._stiffness(v_hat)
        rho = values * m_hat * self.teacher / stiffness
        noise = values * q_hat * self.fractions / stiffness**2
        return rho, (values * m_hat / stiffness) ** 2 * self.teacher + noise

    def _stiffness(self, v_hat: float) -> np.ndarray:
        """D_i, at least what keeps V below its bound; it is not used where λ_i = 0."""
        return np.maximum(self.ridge + self.eigenvalues * v_hat, 1.0 / LARGEST_SUSCEPTIBILITY)
