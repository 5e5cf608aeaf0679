"""The array library of a device: the one place that knows CuPy.

CuPy imports without a GPU and fails at its first array, hence the check by `is_available`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from statmech_bn.checks import choice
from statmech_bn.errors import NoDevice, installation

DEVICES = ("cpu", "cuda")


def namespace(device: str) -> Any:
    """Return the array library that computes on a device.

    Parameters
    ----------
    device : {"cpu", "cuda"}

    Returns
    -------
    module
        NumPy or CuPy.

    Raises
    ------
    InvalidSetup
        There is no such device.
    NoDevice
        CuPy is not installed, or finds no GPU.
    """
    if choice("device", device, DEVICES) == "cpu":
        return np
    try:
        import cupy
    except ImportError as error:
        raise NoDevice(
            "device: 'cuda' needs CuPy, which is not installed. "
            f"{installation('cuda13')} With CUDA 12 it is cuda12; or use device='cpu'."
        ) from error
    if not cupy.is_available():
        raise NoDevice(
            "device: 'cuda' needs an NVIDIA GPU and its driver, and CuPy found none. "
            "Use device='cpu'."
        )
    return cupy


def library(xp: Any) -> str:
    """Return the name and version of an array library, for a Dataset's attributes."""
    return f"{xp.__name__} {xp.__version__}"


def to_numpy(array: Any) -> np.ndarray:
    """Copy an array of any device to the host."""
    return np.asarray(array.get() if hasattr(array, "get") else array)
