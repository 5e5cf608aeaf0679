"""The shape of a result, and that stores keep all of it."""

import json

import numpy as np
import pytest
import sympy as sp
import xarray as xr

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, InvalidStore

x = sp.Symbol("x")
START = sbn.OrderParameters(0.1)
TIME = np.linspace(0, 2, 5)


@pytest.fixture(params=["macroscopic", "mesoscopic", "microscopic"])
def result(request):
    setup = sbn.TeacherStudent(sp.Max(x, x / 10), "weight", 4, label_noise=0.2, gamma_decay=0.01)
    function = getattr(sbn, request.param)
    more = {} if request.param == "macroscopic" else {"dimension": 5, "replicas": 3, "seed": 7}
    return setup, function(setup, [0.3, 1.0], TIME, START, **more)


def test_shape_and_descriptions(result):
    setup, dataset = result
    replicated = dataset.attrs["level"] != "macroscopic"
    dims = ("learning_rate", "replica", "time") if replicated else ("learning_rate", "time")
    for name in ("overlap", "length", "gamma", "generalization_error"):
        assert dataset[name].dims == dims
        assert dataset[name].dtype == np.float64
    assert dataset.diverged_at.dims == dims[:-1]
    assert np.isnan(dataset.diverged_at).all()
    for variable in dataset.variables.values():
        assert {"long_name", "symbol", "units"} <= set(variable.attrs)
    np.testing.assert_array_equal(dataset.time, TIME)
    np.testing.assert_array_equal(dataset.learning_rate, [0.3, 1.0])
    assert dataset.attrs["version"] == sbn.__version__
    assert json.loads(dataset.attrs["start"]) == {"overlap": 0.1, "length": 1.0, "gamma": 1.0}
    assert sbn.TeacherStudent.from_attrs(dataset.attrs) == setup
    first = dataset.isel(time=0)
    np.testing.assert_allclose(first.overlap, 0.1, rtol=1e-12)
    np.testing.assert_allclose(first.length, 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", ["run.zarr", "run.nc", "deep/er/run.zarr"])
def test_store_gives_back_everything(result, tmp_path, name):
    setup, dataset = result
    sbn.save(dataset, tmp_path / name)
    with sbn.open(tmp_path / name) as found:
        xr.testing.assert_identical(found.load(), dataset)
        assert sbn.TeacherStudent.from_attrs(found.attrs) == setup


@pytest.mark.parametrize("name", ["run.zarr", "run.nc"])
def test_store_keeps_strings(tmp_path, name):
    label = ("student", ["batch norm.", "weight norm."], {"long_name": "student"})
    dataset = xr.Dataset({"error": ("student", [0.5, 1.0])}, {"student": label})
    tree = xr.DataTree.from_dict({"one": dataset, "deep/two": dataset.isel(student=[1])})
    for saved in (dataset, tree):
        sbn.save(saved, tmp_path / name)
        with sbn.open(tmp_path / name) as found:
            xr.testing.assert_identical(found.load(), saved)


def test_a_scalar_learning_rate_drops_no_dim():
    dataset = sbn.macroscopic(sbn.TeacherStudent("linear", "weight", 4), 1.0, TIME, START)
    assert dataset.overlap.shape == (1, 5)


def test_saving_twice_replaces(result, tmp_path):
    _, dataset = result
    for path in (tmp_path / "run.zarr", tmp_path / "run.nc"):
        sbn.save(dataset.isel(time=slice(0, 2)), path)
        sbn.save(dataset, path)
        with sbn.open(path) as found:
            assert found.sizes["time"] == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.nc", "run.zarr"]


def test_a_failed_save_leaves_the_old_store(result, tmp_path):
    _, dataset = result
    path = tmp_path / "run.zarr"
    sbn.save(dataset, path)
    with pytest.raises(InvalidSetup, match="unstorable"):
        sbn.save(dataset.assign_attrs(unstorable=object()), path)
    with sbn.open(path) as found:
        xr.testing.assert_identical(found.load(), dataset)
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_strangers_are_left_alone(result, tmp_path):
    _, dataset = result
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    with pytest.raises(InvalidStore, match="left alone"):
        sbn.save(dataset, folder)
    with pytest.raises(InvalidStore, match="is a file"):
        sbn.save(dataset, folder / "chapter.tex")
    assert (folder / "chapter.tex").read_text() == "years of work"


def test_what_is_saved_comes_first(result, tmp_path):
    with pytest.raises(InvalidSetup, match=r"dataset: expected .*sbn\.save\(data, path\)"):
        sbn.save(tmp_path / "run.zarr", result[1])


def test_opening_what_is_not_there(tmp_path):
    with pytest.raises(InvalidStore, match="no store at"):
        sbn.open(tmp_path / "nothing.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(InvalidStore, match="not a readable store"):
        sbn.open(tmp_path / "empty.zarr")
    (tmp_path / "text.nc").write_text("no")
    with pytest.raises(InvalidStore, match="not a readable store"):
        sbn.open(tmp_path / "text.nc")
