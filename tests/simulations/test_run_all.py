"""All experiments in one command: each is known, what each says is shown, and who failed."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "simulations"


@pytest.fixture
def command(tmp_path):
    """Two experiments beside a copy of the script: one that ends, one that fails."""
    text = (SCRIPTS / "run_all.py").read_text()
    known = text[text.index("EXPERIMENTS = (") : text.index("NETWORKS = (")]
    text = text.replace(known, 'EXPERIMENTS = ("one", "other")\n')
    text = re.sub("PRELOADED = .*", "PRELOADED: list[str] = []", text)  # they take seconds
    (tmp_path / "run_all.py").write_text(text)
    (tmp_path / "one.py").write_text(
        "import sys\nfrom other import VALUE\n"
        "if __name__ == '__main__':\n    print('one says', VALUE, *sys.argv[1:])\n"
    )
    (tmp_path / "other.py").write_text(
        "VALUE = 3\nif __name__ == '__main__':\n    raise ValueError('in the other')\n"
    )
    return [sys.executable, str(tmp_path / "run_all.py")]


def test_every_experiment_is_known():
    names = runpy.run_path(str(SCRIPTS / "run_all.py"))
    scripts = {p.stem for p in SCRIPTS.glob("*.py") if "sbn.study.main(" in p.read_text()}
    assert {*names["EXPERIMENTS"], *names["NETWORKS"]} == scripts
    assert all(name.startswith("network_") for name in names["NETWORKS"])
    assert not any(name.startswith("network_") for name in names["EXPERIMENTS"])


@pytest.mark.parametrize("at_once", ["1", "2"])
def test_what_experiments_say_is_shown_and_a_failure_ends_the_command_at_last(command, at_once):
    ran = subprocess.run(
        [*command, "--at-once", at_once, "--preset", "paper"], capture_output=True, text=True
    )
    assert "one says 3 --preset paper\n" in ran.stdout
    assert "ValueError: in the other" in ran.stdout
    assert ran.returncode == 1
    assert "Failed: other." in ran.stderr


def test_a_number_of_experiments_is_checked(command):
    ran = subprocess.run([*command, "--at-once", "0"], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "expected at least 1, got 0" in ran.stderr
