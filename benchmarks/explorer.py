"""How long a slider of the explorer waits: what one move asks for, computed and sent back.

The processor's time is that of the computation, the waiting time that of the question to the child
process and its answer, as the page asks. Limits are 100 ms for averages with a closed form and
300 ms for series. With batch normalization a batch size that was not prepared needs new averages:
the page prepares two stops of the slider to each side while nobody moves it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle

import numpy as np
from timing import Row, seconds, spread

from statmech_bn.explore import curves, partition
from statmech_bn.explore.state import SLIDERS, State
from statmech_bn.explore.worker import Worker

CLOSED, SERIES = 100, 300
MOVES: dict[str, tuple[State, str, int | None]] = {
    "linear; none, weight, batch": (State("linear"), "learning_rate", CLOSED),
    "relu; none, weight": (State("relu", ("none", "weight")), "batch_size", CLOSED),
    "relu; none, weight, batch": (State("relu"), "learning_rate", SERIES),
    "relu; none, weight, batch (prepared)": (State("relu"), "batch_size", SERIES),
    "relu; none, weight, batch (first time)": (State("relu"), "batch_size", None),
    "tanh; all five": (
        State("tanh", ("none", "weight", "population", "batch", "ghost(8)")),
        "label_noise",
        SERIES,
    ),
    "two cuts of the plane": (State(tab="partition"), "data_batch", SERIES),
}
"""What is shown → its state, the slider that moves, and the most milliseconds."""


def stops(state: State, name: str) -> Iterator[State]:
    """Move a slider back and forth through eight stops that the student can take."""
    values = [v for v in SLIDERS[name].values if name != "batch_size" or 8 <= v <= 64]
    middle = values[len(values) // 2 :][:8]
    return (state.changed(**{name: value}) for value in cycle(middle))


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Time moves of sliders."""
    if device != "cpu":
        return {}
    worker, rows = Worker(), []
    for shown, (state, name, most) in MOVES.items():
        moves, number = stops(state, name), 8 if quick else 40
        task = "partitions" if state.tab == "partition" else "theory"
        compute = partition.partitions if state.tab == "partition" else curves.theory
        if most is not None:
            for _ in range(8):
                asked = next(moves)
                compute(asked), worker.answer(task, asked)
        else:  # averages of an activation that nothing else has asked for
            state = state.changed(activation="Max(x, x/7)", batch_size=8)
            compute(state), worker.answer(task, state)
            moves, number = stops(state, name), 3
            next(moves)
        took = []
        for _ in range(number):
            asked = next(moves)
            waited = seconds(partial(worker.answer, task, asked), time.perf_counter)
            took.append((seconds(partial(compute, asked)), waited))
        processor, waiting = np.array(took).T * 1e3
        rows.append(
            {
                "shown": shown,
                "slider": name.replace("_", " "),
                "processor ms": spread(processor),
                "waiting ms": spread(waiting),
                "limit ms": most,
            }
        )
    worker.end()
    return {"A slider's answer": rows}


if __name__ == "__main__":
    for row in tables(quick=True, device="cpu")["A slider's answer"]:
        print(row)
