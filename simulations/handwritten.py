"""Handwritten digits of scikit-learn, in the forms in which scripts take them."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

import statmech_bn as sbn

if TYPE_CHECKING:
    from statmech_bn import networks


@cache
def pixels() -> np.ndarray:
    """Return all digits, 64 pixels from 0 to 1 each."""
    from sklearn.datasets import load_digits  # nothing else needs the extra `data`

    return load_digits().data / 16


def batch(samples: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch of digits and their labels, as `statmech_bn.depth` takes them."""
    images, labels = sbn.depth.digits()
    chosen = generator.choice(labels.size, samples, replace=False)
    return images[chosen], labels[chosen]


@lru_cache(maxsize=4)
def digits(samples: int) -> networks.Images:
    """Load a training set of so many digits, and their test set."""
    from statmech_bn import networks  # it needs PyTorch

    return networks.load("digits", samples=samples)
