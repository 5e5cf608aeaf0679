"""The first lines of the README are a script that leaves a figure."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "first_figure.py"


def statements(lines):
    return [ast.unparse(line) for line in lines]


def test_the_script_is_the_readme():
    text = (ROOT / "README.md").read_text()
    lines = re.search(r"## Five lines.*?```python\n(.*?)```", text, re.S)[1]
    main = ast.parse(SCRIPT.read_text()).body[-1]
    assert statements(ast.parse(lines).body[1:]) == statements(main.body[:-1])


def test_it_leaves_a_figure(tmp_path):
    command = [sys.executable, SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["first_figure.png", "first_figure.pdf"]
    assert (tmp_path / "first_figure.png").read_bytes().startswith(b"\x89PNG")
