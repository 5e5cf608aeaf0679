r"""Largest eigenvalue of the Fisher information of a wide dense ReLU network, at initialization.

For the squared loss ℓ = |o − y|²/2 the Fisher information of all weights and shifts has the
eigenvalues, but for zeros, of the matrix of products of two samples' gradients by the P samples.
In wide layers this is one block for each output,

    Θ = width κ^L + 1 + Σ_l (n_{l−1} κ^{l−1} + 1) D^l,    D^L = κ̇^L,  D^{l−1} = 2 κ̇^{l−1} D^l,

with κ^l = E[g g] and κ̇^l = E[g' g'] of two samples' fields in layer l, whose covariance is
2κ^{l−1}; n_0 inputs, n_l = width, κ^0 = XX'/n_0. What all samples have in common makes its largest
eigenvalue of order width. Outputs of which the mean over the samples is subtracted have Θ centred
in rows and columns, and lose this eigenvalue. Gradient descent is stable for η < 2/λ_max.

Source: Karakida, Akaho & Amari 2019, arXiv:1906.02926, for independent Gaussian inputs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.checks import array, count, flag
from statmech_bn.depth.convolution import WEIGHT_VARIANCE, centred, relu_covariance, relu_slopes


def largest_fisher_eigenvalue(
    inputs: ArrayLike, depth: int, width: int, mean_subtracted: bool = False
) -> float:
    """Find λ_max for the squared loss.

    Parameters
    ----------
    inputs : array_like
        (samples, n_0).
    depth : int
        Hidden layers, whose weights have the variance 2/n_{l−1}, those of the top 1/width.
    width : int
        Units of a hidden layer; much larger than depth and samples have directions.
    mean_subtracted : bool
        Whether the mean over the samples is subtracted from the outputs.

    Returns
    -------
    float
        λ_max to leading order of the width.

    Examples
    --------
    >>> round(largest_fisher_eigenvalue([[1.0]], depth=1, width=100), 6)
    102.0
    """
    x = array("inputs", inputs, 2)
    layers, units = count("depth", depth), count("width", width)
    flag("mean_subtracted", mean_subtracted)
    covariances, slopes = [x @ x.T / x.shape[1]], []
    for _ in range(layers):
        fields = WEIGHT_VARIANCE * covariances[-1]
        covariances.append(relu_covariance(fields))
        slopes.append(relu_slopes(fields))
    sizes = [x.shape[1], *[units] * layers]
    products = sizes[-1] * covariances[-1] + 1
    back = np.ones_like(products)
    for n, below, slope in zip(sizes[-2::-1], covariances[-2::-1], slopes[::-1], strict=True):
        back = back * slope
        products += (n * below + 1) * back
        back = WEIGHT_VARIANCE * back
    if mean_subtracted:
        products = centred(products)
    return float(np.linalg.eigvalsh(products)[-1] / len(x))
