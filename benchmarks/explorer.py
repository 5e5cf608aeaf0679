"""How long a slider of the explorer waits: what one move asks for, computed and answered.

The processor's time and that on the wall are those of the question to the thread that computes and
of its answer, as the page asks. Limits are 100 ms for averages with a closed form
and 300 ms for series. With batch normalization a batch size needs a series of its own: one that was
made in an earlier session is read, and the page prepares the others while nobody moves a slider.
Only one that nobody has waited for is made while the page says that it computes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from timing import Row, spread

from statmech_bn.averages.choice import averages_series
from statmech_bn.explore.state import SLIDERS, State
from statmech_bn.explore.worker import Worker
from statmech_bn.online.flow.derivatives import compiled_flow

CLOSED, SERIES = 100, 300
MOVES, FEW = 40, 8
"""Moves of a slider that are timed, in full, and in a quick run or where each takes long."""


class Case(NamedTuple):
    """What is shown, the slider that moves, and the most milliseconds."""

    shown: str
    state: State
    slider: str
    most: int | None


FIVE = ("none", "weight", "population", "batch", "ghost(8)")
UNITS = State("erf", ("none", "weight"), student_units=2, teacher_units=2)
CASES = (
    Case("linear; none, weight, batch", State("linear"), "learning_rate", CLOSED),
    Case("relu; none, weight", State("relu", ("none", "weight")), "batch_size", CLOSED),
    Case("erf, K = K* = 2; none, weight", UNITS, "learning_rate", CLOSED),
    Case("relu; none, weight, batch", State("relu"), "learning_rate", SERIES),
    Case("relu; none, weight, batch (prepared)", State("relu"), "batch_size", SERIES),
    Case("tanh; all five", State("tanh", FIVE), "label_noise", SERIES),
    Case("two cuts of the plane", State(tab="partition"), "data_batch", SERIES),
    Case("relu, power law; weight", State("relu", ("weight",), exponent=1.0), "overlap", CLOSED),
)


def stops(state: State, name: str) -> Iterator[State]:
    """Move a slider back and forth through eight stops that the student can take."""
    values = [v for v in SLIDERS[name].values if name != "batch_size" or 8 <= v <= 64]
    middle = values[len(values) // 2 :][:8]
    return (state.changed(**{name: value}) for value in cycle(middle))


def tables(quick: bool, device: str) -> dict[str, Iterator[Row]]:
    """Time moves of sliders."""
    return {"A slider's answer": rows(quick)} if device == "cpu" else {}


def rows(quick: bool) -> Iterator[Row]:
    """Time each case, and batch sizes that were kept or that nothing has asked for."""
    worker = Worker()
    with asyncio.Runner() as runner:

        def timed(case: Case, states: Sequence[State], forget: bool = False) -> Row:
            """Time answers, as the page waits for them."""
            task, took = "partitions" if case.state.tab == "partition" else "theory", []
            for state in states:
                if forget:
                    averages_series.cache_clear(), compiled_flow.cache_clear()
                begin = time.process_time(), time.perf_counter()
                runner.run(worker.ask(task, state))
                took.append((time.process_time() - begin[0], time.perf_counter() - begin[1]))
            processor, waiting = np.array(took).T * 1e3
            return {
                "shown": case.shown,
                "slider": case.slider.replace("_", " "),
                "processor ms": spread(processor),
                "waiting ms": spread(waiting),
                "limit ms": case.most,
            }

        for case in CASES:
            moves = stops(case.state, case.slider)
            timed(case, [next(moves) for _ in range(8 if case.most else 1)])
            number = FEW if quick or not case.most else MOVES
            yield timed(case, [next(moves) for _ in range(number)])
        case = Case("relu; none, weight, batch (kept)", State("relu"), "batch_size", SERIES)
        moves = stops(case.state, case.slider)
        yield timed(case, [next(moves) for _ in range(8)], forget=True)
        new = State(f"Max(x, x/{10 + time.time_ns() % 10**6})", batch_size=8)
        case = Case("a leaky relu; none, weight, batch (first time)", new, "batch_size", None)
        timed(case, [new])  # compiles what the activation needs
        yield timed(case, [new.changed(batch_size=size) for size in (16, 32, 64)])


if __name__ == "__main__":
    for found in tables(quick=True, device="cpu")["A slider's answer"]:
        print(found)
