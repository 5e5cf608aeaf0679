"""Scripts without a guard, and functions that were typed in."""

import subprocess
import sys
from functools import partial

import nbformat
import pytest
import studies
import xarray as xr
from distributed import LocalCluster
from nbclient import NotebookClient

import statmech_bn as sbn

pytestmark = pytest.mark.thorough

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
    last = done.stderr.strip().splitlines()[-1]
    assert 'under `if __name__ == "__main__":`' in last  # the driver's own message
    assert "Another process is writing" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_typed_functions_have_to_be_in_a_file(tmp_path):
    done = run(tmp_path, input=SCRIPT)
    assert done.returncode == 1
    assert "Put it into a file" in done.stderr
    assert not list(tmp_path.iterdir())


CELL = """
import os, sys
import statmech_bn as sbn, xarray as xr
def g(a): return xr.Dataset({"v": float(a) ** 2})
try:
    sbn.sweep(g, {"a": [1, 2]}, "run.zarr", processes=True, workers=2)
except sbn.errors.InvalidSetup as error:
    print(error)
sys.path.insert(0, os.getcwd())
import squares
print(sbn.sweep(squares.g, {"a": [1, 2]}, "good.zarr", processes=True, workers=2).v.values)
"""


def test_functions_of_a_notebook_have_to_be_in_a_file(tmp_path):
    (tmp_path / "squares.py").write_text(SCRIPT.rsplit("sbn", 1)[0])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    more = {"resources": {"metadata": {"path": str(tmp_path)}}, "timeout": 120}
    NotebookClient(notebook, kernel_name="python3", **more).execute()
    printed = "".join(o["text"] for o in notebook.cells[0].outputs if o.get("name") == "stdout")
    assert "Put it into a file and import it" in printed
    assert "[1. 4.]" in printed
    assert not (tmp_path / "run.zarr").exists()


@pytest.mark.parametrize("schedule", ["cosine", "step", "warm_up"])
def test_schedules_reach_processes(tmp_path, schedule):
    swept(tmp_path / "processes.zarr", schedule, processes=True, workers=2)
    swept(tmp_path / "threads.zarr", schedule, workers=1)
    found, wanted = (sbn.open(tmp_path / f"{n}.zarr").load() for n in ("processes", "threads"))
    xr.testing.assert_identical(found, wanted)


@pytest.mark.slow
def test_schedules_reach_a_cluster(tmp_path):
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        swept(tmp_path / "cluster.zarr", "cosine", scheduler=cluster.scheduler_address)
    swept(tmp_path / "threads.zarr", "cosine", workers=1)
    found, wanted = (sbn.open(tmp_path / f"{n}.zarr").load() for n in ("cluster", "threads"))
    xr.testing.assert_identical(found, wanted)


def swept(path, name, **more):
    schedule = {
        "cosine": sbn.schedules.cosine(1.0),
        "step": sbn.schedules.step([0.5], 0.1),
        "warm_up": sbn.schedules.warm_up(0.5),
    }[name]
    setup = sbn.TeacherStudent("linear", "weight", 4)
    function = partial(
        sbn.mesoscopic, setup, time=studies.TIME, start=studies.START, dimension=9,
        schedule=schedule, workers=1,
    )  # fmt: skip
    sbn.sweep(function, {"learning_rate": [0.3, 1.0]}, path, seed=1, **more)
