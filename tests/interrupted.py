"""Computations that would take hours, begun one after the other; each is to be ended by SIGINT."""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import statmech_bn as sbn

SETUP = sbn.TeacherStudent("linear", "batch", batch_size=8, label_noise=0.3)
START = sbn.OrderParameters(overlap=0.1)
MATRICES = sbn.OrderParameters(student_teacher=[[0.1]], student_student=[[1.0]])
SPECTRUM = sbn.Spectrum([2, 0.5], fractions=[0.5, 0.5])
LONG = 1e5


def in_pool(function, *arguments, **more):
    """Call a function in a thread of one's own, as a user would."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function, *arguments, **more).result()


def sweep(time):
    """Let threads of a sweep compute."""
    point = partial(
        sbn.mesoscopic, SETUP, time=[time], start=START, dimension=1000, replicas=1, workers=1
    )
    with tempfile.TemporaryDirectory() as folder:
        sbn.sweep(point, {"learning_rate": [0.1, 0.2, 0.3]}, Path(folder) / "s", workers=2)


def finite(level, time, **more):
    """Simulate until a time."""
    level(SETUP, 1.0, [time], START, dimension=1000, replicas=2, **more)


def macroscopic(time):
    """Integrate as many trajectories as there is time."""
    rates = np.full(int(1 + 3 * time), 1.0)
    sbn.macroscopic(SETUP, rates, [1.0], START)


def flow(activation, normalization, start, inputs, time):
    """Integrate with averages of each state, or on inputs with a covariance."""
    setup = sbn.TeacherStudent(activation, normalization, 8)
    accuracy = 1.0 if start is MATRICES else None
    rates = np.full(int(1 + 3 * time), 1.0)
    sbn.macroscopic(setup, rates, [0.2], start, inputs=inputs, accuracy=accuracy)


def blocks(time):
    """Simulate inputs with a covariance."""
    finite(sbn.mesoscopic, time, inputs=SPECTRUM)


def train(time):
    """Train on a finite set."""
    sbn.offline.train(SETUP, 2.0, 1.0, 100, epochs=int(time))


def replica_symmetric(time):
    """Solve the equations of many loads."""
    sbn.offline.replica_symmetric("relu", np.linspace(1, 2, int(1 + time / 10)), 0.5, 0.5)


def averages(time):
    """Average losses over batches."""
    sbn.batch_loss("linear", 8, [0.9, 1.0], batches=int(1 + 1000 * time), replicas=2)


CASES = {
    "macroscopic": macroscopic,
    "no_series": partial(flow, "hard_tanh", "weight", START, None),
    "flow_of_blocks": partial(flow, "linear", "weight", START, SPECTRUM),
    "committee": partial(flow, "erf", "batch", MATRICES, None),
    "committee_of_blocks": partial(flow, "tanh", "weight", MATRICES, SPECTRUM),
    "mesoscopic": partial(finite, sbn.mesoscopic),
    "blocks": blocks,
    "microscopic": partial(finite, sbn.microscopic),
    "samples": partial(finite, sbn.microscopic, dtype="float32"),
    "train": train,
    "replica_symmetric": replica_symmetric,
    "batch_loss": averages,
    "pool": partial(in_pool, finite, sbn.microscopic),
    "sweep": sweep,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        CASES[name](1.0)  # compiles
        print("begin", name, flush=True)
        try:
            CASES[name](LONG)
        except KeyboardInterrupt as stop:
            print("ended", name, *getattr(stop, "__notes__", [stop]), flush=True)
        else:
            print("not interrupted", name, flush=True)
