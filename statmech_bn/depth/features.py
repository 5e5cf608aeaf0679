r"""Random features: the kernel of a wide random ReLU network, with and without normalization.

Outputs x of layer l of samples i, j have the covariance κ^l_ij = ⟨x_i x_j⟩ over units. The fields
of the next layer, whose weights have the variance 2/width, are Gaussian with K = 2κ^l; the first
has K = 2XX'/n. With normalization by the statistics of the P reference samples,

    û_i = (h_i − μ)/σ,    μ = ⟨h⟩_P,  σ² = ⟨(h − μ)²⟩_P,

K is centred by them. Let λ_k, v_k be the eigenvalues and vectors of its part of the reference
samples, divided by P. σ² = Σ_k λ_k z_k² differs from unit to unit, with unit Gaussians z_k, of
which h_i − μ = Σ_k a_ik z_k + what is independent of them. So û has the covariance

    Σ_k a_ik a_jk E[z_k²/σ²] + (K − aa')_ij E[1/σ²],    a = K v/√(Pλ),

and is taken to be Gaussian. ReLU is homogeneous: κ_ij = √(K_ii K_jj) κ(c_ij).

The last layer, trained to the end, is a regression in this kernel. Sources: Neal 1996 and Cho &
Saul 2009 without normalization; with it this project's, after Yang et al. 2019, arXiv:1902.08129.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import array, count, integer
from statmech_bn.depth.convolution import (
    NEGLIGIBLE,
    WEIGHT_VARIANCE,
    normalized_moments,
    relu_covariance,
)
from statmech_bn.errors import invalid
from statmech_bn.symbolic.correlation_map import layer_normalization


def relu_features(
    inputs: ArrayLike, depth: int, normalization: str = "none", reference: int | None = None
) -> np.ndarray:
    """Find the covariance of the outputs of the last layer.

    Parameters
    ----------
    inputs : array_like
        (samples, n).
    depth : int
        Number of layers ≥ 1.
    normalization : {"none", "batch"}
    reference : int, optional
        P, the first so many samples have the statistics; by default all.

    Returns
    -------
    ndarray
        κ, (samples, samples).

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the samples do not differ.

    Examples
    --------
    >>> relu_features([[1.0, 0.0], [0.0, 1.0]], depth=1).round(4)
    array([[0.5   , 0.1592],
           [0.1592, 0.5   ]])
    """
    x = array("inputs", inputs, 2)
    samples = len(x)
    own = samples if reference is None else integer("reference", reference, 2, maximum=samples)
    of_batch = layer_normalization(normalization).of_batch
    covariance = x @ x.T / x.shape[1]
    for _ in range(count("depth", depth)):
        fields = WEIGHT_VARIANCE * covariance
        covariance = relu_covariance(_normalized(fields, own) if of_batch else fields)
    return covariance


def _normalized(fields: np.ndarray, own: int) -> np.ndarray:
    """Return the covariance of û."""
    left = fields - fields[:own].mean(axis=0)
    left -= left[:, :own].mean(axis=1)[:, None]
    values, vectors = np.linalg.eigh(left[:own, :own] / own)
    kept = values > NEGLIGIBLE * values.sum()
    if values.sum() <= NEGLIGIBLE * np.abs(fields).max():
        raise invalid("inputs", "samples that differ", "samples that are all alike")
    values, vectors = values[kept], vectors[:, kept]
    along, inverse = normalized_moments(values)
    parts = left[:, :own] @ vectors / np.sqrt(own * values)
    return (parts * along) @ parts.T + inverse * (left - parts @ parts.T)
