"""Two cores beside one, in the same run: wall-clock time of calls with eight replicas or more.

Two cores of a shared machine are seldom twice one. What can be had is measured in the same turns:
threads that only draw normals, in a buffer that stays in the cache of each core.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import floors
import numpy as np
from floors import Case
from levels import ours
from timing import Row, Work, interleaved, repetitions, spread

import statmech_bn as sbn

TASKS = 8
"""The threads that only draw have so many tasks."""


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Time one worker and two."""
    if device != "cpu":
        return {}
    rates, times = np.geomspace(1e-3, 1e3, 1000), np.geomspace(0.1, 100, 31)
    flow = partial(sbn.macroscopic, Case("macroscopic").setup, rates, times, sbn.OrderParameters())
    alone = [partial(draw, workers, 600 if quick else 2500) for workers in (1, 2)]
    rows = []
    for name, replicas in (("mesoscopic", 8), ("mesoscopic", 64), ("microscopic", 8)):
        case = Case(name, N=1000, replicas=replicas)
        steps = repetitions(partial(ours, case), 0.5 if quick else 2.0)
        pair = [partial(ours(case, steps), workers=workers) for workers in (1, 2)]
        rows.append(compare(name, replicas, pair, alone, quick))
    pair = [partial(flow, workers=workers) for workers in (1, 2)]
    rows.append(compare("macroscopic", rates.size, pair, alone, quick))
    return {"Two cores": rows}


def draw(workers: int, times: int) -> None:
    """Draw normals on so many threads."""
    generators = [np.random.Generator(np.random.PCG64(k)) for k in range(TASKS)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda g: floors.draw(g, np.empty(floors.BUFFER), times), generators))


def compare(name: str, replicas: int, pair: list[Work], alone: list[Work], quick: bool) -> Row:
    """Time two pairs in turns: wall-clock time, and the processor time that two workers add."""
    wall = interleaved([*pair, *alone], 3 if quick else 9, time.perf_counter)
    spent = interleaved(pair, 3 if quick else 5, time.process_time)
    return {
        "level": name,
        "replicas or rates": replicas,
        "one worker s": float(np.median(wall[0])),
        "one / two workers": spread(wall[0] / wall[1]),
        "draws alone, one / two": spread(wall[2] / wall[3]),
        "processor time, two / one": spread(spent[1] / spent[0]),
    }
