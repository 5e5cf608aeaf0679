"""The document uses nothing that is not made, makes nothing that it does not use, and builds."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from paper import build
from paper.equations import EQUATIONS
from paper.figures import FIGURES
from paper.numbers import SOURCES
from paper.stores import EXPERIMENTS, OPTIONAL

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "paper"
SECTIONS = sorted((PAPER / "sections").glob("*.tex"))
TEXT = "\n".join(path.read_text() for path in [PAPER / "main.tex", *SECTIONS])
GENERATED = {
    "numbers", "equations", "claims", "further", "criteria", "rates", "runs", "optional", *OPTIONAL,
}  # fmt: skip
NO_LATEX = shutil.which("latexmk") is None


def used(command):
    """Return the arguments of a command, lists split."""
    found = re.findall(rf"\\{command}(?:\[[^]]*\])?\{{([^}}#]*)\}}", TEXT)
    return {key.strip() for group in found for key in group.split(",")}


def test_every_equation_is_printed_and_used():
    assert used("eqn") == set(EQUATIONS)


def test_every_figure_is_drawn_and_used():
    assert used("includegraphics") == set(FIGURES)


def test_every_figure_is_of_an_experiment_of_the_paper():
    known = {*EXPERIMENTS, *(name for names in OPTIONAL.values() for name in names)}
    assert {printed.experiment for printed in FIGURES.values()} <= known


def test_every_input_exists_or_is_generated():
    inputs = used("input")
    assert {name.rpartition("/")[2] for name in inputs if name.startswith("build/")} == GENERATED
    others = {name for name in inputs if not name.startswith("build/")}
    optional = {f"sections/{name}" for name in OPTIONAL}
    assert others | optional == {f"sections/{path.stem}" for path in SECTIONS}


def test_numbers_are_of_experiments_of_the_paper():
    known = {*EXPERIMENTS, *(name for names in OPTIONAL.values() for name in names)}
    known |= {"version", "claims", "limit"}
    assert {key.partition("/")[0] for key in used("val")} <= known


def test_every_experiment_has_its_script_and_its_numbers():
    for name in EXPERIMENTS:
        assert (ROOT / "simulations" / f"{name}.py").exists()
        assert callable(import_module(f"paper.experiments.{name}").numbers)
    for names in OPTIONAL.values():
        for name in names:
            assert (ROOT / "simulations" / f"{name}.py").exists()
            assert (PAPER / "experiments" / f"{name}.py").exists()


def test_references_and_labels_meet():
    labels = re.findall(r"\\label\{([^}]*)\}", TEXT)
    assert len(labels) == len(set(labels))
    assert used("ref") | used("eqref") <= set(labels)


def test_everything_cited_is_in_the_bibliography():
    entries = set(re.findall(r"^@\w+\{(\w+),", (PAPER / "references.bib").read_text(), re.M))
    assert used("cite") | set(SOURCES) == entries


@pytest.mark.thorough
def test_equations_do_not_depend_on_the_process():
    keys = ("flow/batch", "averages/relu", "zeta/independent", "equilibrium", "geometry/jitter")
    code = f"from paper.equations import EQUATIONS as e; print([e[k]() for k in {keys}])"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str([EQUATIONS[key]() for key in keys])


def test_missing_latex_is_one_line(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"^latexmk, .* not found\. .*apt-get install .*$") as end:
        build.check_latex()
    assert "\n" not in str(end.value)


def test_complaints_are_what_a_reader_sees():
    log = (
        "Overfull \\hbox (9.9pt too wide) in paragraph\nUnderfull \\hbox\n"
        "LaTeX Warning: Reference `fig:x' on page 1 undefined on input line 3.\n"
    )
    assert [line.split()[0] for line in build.complaints(log)] == ["Overfull", "LaTeX"]


def small_document(folder, body):
    """Write a document with the paper's preamble."""
    preamble = (PAPER / "main.tex").read_text().partition(r"\title")[0]
    (folder / "main.tex").write_text(
        preamble + r"\begin{document}" + "\n" + body + "\n" + r"\end{document}"
    )
    generated = folder / "build" / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    (generated / "numbers.tex").write_text(r"\defineval{a/b_c}{\num{0.744(5)}}" + "\n")
    flow = r"\dot R &= \eta \\ \dot L &= 0"
    (generated / "equations.tex").write_text(rf"\defineeqn{{flow}}{{{flow}}}" + "\n")


@pytest.mark.thorough
@pytest.mark.skipif(NO_LATEX, reason="needs latexmk")
def test_the_same_sources_give_the_same_pdf(tmp_path):
    body = r"$\val{a/b_c}$ \begin{align}\begin{aligned}\eqn{flow}\end{aligned}\end{align}"
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        small_document(folder, body)
        written.append(build.typeset(folder).read_bytes())
    assert written[0].startswith(b"%PDF")
    assert written[0] == written[1]


@pytest.mark.skipif(NO_LATEX, reason="needs latexmk")
def test_a_number_that_is_not_made_stops_the_build(tmp_path):
    small_document(tmp_path, r"\val{a/d}")
    with pytest.raises(SystemExit, match="No val 'a/d' is generated"):
        build.typeset(tmp_path)
