"""Replicas of a chain in threads, in shares small enough that threads end at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

SHARES = 32
"""Each thread gets so many tasks; a task costs 40 µs."""


def in_shares(some: Callable[[np.ndarray], Any], replicas: int, threads: int) -> list[Any]:
    """Return what a function of some replicas' indices finds, for all of them in order."""
    with ThreadPoolExecutor(min(threads, replicas)) as pool:
        shares = np.array_split(np.arange(replicas), min(SHARES * threads, replicas))
        return list(pool.map(some, shares))
