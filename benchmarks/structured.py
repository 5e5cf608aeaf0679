"""Gaussian inputs by their sums: N weights beside a step that draws samples, and chains of blocks.

A step of N weights draws N + 3M normals (fields, labels' noise and the sum of the samples), one of
a chain of d blocks 2d + 3M normals and d numbers of χ². The step that draws M samples of N
components is the compiled one of float32 and of inputs of one's own, in float64.

Times are per step of a long run: those of the start of N weights are not in them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import floors
import numpy as np
from floors import Case
from levels import START
from timing import Row, Work, interleaved, seconds, spread

import statmech_bn as sbn
from statmech_bn.online.arguments import check_run
from statmech_bn.online.network.replicas import learn_in_threads
from statmech_bn.online.network.world import Plan, World
from statmech_bn.online.schedules.schedule import prepare

MOST_SAMPLES = 2 * 10**7
"""A step that draws more numbers than this is not timed."""
FEW = 4
"""Steps of the run whose time is taken off."""


def by_sums(case: Case, steps: int, replicas: int = 1) -> Work:
    """Prepare a call that takes so many steps."""
    time = [steps / case.N]
    return partial(sbn.microscopic, case.setup, 1.0, time, START, case.N, replicas, workers=1)


def by_samples(case: Case, steps: int, replicas: int = 1) -> Work:
    """Prepare the same with samples."""
    run = check_run(case.setup, 1.0, None, [steps / case.N], START)
    world = World.prepare(case.setup, case.N, None, None, 1)
    plan = Plan(case.setup, START, run, world, prepare(None, run.time)[0], 1, "float64")
    return partial(learn_in_threads, plan, replicas, 1)


def of_blocks(case: Case, d: int, steps: int) -> Work:
    """Prepare a chain of d blocks."""
    spectrum = sbn.Spectrum(np.linspace(0.5, 1.5, d), multiplicities=[case.N // d] * d)
    time = [steps / case.N]
    return partial(
        sbn.mesoscopic, case.setup, 1.0, time, START, case.N, workers=1, inputs=spectrum
    )  # fmt: skip


def drawn(normals: int, chi_squares: int, steps: int) -> Work:
    """Prepare the random numbers of so many steps."""
    generator = np.random.Generator(np.random.PCG64(0))
    return partial(draw, generator, normals, chi_squares, np.empty(floors.BUFFER), steps)


@floors.numba.njit(nogil=True)
def draw(generator, normals, chi_squares, buffer, steps):
    """Fill a small buffer again and again."""
    for _ in range(steps):
        left = normals
        while left > 0:
            for i in range(min(left, buffer.size)):
                buffer[i] = generator.standard_normal()
            left -= buffer.size
        for i in range(chi_squares):
            buffer[i % buffer.size] = generator.standard_gamma(4.0)


def timed(sides: dict[str, tuple[partial[Work], float]], repeats: int) -> dict[str, np.ndarray]:
    """Return seconds a step; each side makes a run of so many steps in about so many seconds."""
    works, steps = [], []
    for make, budget in sides.values():
        make(FEW)()
        few, more, spent = min(seconds(make(FEW)) for _ in range(2)), FEW, 0.0
        while spent < budget / 4:
            more *= 4
            spent = seconds(make(FEW + more)) - few
        steps.append(max(FEW, round(more * budget / spent)))
        works += [make(FEW), make(FEW + steps[-1])]
    found = interleaved(works, repeats)
    long, short = found[1::2], found[::2]
    return dict(zip(sides, (long - short) / np.array(steps)[:, None], strict=True))


def network(case: Case, quick: bool) -> Row:
    """Time N weights."""
    sides = {
        "sums": (partial(by_sums, case), 0.15),
        "draws": (partial(drawn, case.N + 3 * case.M, 0), 0.15),
    }
    if case.N * case.M <= MOST_SAMPLES:
        sides["samples"] = (partial(by_samples, case), 0.15)
    took = timed(sides, 3 if quick else 5)
    samples = took.get("samples")
    return {
        "student": f"{case.activation} {case.normalization}",
        "N": case.N,
        "M": case.M,
        "ours µs": float(np.median(took["sums"])) * 1e6,
        "samples/ours": None if samples is None else spread(samples / took["sums"]),
        "random numbers µs": float(np.median(took["draws"])) * 1e6,
        "ours/random numbers": spread(took["sums"] / took["draws"]),
    }


def chain(d: int, quick: bool) -> Row:
    """Time a chain of d blocks of ten weights."""
    case = Case("mesoscopic", N=10 * d)
    sides = {
        "ours": (partial(of_blocks, case, d), 0.15),
        "draws": (partial(drawn, 2 * d + 3 * case.M, d), 0.15),
    }
    took = timed(sides, 3 if quick else 5)
    return {
        "student": f"{case.activation} {case.normalization}",
        "d": d,
        "M": case.M,
        "ours µs": float(np.median(took["ours"])) * 1e6,
        "random numbers µs": float(np.median(took["draws"])) * 1e6,
        "ours/random numbers": spread(took["ours"] / took["draws"]),
    }


def agreement() -> list[Row]:
    """Check, before anything is timed, that sums and samples give the same means."""
    rows = []
    for kind in ("none", "weight", "batch"):
        case = replace(Case("microscopic"), normalization=kind, N=30, M=8)
        run = by_sums(case, 60, 400)()
        sums = np.array([run[name].values.ravel() for name in ("overlap", "length", "gamma")])
        samples = by_samples(case, 60, 400)()[0][:3, 0, :, 0]
        error = np.sqrt((sums.var(axis=1) + samples.var(axis=1)) / 399)
        score = np.abs(sums.mean(axis=1) - samples.mean(axis=1)) / np.maximum(error, 1e-12)
        if score.max() > 5:
            raise SystemExit(f"{kind}: sums and samples are {score.max():.1f} σ apart")
        rows.append({"student": kind, "largest z-score": float(score.max())})
    return rows


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Time all rows; on the processor only."""
    if device != "cpu":
        return {}
    sizes = [(10**3, 32), (10**4, 32)]
    if not quick:
        sizes = [(10**n, m) for n in (3, 4) for m in (1, 32, 1024)]
        sizes += [(10**5, 1), (10**5, 32), (10**6, 32), (10**6, 1024)]
    blocks = (1, 10, 100) if quick else (1, 10, 100, 1000)
    return {
        "Sums and samples agree": agreement(),
        "N weights, per step": [network(Case("microscopic", N=n, M=m), quick) for n, m in sizes],
        "Chain of d blocks, per step": [chain(d, quick) for d in blocks],
    }
