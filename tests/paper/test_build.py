"""The whole paper, from no stores at all."""

import re
import shutil

import pytest

from paper import build, equations, numbers
from paper.figure import produce
from paper.stores import make_missing


@pytest.mark.slow
def test_the_paper_builds_from_quick_stores(tmp_path):
    make_missing(tmp_path)
    found = numbers.write(tmp_path, tmp_path / "build")
    text = "\n".join(p.read_text() for p in (build.PAPER / "sections").glob("*.tex"))
    assert set(re.findall(r"\\val\{([^}]*)\}", text)) <= set(found)
    if shutil.which("latexmk") is None:
        return
    written = []
    for _ in range(2):
        shutil.rmtree(build.PAPER / "build", ignore_errors=True)
        numbers.write(tmp_path)
        equations.write()
        for name in build.figure_scripts():
            script = build.import_module(f"paper.figures.{name}")
            produce(script.STORE, script.draw, name, tmp_path)
        written.append(build.typeset().read_bytes())
        log = (build.PAPER / "build" / "main.log").read_text(errors="replace")
        assert build.complaints(log) == []
    assert written[0] == written[1]
