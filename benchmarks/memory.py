"""Memory of the N-vector level: that of a block of samples and the weights, however long a run."""

from __future__ import annotations

import multiprocessing
import resource
import tracemalloc

from floors import Case
from levels import ours
from timing import Row

from statmech_bn.online.microscopic import BLOCK_SIZE


def peaks(case: Case, steps: int) -> tuple[float, float]:
    """Return the peak of traced memory of a run, and that of the process, in MB."""
    ours(case, 1)()
    tracemalloc.start()
    ours(case, steps)()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    return peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Measure longer and longer runs, each in its own process."""
    if device != "cpu":
        return {}
    rows, steps = [], 20 if quick else 100
    for N, rates, n in [(1000, 1, steps), (10**4, 1, 10 * steps), (10**4, 16, 10 * steps)]:
        case = Case("microscopic", N=N, rates=rates)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            traced, resident = pool.apply(peaks, (case, n))
        rows.append(
            {
                "N": N, "M": case.M, "rates": rates, "steps": n,
                "all samples MB": 8e-6 * case.M * N * n,
                "block + weights MB": 8e-6 * (max(case.M * N, BLOCK_SIZE) + 2 * N * rates),
                "traced peak MB": traced, "resident peak MB": resident,
            }
        )  # fmt: skip
    return {"Memory of the N-vector level": rows}
