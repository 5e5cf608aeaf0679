"""Time everything, write the results and the tables of the READMEs.

    python benchmarks/run.py [--quick] [--device cuda] [levels learning_rates ...]

In full about half an hour, with `--quick` about three minutes; `sweep` is not in the quick set.
The GPU needs `--device cuda`, on a machine that has one; its results are files of their own, so
that those of the CPU may come from another.
"""

from __future__ import annotations

import argparse
import importlib

import report
from threadpoolctl import threadpool_limits

from statmech_bn.arrays import namespace

ALL = (
    "levels", "structured", "learning_rates", "trajectories", "offline", "cores", "startup",
    "memory", "sweep",
)  # fmt: skip


def main() -> None:
    """Run the benchmarks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(ALL)}")
    parser.add_argument(
        "--quick", action="store_true", help="fewer rows and repeats; writes nothing"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ALL):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    namespace(options.device)
    for name in options.names or (ALL[:-1] if options.quick else ALL):
        module = importlib.import_module(name)
        with threadpool_limits(limits=1):
            tables = module.tables(options.quick, options.device)
        for title, rows in tables.items():
            print(f"### {title}\n\n{report.markdown(rows)}\n", flush=True)
        if tables and not options.quick:
            report.save(name, options.device, tables)
    if not options.quick:
        report.render()


if __name__ == "__main__":
    main()
