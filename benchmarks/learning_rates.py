"""Many learning rates that share their samples: what the others cost besides the first.

Of the N weights, the fields and pushes of all learning rates are matrix products with the samples;
the larger of the products and the random numbers alone is their bound. In the chain they share the
random numbers, and each evaluates its own activations.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

import floors
import numpy as np
from floors import Case
from levels import ours, takes
from timing import Row, interleaved, repetitions, spread


def row(case: Case, quick: bool) -> Row:
    """Time one row."""
    budget, repeats = (0.2, 3) if quick else (0.4, 9)
    clock = time.process_time if case.device == "cpu" else time.perf_counter
    one = Case(**{**vars(case), "rates": 1})
    steps = [repetitions(partial(ours, c), budget, clock) for c in (case, one)]
    parts = floors.parts(case)
    works = [ours(case, steps[0]), ours(one, steps[1]), *(part.work for part in parts.values())]
    found = interleaved(works, repeats, clock)
    many, single = (t / (n * case.replicas) for t, n in zip(found, steps, strict=False))
    alone = {n: t / p.steps for (n, p), t in zip(parts.items(), found[2:], strict=True)}
    bound = max((alone[n] for n in alone if n != "memory"), key=lambda t: float(np.median(t)))
    result: Row = {
        "level": case.level,
        "device": case.device,
        "student": f"{case.activation} {case.normalization}",
        "N": case.N,
        "M": case.M,
        "rates": case.rates,
        "dtype": case.dtype,
        "ours µs": float(np.median(many)) * 1e6,
        "one by one / together": spread(single * case.rates / many),
        "random numbers µs": float(np.median(alone["random numbers"])) * 1e6,
    }
    if "products" in alone:
        result["products µs"] = float(np.median(alone["products"])) * 1e6
        flops = 2 * case.M * case.N * (1 + 2 * case.rates)
        result["Gflop/s"] = flops / float(np.median(many)) / 1e9
        result["products Gflop/s"] = flops / float(np.median(alone["products"])) / 1e9
    result["larger / ours"] = spread(bound / many)
    return result


def tables(quick: bool, device: str) -> dict[str, Iterable[Row]]:
    """Time both simulations with several learning rates."""
    network = partial(Case, "microscopic", N=10**4, device=device, replicas=1)
    chain = partial(Case, "mesoscopic", N=10**4, device=device)
    if device == "cuda":
        network, chain = partial(network, replicas=64), partial(chain, replicas=10**4)
    cases = [network(rates=32), network(rates=32, dtype="float32"), chain(rates=32)]
    if not quick:
        cases += [network(rates=8), network(rates=128), network(rates=32, N=1000)]
        cases += [network(rates=32, M=256), network(rates=32, normalization="batch")]
        cases += [chain(rates=4), chain(rates=32, M=1), chain(rates=32, activation="tanh")]
    return {"Many learning rates together": (row(case, quick) for case in cases if takes(case))}
