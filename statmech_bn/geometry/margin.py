r"""A small classifier with batch normalization, and how far from its boundary the samples lie.

Hidden layers ReLU(BN(Wa)), a readout f(x), and the logistic loss log(1 + e^(−yf)) of labels ±1
under plain gradient descent on mini-batches. Boundaries of hidden units jitter with the batch's
statistics; Balestriero & Baraniuk (2022) argue that this widens the margin. To tell the jitter from
the noise of the gradient, which depends on the batch size too, the statistics of a step may also be
those of the whole training set (gradients flow through them as well); then nothing jitters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from statmech_bn.checks import array, check_memory, choice, count, instance, integer, integers, real
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.geometry.distance import folded_distances
from statmech_bn.geometry.network import Layer, Normalization, ReluNetwork
from statmech_bn.geometry.partition import partition
from statmech_bn.layers import batch_norm_backward, batch_norm_forward
from statmech_bn.normalization import BatchNormalization
from statmech_bn.random.streams import stream

EPSILON = 1e-5
WHOLE_SET = "set"
"""With this choice the statistics of a step are those of the whole training set."""
LARGEST = 1e100
"""A training with a parameter beyond this has diverged."""


def train_classifier(
    points: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    statistics: str = "batch",
    widths: Sequence[int] = (16, 16),
    learning_rate: float = 0.1,
    steps: int = 1000,
    replicas: int = 4,
    seed: int = 0,
) -> list[ReluNetwork]:
    """Train classifiers from independent initial weights on the same samples.

    Parameters
    ----------
    points : ndarray
        Shape (samples, inputs).
    labels : ndarray
        Shape (samples,), ±1.
    batch_size : int
        M, from 2 to the number of samples; each step draws M samples without replacement.
    statistics : {"batch", "set"}
        The samples of a step are normalized by the mean and variance of the batch, or by those of
        the whole training set.
    widths : sequence of int
        Units of the hidden layers.
    learning_rate : float
    steps : int
    replicas : int
    seed : int
        Replica r starts from the same weights whatever the other arguments are.

    Returns
    -------
    list of ReluNetwork
        One for each replica, with the training set's statistics; the last layer, of one unit, is
        the readout, and its boundary that of the decision.

    Raises
    ------
    InvalidSetup
        An argument is out of its range.
    NotConverged
        The training diverged.
    """
    x, y = array("points", points, 2), array("labels", labels, 1)
    if y.shape != x.shape[:1] or not np.isin(y, (-1, 1)).all():
        raise invalid("labels", f"±1 for each of the {len(x)} samples", labels)
    choice("statistics", statistics, (BatchNormalization.kind, WHOLE_SET))
    size, number = count("batch_size", batch_size, 2), count("replicas", replicas, 1)
    if size > len(x):
        raise invalid("batch_size", f"at most the {len(x)} samples", size)
    rate = real("learning_rate", learning_rate, minimum=0.0)
    seed = integer("seed", seed, 0)
    hidden = integers("widths", widths, 2)
    sizes = (x.shape[1], *hidden, 1)
    weights = sum(below * (units + 2) for below, units in pairwise(sizes))
    check_memory("widths, replicas", 2.0 * number * (weights + size * max(sizes)))
    networks = [_start((x.shape[1], *hidden), seed, replica) for replica in range(number)]
    parameters = [np.stack(values) for values in zip(*networks, strict=True)]
    generators = [stream(seed, replica, 1) for replica in range(number)]
    whole = statistics == WHOLE_SET
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(count("steps", steps, 0)):
            rows = np.stack([g.permutation(len(x))[:size] for g in generators])
            slopes = _gradients(parameters, x, y, rows, whole)
            for values, slope in zip(parameters, slopes, strict=True):
                values -= rate * slope
    if not all(np.abs(values).max() < LARGEST for values in parameters):
        raise NotConverged("The training diverged. Lower the learning rate.")
    return [_network([values[replica] for values in parameters], x) for replica in range(number)]


def margins(network: ReluNetwork, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return each sample's signed distance in the plane from the decision, < 0 if it is wrong.

    Parameters
    ----------
    network : ReluNetwork
        A network of two inputs, whose last layer is the readout.
    points, labels : ndarray
        Shapes (samples, 2) and (samples,).

    Returns
    -------
    ndarray
        Shape (samples,). The boundary is looked for within the samples' bounding box, widened by
        its own size to each side; ±inf if there is none.

    Examples
    --------
    >>> from statmech_bn.geometry import point_cloud
    >>> points, labels = point_cloud("moons", 40)
    >>> [network] = train_classifier(points, labels, batch_size=20, steps=200, replicas=1)
    >>> bool((margins(network, points, labels) > 0).mean() > 0.8)
    True
    """
    instance("network", network, ReluNetwork)
    points, labels = array("points", points, 2), array("labels", labels, 1)
    if labels.shape != points.shape[:1] or not np.isin(labels, (-1, 1)).all():
        raise invalid("labels", f"±1 for each of the {len(points)} points", labels)
    low, high = points.min(axis=0), points.max(axis=0)
    found = partition(network, np.stack([2 * low - high, 2 * high - low], axis=1))
    decision = np.sign(network.fields(points)[-1][:, 0])
    return labels * decision * folded_distances(found, points)[:, -1]


def _start(widths: Sequence[int], seed: int, replica: int) -> list[np.ndarray]:
    """Draw weights, γ and β of each hidden layer, then weights and bias of the readout."""
    generator, parameters = stream(seed, replica, 0), []
    for inputs, units in pairwise(widths):
        parameters += [np.sqrt(2 / inputs) * generator.standard_normal((units, inputs))]
        parameters += [np.ones(units), np.zeros(units)]
    readout = generator.standard_normal((1, widths[-1])) / np.sqrt(widths[-1])
    return [*parameters, readout, np.zeros(1)]


def _gradients(
    parameters: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray, rows: np.ndarray, whole: bool
) -> list[np.ndarray]:
    """Return the gradient of the mean loss over the rows of each replica, all replicas at once."""
    replicas, size = rows.shape
    if whole:  # everything is normalized together, but only the batch has a loss
        values = np.broadcast_to(x, (replicas, *x.shape))
        counted = np.zeros((replicas, len(x)))
        np.put_along_axis(counted, rows, 1 / size, axis=1)
        targets = y
    else:
        values, counted, targets = x[rows], np.full(rows.shape, 1 / size), y[rows]
    passed = []
    for k in range(0, len(parameters) - 2, 3):
        weights, gamma, beta = parameters[k : k + 3]
        fields = values @ weights.swapaxes(1, 2)
        # One channel for each unit of each replica.
        normalized, cache = batch_norm_forward(
            np.moveaxis(fields, 0, 1).reshape(fields.shape[1], -1),
            gamma.ravel(), beta.ravel(), EPSILON,
        )  # fmt: skip
        passed.append((values, normalized > 0, cache))
        activations = np.maximum(normalized, 0).reshape(-1, replicas, gamma.shape[1])
        values = np.moveaxis(activations, 1, 0)
    readout, bias = parameters[-2:]
    output = (values @ readout.swapaxes(1, 2))[..., 0] + bias
    error = -counted * targets * _logistic(-targets * output)
    slopes = [error.sum(axis=1, keepdims=True), np.einsum("rm,rmi->ri", error, values)[:, None, :]]
    upstream = error[..., None] * readout
    for k, (inputs, active, cache) in zip(
        range(len(parameters) - 5, -1, -3), reversed(passed), strict=True
    ):
        weights = parameters[k]
        flat = np.moveaxis(upstream, 0, 1).reshape(active.shape) * active
        along_fields, along_gamma, along_beta = batch_norm_backward(flat, cache)
        along = np.moveaxis(along_fields.reshape(-1, replicas, weights.shape[1]), 1, 0)
        slopes += [along_beta.reshape(replicas, -1), along_gamma.reshape(replicas, -1)]
        slopes.append(along.swapaxes(1, 2) @ inputs)
        upstream = along @ weights
    return slopes[::-1]


def _logistic(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(z / 2))


def _network(parameters: Sequence[np.ndarray], x: np.ndarray) -> ReluNetwork:
    """Freeze one replica, with the statistics of all samples."""
    layers, values = [], x
    for k in range(0, len(parameters) - 2, 3):
        weights, gamma, beta = parameters[k : k + 3]
        output, cache = batch_norm_forward(values @ weights.T, gamma, beta, EPSILON)
        normalization = Normalization(cache.mean, cache.spread, gamma, beta)
        layers.append(Layer(weights, np.zeros(len(gamma)), normalization))
        values = np.maximum(output, 0)
    readout, bias = parameters[-2:]
    return ReluNetwork((*layers, Layer(readout, bias)))
