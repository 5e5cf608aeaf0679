"""Replicas of a chain in threads, in shares small enough that threads end at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from statmech_bn.interrupts import Watch, in_threads

SHARES = 32
"""Each thread gets so many tasks; a task costs 40 µs."""


def in_shares(
    some: Callable[[np.ndarray, Watch], Any],
    replicas: int,
    steps: float,
    threads: int,
    progress: bool | None,
) -> list[Any]:
    """Return what a function of some replicas' indices finds, for all of them in order.

    Each replica takes so many steps, which the function counts in `Watch.done`.
    """
    shares = np.array_split(np.arange(replicas), min(SHARES * threads, replicas))
    return in_threads(some, shares, threads, replicas * steps, progress, "mesoscopic")
