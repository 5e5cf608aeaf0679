r"""Do all samples push a channel the same way? Alignment of gradients at initialization.

For the gradients g with respect to a channel's fields, of every sample and position,

    alignment   |Σ g| / Σ |g|          1 if all have one sign
    coherence   (Σ g)² / (n Σ g²)      the same by squares, summed over channels

Batch normalization makes Σ g over batch and positions zero for the fields that it normalizes, as
what is common to all of them is subtracted. Without it, depth aligns: in a wide network the mean
of g_b g_b' over channels goes back through a layer as

    ⟨g_b g_b'⟩ ← σ_w² E[g'(u_b) g'(u_b')] ⟨g_b g_b'⟩,

with the correlation of the fields u_b, u_b' from `statmech_bn.depth.correlation`; as that goes to
1, different samples' gradients shrink by the same factors. (Bjorck, Gomes & Selman 2018, section
3.2; the mean-field theory of both passes: Schoenholz et al. 2017.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline

from statmech_bn.checks import count, integer
from statmech_bn.dataset import describe
from statmech_bn.depth.kernel import kernel
from statmech_bn.depth.network import DeepNetwork, check_batch
from statmech_bn.depth.propagation import backward, forward
from statmech_bn.random.streams import stream

AXES = {"alignment_batch": 0, "alignment_positions": 1, "alignment_channels": 2}
"""The axis that is summed over."""


def gradient_alignment(
    network: DeepNetwork, inputs: np.ndarray, labels: np.ndarray, replicas: int = 8, seed: int = 0
) -> xr.Dataset:
    """Measure alignment and coherence of every layer's gradients in random networks.

    Parameters
    ----------
    network : DeepNetwork
    inputs, labels : ndarray
        One batch.
    replicas, seed : int
        Random initializations.

    Returns
    -------
    xarray.Dataset
        Over (replica, layer), averaged over channels that have a gradient:

        ``gradient_alignment``, ``alignment_behind``
            Over batch and positions, with respect to the fields h, and to φ, behind the
            normalization (the same without it).
        ``alignment_batch``, ``alignment_positions``, ``alignment_channels``
            Over one of them alone, for the fields.
        ``alignment_weights``
            Of the terms that make the gradient of one weight, over batch and positions.
        ``gradient_coherence``, ``gradient_square``
            Of the fields; mean square over everything.
        ``theory``
            The mean-field coherence; only for dense networks without normalization, and inputs of
            equal mean square.
    """
    inputs, labels = check_batch(network, inputs, labels)
    replicas, seed = count("replicas", replicas, 1), integer("seed", seed, 0)
    shape = (replicas, network.depth)
    names = ["gradient_alignment", "alignment_behind", "alignment_weights"]
    names += ["gradient_coherence", "gradient_square", *AXES]
    data = {name: np.empty(shape) for name in names}
    if has_theory := _has_theory(network, inputs):
        data["theory"] = np.empty(shape)
    for replica in range(replicas):
        parameters = network.initial(stream(seed, 24, replica))
        done = forward(network, parameters, inputs)
        gradients = backward(network, parameters, done, labels)
        for level, g in enumerate(gradients.fields):
            x, both = done.seen[level], ((0, 1), (0, 1))
            sums = np.abs(np.tensordot(x, g, both)), np.tensordot(np.abs(x), np.abs(g), both)
            found = {name: _aligned(g, axis) for name, axis in AXES.items()}
            found["gradient_alignment"] = _aligned(g, (0, 1))
            found["alignment_behind"] = _aligned(gradients.normalized[level], (0, 1))
            found["alignment_weights"] = _mean_ratio(*sums)
            square = np.mean(g**2)
            found["gradient_square"] = square
            found["gradient_coherence"] = np.mean(g.mean(axis=(0, 1)) ** 2) / square
            for name, value in found.items():
                data[name][replica, level] = value
        if has_theory:
            data["theory"][replica] = _mean_field(network, inputs, gradients.logits)
    coordinates = {"replica": np.arange(replicas), "layer": np.arange(1, network.depth + 1)}
    variables = {name: (("replica", "layer"), values) for name, values in data.items()}
    attributes = {**network.to_attrs(), "samples": len(inputs), "seed": seed}
    return describe(xr.Dataset(variables, coordinates, attributes))


def gradient_squares(
    network: DeepNetwork, inputs: np.ndarray, labels: np.ndarray, replicas: int = 8, seed: int = 0
) -> xr.Dataset:
    """Measure the mean square of every layer's gradients, relative to the last hidden layer's.

    They are those with respect to φ, what the activation sees.

    Parameters
    ----------
    network : DeepNetwork
    inputs : ndarray
        (samples, channels), or (samples, positions, channels).
    labels : ndarray of int
        (samples,), 0 … classes − 1.
    replicas : int
        Independent initial weights.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``gradient_square`` (replica, layer) and the mean-field ``theory`` (layer): the product of
        the multipliers of the layers from there up, with batch normalization those of a batch of
        as many samples times positions.
    """
    inputs, labels = check_batch(network, inputs, labels)
    replicas, seed = count("replicas", replicas, 1), integer("seed", seed, 0)
    square = np.empty((replicas, network.depth))
    for replica in range(replicas):
        parameters = network.initial(stream(seed, 24, replica))
        done = forward(network, parameters, inputs)
        found = backward(network, parameters, done, labels).normalized
        square[replica] = [np.mean(g**2) for g in found]
    points = len(inputs) * (inputs.shape[1] if inputs.ndim == 3 else 1)
    layer = replace(network.layer, batch_size=points if network.normalizer.of_batch else None)
    factors = layer.gradient_multiplier(_variances(network, inputs)[:-1])
    data = {
        "gradient_square": (("replica", "layer"), square / square[:, -1:]),
        "theory": ("layer", np.append(np.cumprod(factors[::-1])[::-1], 1.0)),
    }
    coordinates = {"replica": np.arange(replicas), "layer": np.arange(1, network.depth + 1)}
    return describe(xr.Dataset(data, coordinates, {**network.to_attrs(), "seed": seed}))


def _aligned(g: np.ndarray, axis: int | tuple[int, ...]) -> float:
    return _mean_ratio(np.abs(g.sum(axis=axis)), np.abs(g).sum(axis=axis))


def _mean_ratio(numerator: np.ndarray, denominator: np.ndarray) -> float:
    """Average over what has a gradient; a unit that is off for all samples has none."""
    alive = denominator > 0
    return float(np.mean(numerator[alive] / denominator[alive])) if alive.any() else np.nan


def _variances(network: DeepNetwork, inputs: np.ndarray) -> np.ndarray:
    """Mean-field variance of the fields of each hidden layer; the first one's gain is 1."""
    q = np.empty(network.depth)
    q[0] = 1.0 if network.normalizer.of_batch else np.mean(np.asarray(inputs) ** 2)
    for level in range(1, network.depth):
        q[level] = network.layer.next_variance(q[level - 1])
    return q


def _has_theory(network: DeepNetwork, inputs: np.ndarray) -> bool:
    squares = np.mean(np.asarray(inputs) ** 2, axis=-1)
    is_dense = network.kernel == 1 and np.ndim(inputs) == 2
    return bool(
        is_dense and not network.normalizer.of_batch and np.allclose(squares, squares.flat[0])
    )


def _mean_field(network: DeepNetwork, inputs: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Coherence of each layer from the correlations of all pairs of samples.

    The Gram matrix of the logits' gradients goes down through the averages of slopes, and is
    multiplied in each layer by a factor common to all pairs, which cancels.
    """
    x, g = np.asarray(inputs, dtype=float), network.activation
    q, layer = _variances(network, inputs), network.layer
    angles = np.linspace(0, np.pi, 129)
    # Kernels are smooth functions of the angle between two inputs, up to 0 and π.
    angle = np.arccos(np.clip(x @ x.T / (x.shape[1] * q[0]), -1, 1))
    passed = []
    for level in range(network.depth):
        passed.append(CubicSpline(angles, kernel(g, np.cos(angles), q[level], True))(angle))
        following = layer.next_correlation(np.cos(angles), q[level])
        correlation = CubicSpline(angles, following)(angle)
        angle = np.arccos(np.clip(correlation, -1, 1))
    gram, found = logits @ logits.T, np.empty(network.depth)
    for level in reversed(range(network.depth)):
        gram = gram * passed[level]
        gram /= np.trace(gram)
        found[level] = gram.sum() / len(gram)
    return found
