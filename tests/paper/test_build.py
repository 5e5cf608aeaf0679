"""The whole paper, from no stores at all."""

import re
import shutil

import pytest

from paper import build, equations, figures, numbers
from paper.stores import OPTIONAL, make_missing, optional_sections


@pytest.mark.slow
def test_the_paper_builds_from_quick_stores(tmp_path):
    results = tmp_path / "results"
    make_missing(results)
    written = []
    for copy in (tmp_path / "one", tmp_path / "two"):
        shutil.copytree(build.PAPER, copy, ignore=shutil.ignore_patterns("build"))
        equations.write(copy / "build")
        found = numbers.write(results, copy / "build")
        left_out = set(OPTIONAL) - set(optional_sections())
        sections = [path for path in copy.glob("sections/*.tex") if path.stem not in left_out]
        text = "\n".join(path.read_text() for path in sections)
        text += (copy / "main.tex").read_text()
        used = set(re.findall(r"\\val\{([^}#]*)\}", text))
        assert used == set(found)
        for name in figures.available():
            figures.produce(name, results, copy / "build")
        if shutil.which("latexmk"):
            written.append(build.typeset(copy).read_bytes())
            log = (copy / "build" / "main.log").read_text(errors="replace")
            assert build.complaints(log) == []
    assert not written or written[0] == written[1]
