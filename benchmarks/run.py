"""Time everything, write the results and the tables of the READMEs.

    python benchmarks/run.py [--quick] [--device cuda] [levels learning_rates ...]

In full about half an hour, with `--quick` about three minutes; `sweep` is not in the quick set.
The GPU needs `--device cuda`, on a machine that has one; its results are files of their own, so
that those of the CPU may come from another. A file grows row by row: what was measured is there
when a time limit ends the run.
"""

from __future__ import annotations

import argparse
import importlib

import report
from threadpoolctl import threadpool_limits

from statmech_bn.arrays import namespace

ALL = (
    "levels", "structured", "committees", "learning_rates", "trajectories", "offline", "cores",
    "startup", "memory", "sweep",
)  # fmt: skip
GPU = ("gpu", "offline", "learning_rates", "levels")
"""Those that a GPU has a part in, what matters most first."""


def main() -> None:
    """Run the benchmarks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of gpu, {', '.join(ALL)}")
    parser.add_argument(
        "--quick", action="store_true", help="fewer rows and repeats; writes nothing"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if unknown := set(options.names) - {*ALL, *GPU}:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    namespace(options.device)
    usual = GPU if options.device == "cuda" else ALL[:-1] if options.quick else ALL
    for name in options.names or usual:
        module, tables = importlib.import_module(name), {}
        with threadpool_limits(limits=1):
            for title, rows in module.tables(options.quick, options.device).items():
                tables[title] = []
                for row in rows:
                    tables[title].append(row)
                    if not options.quick:
                        report.save(name, options.device, tables)
                print(f"### {title}\n\n{report.markdown(tables[title])}\n", flush=True)
    if not options.quick:
        report.render()


if __name__ == "__main__":
    main()
