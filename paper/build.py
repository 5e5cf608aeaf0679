"""Build the paper: missing stores, equations, numbers, figures, and the PDF.

``python -m paper.build`` reads the stores in `results`, runs the quick preset of experiments that
have none, and writes ``paper/build/main.pdf``. From the same stores it writes the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from paper import equations, figures, numbers
from paper.stores import RESULTS, ROOT, make_missing
from statmech_bn.errors import InvalidStore

PAPER = ROOT / "paper"
PROGRAMS = ("latexmk", "pdflatex", "bibtex")
PACKAGES = "latexmk texlive-latex-extra texlive-fonts-recommended texlive-science cm-super"
"""Debian and Ubuntu have what typesets the paper in these packages."""
STYLES = ("booktabs.sty", "microtype.sty", "natbib.sty", "siunitx.sty")


@dataclass(frozen=True)
class Options:
    """Build the paper from the stores."""

    results: Path = RESULTS
    """Where the stores are, and missing ones are made."""


def check_latex() -> None:
    """End with one line unless everything is there that typesets the paper."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        found = subprocess.run(["kpsewhich", *STYLES], capture_output=True, text=True, check=False)
        missing = [name for name in STYLES if name not in found.stdout]
    if missing:
        sys.exit(f"{', '.join(missing)} not found. Install LaTeX: apt-get install {PACKAGES}")


def typeset(folder: Path = PAPER) -> Path:
    """Run LaTeX in the folder of ``main.tex``, and say what a reader would stumble over.

    Returns
    -------
    pathlib.Path
        The PDF.
    """
    # Time stands still, so that the same sources give the same bytes.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-outdir=build"]
    done = subprocess.run(
        [*command, "main.tex"], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    log = folder / "build" / "main.log"
    if done.returncode:
        errors = re.findall(r"^!.*(?:\n.*){2}", log.read_text(errors="replace"), re.MULTILINE)
        sys.exit("LaTeX stopped: " + "\n".join(errors or [done.stdout[-2000:]]) + f"\nSee {log}")
    for line in complaints(log.read_text(errors="replace")):
        print(f"warning: {line}")
    return log.with_suffix(".pdf")


def complaints(log: str) -> list[str]:
    """Return the lines of a log that a reader would see: boxes that overflow, references lost."""
    return re.findall(r"^(?:Overfull .*|.*Warning: .*undefined.*|.*multiply.defined.*)$", log, re.M)


def main(options: Options) -> None:
    """Do all of it."""
    check_latex()
    try:
        make_missing(options.results)
        numbers.write(options.results)
    except InvalidStore as error:
        sys.exit(str(error))
    equations.write()
    for name in figures.available():
        figures.produce(name, options.results)
    print(f"paper: {typeset()}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
