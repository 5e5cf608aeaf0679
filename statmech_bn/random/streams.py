"""Random numbers: streams that depend on the seed and a key only."""

from __future__ import annotations

import numpy as np


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random stream of one part of a run: it depends on the seed and the key only."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
