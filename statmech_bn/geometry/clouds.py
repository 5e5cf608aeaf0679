"""Labelled clouds of points in the plane, centred and of unit spread."""

from __future__ import annotations

import numpy as np

from statmech_bn.checks import check_memory, choice, count, integer, real
from statmech_bn.random.streams import stream

LARGEST_NOISE = 1e100
"""The noise is at most this; the square of a larger number overflows."""
CLOUDS = ("moons", "ring", "blobs")
"""`point_cloud` takes these names."""


def point_cloud(
    name: str, samples: int, seed: int = 0, noise: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Draw points of two classes in the plane.

    Parameters
    ----------
    name : {"moons", "ring", "blobs"}
        Two half circles that interlock, a ring around a spot, or five Gaussian blobs in two
        classes.
    samples : int
        At least 10, half of them in each class.
    seed : int
    noise : float
        Standard deviation of what is added to each coordinate before the points are scaled.

    Returns
    -------
    points : ndarray
        Shape (samples, 2), of mean 0 and mean square distance 2 from it.
    labels : ndarray
        Shape (samples,), ±1.

    Raises
    ------
    InvalidSetup
        The name is unknown, or a number is out of its range.

    Examples
    --------
    >>> points, labels = point_cloud("moons", 40)
    >>> points.shape, int(labels.sum())
    ((40, 2), 0)
    """
    choice("name", name, CLOUDS)
    number = count("samples", samples, 10)
    check_memory("samples", 6.0 * number)
    spread = real("noise", noise, 0.0, LARGEST_NOISE)
    generator = stream(integer("seed", seed, 0))
    labels = np.where(np.arange(number) < number // 2, 1, -1)
    angle = generator.uniform(0, np.pi, number)
    if name == "moons":
        points = np.stack([np.cos(angle) + (labels < 0), labels * (np.sin(angle) - 0.25)], axis=1)
    elif name == "ring":
        radius = np.where(labels > 0, 1.0, 0.2)
        points = (radius * [np.cos(2 * angle), np.sin(2 * angle)]).T
    else:
        place = 2 * np.pi * np.arange(number) / number // (2 * np.pi / 5) * (2 * np.pi / 5)
        points = np.stack([np.cos(place), np.sin(place)], axis=1)
    points = points + spread * generator.standard_normal((number, 2))
    points -= points.mean(axis=0)
    return points / np.sqrt((points**2).mean()), labels
