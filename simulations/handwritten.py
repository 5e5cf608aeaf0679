"""Handwritten digits, in the forms in which scripts take them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

import statmech_bn as sbn
from statmech_bn.handwriting import handwritten

if TYPE_CHECKING:
    from statmech_bn import networks


Data = Literal["digits", "mnist-5000"]
"""Sets of images that scripts of networks can be asked for."""


def pixels(name: str = "digits") -> np.ndarray:
    """Return all images of a set, one a row of pixels from 0 to 1."""
    images, _ = handwritten(name)
    return images.reshape(len(images), -1)


def batch(samples: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch of digits and their labels, as `statmech_bn.depth` takes them."""
    images, labels = sbn.depth.digits()
    chosen = generator.choice(labels.size, samples, replace=False)
    return images[chosen], labels[chosen]


@lru_cache(maxsize=4)
def digits(samples: int, data: Data = "digits") -> networks.Images:
    """Load a training set of so many digits, and their test set."""
    from statmech_bn import networks  # it needs PyTorch

    return networks.load(data, samples=samples)
