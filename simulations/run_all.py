"""Run all experiments, two at a time: `python simulations/run_all.py [options]`.

The first one draws the figure of the README. Each experiment is the script of its name, in a
process of its own that has the libraries already, and what it says is shown when it ends. What is
not an option of this command is handed on, such as `--preset paper` or `--dry-run`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EXPERIMENTS = (
    "learning_rates", "plateau", "gamma_decay", "phase_diagram", "maximum_learning_rate",
    "late_time", "weight_decay", "momentum", "structured_inputs", "condition_number", "committee",
    "generalization", "batch_size", "large_learning_rate", "partition", "boundary_jitter",
    "depth_correlation", "batch_depth", "residual_depth", "exploding_updates",
    "gradient_alignment", "matrix_products", "initial_gain", "update_noise", "inference", "dropout",
)  # fmt: skip
NETWORKS = (
    "network_batch_size", "network_statistics", "network_learning_rate", "network_sharpness",
    "network_signals", "network_gain", "network_flips", "network_covariate_shift",
    "network_initialization", "network_placement", "network_regularization", "network_residual",
    "network_dropout", "network_inference", "network_rotation",
)  # fmt: skip
"""Those that need PyTorch."""
PRELOADED = ["statmech_bn.study", "statmech_bn.plot", "statmech_bn.online", "tyro", "scipy.stats"]
"""Modules that are imported once for all experiments, where processes can be forked."""


def experiment(name: str, options: list[str], output: Path) -> None:
    """Run a script in this process, with all that it prints in a file."""
    with output.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    script = HERE / f"{name}.py"
    sys.argv = [str(script), *options]
    sys.path.insert(0, str(HERE))
    runpy.run_path(str(script), run_name="__main__")


def run(names: tuple[str, ...], options: list[str], at_once: int) -> list[str]:
    """Run experiments, so many at once; returns those that failed.

    After Ctrl-C, which each running experiment receives too, what they say is shown.
    """
    forked = "forkserver" in multiprocessing.get_all_start_methods()
    multiprocessing.set_start_method("forkserver" if forked else "spawn")
    multiprocessing.set_forkserver_preload(PRELOADED)
    waiting, failed = list(names), list[str]()
    running: dict[Any, tuple[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:

        def end(sentinel: Any) -> None:
            name, process = running.pop(sentinel)
            process.join()
            print(Path(folder, name).read_text().rstrip("\n"), flush=True)
            if process.exitcode:
                failed.append(name)

        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    name = waiting.pop(0)
                    arguments = name, options, Path(folder, name)
                    process = multiprocessing.Process(target=experiment, args=arguments)
                    process.start()
                    running[process.sentinel] = name, process
                    print(f"{name} … ({len(names) - len(waiting)} of {len(names)})", flush=True)
                for sentinel in wait(list(running)):
                    end(sentinel)
        except KeyboardInterrupt:
            for sentinel in list(running):
                end(sentinel)
            raise SystemExit(128 + signal.SIGINT) from None
    return failed


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", action="store_true", help="run those that need PyTorch")
    parser.add_argument("--at-once", type=int, default=2, help="how many at a time (%(default)s)")
    mine, theirs = parser.parse_known_args()
    if mine.at_once < 1:
        parser.error(f"argument --at-once: expected at least 1, got {mine.at_once}.")
    if failed := run(NETWORKS if mine.networks else EXPERIMENTS, theirs, mine.at_once):
        raise SystemExit(f"Failed: {', '.join(failed)}. What each says is above.")


if __name__ == "__main__":
    main()
