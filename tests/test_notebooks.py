"""Every notebook has its five parts and runs from top to bottom, on the quick preset."""

import re
from pathlib import Path

import jupytext
import pytest
from nbmake.nb_run import NotebookRun

ROOT = Path(__file__).parents[1]
PARTS = ["Derivation", "Simulation", "What to try next"]
every_notebook = pytest.mark.parametrize(
    "source", sorted((ROOT / "analysis").glob("*.py")), ids=lambda path: path.stem
)


@every_notebook
def test_a_notebook_has_its_parts(source):
    text = "\n".join(c.source for c in jupytext.read(source).cells if c.cell_type == "markdown")
    headings = re.findall(r"^##? (.+)", text, re.MULTILINE)
    assert headings[0].endswith("?")
    assert [heading for heading in headings if heading in PARTS] == PARTS
    assert headings[-1] == PARTS[-1]


@pytest.mark.thorough
@every_notebook
def test_a_notebook_runs(source, tmp_path):
    if source.stem.startswith("network_"):
        pytest.importorskip("torch")
    (tmp_path / "simulations").symlink_to(ROOT / "simulations")  # but no stores
    notebook = tmp_path / f"{source.stem}.ipynb"
    jupytext.write(jupytext.read(source), notebook)
    result = NotebookRun(notebook, default_timeout=300).execute()
    assert result.error is None, result.error.trace
    outputs = [output for cell in result.nb.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
