"""Short training of a deep network by stochastic gradient descent, to see what its start is worth.

Batches are drawn without replacement within an epoch. Accuracy and loss are those of the whole
training set, normalized as one batch where there is normalization; the loss of the batches, which
is what descends, is averaged over an epoch.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from statmech_bn.checks import count, integer, real
from statmech_bn.dataset import describe
from statmech_bn.depth.network import DeepNetwork, check_batch, stepped
from statmech_bn.depth.propagation import cross_entropy, forward, loss_and_gradients
from statmech_bn.errors import invalid
from statmech_bn.random.streams import stream


def train(
    network: DeepNetwork,
    inputs: np.ndarray,
    labels: np.ndarray,
    learning_rate: float,
    batch_size: int = 64,
    epochs: int = 5,
    replicas: int = 3,
    seed: int = 0,
) -> xr.Dataset:
    """Train from random initializations.

    Parameters
    ----------
    network : DeepNetwork
    inputs, labels : ndarray
    learning_rate : float
        η > 0.
    batch_size : int
        M, at least 3 with batch normalization; the rest of an epoch that fills no batch is left
        out.
    epochs, replicas, seed : int

    Returns
    -------
    xarray.Dataset
        ``loss`` and ``training_accuracy`` (replica, epoch), from epoch 0, the initialization. A run
        that diverges has infinite loss and accuracy 0 from there on. ``batch_loss``, of each batch
        before its step, is that of the whole set at epoch 0.
    """
    inputs, labels = check_batch(network, inputs, labels)
    rate = real("learning_rate", learning_rate, minimum=0.0)
    size = count("batch_size", batch_size, network.normalizer.smallest_group)
    epochs, replicas = count("epochs", epochs, 1), count("replicas", replicas, 1)
    seed, samples = integer("seed", seed, 0), labels.size
    if size > samples:
        raise invalid("batch_size", f"at most the {samples} samples", batch_size)
    loss, accuracy = np.full((replicas, epochs + 1), np.inf), np.zeros((replicas, epochs + 1))
    batch_loss = np.full((replicas, epochs + 1), np.inf)
    for replica in range(replicas):
        parameters = network.initial(stream(seed, 25, replica))
        order = stream(seed, 26, replica)
        for epoch in range(epochs + 1):
            with np.errstate(over="ignore", invalid="ignore"):
                if epoch:
                    shuffled, losses = order.permutation(samples), []
                    for first in range(0, samples - size + 1, size):
                        chosen = shuffled[first : first + size]
                        before, slopes = loss_and_gradients(
                            network, parameters, inputs[chosen], labels[chosen]
                        )
                        losses.append(before)
                        parameters = stepped(parameters, slopes.parameters, rate)
                logits = forward(network, parameters, inputs).logits
                found = cross_entropy(logits, labels)
            if not np.isfinite(found):
                break
            batch_loss[replica, epoch] = np.mean(losses) if epoch else found
            loss[replica, epoch] = found
            accuracy[replica, epoch] = np.mean(np.argmax(logits, axis=1) == labels)
    dims = ("replica", "epoch")
    coordinates = {"replica": np.arange(replicas), "epoch": np.arange(epochs + 1)}
    attributes = {**network.to_attrs(), "learning_rate": rate, "batch_size": size, "seed": seed}
    values = {"loss": loss, "batch_loss": batch_loss, "training_accuracy": accuracy}
    data = {name: (dims, value) for name, value in values.items()}
    return describe(xr.Dataset(data, coordinates, attributes))
