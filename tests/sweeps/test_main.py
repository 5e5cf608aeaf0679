"""Scripts without a guard, and functions that were typed in."""

import subprocess
import sys

SCRIPT = """
import statmech_bn as sbn, xarray as xr
def g(a): return xr.Dataset({"v": float(a) ** 2})
sbn.sweep(g, {"a": [1, 2, 3, 4]}, "run.zarr", processes=True, workers=2)
"""


def run(folder, *arguments, **more):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **more,
    )


def test_the_missing_guard_is_named(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run(tmp_path, "script.py")
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr
    assert "Another process is writing" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_typed_functions_have_to_be_in_a_file(tmp_path):
    done = run(tmp_path, input=SCRIPT)
    assert done.returncode == 1
    assert "Put it into a file" in done.stderr
    assert not list(tmp_path.iterdir())
