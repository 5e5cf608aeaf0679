"""The scripts of finite training sets: tiny runs, their stores, tables and figures."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {
    "generalization": {
        "loads": (0.5, 4.0),
        "digit_loads": (0.5, 4.0),
        "dimension": 60,
        "replicas": 3,
        "epochs": 20,
    },
    "batch_size": {"sizes": (3, 6, 12), "dimension": 30, "replicas": 3, "epochs": 20},
    "large_learning_rate": {"rates": 3, "dimension": 140, "replicas": 3, "epochs": 30},
}


@pytest.fixture(scope="module", params=TINY)
def run(request, tmp_path_factory):
    """Name, module and store of a tiny run."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        script = importlib.import_module(request.param)
        options = script.Options(
            store=folder / f"{request.param}.zarr",
            figures=folder / "figures",
            **TINY[request.param],
        )
        study.run(script.parts(options), script.figures, options)
        yield request.param, script, options


def test_a_store_holds_every_part(run):
    _, script, options = run
    with sbn.open(options.store) as tree:
        assert {node.name for node in tree.leaves} == set(script.parts(options))
        for node in tree.leaves:
            error = node["excess_error" if node.name == "correction" else "generalization_error"]
            assert np.isfinite(error).all()
            assert "varepsilon_g" in error.attrs["symbol"]


def test_figures_are_written(run):
    name, _, options = run
    names = ["digits", "error"] if name == "generalization" else ["error"]
    assert sorted(path.name for path in options.figures.iterdir()) == [
        f"{name}_{figure}.{kind}" for figure in names for kind in ("pdf", "png")
    ]


def test_tables_are_finite_numbers(run):
    name, script, options = run
    with sbn.open(options.store) as tree:
        tables = script.tables(tree)
    for table in tables.values():
        assert len(table) > 1
        assert (table["standard error"] > 0).all()
        assert np.isfinite(table.drop(columns="errors away", errors="ignore")).all(axis=None)
    if name == "generalization":
        table = tables["digits"]
        np.testing.assert_allclose(table["ratio"], table["measured"] / table["theory"])
        with sbn.open(options.store) as tree:
            errors = tree["digits"].to_dataset()["generalization_error"].mean("replica")
            np.testing.assert_allclose(table["measured"], errors.values.ravel())


@pytest.fixture
def script(monkeypatch, request):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module(request.param)


@pytest.mark.parametrize("script", ["batch_size"], indirect=True)
def test_the_optimum_is_found_with_its_error(script):
    """Parabolas in log M with noise: within 4 standard errors, which the noise predicts."""
    rng = np.random.default_rng(0)
    size, number, noise = np.array([3, 5, 8, 12, 18, 27, 40]), 400, 0.05
    truth = np.log(size / 10) ** 2
    error = truth + noise * rng.standard_normal((number, size.size))
    run = xr.Dataset(
        {"generalization_error": (("replica", "batch_size"), error)}, {"batch_size": size}
    )
    best, spread = script.optimum(run, 10.0)
    assert abs(best - 10) < 4 * spread
    logs = np.log(size)
    near = np.abs(logs - np.log(10)) < np.log(script.NEAR)
    slopes = np.linalg.pinv(np.vander(logs[near], 3))[:2]  # of the fit: a x² + b x
    gradient = -slopes[1] / 2 - slopes[0] * np.log(10)  # of −b/(2a) at a = 1, b = −2 log 10
    expected = 10 * noise / np.sqrt(number) * np.linalg.norm(gradient)
    assert spread == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("script", ["generalization"], indirect=True)
def test_digits_are_white(script):
    pytest.importorskip("sklearn")
    images, labels = script.digits()
    covariance = images.T @ images / len(images)
    np.testing.assert_allclose(covariance, np.eye(script.COMPONENTS), atol=1e-10)
    assert labels.mean() == pytest.approx(0, abs=1e-12)
