"""Sweeps: the labelled result, the same bytes from every kind of worker, and what is refused."""

import itertools
import json
import math
import multiprocessing
import sys
import threading
import time
from concurrent.futures import Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import make_dataclass, replace
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import dask
import numpy as np
import pytest
import studies
import sympy as sp
import xarray as xr
import zarr
from distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st

import statmech_bn as sbn
from statmech_bn import compile_cache
from statmech_bn.errors import InvalidSetup, InvalidStore, StatmechError, SweepStopped
from statmech_bn.sweeps import Plan, point_seed, run
from statmech_bn.sweeps.description import canonical, differences, kind
from statmech_bn.sweeps.grid import CHUNKS, Chunks, Grid
from statmech_bn.sweeps.plan import spread
from statmech_bn.sweeps.points import Study, compute
from statmech_bn.sweeps.store import Store
from statmech_bn.sweeps.workers import _Here, _interrupt, check_main, executor

GRID = studies.GRID


def test_result_is_labelled_and_holds_each_point(tmp_path):
    found = sbn.sweep(studies.wave, GRID, tmp_path / "run.zarr", seed=3).load()
    assert found.noisy.dims == ("frequency", "shape", "phase", "time", "side")
    assert found.positive.dims == ("frequency", "shape", "phase")
    assert found.indexes.keys() == {"frequency", "shape", "phase", "time", "side"}
    assert [str(found[name].dtype) for name in ("noisy", "single", "crossings", "positive")] == [
        "float64", "float32", "int64", "bool",
    ]  # fmt: skip
    assert "period" in found.coords
    assert found.noisy.attrs == {"units": "V"}
    assert found.time.attrs == {"units": "s"}
    assert found.attrs["maker"] == "wave"
    assert found.attrs["amplitude"] == 1.0
    assert "shape" not in found.attrs  # it varies
    for values in itertools.product(*GRID.values()):
        point = dict(zip(GRID, values, strict=True))
        expected = studies.wave(**point, seed=point_seed(3, point))
        chosen = found.sel(point)
        assert chosen.period == expected.period
        for name in expected.data_vars:
            np.testing.assert_array_equal(chosen[name], expected[name])


def test_store_opens_like_the_result(tmp_path):
    found = sbn.sweep(studies.wave, GRID, tmp_path / "run.zarr").load()
    xr.testing.assert_identical(sbn.open(tmp_path / "run.zarr").load(), found)
    sbn.save(found, tmp_path / "copy.zarr")
    xr.testing.assert_identical(sbn.open(tmp_path / "copy.zarr").load(), found)
    sbn.save(found, tmp_path / "copy.nc")
    with sbn.open(tmp_path / "copy.nc") as copy:
        np.testing.assert_array_equal(copy["shape"], found["shape"])


def test_a_level_swept_equals_the_level_called(tmp_path):
    setup = sbn.TeacherStudent("relu", "weight", 4, label_noise=0.2)
    rates = [0.3, 1.0, 3.0]
    level = partial(sbn.mesoscopic, setup, time=studies.TIME, start=studies.START, dimension=9)
    found = sbn.sweep(level, {"learning_rate": rates}, tmp_path / "run.zarr").load()
    expected = level(learning_rate=rates)
    for name in ("overlap", "length", "generalization_error", "gamma_learning_rate"):
        xr.testing.assert_identical(found[name].variable, expected[name].variable)
    assert found.learning_rate.attrs == expected.learning_rate.attrs
    assert sbn.TeacherStudent.from_attrs(found.attrs) == setup


def test_plain_xarray_reads_a_finished_sweep(tmp_path):
    """As it is, without a warning (which is an error here), strings as strings, in few files."""
    path = tmp_path / "run.zarr"
    found = sbn.sweep(studies.wave, GRID, path, seed=3).load()
    for plain in (xr.open_zarr(path), xr.open_datatree(path, engine="zarr").to_dataset()):
        assert list(plain["shape"].values) == ["round", "edgy"]
        assert plain.sel(shape="edgy", side="left").noisy.shape == (5, 3, 5)
        xr.testing.assert_equal(plain.load(), found)
    assert sum(file.is_file() for file in path.rglob("*")) == 1 + 2 * len(found.variables)
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    for name, part in (("", group), *group.arrays()):
        ours = json.loads((path / name / "zarr.json").read_text())
        ours.pop("consolidated_metadata", None)
        assert ours == json.loads(json.dumps(part.metadata.to_dict()))  # as Zarr writes them


def test_many_chunks_are_one_file(tmp_path):
    path, count = tmp_path / "run.zarr", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "finish", lambda _: None)
        sbn.sweep(studies.nap, {"x": range(300)}, path, workers=1)
    count.append(sum(file.is_file() for file in path.rglob("*")))
    sbn.sweep(studies.nap, {"x": range(300)}, path, workers=1)
    count.append(sum(file.is_file() for file in path.rglob("*")))
    assert count[0] > 600
    assert count[1] == 9
    plain = xr.open_zarr(path)
    np.testing.assert_array_equal(plain.z, np.arange(300.0))
    np.testing.assert_array_equal(plain.y[7], studies.nap(7).y)


@pytest.mark.parametrize("points", [1, 3])
def test_a_finished_sweep_is_on_disk(tmp_path, cut_power, points):
    path = tmp_path / "new" / "folder" / "run.zarr"
    found = sbn.sweep(studies.nap, {"x": range(points)}, path, workers=1).load()
    cut_power(path)
    xr.testing.assert_identical(sbn.open(path).load(), found)


def test_a_store_that_is_begun_again_is_read_as_before(tmp_path, cut_power):
    path, grid = tmp_path / "run.zarr", {"x": range(40)}
    found = sbn.sweep(studies.nap, grid, path, workers=1).load()
    Store(path, Grid.of(grid)).begin()
    cut_power(path)
    assert not list(path.rglob("c.*"))
    again = sbn.open(path).load()
    assert again.attrs.pop("sweep_complete") == 0
    with pytest.warns(RuntimeWarning, match="consolidated metadata"):  # which would be the old ones
        other = xr.open_zarr(path)
    for readers in (again, other):
        xr.testing.assert_equal(readers, found)


def sweep_chain(path, **more):
    grid = {"activation": ["relu", "erf"], "batch_size": [4, 8], "learning_rate": [0.5, 1.0, 2.0]}
    sbn.sweep(studies.chain, grid, path, seed=1, **more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "chain"
    sweep_chain(path, workers=1)
    return path


@pytest.mark.parametrize(
    "more",
    [
        {"workers": 2},
        {"workers": 3},
        pytest.param({"workers": 2, "processes": True}, marks=pytest.mark.thorough),
    ],
    ids=str,
)
def test_bytes_do_not_depend_on_workers(tmp_path, digest, undisturbed, more):
    sweep_chain(tmp_path / "chain", **more)
    assert digest(tmp_path / "chain") == digest(undisturbed)


@pytest.fixture
def cluster():
    patient = {"distributed.comm.timeouts.connect": "120s"}  # the machine may be busy
    with (
        dask.config.set(patient),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any port
        ) as started,
    ):
        yield started


def test_bytes_are_the_same_from_a_cluster(tmp_path, digest, undisturbed, cluster):
    assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
    sweep_chain(tmp_path / "chain", scheduler=cluster.scheduler_address)
    assert digest(tmp_path / "chain") == digest(undisturbed)
    assert all(worker.state.executed_count > 0 for worker in cluster.workers.values())


@pytest.mark.thorough
def test_bytes_do_not_depend_on_how_points_are_shared_out(tmp_path, digest, monkeypatch):
    function, grid = partial(studies.nap), {"x": range(50)}
    sbn.sweep(function, grid, tmp_path / "slow", chunk_points=3)
    monkeypatch.setattr(run, "BLOCK_SECONDS", 0.0)  # a chunk a block
    sbn.sweep(function, grid, tmp_path / "single", chunk_points=3)
    assert digest(tmp_path / "slow") == digest(tmp_path / "single")


def test_seeds_follow_from_the_point_alone(tmp_path):
    small = {"phase": [2], "shape": ["edgy"], "frequency": [0.5, 4]}
    one = sbn.sweep(studies.wave, GRID, tmp_path / "one", seed=5)
    two = sbn.sweep(studies.wave, small, tmp_path / "two", seed=5)
    three = sbn.sweep(studies.wave, small, tmp_path / "three", seed=6)
    chosen = one.noisy.sel({name: two[name] for name in small}).transpose(*two.noisy.dims)
    np.testing.assert_array_equal(chosen, two.noisy)
    assert not (two.noisy == three.noisy).any()
    seeds = {point_seed(5, {"x": x, "y": y}) for x in range(50) for y in "ab"}
    assert len(seeds) == 100
    assert max(seeds) < 2**53


def test_progress_is_quiet_without_a_terminal(tmp_path, capsys):
    sbn.sweep(studies.nap, {"x": range(3)}, tmp_path / "run.zarr")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("points", "chunk", "first"),
    [(50, 1, 6), (50, None, 6), (5, 1, 5), (2 * CHUNKS, None, 1), (50, 2, 1)],
)
def test_few_blocks_are_in_flight(tmp_path, monkeypatch, points, chunk, first):
    """Two for each worker; where points are no chunks, the first tells what one is."""

    class Late(Executor):
        """Compute only when a result is asked for."""

        waiting, first, most = 0, 0, 0

        def submit(self, function, *arguments):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            future = run.Future()
            future.set_result(None)

            def result():
                self.first = self.first or self.waiting
                self.waiting -= 1
                return function(*arguments)

            future.result = result
            return future

    pool = Late()

    class Opened:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return pool, lambda: 3

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(run, "executor", Opened)
    path = tmp_path / "run.zarr"
    found = sbn.sweep(studies.nap, {"x": range(points)}, path, chunk_points=chunk)
    np.testing.assert_array_equal(found.z, np.arange(1.0 * points))
    assert (pool.first, pool.most) == (first, min(6, points))


def test_a_finished_sweep_computes_nothing(tmp_path, digest, monkeypatch):
    path = tmp_path / "run.zarr"
    sbn.sweep(studies.nap, {"x": range(9)}, path)
    before = digest(path), [f.stat().st_mtime_ns for f in sorted(path.rglob("*"))]
    monkeypatch.setattr(run, "compute", None)
    found = sbn.sweep(studies.nap, {"x": range(9)}, path)
    np.testing.assert_array_equal(found.z, np.arange(9.0))
    assert before == (digest(path), [f.stat().st_mtime_ns for f in sorted(path.rglob("*"))])
    path.rename(tmp_path / ".run.zarr.replaced")  # as a save does that is killed
    xr.testing.assert_identical(sbn.sweep(studies.nap, {"x": range(9)}, path), found)


CHANGES = {
    "another value": ({"x": [0, 1, 3]}, {}, "grid.x: [0, 1, 2] in the store, [0, 1, 3] asked for"),
    "another axis": ({"x": [0, 1, 2], "seconds": [0.0]}, {}, "grid.seconds: None in the store"),
    "seed": ({"x": [0, 1, 2]}, {"seed": 1}, "seed: None in the store, 1 asked for"),
    "chunks": ({"x": [0, 1, 2]}, {"chunk_points": 2}, "chunk_points: None in the store, 2 asked"),
}


@pytest.mark.parametrize("change", [*CHANGES, "function", "argument", "version"])
def test_store_of_another_sweep_is_refused(tmp_path, digest, change, monkeypatch):
    path = tmp_path / "run.zarr"
    function, grid, more = studies.seeded, {"x": [0, 1, 2]}, {}
    sbn.sweep(function, grid, path)
    before = digest(path)
    if change == "function":
        function, message = studies.nap, "function: 'studies.seeded' in the store, 'studies.nap'"
    elif change == "argument":
        function = partial(function, scale=2.0)
        message = "arguments.scale: 1.0 in the store, 2.0 asked for"
    elif change == "version":
        metadata = json.loads((path / "zarr.json").read_text())
        text = metadata["attributes"]["sweep"]
        older = text.replace(f'"statmech_bn": "{sbn.__version__}"', '"statmech_bn": "0.0.1"')
        assert older != text
        metadata["attributes"]["sweep"] = older
        (path / "zarr.json").write_text(json.dumps(metadata))
        before = digest(path)
        message = "versions.statmech_bn: '0.0.1' in the store"
    else:
        grid, more, message = CHANGES[change]
    with pytest.raises(InvalidStore, match="holds another sweep") as caught:
        sbn.sweep(function, grid, path, **more)
    assert message in str(caught.value)
    assert digest(path) == before


def test_other_things_at_the_path_are_left_alone(tmp_path):
    folder, file, store = tmp_path / "folder", tmp_path / "file", tmp_path / "store.zarr"
    folder.mkdir()
    (folder / "note.txt").write_text("mine")
    file.write_text("mine")
    sbn.save(studies.nap(1), store)
    for path, message in (
        (folder, "not a Zarr store"),
        (file, "is a file"),
        (store, "not written by"),
    ):
        with pytest.raises(InvalidStore, match=message):
            sbn.sweep(studies.nap, {"x": [1, 2]}, path)
    assert (folder / "note.txt").read_text() == file.read_text() == "mine"
    np.testing.assert_array_equal(sbn.open(store).y, studies.nap(1).y)


@pytest.mark.parametrize("place", ["file/s.zarr", "/proc/s.zarr", "s.nc", "s.csv", "x" * 250])
def test_a_store_that_cannot_be_made_is_refused(tmp_path, place):
    """In /proc a folder can be asked for again and again."""
    (tmp_path / "file").touch()
    with pytest.raises(StatmechError, match=r"cannot be made|^store: expected"):
        sbn.sweep(studies.nap, {"x": [1, 2]}, tmp_path / place, workers=1)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


@pytest.mark.parametrize("text", ["{", "[]", "3", "null", '{"grid": 3}'])
def test_a_store_with_another_description_is_left_alone(tmp_path, digest, text):
    path = tmp_path / "run.zarr"
    sbn.sweep(studies.nap, {"x": [1]}, path, workers=1)
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"]["sweep"] = text
    (path / "zarr.json").write_text(json.dumps(metadata))
    before = digest(path)
    with pytest.raises(InvalidStore, match="was not written by a sweep"):
        sbn.sweep(studies.nap, {"x": [1]}, path, workers=1)
    assert digest(path) == before


def test_differences_are_told_where_they_are():
    found, wanted = {"a": {"b": 1, "c": [1]}, "d": {"e": 1}}, {"a": {"b": 2, "c": [1]}, "d": [3]}
    assert list(differences(found, wanted)) == [
        "a.b: 1 in the store, 2 asked for",
        "d: {'e': 1} in the store, [3] asked for",
    ]
    assert list(differences({}, {"a": 1})) == ["a: None in the store, 1 asked for"]


def test_axes_are_described_as_variables_of_results_are(tmp_path):
    grid = {"batch_size": [4, 8], "unknown": [1.0]}
    found = sbn.sweep(studies.takes_all, grid, tmp_path / "run.zarr", workers=1)
    assert found["batch_size"].attrs == {"long_name": "batch size", "symbol": "$M$", "units": "1"}
    assert found["unknown"].attrs == {}


@pytest.mark.parametrize("values", [[0], [0.0], [""], [False]], ids=str)
def test_an_axis_of_nothing_but_zero_is_kept(tmp_path, values):
    """A reader that takes what is missing for zeros is not asked to."""
    path = tmp_path / "run.zarr"
    found = sbn.sweep(studies.takes_all, {"a": values}, path, workers=1)
    assert found["a"].values.tolist() == values
    assert sum(file.is_file() for file in (path / "a").rglob("*")) == 2


def test_a_link_stays_a_link(tmp_path):
    link = tmp_path / "link.zarr"
    link.symlink_to(tmp_path / "new.zarr")
    for _ in range(2):
        found = sbn.sweep(studies.nap, {"x": [1, 2]}, link, workers=1)
    assert link.is_symlink()
    xr.testing.assert_identical(sbn.open(tmp_path / "new.zarr"), found)


@pytest.mark.parametrize(
    ("function", "grid", "more", "named"),
    [
        (lambda x: x, {"x": [1]}, {}, "function"),
        ("nap", {"x": [1]}, {}, "function"),
        (studies.nap, {}, {}, "grid"),
        (studies.nap, [1, 2], {}, "grid"),
        (studies.nap, {"x": []}, {}, "grid['x']"),
        (studies.nap, {"x": 3}, {}, "grid['x']"),
        (studies.nap, {"x": "abc"}, {}, "grid['x']"),
        (studies.nap, {"x": [1, 2, 1]}, {}, "grid['x']"),
        (studies.nap, {"x": [1, "b"]}, {}, "grid['x']"),
        (studies.nap, {"x": [1, None]}, {}, "grid['x']"),
        (studies.nap, {"x": [1.0, math.nan]}, {}, "grid['x']"),
        (studies.nap, {"x": [[1], [2]]}, {}, "grid['x']"),
        (studies.nap, {"x": [2**63 + 1, 1]}, {}, "grid['x']"),
        (studies.nap, {"x": ["\ud800"]}, {}, "grid['x']"),
        (studies.nap, {"x": ["a\0"]}, {}, "grid['x']"),
        (studies.nap, {"x": np.array([0.1], np.longdouble)}, {}, "grid['x']"),
        (studies.takes_all, {"../x": [1]}, {}, "grid['../x']"),
        (studies.takes_all, {3: [1]}, {}, "grid[3]"),
        (studies.nap, {"y": [1]}, {}, "grid"),
        (studies.nap, {"x": [1]}, {"seed": 1}, "seed"),
        (studies.wave, {**GRID, "seed": [1]}, {"seed": 1}, "grid['seed']"),
        (partial(studies.nap, x=1), {"x": [1]}, {}, "grid['x']"),
        (partial(studies.nap, seconds=object()), {"x": [1]}, {}, "seconds"),
        (studies.nap, {"x": [1]}, {"workers": 0}, "workers"),
        (studies.nap, {"x": [1]}, {"workers": 2, "scheduler": "tcp://localhost:1"}, "workers"),
        (studies.nap, {"x": [1]}, {"chunk_points": 0}, "chunk_points"),
        (studies.wave, GRID, {"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_named(tmp_path, function, grid, more, named):
    with pytest.raises(InvalidSetup) as caught:
        sbn.sweep(function, grid, tmp_path / "run.zarr", **more)
    assert str(caught.value).startswith(f"{named}: expected ")
    assert not (tmp_path / "run.zarr").exists()
    with pytest.raises(InvalidSetup) as caught:
        sbn.sweeps.plan(function, grid, **more)
    assert str(caught.value).startswith(f"{named}: expected ")


UNLIKE = ["dims", "coordinate", "names", "more", "fewer", "dtype", "type", "text"]


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("how", UNLIKE)
def test_results_must_look_alike(tmp_path, how, workers):
    """With eight workers the points from 7 on are computed before any is stored."""
    function, point = partial(studies.changing, how=how), 7 if workers == 1 else "[789]"
    with pytest.raises(SweepStopped, match=rf"result at {{'x': {point}}} cannot be stored"):
        sbn.sweep(function, {"x": range(10)}, tmp_path / "run", workers=workers)


@pytest.mark.parametrize("how", UNLIKE[:-2])
def test_results_must_look_like_those_in_the_store(tmp_path, digest, how):
    function = partial(studies.resumed, how=how, cure=str(tmp_path / "cure"))
    with pytest.raises(SweepStopped, match=r"failed at {'x': 7}"):
        sbn.sweep(function, {"x": range(10)}, tmp_path / "run", workers=1)
    before = digest(tmp_path / "run")
    (tmp_path / "cure").touch()
    with pytest.raises(SweepStopped, match=r"result at {'x': \d} cannot be stored"):
        sbn.sweep(function, {"x": range(10)}, tmp_path / "run", workers=1)
    assert digest(tmp_path / "run") == before


def refused(x, what):
    """Return what cannot be one point of a sweep over x."""
    return {
        "an array": np.ones(3),
        "no variables": xr.Dataset(),
        "a variable of the axis' name": xr.Dataset({"x": ("time", [1.0]), "y": 1.0}),
        "several values of the axis": xr.Dataset({"y": ("x", [1.0, 2.0])}),
        "nothing along a dim": xr.Dataset({"y": ("time", [])}),
        "objects": xr.Dataset({"y": ("time", np.array([{}]))}),
    }[what]


@pytest.mark.parametrize(
    "what",
    ["an array", "no variables", "a variable of the axis' name", "several values of the axis",
     "nothing along a dim", "objects"],
)  # fmt: skip
def test_what_is_no_result_of_a_point_is_refused(tmp_path, what):
    with pytest.raises(SweepStopped, match=r"at \{'x': 1\} cannot be stored. function: expected"):
        sbn.sweep(partial(refused, what=what), {"x": [1, 2]}, tmp_path / "run", workers=1)
    assert not list(tmp_path.iterdir())


def test_an_axis_of_length_one_in_a_result_is_that_of_the_grid(tmp_path):
    def of_level(k):
        return xr.Dataset({"y": (("k", "time"), [[1.0 * k, 2.0 * k]])}, {"k": [k]})

    module = sys.modules["statmech_bn.sweeps.run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "checked", _unchecked)
        found = sbn.sweep(of_level, {"k": [3, 5]}, tmp_path / "run", workers=1)
    np.testing.assert_array_equal(found.y, [[3, 6], [5, 10]])
    assert found.y.dims == ("k", "time")


def test_attributes_that_are_the_same_are_kept(tmp_path):
    """NaN is NaN, and arrays become lists."""
    attributes = {"a": math.nan, "b": np.arange(2), "c": "text"}
    function = partial(studies.named, attributes=attributes)
    found = sbn.sweep(function, {"x": [1, 2, 3]}, tmp_path / "run", workers=1)
    assert math.isnan(found.attrs["a"])
    assert (found.attrs["b"], found.attrs["c"]) == ([0, 1], "text")


def test_each_point_is_computed_once(tmp_path):
    """But for the first of a grid of larger chunks, which tells how large they are to be."""
    called = tmp_path / "called"
    (tmp_path / "cure").touch()
    function = partial(studies.fragile, cure=str(tmp_path / "cure"), called=str(called))
    sbn.sweep(function, {"x": range(12)}, tmp_path / "run", workers=2)
    assert sorted(map(int, called.read_text().split())) == list(range(12))
    for points, chunk in ((520, None), (12, 4)):
        called.unlink()
        path = tmp_path / f"chunks of {chunk}"
        sbn.sweep(function, {"x": range(points)}, path, workers=2, chunk_points=chunk)
        assert sorted(map(int, called.read_text().split())) == [0, *range(points)]


def test_progress_counts_points_from_where_a_sweep_stopped(tmp_path, monkeypatch):
    told = []

    @contextmanager
    def told_to(total, label, unit, progress, done):
        told.append((total, label, unit, progress, done))
        yield told.append

    monkeypatch.setattr(run, "bar", told_to)
    function = partial(studies.fragile, cure=str(tmp_path / "cure"))
    for _ in range(2):
        with suppress(SweepStopped):
            sbn.sweep(function, {"x": range(10)}, tmp_path / "run.zarr", workers=1)
        (tmp_path / "cure").touch()
    begins = [k for k, words in enumerate(told) if isinstance(words, tuple)]
    assert told[0] == (10, "run.zarr", "points", None, 0)
    stopped = told[begins[1] - 1]
    assert told[begins[1]] == (10, "run.zarr", "points", None, stopped)
    assert 2 <= stopped < 10
    assert told[-1] == 10
    assert (np.diff(told[begins[1] + 1 :], prepend=stopped) > 0).all()


def test_a_worker_with_other_versions_is_refused():
    study = Study(studies.nap, ("x",), versions={"numpy": "0.1"})
    with pytest.raises(SweepStopped, match=r"worker has .* the sweep runs with .*0\.1"):
        next(study.results([np.array([1])]))


def test_seeds_reach_functions_that_take_any_argument(tmp_path):
    sbn.sweep(studies.takes_all, {"a": [1]}, tmp_path / "run", seed=0, workers=1)
    with pytest.raises(InvalidSetup, match=r"^function: expected one with a signature"):
        sbn.sweep(dict, {"a": [1]}, tmp_path / "other", workers=1)


UNKEPT = [
    {"variable": ".."}, {"variable": "/etc"}, {"variable": "a/b"}, {"variable": "zarr.json"},
    {"variable": "a\0b"}, {"dim": "../out"}, {"axis": "a/b"}, {"attributes": {"a": 1j}},
    {"attributes": {3: 1}}, {"labels": ["\ud800"]}, {"labels": [np.datetime64("2026-01-01", "ns")]},
    {"kind": np.longdouble}, {"of_variable": {"units": "days since 2000-01-01"}},
    {"of_variable": {"scale_factor": 2.0}}, {"of_variable": {"_FillValue": 1.0}},
]  # fmt: skip


@pytest.mark.parametrize("what", UNKEPT, ids=str)
def test_what_a_store_cannot_give_back_is_refused(tmp_path, what):
    """A name may be a path, and readers take some attributes for an encoding."""
    with pytest.raises((SweepStopped, InvalidSetup), match="expected"):
        sbn.sweep(partial(studies.named, **what), {"x": [1, 2]}, tmp_path / "a" / "s.zarr")
    assert {path.name for path in tmp_path.rglob("*")} <= {"a"}


def test_bytes_in_another_order_are_the_same_numbers(tmp_path):
    found = sbn.sweep(partial(studies.named, kind=">f8"), {"x": [1, 2]}, tmp_path / "s.zarr")
    np.testing.assert_array_equal(found.y, [[1], [2]])


def test_canonical_descriptions():
    x = sp.Symbol("x")
    described = {
        "setup": sbn.TeacherStudent(sp.Max(x, x / 10), "batch", 8),
        "times": np.linspace(0, 1, 3),
        "many": np.arange(2000),
        "function": np.sort,
        "nested": ({"a": np.float32(0.5)}, None, range(2)),
    }
    found = json.loads(json.dumps(canonical(described, "all")))
    assert found["setup"]["batch_size"] == 8
    assert sbn.Activation.from_text(found["setup"]["activation"]) == described["setup"].activation
    assert found["times"] == [0.0, 0.5, 1.0]
    assert found["nested"] == [{"a": 0.5}, None, [0, 1]]
    assert found["many"] != canonical(np.arange(2000)[::-1], "many")
    assert found["function"] == "numpy.sort"
    assert canonical(math.sin, "all") == "math.sin"
    assert canonical(np.arange(1000), "all") == list(range(1000))
    assert canonical(np.arange(1001), "all").keys() == {"dtype", "shape", "sha256"}
    assert canonical(Path("a") / "b", "all") == str(Path("a") / "b")
    assert canonical(np.bool_(True), "all") is True
    assert canonical(np.array([1j]), "all") != canonical(np.array([2j]), "all")
    assert canonical(x + 1, "all") == sp.srepr(x + 1)
    assert canonical(np.longdouble(0.5), "all") == 0.5
    assert canonical(sbn.OrderParameters, "all").endswith(".OrderParameters")
    odd_part = make_dataclass("OddPart", ["part"])(object())
    plain = object(), lambda: 0, [].append, np.array([{}]), np.complex64(1j)
    for odd in (*plain, [object()], {"a": object()}, odd_part):
        with pytest.raises(InvalidSetup, match=r"^all: expected"):
            canonical(odd, "all")


def test_functions_of_a_script_are_named_by_its_file_or_its_module(monkeypatch):
    main = ModuleType("__main__")
    monkeypatch.setattr(studies.nap, "__module__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert canonical(studies.nap, "f") == "__main__.nap"
    main.__file__ = "/somewhere/study.py"
    assert canonical(studies.nap, "f") == "study.nap"
    main.__spec__ = ModuleSpec("package.study", None)
    assert canonical(studies.nap, "f") == "package.study.nap"


def test_a_method_of_a_class_is_found_by_its_name_and_one_of_an_object_is_not(tmp_path):
    found = sbn.sweep(studies.Maker.of_class, {"x": [1, 2]}, tmp_path / "s.zarr", workers=1)
    np.testing.assert_array_equal(found.y, [[1], [2]])
    with pytest.raises(InvalidSetup, match=r"^function: expected"):
        sbn.sweep(studies.Maker().of_object, {"x": [1, 2]}, tmp_path / "other.zarr", workers=1)


def test_kinds_are_what_canonical_descriptions_leave_out():
    assert kind(np.float32(1)) == "numpy.float32 float32"
    assert kind(np.array([1.0])) == "numpy.ndarray float64"
    assert kind(np.array(["ab"])) == kind(np.array(["abc"])) == "numpy.ndarray str"
    assert kind([1]) == kind([1, 2]) == ["list", "int"]
    assert kind((1, 2.0, 3)) == ["tuple", "int", "float", "int"]
    assert kind({"a": 1, "b": None}) == ["dict", ["'a'", "int"], ["'b'", "NoneType"]]
    [(name, parts)] = kind(sbn.OrderParameters(0.5)).items()
    assert name.endswith("OrderParameters")
    assert parts[:2] == ["float", "float"]
    assert kind(sbn.OrderParameters) == "type"


def test_plan_says_what_is_needed(tmp_path):
    function, grid = partial(studies.nap, seconds=0.01), {"x": range(2000)}
    found = sbn.sweeps.plan(function, grid, workers=2)
    assert (found.points, found.workers, found.shape) == (2000, 2, {"x": 2000})
    assert found.store_bytes == 2000 * 8 * (studies.TIME.size + 1)
    assert found.chunks >= 256
    assert 0.005 < found.seconds_per_point < 0.05
    assert 0 <= found.seconds - found.seconds_per_point * 1000 < 1  # of the first point's own
    assert 0 < found.bytes_in_flight < found.store_bytes
    assert sbn.sweeps.plan(studies.nap, {"x": range(50)}, workers=1, chunk_points=10).chunks == 5


def test_a_plan_counts_bytes_and_seconds(monkeypatch):
    """By hand: a point has 48 bytes, and what the first call takes more than others is once."""

    def timed(*arguments):
        return replace(compute(*arguments), seconds=next(times))

    monkeypatch.setattr(sys.modules["statmech_bn.sweeps.plan"], "compute", timed)
    times = iter([9.0, *[0.01] * 8])
    found = sbn.sweeps.plan(studies.nap, {"x": range(2000)}, workers=2)
    assert found.chunks == 286  # of 7 points, 336 bytes and 0.07 s: 14 are a block
    assert found.bytes_in_flight == 2 * 2 * 14 * 336
    assert found.seconds == pytest.approx(8.99 + 10.0)
    for seconds, mean in (([4.0, 2.0], 3.0), ([9.0, 1.0, 3.0], 2.0)):
        times = iter(seconds)
        found = sbn.sweeps.plan(studies.nap, {"x": range(len(seconds))}, workers=5, chunk_points=1)
        assert found.seconds_per_point == pytest.approx(mean)
        assert (found.workers, found.chunks) == (5, len(seconds))
        assert found.seconds == pytest.approx(seconds[0])  # a worker for each point
        assert found.bytes_in_flight == found.store_bytes == 48 * len(seconds)


def test_a_block_is_of_a_second_or_16_mib():
    """A chunk that is larger is a block of its own."""
    chunks = [(9.0, 1), (0.3, 1), (0.3, 2**30), (1e-6, 2**22)]
    assert [run.block_length(*chunk) for chunk in chunks] == [1, 3, 1, 4]


@pytest.mark.parametrize(("seconds", "most"), [(0.5, 2**24), (1e-6, 2 * 3 * 48)])
def test_a_sweep_has_blocks_of_two_chunks(tmp_path, monkeypatch, seconds, most):
    """Two chunks take a second, or have the bytes of a block; a point has 48."""
    sizes = []

    def timed(study, template, parts):
        sizes.append(len(parts))
        return replace(compute(study, template, parts), seconds=seconds * len(parts))

    monkeypatch.setattr(run, "compute", timed)
    monkeypatch.setattr(run, "BLOCK_BYTES", most)
    sbn.sweep(studies.nap, {"x": range(60)}, tmp_path / "run.zarr", workers=1, chunk_points=3)
    assert sizes == [1, 1, 1, *[2] * 8, 1, 1]


def test_a_plan_takes_as_many_points_at_once_as_the_sweep(monkeypatch):
    """Python takes turns, so that two workers need as long as one: points meet in pairs here."""
    meeting, seen = threading.Barrier(2), []

    def meets(x):
        seen.append(x)
        if len(seen) > 1:  # the first point is alone
            meeting.wait(20)
        return xr.Dataset({"y": 1.0 * x})

    monkeypatch.setattr(sys.modules["statmech_bn.sweeps.plan"], "checked", _unchecked)
    found = sbn.sweeps.plan(meets, {"x": range(50)}, workers=2)
    assert (len(seen), found.workers) == (9, 2)


def test_a_plan_by_processes_takes_one_point_after_the_other(monkeypatch):
    """Each process imports before its first point, which a plan would take for all of them."""
    module, sizes = sys.modules["statmech_bn.sweeps.plan"], []

    def waited(pending, **more):
        sizes.append(len(pending))
        return wait(pending, **more)

    @contextmanager
    def pool(*arguments):
        yield _Here(), lambda: 3  # points are computed when they are submitted

    monkeypatch.setattr(module, "executor", pool)
    monkeypatch.setattr(module, "wait", waited)
    sbn.sweeps.plan(studies.nap, {"x": range(50)}, processes=True)
    assert sizes == [1] * 8
    sizes.clear()
    sbn.sweeps.plan(studies.nap, {"x": range(50)})
    assert sizes == [3, 3, 2]


def test_a_plan_keeps_every_thread_busy(monkeypatch):
    """A short point is followed at once by the next one, while a long one goes on."""
    others, calls = threading.Event(), itertools.count(1)

    def waits(x):
        call = next(calls)
        if call == 2 and not others.wait(20):
            raise TimeoutError("The others wait for this point.")
        if call == 9:
            others.set()
        return xr.Dataset({"y": 1.0 * x})

    monkeypatch.setattr(sys.modules["statmech_bn.sweeps.plan"], "checked", _unchecked)
    sbn.sweeps.plan(waits, {"x": range(50)}, workers=2)
    assert next(calls) == 10


def test_a_plan_in_words():
    found = Plan({"x": 3, "y": 2}, 6, 4, 3 * 1024, 1536, 2, 0.25, 75.0)
    assert str(found).splitlines() == [
        "6 points (3 x × 2 y) in 4 chunks",
        "store: 3.00kB, 1.50kB in flight",
        "time: 01:15 on 2 workers, 0.25 s a point",
    ]


def planned(function, grid, _, **more):
    return sbn.sweeps.plan(function, grid, **more)


@pytest.mark.parametrize("make", [sbn.sweep, planned])
def test_workers_are_those_that_are_asked_for(tmp_path, monkeypatch, make):
    def opened(*arguments):
        raise RuntimeError(arguments)

    for name in ("run", "plan"):
        monkeypatch.setattr(sys.modules[f"statmech_bn.sweeps.{name}"], "executor", opened)
    for asked in ((3, True, None), (None, False, "tcp://127.0.0.1:1")):
        more = dict(zip(("workers", "processes", "scheduler"), asked, strict=True))
        with pytest.raises(RuntimeError) as caught:
            make(studies.nap, {"x": [1]}, tmp_path / "run.zarr", **more)
        assert caught.value.args[0] == asked


def test_one_thread_is_the_calling_one():
    for workers in (1, 2):
        with executor(workers, False, None) as (pool, capacity):
            thread = pool.submit(threading.get_ident).result()
        assert (thread == threading.get_ident()) == (workers == 1)
        assert capacity() == workers


def test_an_executor_that_is_left_waits_for_no_thread_and_begins_nothing():
    gate = threading.Event()
    with executor(2, False, None) as (pool, _):
        running = [pool.submit(gate.wait, 5) for _ in range(2)]
        waiting = pool.submit(gate.set)
    assert waiting.cancelled()
    assert not any(future.done() for future in running)
    gate.set()


def test_a_scheduler_needs_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InvalidSetup, match=r"^scheduler: expected None without.*\[cluster\]"):
        sbn.sweep(studies.nap, {"x": [1]}, tmp_path / "run.zarr", scheduler="tcp://127.0.0.1:1")


def test_an_interrupt_ends_the_processes_of_a_pool_and_all_threads(monkeypatch):
    """A handler of the user's may have raised it, which stops no thread."""
    ended, pool = [], object.__new__(ProcessPoolExecutor)
    pool._processes = {n: SimpleNamespace(terminate=partial(ended.append, n)) for n in (3, 5)}
    monkeypatch.setattr("statmech_bn.sweeps.workers.stop_all", partial(ended.append, "threads"))
    _interrupt(pool)
    assert ended == [3, 5, "threads"]
    pool._processes = None  # as it is after a shutdown
    _interrupt(pool)


@pytest.mark.parametrize("make", [sbn.sweep, planned])
def test_functions_that_processes_cannot_import_are_refused(tmp_path, monkeypatch, make):
    """Threads take them: they share the memory that holds the function."""
    monkeypatch.setattr(studies.nap, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "typed"), raising=False)
    for function in (studies.nap, partial(studies.nap)):
        with pytest.raises(InvalidSetup, match=r"^function: expected.* Put it into a file"):
            make(function, {"x": [1]}, tmp_path / "run.zarr", processes=True)
    make(studies.nap, {"x": [1]}, tmp_path / "run.zarr", workers=1)


def test_a_function_of_a_script_is_imported_from_its_file(monkeypatch):
    main = ModuleType("__main__")
    monkeypatch.setattr(studies.nap, "__module__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(InvalidSetup, match=r"^function: expected.* Put it into a file"):
        check_main(studies.nap, True)
    main.__file__ = __file__
    check_main(studies.nap, True)


@pytest.mark.parametrize("make", [sbn.sweep, planned])
def test_a_process_that_imports_the_script_begins_no_sweep(tmp_path, monkeypatch, make):
    """A process that is being spawned has this mark; its own sweep would spawn others."""
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(InvalidSetup, match=r"^processes: expected a script that calls sweep under"):
        make(studies.nap, {"x": [1]}, tmp_path / "run.zarr", processes=True)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple),
    st.integers(1, 200),
)
def test_chunks_cover_a_grid_once(shape, points):
    chunks, covered = Chunks.of(shape, points), np.zeros(shape, int)
    for number in range(len(chunks)):
        covered[chunks.box(number)] += 1
        assert chunks.points(number) <= points
    assert (covered == 1).all()
    assert 4 ** len(shape) * math.prod(chunks.shape) >= min(points, covered.size)


@given(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False) | st.text() | st.booleans()))
def test_seed_does_not_depend_on_the_order_of_axes(point):
    assert point_seed(0, point) == point_seed(0, dict(reversed(point.items())))
    assert point_seed(0, point) != point_seed(1, point)


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 7), (7, 4), (2, 3, 5), (4, 2, 3, 3)])
def test_a_plan_takes_points_of_every_part_of_a_grid(shape):
    indices = np.array(np.unravel_index(spread(shape, 9), shape))
    for axis, length in zip(indices, shape, strict=True):
        counts = np.bincount(axis, minlength=length)
        assert abs(counts - 9 / length).max() < 2.0


def test_points_of_a_plan_are_those_of_roberts():
    """The fractional parts of 1/2 + k/φ, and in the plane by his 0.754878 and 0.569840."""
    golden = (0.5 + np.arange(4) * 0.6180339887) % 1
    assert spread((1000,), 4) == np.floor(1000 * golden).astype(int).tolist()
    plane = (0.5 + np.outer(np.arange(4), [0.7548776662, 0.5698402910])) % 1
    assert spread((10, 100), 4) == (np.floor(plane * [10, 100]) @ [100, 1]).astype(int).tolist()


def test_a_plan_is_right_within_a_factor_of_two(monkeypatch):
    """The first point also compiles, which the others do not: it is not counted."""
    spent = []

    def slow(a):
        if not spent:
            time.sleep(0.3)
            compile_cache.notice.seconds += 0.3
        spent.append(0.01 + 0.02 * (a > 50))
        time.sleep(spent[-1])
        return xr.Dataset({"x": 1.0 * a})

    module = sys.modules["statmech_bn.sweeps.plan"]
    monkeypatch.setattr(module, "checked", _unchecked)
    found = sbn.sweeps.plan(slow, {"a": list(range(100))}, workers=1)
    assert len(spent) <= 9
    assert 1.0 < found.seconds < 4.0  # 2 s
    for name, limit, taken in (("ENOUGH", 0.06, (2, 8)), ("LONG", 0.005, (1, 1))):
        spent.clear()
        monkeypatch.setattr(module, name, limit)
        found = sbn.sweeps.plan(slow, {"a": list(range(100))}, workers=1)
        assert taken[0] <= len(spent) <= taken[1]
        assert found.seconds_per_point < 0.1


def _unchecked(function, grid, seed, chunk_points):
    axes = Grid.of(grid)
    return axes, Study(function, axes.names), {}
