"""Two cores beside one, in the same run: wall-clock time of calls with eight replicas or more."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from floors import Case
from levels import ours
from timing import Row, Work, interleaved, repetitions, spread

import statmech_bn as sbn


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Time one worker and two."""
    if device != "cpu":
        return {}
    rates, times = np.geomspace(1e-3, 1e3, 1000), np.geomspace(0.1, 100, 31)
    flow = partial(sbn.macroscopic, Case("macroscopic").setup, rates, times, sbn.OrderParameters())
    rows = []
    for name, replicas in (("mesoscopic", 8), ("mesoscopic", 64), ("microscopic", 8)):
        case = Case(name, N=1000, replicas=replicas)
        steps = repetitions(partial(ours, case), 0.5 if quick else 2.0)
        pair = [partial(ours(case, steps), workers=workers) for workers in (1, 2)]
        rows.append(compare(name, replicas, pair, quick))
    rows.append(
        compare("macroscopic", rates.size, [partial(flow, workers=w) for w in (1, 2)], quick)
    )
    return {"Two cores": rows}


def compare(name: str, replicas: int, pair: list[Work], quick: bool) -> Row:
    """Time a pair in turns: wall-clock time, and the processor time that two workers add."""
    wall = interleaved(pair, 3 if quick else 9, time.perf_counter)
    spent = interleaved(pair, 3 if quick else 5, time.process_time)
    return {
        "level": name,
        "replicas or rates": replicas,
        "one worker s": float(np.median(wall[0])),
        "one / two workers": spread(wall[0] / wall[1]),
        "processor time, two / one": spread(spent[1] / spent[0]),
    }
