"""Ctrl-C ends computations, and bars say how far they are."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import interrupts
from statmech_bn.errors import InvalidSetup
from statmech_bn.interrupts import bar, in_threads, stop_all, working
from statmech_bn.online.network import stacks

sys.path.insert(0, str(Path(__file__).parent))

import interrupted

PATIENCE = 10.0
"""A loaded machine may be slow to deliver what takes a tenth of a second on an idle one."""


@pytest.fixture
def not_ignored():
    """Let processes receive SIGINT, which those of a shell's background job ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


COMMON = ["macroscopic", "mesoscopic", "microscopic", "train", "pool", "sweep"]
OTHERS = sorted(interrupted.CASES.keys() - set(COMMON))


@pytest.mark.usefixtures("not_ignored")
@pytest.mark.thorough
@pytest.mark.parametrize("cases", [COMMON, OTHERS], ids=["common", "others"])
def test_every_computation_ends_at_the_signal(cases):
    command = [sys.executable, Path(__file__).with_name("interrupted.py"), *cases]
    took, told = {}, {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            for line in child.stdout:
                word, name, *rest = line.split()
                if word == "begin":
                    time.sleep(0.3)
                    sent = time.monotonic()
                    os.kill(child.pid, signal.SIGINT)
                    limit = threading.Timer(PATIENCE, child.kill)
                    limit.start()
                else:
                    limit.cancel()
                    assert word == "ended", line
                    took[name], told[name] = time.monotonic() - sent, " ".join(rest)
        finally:
            child.kill()
    assert list(took) == cases
    assert max(took.values()) < PATIENCE, took
    assert "No point is finished" in told.pop("sweep", "No point is finished")
    told.pop("pool", None)  # the pool is the user's, and so is the message
    assert all("Nothing of this call is kept" in text for text in told.values())


def test_tasks_keep_their_order_and_count():
    seen = []

    def task(number, watch):
        watch.done[0] = 1.0
        seen.append(threading.get_ident())
        return number**2

    assert in_threads(task, range(20), 3) == [n**2 for n in range(20)]
    assert threading.get_ident() not in seen


def test_a_solver_that_looks_beyond_the_end_has_done_no_more():
    parts = np.zeros(2)
    for k, part in enumerate([0.5, 1.25]):
        interrupts.Watch(np.zeros(1, bool), parts[k : k + 1]).reach(part)
    assert parts.tolist() == [0.5, 1.0]


def test_the_first_failure_ends_the_others():
    begun = []

    def task(number, watch):
        begun.append(number)
        if number == 0:
            raise ValueError("zero")
        while not watch.stop[0]:
            time.sleep(1e-3)

    with pytest.raises(ValueError, match="zero"):
        in_threads(task, range(100), 2)
    assert len(begun) <= 3


def test_python_code_in_a_thread_is_interrupted():
    def task(number, watch):
        threading.Timer(0.2, stop_all).start()
        while True:
            time.sleep(1e-3)

    with pytest.raises(KeyboardInterrupt):
        in_threads(task, [0], 1)


def test_a_worker_computes_in_its_own_thread():
    with working() as stop:
        assert in_threads(lambda task, watch: threading.get_ident(), [0], 4) == [
            threading.get_ident()
        ]
        stop[0] = True
        with pytest.raises(KeyboardInterrupt):
            in_threads(lambda task, watch: None, [0], 1)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("progress", [True, False, None])
def test_a_bar_is_for_terminals(monkeypatch, terminal, progress):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("statmech_bn.interrupts.DELAY", 0)

    def task(number, watch):
        with bar(10, "inner", "steps", progress) as show:
            show(5)
        watch.done[0] = 5.0

    in_threads(task, range(2), 1, 10.0, progress, "outer")
    expected = terminal if progress is None else progress
    assert ("outer" in stream.getvalue()) == expected
    assert "inner" not in stream.getvalue()
    with pytest.raises(InvalidSetup, match="progress"), bar(1, "", "", "yes"):
        pass


def test_results_are_those_of_a_run_without_a_bar():
    runs = [
        sbn.mesoscopic(
            interrupted.SETUP, 1.0, [0, 1], interrupted.START, 50, replicas=3, progress=progress
        )
        for progress in (True, False)
    ]
    assert np.array_equal(runs[0].overlap, runs[1].overlap)


@pytest.mark.parametrize(
    ("level", "activation", "start", "inputs"),
    [
        pytest.param(
            level,
            activation,
            start,
            inputs,
            marks=[pytest.mark.thorough] if level == "mesoscopic" else [],  # they compile
        )
        for level in ("macroscopic", "mesoscopic", "microscopic")
        for activation, start, inputs in [
            ("linear", interrupted.START, None),
            ("hard_tanh", interrupted.START, None),  # whose averages have no series
            ("linear", interrupted.START, interrupted.SPECTRUM),
            ("erf", interrupted.MATRICES, None),
            ("tanh", interrupted.MATRICES, None),  # whose averages are not closed
            ("erf", interrupted.MATRICES, interrupted.SPECTRUM),
        ]
        if level == "macroscopic" or activation in ("linear", "erf")
    ],
)
def test_every_level_says_how_far_it_is(monkeypatch, level, activation, start, inputs):
    totals, parts, told = [], [], [0.0]

    @contextmanager
    def counted(total, label, unit, progress, done=0.0):
        totals.append(total if progress else 0.0)
        yield told.append

    def watched(stop, done):
        parts.append(done)
        return watch(stop, done)

    watch = interrupts.Watch
    for module in (interrupts, stacks):
        monkeypatch.setattr(module, "bar", counted)
    monkeypatch.setattr(interrupts, "Watch", watched)
    setup = sbn.TeacherStudent(activation, "weight", 4)
    size = {} if level == "macroscopic" else {"dimension": 50, "replicas": 2}
    getattr(sbn, level)(setup, [0.3, 1.0], [0, 1], start, inputs=inputs, progress=True, **size)
    assert sum(totals) > 0.0
    assert max(np.sum(parts), *told) == pytest.approx(sum(totals))
    getattr(sbn, level)(setup, 1.0, [0.0], start, inputs=inputs, **size)  # which takes no time
