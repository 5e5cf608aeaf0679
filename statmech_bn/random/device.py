"""Normal numbers on a GPU, each a function of its place alone (``random_numbers.cu``).

The key comes from the seed, the counter from the replica, the step and the pair of numbers: a
number depends neither on how many steps are drawn at a time nor on the other replicas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SOURCE = Path(__file__).with_name("random_numbers.cu").read_text()
FILL = """
const long long pairs = (width + 1) / 2, row = i / pairs, place = i % pairs;
const Stream stream = {{key0, key1}, static_cast<unsigned int>(first_replica + row % replicas),
                       static_cast<unsigned long long>(first_step + row / replicas)};
double first, second;
normals(draw(stream, purpose, static_cast<unsigned int>(place)), &first, &second);
x[row * width + 2 * place] = first;
if (2 * place + 1 < width) x[row * width + 2 * place + 1] = second;
"""
"""Body of a loop over i, the pairs of all rows."""
SAMPLES, LABELS = 0, 1
"""Purposes, which keep the numbers of a step apart."""


class DeviceNormals:
    """N(0, 1) numbers of consecutive replicas.

    Parameters
    ----------
    cupy : module
    seed : int
    replicas : sequence of int
    """

    def __init__(self, cupy: Any, seed: int, replicas: Sequence[int]) -> None:
        self.cupy, self.replicas = cupy, replicas
        sequence = np.random.SeedSequence(seed, spawn_key=(2,))
        self.key = sequence.generate_state(2, np.uint32)
        self.kernel = cupy.ElementwiseKernel(
            "uint32 key0, uint32 key1, uint32 purpose, int64 first_step, int64 first_replica, "
            "int64 replicas, int64 width",
            "raw T x",
            FILL,
            "statmech_bn_normals",
            preamble=SOURCE,
        )

    def draw(self, purpose: int, first_step: int, steps: int, width: int, dtype: str) -> Any:
        """Draw an array (steps, replicas, width).

        Parameters
        ----------
        purpose : int
            SAMPLES or LABELS.
        first_step, steps : int
            Which steps.
        width : int
            Numbers of a step and replica, below 2³³; the first of them do not depend on it.
        dtype : {"float64", "float32"}
            Numbers of float32 are those of float64, rounded.
        """
        replicas = len(self.replicas)
        x = self.cupy.empty((steps, replicas, width), dtype)
        place = first_step, self.replicas[0], replicas, width
        self.kernel(*self.key, purpose, *place, x, size=steps * replicas * ((width + 1) // 2))
        return x
