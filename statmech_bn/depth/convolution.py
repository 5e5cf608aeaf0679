r"""Mean field of convolutional ReLU layers: covariances between all positions of all samples.

Points i, j are positions of samples. The fields h of a wide layer are Gaussian, and independent
over channels, with the covariance

    K'_ij = (σ_w²/9) Σ_δ E[g(h_{i+δ}) g(h_{j+δ})],   σ_w² = 2,

over the 3×3 neighbours δ of both points, zero outside of the image: padding takes a share of the
variance in every layer, and neighbours become alike. With batch normalization, over all n points,
K is first centred in rows and columns, and then that of û = (h − μ_B)/σ_B. Few directions make most
of the variance of images, so that σ_B² = Σ_k λ_k z_k² differs from channel to channel, with the
eigenvalues λ of the centred K/n and unit Gaussians z; direction k of û has the variance

    n λ_k E[z_k²/σ_B²] = n λ_k ∫₀^∞ (1 + 2tλ_k)^(−1) Π_l (1 + 2tλ_l)^(−1/2) dt,

and û is taken to be Gaussian. The mean over channels of products of gradients goes back by the
transpose of the sum over neighbours and

    G_ij ← E[g'(h_i) g'(h_j)] G_ij,

and through batch normalization, which takes from the gradients g what is along 1 and û, by

    G ← E[1/σ_B²] [1 − Σ_ij κ_ij G_ij/(n tr A)] A,   A = what is left of G after centring,

κ being E[g(û_i) g(û_j)] and G in the bracket that before the slopes: the total is that of both
projections, its distribution that of the first; E[1/σ_B²] = ∫₀^∞ Π_k (1 + 2tλ_k)^(−1/2) dt.

Sources: Novak et al. 2019, arXiv:1810.05148, and Garriga-Alonso et al. 2019, arXiv:1808.05587,
without normalization; with it this project's, after Yang et al. 2019, arXiv:1902.08129 (dense).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import softmax

from statmech_bn import __version__
from statmech_bn.checks import array, integer, integers
from statmech_bn.dataset import describe
from statmech_bn.depth.kernel import kernel
from statmech_bn.errors import invalid
from statmech_bn.random.streams import stream
from statmech_bn.symbolic.correlation_map import layer_normalization

WEIGHT_VARIANCE, SIZE = 2.0, 3
NEGLIGIBLE = 1e-9
"""Eigenvalues below this share of their sum are rounding."""
DRAWS = 400
"""Random tops that give the mean gradient of the logits."""


def convolution_signals(
    inputs: np.ndarray,
    labels: np.ndarray,
    strides: Sequence[int],
    normalization: str = "none",
    seed: int = 0,
) -> xr.Dataset:
    """Predict fields and gradients of a wide convolutional network at its initialization.

    The network is `statmech_bn.networks.plain_network`, the measurement
    `statmech_bn.networks.signals`.

    Parameters
    ----------
    inputs : ndarray
        One batch, (samples, channels, rows, columns). Memory is 8 bytes for each pair of pixels.
    labels : ndarray
        Classes of the samples, from 0.
    strides : sequence of int
        Of the layers.
    normalization : {"none", "batch"}
    seed : int
        Of the draws of the top.

    Returns
    -------
    xarray.Dataset
        Over ``layer``: ``channel_mean``, ``channel_variance``, ``gradient_coherence``,
        ``gradient_square`` relative to that of the last layer; ``correlation`` of the fields of two
        samples at the same position, all pairs together; and the number of ``positions``.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    """
    rule = layer_normalization(normalization)
    x, classes = array("inputs", inputs, 4), array("labels", labels, 1, minimum=0)
    if len(x) != len(classes) or (classes != classes.astype(int)).any():
        raise invalid("labels", f"an integer ≥ 0 for each of the {len(x)} images", labels)
    strides = integers("strides", strides, 1)
    passed = np.einsum("bcyx,dcvw->byxdvw", x, x) / x.shape[1]
    layers = []
    for stride in strides:
        layers.append(_forward(_neighbours(passed, stride), rule.of_batch))
        passed = layers[-1].outputs
    found = [(*_moments(layer.fields), _correlation(layer.fields)) for layer in layers]
    pooled = passed.mean(axis=(1, 2, 4, 5))
    seed = integer("seed", seed, 0)
    logits = _logit_gradients(pooled, classes.astype(int), stream(seed, 45))
    gradients = np.broadcast_to(logits[:, None, None, :, None, None], passed.shape)
    backward = []
    for layer, stride in zip(layers[::-1], strides[::-1], strict=True):
        g = _backward(layer, gradients)
        backward.append((np.trace(_matrix(g)) / len(_matrix(g)), _coherence(g)))
        below = layers[len(layers) - 1 - len(backward)].fields.shape
        if len(backward) < len(layers):
            gradients = _transposed(g, stride, below)
    square, coherence = np.array(backward[::-1]).T
    mean, variance, correlation = np.array(found).T
    data = {
        "channel_mean": mean,
        "channel_variance": variance,
        "correlation": correlation,
        "gradient_square": square / square[-1],
        "gradient_coherence": coherence,
        "positions": [float(np.prod(layer.fields.shape[1:3])) for layer in layers],
    }
    attributes = {"level": "macroscopic", "normalization": normalization, "samples": len(x)}
    attributes |= {"seed": seed, "version": __version__}
    coordinates = {"layer": np.arange(1, len(layers) + 1)}
    variables = {name: ("layer", np.asarray(values)) for name, values in data.items()}
    return describe(xr.Dataset(variables, coordinates, attributes))


class _Layer(NamedTuple):
    """Covariances (samples, rows, columns, samples, rows, columns) of one layer.

    Attributes
    ----------
    fields, outputs, slopes : ndarray
        Of h; E[g g] and E[g' g'] behind the normalization.
    inverse : float
        E[1/σ_B²] of the normalization; 0 without.
    """

    fields: np.ndarray
    outputs: np.ndarray
    slopes: np.ndarray
    inverse: float


def _forward(fields: np.ndarray, normalized: bool) -> _Layer:
    covariance, inverse = _matrix(fields), 0.0
    if normalized:
        covariance, inverse = _normalized(centred(covariance))
    outputs = relu_covariance(covariance)
    slopes = relu_slopes(covariance)
    return _Layer(fields, outputs.reshape(fields.shape), slopes.reshape(fields.shape), inverse)


def _backward(layer: _Layer, gradients: np.ndarray) -> np.ndarray:
    """Go from the gradients with respect to the outputs to those with respect to the fields."""
    behind = layer.slopes * gradients
    if layer.inverse == 0:
        return behind
    left = centred(_matrix(behind))
    along_fields = np.vdot(layer.outputs, gradients) / len(left)
    left *= (1 - along_fields / np.trace(left)) * layer.inverse
    return left.reshape(behind.shape)


def _matrix(values: np.ndarray) -> np.ndarray:
    points = int(np.prod(values.shape[:3]))
    return values.reshape(points, points)


def centred(matrix: np.ndarray) -> np.ndarray:
    """Subtract the means of rows and columns."""
    rows = matrix.mean(axis=0)
    return matrix - rows - rows[:, None] + rows.mean()


def relu_covariance(covariance: np.ndarray) -> np.ndarray:
    """Return E[g(h_i) g(h_j)] of ReLU, which is homogeneous, for Gaussian h of a covariance."""
    spread = np.sqrt(np.diag(covariance).clip(0))
    return np.outer(spread, spread) * kernel("relu", _correlations(covariance))


def relu_slopes(covariance: np.ndarray) -> np.ndarray:
    """Return E[g'(h_i) g'(h_j)] of ReLU."""
    return kernel("relu", _correlations(covariance), slopes=True)


def _correlations(covariance: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.diag(covariance).clip(0))
    sizes = np.outer(spread, spread)
    return np.divide(covariance, sizes, out=np.zeros_like(sizes), where=sizes > 0).clip(-1, 1)


def normalized_moments(eigenvalues: np.ndarray) -> tuple[np.ndarray, float]:
    """Return E[z_k²/σ_B²] for each k, and E[1/σ_B²], with σ_B² = Σ_k λ_k z_k²."""
    total = eigenvalues.sum()
    t = np.geomspace(1e-6, 1e12, 721)  # the integrals are smooth functions of ln t
    factors = 1 + 2 * np.outer(t, eigenvalues / total)
    weights = t * np.exp(-0.5 * np.log(factors).sum(axis=1)) * np.log(t[1] / t[0])
    return weights @ (1 / factors) / total, float(weights.sum() / total)


def _normalized(covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the covariance of fields divided by σ_B, and E[1/σ_B²]."""
    values, vectors = np.linalg.eigh(covariance / len(covariance))
    kept = values > NEGLIGIBLE * values.sum()
    values, vectors = values[kept], vectors[:, kept]
    along, inverse = normalized_moments(values)
    return (vectors * len(covariance) * values * along) @ vectors.T, inverse


def _moments(fields: np.ndarray) -> tuple[float, float]:
    """Squared mean and variance of a channel over all points."""
    matrix = _matrix(fields)
    mean = matrix.mean()
    return mean, np.trace(matrix) / len(matrix) - mean


def _correlation(fields: np.ndarray) -> float:
    samples = np.einsum("byxdyx->bd", fields)
    own = np.trace(samples) / len(samples)
    return (samples.mean() / own * len(samples) - 1) / (len(samples) - 1)


def _coherence(gradients: np.ndarray) -> float:
    matrix = _matrix(gradients)
    return matrix.sum() / (len(matrix) * np.trace(matrix))


def _windows(shape: tuple[int, ...], stride: int) -> list[tuple[slice, ...]]:
    """For each neighbour, the slices of padded points that the outputs see, shape of outputs."""
    rows, columns = shape[1:3]
    found = []
    for dy in range(SIZE):
        for dx in range(SIZE):
            seen = tuple(
                slice(d, d + stride * (n - 1) + 1, stride) for d, n in ((dy, rows), (dx, columns))
            )
            found.append((slice(None), *seen, slice(None), *seen))
    return found


PADDING = [(0, 0), (1, 1), (1, 1)] * 2


def _neighbours(outputs: np.ndarray, stride: int) -> np.ndarray:
    """Sum the covariance of what a unit sees: that of the next layer's fields."""
    samples, *sides = outputs.shape[:3]
    shape = (samples, *(-(-side // stride) for side in sides)) * 2
    padded, total = np.pad(outputs, PADDING), np.zeros(shape)
    for window in _windows(shape, stride):
        total += padded[window]
    return total * (WEIGHT_VARIANCE / SIZE**2)


def _transposed(gradients: np.ndarray, stride: int, shape: tuple[int, ...]) -> np.ndarray:
    """Go from the gradients of fields to those of the outputs below, of this shape."""
    padded = np.zeros([n + sum(pad) for n, pad in zip(shape, PADDING, strict=True)])
    for window in _windows(gradients.shape, stride):
        padded[window] += gradients
    inner = slice(1, -1)
    return padded[:, inner, inner, :, inner, inner] * (WEIGHT_VARIANCE / SIZE**2)


def _logit_gradients(
    pooled: np.ndarray, labels: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Average products of two samples' gradients with respect to Gaussian logits."""
    classes = int(labels.max()) + 1
    values, vectors = np.linalg.eigh(pooled)
    root = vectors * np.sqrt(values.clip(0))
    logits = root @ generator.standard_normal((DRAWS, len(labels), classes))
    slopes = softmax(logits, axis=2) - np.eye(classes)[labels]
    return np.einsum("rbk,rdk->bd", slopes, slopes) / DRAWS
