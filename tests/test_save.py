"""Whatever happens in a save, the old store or the new one is there, whole."""

import errno
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, InvalidStore
from statmech_bn.files import settled

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


@pytest.mark.parametrize("lost", ["v1/c", "part/v2/c"])
def test_a_part_of_a_store_is_not_taken_for_all(tmp_path, lost):
    """Zarr itself leaves out files of NaN, and reads NaN where one is lost."""
    tree = xr.DataTree.from_dict({"/": of(1), "/part": of(2), "/empty": of(np.nan)})
    path = sbn.save(tree, tmp_path / "run.zarr")
    assert not (path / "empty/v0/c").exists()
    sbn.open(path).close()
    [file] = (file for file in (path / lost).rglob("*") if file.is_file())
    file.unlink()
    with pytest.raises(InvalidStore, match=r"run\.zarr has 5 of 6 files of values\. Copy it again"):
        sbn.open(path)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_what_another_program_writes_may_have_fewer_files(tmp_path):
    path = sbn.save(of(1), tmp_path / "run.zarr")
    with xr.open_zarr(path) as found:
        found[["v0"]].to_zarr(tmp_path / "other.zarr", zarr_format=3)
    assert float(sbn.open(tmp_path / "other.zarr")["v0"][0]) == 1


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


def test_saving_warns_of_nothing_without_filters(tmp_path, monkeypatch):
    """Threads share the filters: one that restores them takes away those of another."""
    with monkeypatch.context() as patched:
        patched.setattr(warnings, "filterwarnings", lambda *_, **__: None)
        path = sbn.save(of(1), tmp_path / "run.zarr")
    assert value_at(path) == 1


def double(x):
    """Return twice x; a function that other modules can import."""
    return xr.Dataset({"y": 2.0 * x})


def study_options():
    return sbn.study.Options(store=Path("~/run.zarr"), figures=Path("~/figures"), workers=1)


SCRIPT = """
import statmech_bn as sbn, xarray as xr
def g(x): return xr.Dataset({"y": 2.0 * x})
def figures(tree): from matplotlib.figure import Figure; return {"one": Figure}
if __name__ == "__main__":
    sbn.study.main("", sbn.study.Options, lambda o: {"part": (g, {"x": [1]})}, figures)
"""


def run_script(home):
    (home / "script.py").write_text(SCRIPT)
    command = [sys.executable, home / "script.py", "--store=~/run.zarr", "--figures=~/figures"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (home / "script.py").unlink()
    assert (home / "figures" / "run_one.png").exists()


def load_script(home):
    (home / "simulations").mkdir()
    (home / "simulations" / "homely_study.py").write_text("found = True")
    assert sbn.study.load("homely_study", "~/below").found
    sys.path.remove(str(home / "simulations"))


def load_images(home):
    pytest.importorskip("torch")
    (home / "mnist").mkdir()
    with pytest.raises(InvalidStore, match=str(home / "mnist")):
        sbn.networks.data.load("mnist", "~/mnist")


def read_paper(home):
    stores = pytest.importorskip("paper.stores")
    assert stores.store_path("a", Path("~/results")) == home / "results" / "a.zarr"


AT_HOME = {
    "save": lambda home: sbn.save(of(1), "~/run.zarr"),
    "save a file": lambda home: sbn.save(of(1), Path("~/deep/run.nc")),
    "open": lambda home: (sbn.save(of(1), home / "run.zarr"), sbn.open("~/run.zarr").close()),
    "sweep": lambda home: sbn.sweep(double, {"x": [1]}, "~/run.zarr", workers=1),
    "simulate": lambda home: sbn.study.simulate({"a": (double, {"x": [1]})}, study_options()),
    "run": lambda home: sbn.study.run(
        {"a": (double, {"x": [1]})}, lambda tree: {"one": Figure}, study_options()
    ),
    "save_figure": lambda home: sbn.plot.save_figure(Figure(), "~/figure"),
    "a script": run_script,
    "load": load_script,
    "images": load_images,
    "paper": read_paper,
}


@pytest.mark.parametrize(
    "call",
    [pytest.param(c, marks=pytest.mark.thorough if c == "a script" else ()) for c in AT_HOME],
)
def test_every_path_may_begin_at_home(tmp_path, monkeypatch, call):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    AT_HOME[call](home)
    assert not list(here.iterdir())
    assert list(home.iterdir()) or call == "paper"


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sbn.save(of(1), "~/a/run.zarr") == tmp_path / "a" / "run.zarr"
    assert value_at("~/a/run.zarr") == 1
    wrong = ("", 3, b"run.zarr", "a\0b", "~nobody-at-all/run.zarr", "x" * 250, f"{'x' * 250}/a.nc",
             "s3://bucket/a.zarr", "file:///tmp/a.zarr")  # fmt: skip
    for path in wrong:
        for function in (lambda path: sbn.save(of(1), path), sbn.open):
            with pytest.raises(InvalidSetup, match="path: expected"):
                function(path)


def test_a_working_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for function in (lambda path: sbn.save(of(1), path), sbn.open):
        with pytest.raises(InvalidSetup, match="path: expected a working folder"):
            function("run.zarr")


def test_a_figure_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidStore, match="figure cannot be written"):
        sbn.plot.save_figure(Figure((1, 1)), tmp_path / "file" / "figure")


@pytest.mark.parametrize("name", ["run.csv", "run.h5", "run.parquet", "run.npz"])
def test_other_formats_are_refused_with_what_is_possible(tmp_path, name):
    with pytest.raises(InvalidSetup, match=r"\.zarr or \.nc.*to_dataframe\(\)\.to_csv"):
        sbn.save(of(1), tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
def test_plain_xarray_reads_what_is_saved(tmp_path, name):
    """As it is, without a warning, which is an error here; a variable is one file."""
    values = xr.Dataset({"v": (("p", "q"), np.ones((3000, 300)))}, {"name": ("p", ["é"] * 3000)})
    tree = xr.DataTree.from_dict({"/": of(1), "/deep/below": values})
    sbn.save(tree, tmp_path / name)
    with xr.open_datatree(tmp_path / name) as plain:
        assert set(plain["deep/below/name"].values) == {"é"}
        np.testing.assert_array_equal(plain["deep/below/v"], values.v)
    if name == "run.zarr":
        with xr.open_zarr(tmp_path / name) as plain:
            xr.testing.assert_equal(plain.load(), of(1))
        assert sum(file.is_file() for file in (tmp_path / name).rglob("*")) == 3 + 2 * 5


REFUSED = {
    "point": xr.Dataset({"v": ("x", [1.0])}).expand_dims(y=[1]).stack(point=("x", "y")),
    "a/b": xr.Dataset({"a/b": 1.0}),
    "scale_factor": xr.Dataset({"v": ("x", [1.0], {"scale_factor": 2.0})}),
    "missing_value": xr.Dataset({"v": ("x", [1.0], {"missing_value": 1.0})}),
    "text": xr.Dataset({"text": ("x", ["a"])}),
    "mixed": xr.Dataset(coords={"mixed": ("x", np.array(["a", 1], object))}),
    "labels": xr.Dataset(coords={"x": ("x", [1], {"labels": "x"})}),
    "a b": xr.Dataset({"v": ("x", [1.0])}, {"a b": 1.0}),
    "no attribute 'coordinates'": xr.Dataset({"v": 1.0}, {"c": 2.0}, {"coordinates": "c"}),
}


TRUTH = {"bool": True, "array": np.array([True]), "list": [False, True]}


@pytest.mark.parametrize("value", TRUTH.values(), ids=TRUTH)
@pytest.mark.parametrize("owner", ["dataset", "v"])
def test_netcdf_has_no_truth_values(tmp_path, owner, value):
    data = xr.Dataset({"v": 1.0})
    (data if owner == "dataset" else data[owner]).attrs["flag"] = value
    with pytest.raises(InvalidSetup, match=rf"{owner}.attrs.*truth value in 'flag'"):
        sbn.save(data, tmp_path / "run.nc")
    with sbn.open(sbn.save(data, tmp_path / "run.zarr")) as found:
        of = found if owner == "dataset" else found[owner]
        assert np.array_equal(of.attrs["flag"], value)


@pytest.mark.parametrize("told", REFUSED)
@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
def test_what_would_change_is_refused(tmp_path, told, name):
    with pytest.raises(InvalidSetup, match=told):
        sbn.save(REFUSED[told], tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())


SAVING = """
import sys, numpy as np, xarray as xr, statmech_bn as sbn
value = float(sys.argv[2])
print("go", flush=True)
for _ in range(15):
    sbn.save(xr.Dataset({f"v{k}": ("x", np.full(3, value)) for k in range(3)}), sys.argv[1])
"""


@pytest.mark.thorough
def test_processes_save_to_one_path(tmp_path):
    path = tmp_path / "run.zarr"
    sbn.save(of(1), path)
    command = [sys.executable, "-c", SAVING, path]
    children = [
        subprocess.Popen([*command, value], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for value in "23"
    ]
    seen = set()
    while any(child.poll() is None for child in children):
        with settled(path):  # values are read when they are used: nobody replaces them here
            seen.add(value_at(path))
    for child in children:
        _, told = child.communicate()
        assert child.returncode == 0, told.decode()
    assert seen | {value_at(path)} <= {1, 2, 3}
    assert value_at(path) in (2, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_writes_that_fail_at_every_moment(tmp_path, failing_files, name, number):
    """Creating files, folders, fsync and renames fail one after the other, once or from then on."""
    path, moment, failed, told = tmp_path / "deep" / name, 0, [0], []
    sbn.save(of(0), path)
    while failed:
        moment += 1
        with failing_files(moment, ("mkdir", "rename", "replace", "fsync"), number) as failed:
            try:
                sbn.save(of(moment), path)
            except InvalidStore as error:
                told.append(str(error))
        assert value_at(path) in (0, moment)
        if value_at(path):
            sbn.save(of(0), path)
        assert [p.name for p in path.parent.iterdir()] == [name]
    assert len(told) >= 5
    assert all(os.strerror(number) in message for message in told)


FULL = """
import sys, numpy as np, xarray as xr, statmech_bn as sbn
from statmech_bn.errors import InvalidStore
old, path = xr.Dataset({"v": ("x", np.random.default_rng(0).random(2000))}), sys.argv[1]
sbn.save(old, path)
for size in (10**4, 10**5, 10**6):
    new = xr.Dataset({f"w{k}": ("x", np.random.default_rng(k).random(size)) for k in range(9)})
    try:
        sbn.save(new, path)
        print("saved", size)
        sbn.save(old, path)
    except InvalidStore as error:
        print(size, error)
    with sbn.open(path) as found:
        xr.testing.assert_identical(found.load(), old)
import os
print(os.listdir(os.path.dirname(path)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
def test_a_full_file_system(tmp_path, name):
    inside = f"mount -t tmpfs -o size=1m none {tmp_path} && {sys.executable} - {tmp_path}/{name}"
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    done = subprocess.run([*unshare, "mount -t tmpfs none /mnt"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    done = subprocess.run([*unshare, inside], input=FULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == "saved 10000"
    assert done.stdout.count("No space left on device") == 2, told
    assert told[-1] == str([name])
