"""What the explorer computes is what the library computes, and it is bounded."""

import io
import zipfile

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn.explore import curves, files, partition
from statmech_bn.explore.code import python
from statmech_bn.explore.equations import equations
from statmech_bn.explore.state import State

STATE = State("linear", ("none", "batch"), 0.7, 8, 0.3, gamma_decay=0.1, gamma=0.5, duration=5.0)


def test_curves_are_those_of_the_library():
    found = curves.theory(STATE)
    time, rate = np.linspace(0, 5, 201), 0.7
    plain = sbn.macroscopic(
        sbn.TeacherStudent("linear", "none", 8, 0.3), rate, time, sbn.OrderParameters(0.05)
    )
    batch = sbn.macroscopic(
        sbn.TeacherStudent("linear", "batch", 8, 0.3, 0.1), rate, time,
        sbn.OrderParameters(0.05, gamma=0.5),
    )  # fmt: skip
    xr.testing.assert_identical(found["none"], plain)
    xr.testing.assert_identical(found["batch"], batch)


def test_the_final_error_does_not_depend_on_the_present_learning_rate():
    found = curves.final_error(STATE)
    assert curves.final_error(STATE.changed(learning_rate=2.0)) is found
    rate = float(found["batch"]["learning_rate"][20])
    here = curves.theory(STATE.changed(learning_rate=rate))["batch"]
    np.testing.assert_allclose(
        found["batch"]["generalization_error"][20, -1], here["generalization_error"][0, -1], 1e-5
    )


def test_a_student_that_cannot_be_has_a_message():
    found = curves.theory(STATE.changed(normalizations=("weight", "ghost(8)"), batch_size=9))
    assert isinstance(found["weight"], xr.Dataset)
    assert found["ghost(8)"].startswith("ghost(8): batch_size: expected a multiple")


def test_the_chain_is_asked_for_and_bounded():
    assert curves.chain(STATE) == {}
    few = STATE.changed(chain=True, dimension=10, normalizations=("weight",))
    assert curves.chain(few)["weight"].sizes["replica"] == curves.REPLICAS
    many = few.changed(dimension=10_000, duration=100.0, batch_size=256)
    assert "at most 5e+07 samples" in curves.chain(many)["weight"]


def test_inputs_have_a_spectrum():
    found = curves.theory(STATE.changed(exponent=1.0, normalizations=("weight",), duration=1.0))
    assert found["weight"].sizes["block"] == curves.BLOCKS


UNITS = State("erf", ("none", "weight"), 0.8, 8, 0.3, student_units=3, teacher_units=2)


@pytest.mark.thorough
def test_units_start_at_their_overlap_and_learn_as_the_library_says():
    """The start has the products of weights that are written out."""
    setup = sbn.TeacherStudent("erf", "weight", 8, 0.3, student_units=3, teacher_units=2)
    across = 2 * np.sqrt(1 - 0.05**2) * np.eye(3)
    along = 2 * 0.05 * np.array([[1, 0], [0, 1], [1, 0]])
    weights = np.concatenate([along, across], axis=1)  # of the student, in w*_1, w*_2 and others
    start = sbn.OrderParameters(student_teacher=along, student_student=weights @ weights.T)
    found = curves.theory(UNITS.changed(length=2.0))["weight"]
    expected = sbn.macroscopic(setup, 0.8, curves.times(UNITS), start)
    np.testing.assert_allclose(found["student_teacher"], expected["student_teacher"], 1e-9, 1e-9)
    first = [part.isel(time=0, learning_rate=0) for part in curves.pairs(found)]
    cosines = [round(float(part["overlap"]), 9) for part in first]
    assert cosines == [0.05, 0, 0, 0.05, 0.05, 0]
    assert {round(float(part["length"]), 9) for part in first} == {2.0}


@pytest.mark.thorough
def test_units_whose_flow_takes_minutes_are_not_drawn():
    for state in (UNITS.changed(activation="tanh"), UNITS.changed(normalizations=("batch",))):
        found = curves.theory(state)
        assert all("take minutes" in text for text in found.values())
        assert all("take minutes" in text for text in curves.final_error(state).values())
    band = curves.chain(UNITS.changed(normalizations=("batch",), chain=True, dimension=10,
                                      duration=1.0))  # fmt: skip
    assert band["batch"].sizes["replica"] == curves.REPLICAS


def test_one_unit_has_one_pair():
    [pair] = curves.pairs(curves.theory(STATE)["batch"])
    xr.testing.assert_identical(pair, curves.theory(STATE)["batch"])


@pytest.mark.thorough
def test_prepared_averages_are_those_of_the_flow(monkeypatch):
    """After them, no integral over batches is left to be done."""
    monkeypatch.setattr("statmech_bn.averages.kept.cache_folder", lambda: None)
    state = State("softplus", ("batch",), batch_size=9, gamma=2.5, duration=1.0)
    curves.prepare(state)
    monkeypatch.setattr("statmech_bn.averages.choice.Quadrature.batch_averages", None)
    assert isinstance(curves.theory(state)["batch"], xr.Dataset)


@pytest.mark.parametrize(
    "state",
    [
        STATE,
        STATE.changed(normalizations=("batch",)),
        STATE.changed(activation="Max(x, x/10)", normalizations=("none", "weight")),
        pytest.param(
            STATE.changed(chain=True, dimension=10, exponent=0.5, duration=1.0),
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            UNITS.changed(chain=True, dimension=10, duration=1.0, gamma=0.7),
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["usual", "one", "typed", "chain", "units"],
)
def test_the_copied_lines_make_the_figure(state):
    lines = python(state)
    assert len(lines.splitlines()) == 5
    names = {}
    exec(lines, names)
    found, chains = curves.theory(state), curves.chain(state)
    assert list(names["runs"]) == list(found)
    for name, results in names["runs"].items():
        expected = [found[name], *([chains[name]] if chains else [])]
        for result, wanted in zip(results, expected, strict=True):
            xr.testing.assert_identical(result, wanted)
    assert len(names["figure"].axes) == 4


def test_equations_are_those_of_the_flow():
    none, batch = equations(STATE.changed(activation="relu"))
    assert none.flow == sbn.codegen.latex(sbn.symbolic.order_parameter_flow("none"))
    assert "arcsin" in none.averages
    assert batch.averages == ""
    assert "no closed form" in batch.note
    [block] = equations(STATE.changed(exponent=1.0, normalizations=("weight",)))
    assert r"\rho_{i}" in block.flow
    assert r"\bar{s}" in block.flow
    [units] = equations(UNITS.changed(normalizations=("weight",)))
    assert r"\frac{d\rho_{kn}}{dt}" in units.flow
    assert "s_{k}" in units.flow
    assert "s_{k}" not in equations(UNITS)[0].flow
    assert "continuous" in equations(STATE.changed(activation="Heaviside(x)"))


@pytest.mark.thorough
def test_downloads_can_be_opened(tmp_path):
    small = STATE.changed(chain=True, dimension=10, duration=1.0)
    (tmp_path / "got.nc").write_bytes(files.netcdf(small))
    found = sbn.open(tmp_path / "got.nc")
    xr.testing.assert_identical(
        found["batch/macroscopic"].to_dataset().load(), curves.theory(small)["batch"]
    )
    assert sbn.TeacherStudent.from_attrs(found["batch/mesoscopic"].attrs).gamma_decay == 0.1
    found.close()
    with zipfile.ZipFile(io.BytesIO(files.zarr(small))) as archive:
        archive.extractall(tmp_path)
    assert set(sbn.open(tmp_path / "explorer.zarr").children) == {"none", "batch"}
    assert files.pdf(small).startswith(b"%PDF")
    cut = small.changed(tab="partition", units=4)
    assert files.pdf(cut).startswith(b"%PDF")
    (tmp_path / "cut.nc").write_bytes(files.netcdf(cut))
    with sbn.open(tmp_path / "cut.nc") as tree:
        assert set(tree.children) == {"none", "batch"}


@pytest.mark.thorough
def test_downloads_of_units_can_be_opened(tmp_path):
    assert files.pdf(UNITS).startswith(b"%PDF")
    (tmp_path / "units.nc").write_bytes(files.netcdf(UNITS))
    with sbn.open(tmp_path / "units.nc") as units:
        kept = units["weight/macroscopic"].to_dataset().load()
    xr.testing.assert_identical(kept, curves.theory(UNITS)["weight"])


def test_partitions_follow_the_batch():
    """Lines of the first layer go through the origin, and with BN through the batch's mean."""
    state = State(units=8, data_batch=20, shift=2.0)
    found = partition.partitions(state)
    batch = found["batch"]["points"].values[:20].mean(axis=0)
    for name, centre in (("none", np.zeros(2)), ("batch", batch)):
        ends = found[name]["segment"].values[found[name]["segment_layer"].values == 0]
        along = ends[:, 1] - ends[:, 0]
        away = centre - ends[:, 0]
        cross = along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0]
        np.testing.assert_allclose(cross / np.linalg.norm(along, axis=1), 0, atol=1e-9)
    other = partition.partitions(state.changed(data_batch=200))
    assert not np.allclose(other["batch"]["points"].values[:200].mean(axis=0), batch)
