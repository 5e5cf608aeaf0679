"""A GPU beside what its steps cannot avoid and beside two cores, and the constants of its kernel.

    python benchmarks/run.py --device cuda gpu    # measures
    python benchmarks/gpu.py                      # says which aims the results reach

Aims: the chain draws, and the N weights multiply in float32, at half of the rate of kernels that
do nothing else; both are twenty times as fast as two cores of a CPU.

The time of a step and replica is the slope between calls of n and of 4n steps; what a call costs
besides (initial weights, streams, kernels that are loaded, the Dataset) stands beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import floors
import numpy as np
import report
from floors import Case
from levels import ours
from timing import FEWEST, Row, Work, interleaved, seconds, spread

from statmech_bn.arrays import namespace
from statmech_bn.online.chain import cuda
from statmech_bn.online.network.stacks import STACK_SIZE

HALF, CORES, TIMES = 0.5, 2, 20.0
"""Aims: of the rate of a kernel that does one thing alone, and times so many cores."""
SQUARE = 8192
"""The product rate of the device is that of square matrices of so many rows."""
SQUARES, ROWS = "Products of square matrices", "Beside the floor and two cores"


def cases(quick: bool, device: str) -> list[Case]:
    """Choose the rows; on a CPU, and quickly, they are small ones of the same kinds."""
    small = quick or device == "cpu"
    N, replicas = (1000, 8) if small else (10**4, 64)
    chain = partial(Case, "mesoscopic", N=10**6, replicas=100 if small else 10**5, device=device)
    network = partial(Case, "microscopic", N=N, dtype="float32", device=device)
    stack = lambda K, M: max(1, min(replicas, STACK_SIZE // (N * (K + M))))  # noqa: E731
    chosen = [chain(M=M) for M in (1, 32, 1024)]
    chosen += [chain(normalization="batch"), chain(activation="erf")]
    chosen += [
        network(rates=K, M=M, replicas=stack(K, M))
        for K, M in ((128, 32), (512, 32), (512, 256), (32, 32), (1, 32))
    ]
    return chosen


def slope(case: Case, n: int, **options: Any) -> list[Work]:
    """Prepare calls of n and of 4n steps."""
    return [partial(ours(case, steps), **options) for steps in (n, 4 * n)]


def enough(case: Case, budget: float, **options: Any) -> int:
    """Choose n such that 3n steps take `budget` seconds and stand out from what a call costs."""
    n, clock = FEWEST, time.perf_counter
    slope(case, n, **options)[0]()
    while True:
        short, long = (seconds(work, clock) for work in slope(case, n, **options))
        if long - short > max(budget, short / 2):
            return n
        n *= 4


def between(case: Case, n: int, short: np.ndarray, long: np.ndarray) -> np.ndarray:
    """Return the seconds of a step and replica from the times of both calls."""
    return (long - short) / (3 * n * case.replicas)


def row(case: Case, quick: bool) -> Row:
    """Time one row."""
    clock, (budget, repeats) = time.perf_counter, (0.05, 3) if quick else (0.2, 5)
    parts = floors.parts(case)
    n = enough(case, budget)
    works = [*slope(case, n), *(part.work for part in parts.values())]
    short, long, *bare = interleaved(works, repeats, clock)
    took = between(case, n, short, long)
    alone = {name: t / part.steps for (name, part), t in zip(parts.items(), bare, strict=True)}
    binds = "random numbers" if case.level == "mesoscopic" else "products"
    result: Row = {
        "level": case.level, "student": f"{case.activation} {case.normalization}",
        "N": case.N, "M": case.M, "rates": case.rates, "replicas": case.replicas,
        "dtype": case.dtype, "steps": 3 * n,
        "ours µs": float(np.median(took)) * 1e6,
        "a call adds ms": float(np.median(short - took * n * case.replicas)) * 1e3,
    }  # fmt: skip
    for name in ("random numbers", "products", "memory"):
        part = float(np.median(alone[name])) * 1e6 if name in alone else None
        result[f"{name} µs"] = part
    flops = 2 * case.M * case.N * (1 + 2 * case.rates)
    products = "products" in alone
    result["Tflop/s"] = flops / float(np.median(took)) / 1e12 if products else None
    result |= {"alone": binds, "alone/ours": spread(alone[binds] / took)}
    cores = two_cores(case, budget, 3)
    return result | {"two cores µs": cores * 1e6, "two cores/ours": spread(cores / took)}


def two_cores(case: Case, budget: float, repeats: int) -> float:
    """Time a step and replica of the same on two cores, with some replicas for each."""
    few = 8 if case.level == "mesoscopic" else CORES
    same = replace(case, device="cpu", replicas=few)
    n = enough(same, budget, workers=CORES)
    works = slope(same, n, workers=CORES)
    return float(np.median(between(same, n, *interleaved(works, repeats, time.perf_counter))))


def products(device: str, size: int) -> Iterator[Row]:
    """Measure the rate of products of large square matrices."""
    library = namespace(device)
    for dtype in ("float32", "float64"):
        a = library.ones((size, size), dtype)
        work = partial(library.matmul, a, a, out=library.empty_like(a))
        work = floors.finished(work) if device == "cuda" else work
        (took,) = interleaved([work], 5, time.perf_counter)
        yield {"dtype": dtype, "rows": size, "Tflop/s": 2e-12 * size**3 / float(np.median(took))}


def constants(quick: bool) -> Iterator[Row]:
    """Time the chain with other values of one constant each."""
    seen = set()
    case = Case("mesoscopic", N=10**6, device="cuda")
    replicas = (4, 16) if quick else (1000, 10**5)
    for M in (4, 32, 256):
        for samples in (1, 2, 4, 8, 16):
            with patch.object(cuda, "SAMPLES_PER_THREAD", samples):
                layout = M, cuda.lanes(M)
            if layout not in seen:
                for some in replicas:
                    changed = {"SAMPLES_PER_THREAD": samples}
                    yield constant(replace(case, M=M, replicas=some), changed, 4, quick)
            seen.add(layout)
    for blocks in (2, 3, 4, 6, 8):
        yield constant(replace(case, replicas=replicas[1]), {}, blocks, quick)
    for some in (2, 4) if quick else (1000, 10**4):
        for power in range(14, 21):
            changed = {"THREADS_AT_ONCE": 2**power}
            yield constant(replace(case, rates=32, replicas=some), changed, 4, quick)


def constant(case: Case, changed: dict[str, int], blocks: int, quick: bool) -> Row:
    """Time one choice, of which `blocks` is that of blocks on a multiprocessor."""
    clock, (budget, repeats) = time.perf_counter, (0.02, 2) if quick else (0.1, 3)
    source = cuda.kernel_source

    def bounded(*arguments: Any) -> str:
        return source(*arguments).replace("(THREADS, 4)", f"(THREADS, {blocks})")

    with ExitStack() as stack:
        for name, value in ({"kernel_source": bounded} | changed).items():
            stack.enter_context(patch.object(cuda, name, value))
        lanes = cuda.lanes(case.M)
        module = namespace("cuda").RawModule(
            code=bounded(case.setup, lanes), options=("--std=c++17",)
        )
        kernel = module.get_function("simulate")
        n = enough(case, budget)
        took = between(case, n, *interleaved(slope(case, n), repeats, clock))
    return {
        "M": case.M, "rates": case.rates, "replicas": case.replicas,
        "SAMPLES_PER_THREAD": cuda.SAMPLES_PER_THREAD, "THREADS_AT_ONCE": cuda.THREADS_AT_ONCE,
        **changed, "lanes": lanes, "blocks": blocks,
        "registers": kernel.num_regs, "local bytes": kernel.local_size_bytes,
        "ns": spread(took * 1e9),
    }  # fmt: skip


def tables(quick: bool, device: str) -> dict[str, Iterable[Row]]:
    """Time all rows; a CPU has no kernel whose constants could be chosen."""
    found: dict[str, Iterable[Row]] = {
        SQUARES: products(device, 512 if quick else SQUARE),
        ROWS: (row(case, quick) for case in cases(quick, device)),
    }
    return found | ({"Constants of the chain": constants(quick)} if device == "cuda" else {})


def aims(tables: dict[str, list[Row]]) -> list[Row]:
    """Say of each row that was measured whether it reaches the aims."""
    square = next((r["Tflop/s"] for r in tables.get(SQUARES, []) if r["dtype"] == "float32"), None)
    found = []
    for row in tables.get(ROWS, []):
        same = ("level", "student", "N", "M", "rates", "replicas", "dtype")
        part, times = row["alone/ours"][0], row["two cores/ours"][0]
        flops = row["Tflop/s"]
        found.append({key: row[key] for key in same} | {
            "alone": row["alone"],
            "alone/ours": part,
            f"at least {HALF}": "holds" if part >= HALF else "does not hold",
            "of square products": flops / square if flops and square else None,
            "two cores/ours": times,
            f"at least {TIMES:g}": "holds" if times >= TIMES else "does not hold",
        })  # fmt: skip
    return found


def main() -> None:
    """Print the aims beside the results on a GPU, as far as there are any."""
    results = report.load("gpu", "cuda")
    print(report.markdown(aims(results["tables"])) if results else "Nothing was measured.")


if __name__ == "__main__":
    main()
