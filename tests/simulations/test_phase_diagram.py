"""Maps and schedules: a small run, and what it must show."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("phase_diagram")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    sizes = {"rates": 13, "noises": (0.0, 0.5), "batch_sizes": (4, 32)}
    store = tmp_path_factory.mktemp("phase_diagram") / "store.zarr"
    with study.results(
        script, script.Options(store=store, dimension=100, replicas=8, **sizes)
    ) as tree:
        yield tree


def test_only_students_without_normalization_diverge_beyond_2m(script, tree):
    maps = tree["maps"].to_dataset()
    linear = maps.sel(activation="linear", student="none")
    beyond = maps["learning_rate"] > 2 * maps["batch_size"]
    assert (linear["diverged_at"].notnull() == beyond).all()
    normalized = maps.sel(student=["weight", "batch"])
    assert normalized.sizes["activation"] == len(script.ACTIVATIONS)
    assert normalized["diverged_at"].isnull().all()
    assert np.isfinite(normalized["generalization_error"]).all()


def test_maps_hold_the_final_values_of_single_runs(script, tree):
    where = {"activation": "relu", "student": "weight", "batch_size": 4, "label_noise": 0.5}
    found = tree["maps"].to_dataset().sel(where)
    setup = sbn.TeacherStudent("relu", "weight", 4, label_noise=0.5)
    rate, time = float(found["learning_rate"][6]), np.linspace(0, 1000, 20_001)
    run = sbn.macroscopic(setup, rate, time, script.START)
    error = found["generalization_error"][6]
    assert run["generalization_error"][0, -1] == pytest.approx(float(error), rel=1e-6)
    crossing = np.interp(0.9, run["overlap"][0], time)
    assert float(found["learning_time"][6]) == pytest.approx(crossing, rel=0.01)
    assert found["learning_time"][0] == np.inf  # too slow
    assert found.attrs["learned"] == script.LEARNED


def test_a_normalized_student_needs_a_schedule_but_no_learning_rate(tree):
    """Above η = 1 the error hardly varies, with any schedule; without normalization it does."""

    def final(student, name):
        run = tree["schedules/macroscopic"].to_dataset().sel(student=student, schedule=name)
        return run["generalization_error"].isel(time=-1).sel(learning_rate=slice(1, 50)).values

    spread = {name: np.ptp(np.log(final("none", name))) for name in ("constant", "cosine")}
    for student in ("weight", "batch"):
        for name in spread:
            assert np.ptp(np.log(final(student, name))) < spread[name] / 3
        assert (final(student, "cosine") < final(student, "constant") / 3).all()


def test_the_chain_follows_its_schedule(script, tree):
    """Within 4 standard errors of its flow, midway and at the end; that of another is beyond 8."""
    levels = [tree[f"schedules/{level}"].to_dataset() for level in ("macroscopic", "mesoscopic")]
    flow, chain = (
        np.log(level["generalization_error"].sel(student="weight").isel(time=[20, 40]))
        for level in levels
    )
    assert flow["schedule"].values.tolist() == list(script.SCHEDULES)
    flow = flow.sel(learning_rate=chain["learning_rate"])
    error = chain.std("replica", ddof=1) / np.sqrt(chain.sizes["replica"])
    deviation = abs(chain.mean("replica") - flow) / error
    assert (deviation < 4).all(), deviation.values
    constant = chain.mean("replica").sel(schedule="constant", drop=True)
    ignored = (abs(constant - flow) / error).max(["time", "learning_rate"])
    others = [name for name in script.SCHEDULES if name != "constant"]
    assert (ignored.sel(schedule=others) > 8).all(), ignored.values


def test_a_schedule_is_the_one_that_its_name_says(script, tree):
    found = tree["schedules/macroscopic"].to_dataset().sel(student="batch", schedule="cosine")
    setup = sbn.TeacherStudent("linear", "batch", script.BATCH_SIZE, script.LABEL_NOISE)
    rate, time = float(found["learning_rate"][2]), found["time"].values
    cosine = sbn.schedules.cosine(100.0)
    run = sbn.macroscopic(setup, rate, time, script.START, schedule=cosine)
    np.testing.assert_allclose(found["overlap"][2], run["overlap"][0], rtol=1e-6)


def test_figures_show_the_maps(script, tree):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert len(figures) == 5
    figure = figures["generalization_error_batch_size"]
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles[0] == "linear, no normalization"
    assert len(titles) == 6
    hatched = [len(axis.collections) - 1 for axis in figure.axes[:6]]
    assert hatched == [2, 0, 0, 2, 0, 0]  # a row for each batch size
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["diverges"]


def grid():
    """Two rows of four cells; one diverges, one does not reach its value."""
    values = np.array([[1.0, 2.0, 3.0, np.inf], [0.5, np.inf, 1.0, 2.0]])
    diverged = np.full((2, 4), np.nan)
    diverged[0, 3] = 7.0
    dims = ("batch_size", "learning_rate")
    return xr.Dataset(
        {"learning_time": (dims, values), "diverged_at": (dims, diverged)},
        {"learning_rate": [0.1, 1.0, 10.0, 100.0], "batch_size": [4, 32]},
    )


def test_a_phase_diagram_is_ordered_in_grey_and_marks_what_has_no_value():
    figure = sbn.plot.phase_diagram({"a": grid()}, "learning_time")
    mesh, *marked = figure.axes[0].collections
    assert mesh.get_array().mask.sum() == 2
    assert {m.get_hatch() for m in marked} == {"////", "...."}
    [dotted] = [m for m in marked if m.get_hatch() == "...."]
    corners = dotted.get_paths()[0].vertices
    np.testing.assert_allclose(corners[:, 0].min(), np.sqrt(0.1))
    np.testing.assert_allclose(corners[:, 0].max(), np.sqrt(10))
    np.testing.assert_allclose([corners[:, 1].min(), corners[:, 1].max()], [0.5, 1.5])
    grey = mesh.cmap(np.linspace(0, 1, 20))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < 0).all()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["diverges", "not reached"]


def test_values_beyond_the_limits_are_drawn_like_them():
    found = grid().assign(learning_time=grid()["learning_time"] * [0.0, 1.0, 1.0, 1e9])
    figure = sbn.plot.phase_diagram({"a": found}, "learning_time", limits=(1.5, 4.0))
    mesh = figure.axes[0].collections[0]
    drawn = mesh.cmap(mesh.norm(mesh.get_array()))
    np.testing.assert_array_equal(drawn[0, 0], mesh.cmap(0.0))
    np.testing.assert_array_equal(drawn[1, 3], mesh.cmap(1.0))
    assert (mesh.norm.vmin, mesh.norm.vmax) == (1.5, 4.0)


def test_a_phase_diagram_names_what_is_missing():
    invalid = sbn.errors.InvalidSetup
    with pytest.raises(invalid, match=r"panels: .*generalization_error"):
        sbn.plot.phase_diagram({"a": grid()})
    with pytest.raises(invalid, match="label_noise"):
        sbn.plot.phase_diagram({"a": grid()}, "learning_time", "label_noise")
    with pytest.raises(invalid, match="panels"):
        sbn.plot.phase_diagram({})
