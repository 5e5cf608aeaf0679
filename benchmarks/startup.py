"""What it takes to begin: importing, and first calls with machine code on disk, in new processes.

python benchmarks/startup.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

from timing import Row, interleaved, spread

CALLS = {
    "import numpy": "import numpy",
    "import sympy": "import sympy",
    "import statmech_bn": "import statmech_bn",
    "macroscopic": "sbn.macroscopic(setup, [0.3, 1, 3], [0, 1, 2], start)",
    "mesoscopic": "sbn.mesoscopic(setup, [0.3, 1, 3], [0, 1, 2], start, 1000)",
    "microscopic": "sbn.microscopic(setup, [0.3, 1, 3], [0, 0.1], start, 1000)",
    "offline.train": "sbn.offline.train(setup, 2.0, 1.0, 200, epochs=2)",
}
PREPARED = """
import statmech_bn as sbn
setup = sbn.TeacherStudent("relu", "batch", 32, label_noise=0.5)
start = sbn.OrderParameters(0.05)
"""


def run(code: str) -> None:
    """Run code in a new interpreter."""
    subprocess.run([sys.executable, "-c", code], check=True)


def tables(quick: bool, device: str) -> dict[str, list[Row]]:
    """Time new processes in turns, without what an empty one takes."""
    if device != "cpu":
        return {}
    codes = [call if call.startswith("import") else PREPARED + call for call in CALLS.values()]
    sides = [partial(run, code) for code in ["pass", *codes]]
    empty, *found = interleaved(sides, 3 if quick else 5, children)
    rows = [
        {"process": name, "processor s": spread(took - empty)}
        for name, took in zip(CALLS, found, strict=True)
    ]
    return {"Start": rows}


def children() -> float:
    """Return the processor time that finished child processes took."""
    spent = os.times()
    return spent.children_user + spent.children_system


if __name__ == "__main__":
    for row in tables(quick=True, device="cpu")["Start"]:
        print(row)
