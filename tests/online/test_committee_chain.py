"""The chain of committees: determinism, invariances, divergence, and digits after many steps."""

from functools import partial

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, InvalidStore
from statmech_bn.online.chain.triangle import triangularize

pytestmark = pytest.mark.thorough

UNITS = {"student_units": 2, "teacher_units": 3}
SETUP = sbn.TeacherStudent("erf", "batch", 5, 0.3, 0.02, 0.1, readout="learned", **UNITS)
START = sbn.OrderParameters.random(SETUP, 20, seed=0, gamma=0.9, readout=[0.5, 1.0])


def test_results_do_not_depend_on_workers_or_company():
    run = {"time": [0.0, 1.0, 3.0], "start": START, "dimension": 30, "seed": 5}
    one = sbn.mesoscopic(SETUP, [0.5, 2.0], replicas=7, workers=1, **run)
    two = sbn.mesoscopic(SETUP, [0.5, 2.0], replicas=7, workers=2, **run)
    xr.testing.assert_identical(one, two)
    fewer = sbn.mesoscopic(SETUP, [2.0], replicas=3, **run)
    assert fewer.equals(one.isel(replica=slice(0, 3), learning_rate=[1]))
    other = sbn.mesoscopic(SETUP, [0.5, 2.0], replicas=7, **{**run, "seed": 6})
    assert not np.allclose(one.readout[:, :, -1], other.readout[:, :, -1])


def test_the_dataset_has_the_dims_of_the_design_and_comes_back_from_a_store(tmp_path):
    run = sbn.mesoscopic(SETUP, 0.5, [0, 1], START, 30, replicas=4, readout_learning_rate=0.2)
    common = ("learning_rate", "replica", "time")
    assert run["student_teacher"].dims == (*common, "student_unit", "teacher_unit")
    assert run["student_student"].dims == (*common, "student_unit", "other_student_unit")
    assert run["gamma"].dims == run["readout"].dims == (*common, "student_unit")
    assert run["generalization_error"].dims == common
    assert run["diverged_at"].dims == common[:2]
    assert run["readout_learning_rate"].item() == 0.2
    assert all({"long_name", "symbol", "units"} <= v.attrs.keys() for v in run.variables.values())
    for path in ("run.zarr", "run.nc"):
        found = sbn.open(sbn.save(run, tmp_path / path)).load()
        xr.testing.assert_identical(found, run)
        assert sbn.TeacherStudent.from_attrs(found.attrs) == SETUP
    for name, at_start in zip(("student_teacher", "student_student", "gamma", "readout"),
                              START.matrices(SETUP), strict=True):  # fmt: skip
        np.testing.assert_allclose(run[name].isel(learning_rate=0, replica=0, time=0), at_start)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"dimension": 6}, "dimension"),
        ({"start": sbn.OrderParameters()}, "start"),
        ({"inputs": sbn.Spectrum([2, 1], multiplicities=[2, 28])}, "inputs"),
        ({"readout_learning_rate": [1, 2]}, "readout_learning_rate"),
        ({"readout_learning_rate": -1.0}, "readout_learning_rate"),
        ({"setup": sbn.TeacherStudent("erf", "none", 5, **UNITS)}, "start.gamma"),
        ({"time": [1e9], "dimension": 10**6}, "time × dimension"),
        ({"replicas": 10**9}, "replicas"),
    ],
    ids=str,
)
def test_refuses(arguments, name):
    good = {"setup": SETUP, "learning_rate": 1.0, "time": [1.0], "start": START, "dimension": 30}
    with pytest.raises(InvalidSetup, match=f"^{name}.*: expected"):
        sbn.mesoscopic(**good | arguments)


def test_the_fewest_dimensions_are_room_for_units_and_others():
    """Weights need K + K* dimensions, and the chain needs min(K, M) = 2 more."""
    for level, dimension in ((sbn.mesoscopic, 7), (sbn.microscopic, 5)):
        run = level(SETUP, 0.1, [0.0, 1.0], START, dimension)
        assert np.isfinite(run["student_student"]).all()
        with pytest.raises(InvalidSetup, match=r"^dimension: expected an integer"):
            level(SETUP, 0.1, [0.0, 1.0], START, dimension - 1)


def test_the_memory_that_is_checked_is_that_of_the_result(monkeypatch):
    """The result is held twice, and little else."""
    asked = []
    monkeypatch.setattr("statmech_bn.online.arguments.check_work", lambda *a: asked.append(a[3]))
    time = np.linspace(0, 1, 40)
    run = sbn.mesoscopic(SETUP, [0.1, 0.2], time, START, 30, replicas=50, workers=1)
    assert 8 * asked[0] == pytest.approx(2 * run.nbytes, rel=0.1)


def test_a_fixed_second_layer_has_no_learning_rate():
    setup = sbn.TeacherStudent("erf", "batch", 5, **UNITS)
    with pytest.raises(InvalidSetup, match="readout_learning_rate: expected None"):
        sbn.mesoscopic(setup, 1.0, [1.0], START, 30, readout_learning_rate=1.0)
    run = sbn.mesoscopic(setup, 1.0, [0.0, 3.0], START, 30)
    np.testing.assert_array_equal(run.readout[0, 0], [START.readout] * 2)
    assert "readout_learning_rate" not in run.coords


def test_one_unit_keeps_its_own_chain():
    """The general chain of one unit costs more: overlap and length never get there."""
    setup = sbn.TeacherStudent("erf", "batch", 5, student_units=1, teacher_units=1)
    start = sbn.OrderParameters.random(setup, 50, seed=1)
    run = sbn.mesoscopic(setup, 1.0, [0.0, 1.0], start, 50, replicas=2)
    assert "overlap" in run
    assert "student_unit" not in run.dims
    plain = sbn.TeacherStudent("erf", "batch", 5)
    xr.testing.assert_equal(run, sbn.mesoscopic(plain, 1.0, [0.0, 1.0], start, 50, replicas=2))


def test_saturated_units_whose_gradients_have_no_squares_go_on():
    """g' of units of length 30 is down to 10⁻²⁰⁰ on a sample, and its square below all floats."""
    setup = sbn.TeacherStudent("erf", "none", 1, 0.1, **UNITS)
    start = sbn.OrderParameters(
        student_teacher=np.full((2, 3), 0.1), student_student=900 * np.eye(2)
    )
    run = sbn.mesoscopic(setup, 0.1, [0.0, 20.0], start, 100, replicas=4)
    assert np.isnan(run.diverged_at).all()
    moved = run.student_student[0, :, 1, 0, 0] / 900 - 1
    assert (abs(moved) < 0.05).all()
    assert (moved != 0).all()


@pytest.mark.parametrize("level", [sbn.mesoscopic, sbn.microscopic])
def test_divergence_is_a_result(level):
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1, **UNITS)
    start = sbn.OrderParameters.random(setup, 20, seed=0)
    found = level(setup, [0.2, 50.0], np.linspace(0, 200, 9), start, 20, replicas=3)
    calm, wild = found.isel(learning_rate=0), found.isel(learning_rate=1)
    assert np.isnan(calm.diverged_at).all()
    assert np.isfinite(calm.generalization_error).all()
    assert ((wild.diverged_at > 0) & (wild.diverged_at < 200)).all()
    for name in ("student_teacher", "student_student", "gamma", "readout", "generalization_error"):
        assert np.isposinf(wild[name].where(wild.time >= wild.diverged_at, np.inf)).all()
        assert np.isfinite(wild[name].where(wild.time < wild.diverged_at, 0.0)).all()


@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_normalized_students_survive_huge_learning_rates(normalization):
    setup = sbn.TeacherStudent("relu", normalization, 8, label_noise=0.3, **UNITS)
    start = sbn.OrderParameters.random(setup, 200, seed=0)
    found = sbn.mesoscopic(setup, 1e6, [0, 1, 5], start, 200, replicas=5, gamma_learning_rate=0.5)
    assert np.isnan(found.diverged_at).all()
    assert (found.student_student[..., -1, 0, 0] > 1e4).all()


@given(
    normalization=st.sampled_from(["weight", "batch", "ghost(3)"]),
    activation=st.sampled_from(["linear", "relu", "tanh"]),
    factor=st.floats(0.05, 20),
)
def test_scale_invariance(normalization, activation, factor):
    """w(0) → a w(0) with η → a² η leaves γ(t), v(t) and all cosines as they are."""
    setup = sbn.TeacherStudent(activation, normalization, 6, 0.2, 0.01, readout="learned", **UNITS)
    run = {"time": np.linspace(0, 1, 4), "dimension": 40, "gamma_learning_rate": 0.5,
           "readout_learning_rate": 0.5}  # fmt: skip
    starts = [sbn.OrderParameters.random(setup, 40, 3, length=a) for a in (1.0, factor)]
    one = sbn.mesoscopic(setup, 1.0, start=starts[0], **run)
    other = sbn.mesoscopic(setup, factor**2, start=starts[1], **run)
    for name, power in (("gamma", 0), ("readout", 0), ("student_teacher", 1),
                        ("student_student", 2)):  # fmt: skip
        np.testing.assert_allclose(factor**power * one[name], other[name], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dimension", [7, 10**12])
def test_dimension_from_the_smallest_to_a_trillion(dimension):
    """At N = 10¹² two thousand steps move nothing by more than what noise and drive allow."""
    setup = sbn.TeacherStudent("relu", "batch", 4, label_noise=0.3, **UNITS)
    start = sbn.OrderParameters.random(setup, 100, seed=0)
    found = sbn.mesoscopic(setup, 1.0, [0.0, 2000 / dimension], start, dimension, replicas=20)
    moved = found.student_teacher.diff("time").values
    assert np.isfinite(moved).all()
    if dimension > 100:
        assert 0 < np.abs(moved).max() < 1e-7


def test_permuted_units_have_the_same_law():
    """Means of permuted units over 1000 runs, within 4.5 standard errors."""
    setup = sbn.TeacherStudent("relu", "weight", 4, 0.2, student_units=3, teacher_units=2)
    rho = np.array([[0.3, 0.1], [0.0, 0.4], [0.2, -0.2]])
    order = [2, 0, 1]
    found = []
    for seed, units in enumerate(([0, 1, 2], order)):
        start = sbn.OrderParameters(
            student_teacher=rho[units], student_student=(np.eye(3) + 0.1)[np.ix_(units, units)]
        )
        run = sbn.mesoscopic(setup, 1.0, [1.0], start, 15, replicas=1000, seed=seed)
        found.append(run.student_teacher.values[0, :, 0])
    first, second = found[0][:, order], found[1]
    error = np.sqrt((first.var(axis=0) + second.var(axis=0)) / 1000)
    assert (np.abs(first.mean(axis=0) - second.mean(axis=0)) < 4.5 * error).all()


@given(
    rows=st.integers(1, 5),
    more=st.integers(0, 5),
    seed=st.integers(0, 2**32),
    smallest=st.floats(-100, 0),
)
def test_a_triangle_has_the_products_of_its_rows(rows, more, seed, smallest):
    """C = X O: C⁻¹X is orthonormal to rounding, however different the sizes of rows and columns."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows, rows + more))
    x *= 10.0 ** generator.uniform(smallest, 0, (rows, 1))
    c = x.copy()
    triangularize(c)
    assert (np.diag(c) >= 0).all()
    assert not np.triu(c, 1).any()
    size = np.linalg.norm(x, axis=1)
    products = (x / size[:, None]) @ (x / size[:, None]).T
    triangle = c[:, :rows] / size[:, None]
    np.testing.assert_allclose(triangle @ triangle.T, products, atol=1e-14)


def test_a_small_part_beside_a_large_one_keeps_its_digits():
    """The second row's rest, 1e-12 of the row, is known to 1e-12 of itself."""
    x = np.array([[1.0, 1e-9, 0.0], [1.0, 1e-9, 1e-12]])
    triangularize(x)
    np.testing.assert_allclose(x[1, 1], 1e-12, rtol=1e-3)


def test_a_sweep_goes_on_with_the_same_committee_only(tmp_path):
    run = partial(sbn.mesoscopic, setup=SETUP, time=[0.0, 1.0], start=START, dimension=30)
    sweep = partial(sbn.sweep, grid={"learning_rate": [0.5, 1.0]}, store=tmp_path / "s.zarr")
    found = sweep(run).load()
    assert found.student_teacher.dims[-2:] == ("student_unit", "teacher_unit")
    assert sbn.TeacherStudent.from_attrs(found.attrs) == SETUP
    xr.testing.assert_identical(sweep(run).load(), found)
    fixed = sbn.TeacherStudent("erf", "batch", 5, 0.3, 0.02, 0.1, **UNITS)
    with pytest.raises(InvalidStore, match="another sweep"):
        sweep(partial(run, setup=fixed))
