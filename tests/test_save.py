"""Whatever happens in a save, the old store or the new one is there, whole."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup

EVENTS = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "open", "shutil.rmtree"}
LEFT = {"count": None}


def interrupt(event, _):
    main = threading.current_thread() is threading.main_thread()  # which Ctrl-C reaches
    if main and LEFT["count"] is not None and event in EVENTS:
        LEFT["count"] -= 1
        if LEFT["count"] == 0:
            raise KeyboardInterrupt


def of(value):
    return xr.Dataset({f"v{i}": ("x", np.full(3, float(value))) for i in range(3)})


def value_at(path):
    with sbn.open(path) as found:
        values = {float(v) for variable in found.load().data_vars.values() for v in variable}
        assert len(found.data_vars) == 3
    assert len(values) == 1
    return values.pop()


@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
def test_interrupts_at_every_moment(tmp_path, name):
    sys.addaudithook(interrupt)
    path, old, moment, finished = tmp_path / name, 0.0, 0, False
    sbn.save(of(old), path)
    while not finished:
        moment, new = moment + 3, old + 1
        LEFT["count"] = moment
        try:
            sbn.save(of(new), path)
            finished = LEFT["count"] > 0
        except KeyboardInterrupt:
            pass
        finally:
            LEFT["count"] = None
        found = value_at(path)
        assert found in (old, new)
        old = found
    assert moment > 10
    sbn.save(of(1), path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


KILLED = """
import sys, numpy as np, xarray as xr, statmech_bn as sbn
print("go", flush=True)
for i in range(10**6):
    sbn.save(xr.Dataset({f"v{k}": ("x", np.full(3, float(i))) for k in range(3)}), sys.argv[1])
"""


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_kills(tmp_path, kills):
    path = tmp_path / "run.zarr"
    sbn.save(of(0), path)
    for kill in range(kills):
        child = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE)
        with child:
            child.stdout.readline()
            time.sleep(0.1 + 0.037 * kill % 0.5)
            child.kill()
        value_at(path)
    sbn.save(of(1), path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_a_death_between_the_renames_is_mended(tmp_path):
    path = tmp_path / "run.zarr"
    sbn.save(of(7), path)
    os.rename(path, tmp_path / ".run.zarr.replaced")
    assert value_at(path) == 7
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_threads_save_to_one_path(tmp_path):
    path = tmp_path / "run.zarr"
    threads = [threading.Thread(target=sbn.save, args=(of(v), path)) for v in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value_at(path) in (1, 2, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sbn.save(of(1), "~/a/run.zarr") == tmp_path / "a" / "run.zarr"
    assert value_at("~/a/run.zarr") == 1
    for path in ("", 3, b"run.zarr", "a\0b", "~nobody-at-all/run.zarr"):
        with pytest.raises(InvalidSetup, match="path: expected"):
            sbn.save(of(1), path)


REFUSED = {
    "point": xr.Dataset({"v": ("x", [1.0])}).expand_dims(y=[1]).stack(point=("x", "y")),
    "a/b": xr.Dataset({"a/b": 1.0}),
    "scale_factor": xr.Dataset({"v": ("x", [1.0], {"scale_factor": 2.0})}),
    "missing_value": xr.Dataset({"v": ("x", [1.0], {"missing_value": 1.0})}),
    "text": xr.Dataset({"text": ("x", ["a"])}),
    "mixed": xr.Dataset(coords={"mixed": ("x", np.array(["a", 1], object))}),
    "labels": xr.Dataset(coords={"x": ("x", [1], {"labels": "x"})}),
}


@pytest.mark.parametrize("told", REFUSED)
@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
def test_what_would_change_is_refused(tmp_path, told, name):
    with pytest.raises(InvalidSetup, match=told):
        sbn.save(REFUSED[told], tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())
