"""Every notebook runs from top to bottom."""

from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

ANALYSIS = Path(__file__).parents[1] / "analysis"


@pytest.mark.parametrize("source", sorted(ANALYSIS.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_runs(source):
    if source.stem.startswith("network_"):
        pytest.importorskip("torch")
    notebook = jupytext.read(source)
    folder = {"metadata": {"path": str(ANALYSIS)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
