"""Data for deep networks: handwritten digits, or Gaussian inputs labelled by a teacher."""

from __future__ import annotations

import numpy as np

from statmech_bn.checks import check_memory, count, instance
from statmech_bn.handwriting import handwritten


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's handwritten digits, centred and each of mean square 1.

    Returns
    -------
    images : ndarray
        (1797, 64); reshaped to (1797, 8, 8) they are rows of pixels along eight positions.
    labels : ndarray of int
        (1797,), 0 to 9.
    """
    images, labels = handwritten()
    images = images.reshape(len(images), -1)
    images = images - images.mean(axis=0)
    return images / np.sqrt(np.mean(images**2, axis=1, keepdims=True)), labels


def teacher_classes(
    samples: int, inputs: int, classes: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw Gaussian inputs of mean square 1, labelled by the largest of `classes` random fields.

    Parameters
    ----------
    samples, inputs, classes : int
        Numbers of samples, of their components and of classes.
    generator : numpy.random.Generator

    Returns
    -------
    inputs : ndarray
        (samples, inputs).
    labels : ndarray of int
        (samples,).

    Examples
    --------
    >>> inputs, labels = teacher_classes(100, 8, 4, np.random.default_rng(0))
    >>> inputs.shape, labels.shape
    ((100, 8), (100,))
    """
    instance("generator", generator, np.random.Generator)
    shape = (count("samples", samples, 1), count("inputs", inputs, 1))
    kinds = count("classes", classes, 2)
    held = shape[0] * (2.0 * shape[1] + kinds) + shape[1] * kinds
    check_memory("samples, inputs, classes", held)
    drawn = generator.standard_normal(shape)
    drawn /= np.sqrt(np.mean(drawn**2, axis=1, keepdims=True))
    teacher = generator.standard_normal((shape[1], kinds))
    return drawn, np.argmax(drawn @ teacher, axis=1)
