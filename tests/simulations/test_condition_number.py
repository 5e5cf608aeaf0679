"""Learning times against closed forms, and what normalization does to them, in a tiny run."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from statmech_bn import study

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
SIZES = {
    "condition_numbers": (1.0, 30.0), "rates": 5, "dimension": 100, "replicas": 4,
    "duration": 30.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        module = importlib.import_module("condition_number")
        patch.setattr(module, "NORMALIZATIONS", ("none", "batch"))
        yield module


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("condition_number") / "condition_number.zarr"
    with study.results(script, script.Options(**SIZES, store=store)) as tree:
        yield tree


@pytest.mark.parametrize("number", [1.0, 7.0, 100.0])
def test_spectra_have_their_condition_number_and_mean_1(script, number):
    inputs = script.spectrum(number)
    assert inputs.eigenvalues.max() / inputs.eigenvalues.min() == pytest.approx(number)
    assert inputs.eigenvalues @ inputs.fractions == pytest.approx(1.0)


def test_isotropic_learning_times_have_a_closed_form(script, tree):
    """Linear, without normalization or noise: ε_g falls at the rate 2η − η²/M below η = 2M."""
    flow = tree["flow"].to_dataset().sel(normalization="none", condition_number=1.0)["hundredth"]
    eta = flow["learning_rate"].values
    rate = 2 * eta - eta**2 / script.BATCH_SIZE
    passage = -np.log(script.SHARE) / rate
    learned = (rate > 0) & (passage < SIZES["duration"])
    np.testing.assert_allclose(flow.values[learned], passage[learned], rtol=1e-3)
    assert np.isnan(flow.values[~learned]).all()


def test_slow_learning_of_many_eigenvalues_has_a_closed_form(script, tree):
    """At small η, ε_g = ½ Σ f_iλ_i e_0 exp(−2ηλ_it) to first order in η."""
    inputs, eta = script.spectrum(30.0), 1.0
    flow = tree["flow"].to_dataset().sel(normalization="none", condition_number=30.0)["hundredth"]
    time = np.linspace(0, 20, 20001)
    rates = 2 * inputs.eigenvalues
    error = np.exp(-np.outer(time, rates)) @ (inputs.fractions * inputs.eigenvalues)
    passage = time[(error <= script.SHARE * error[0]).argmax()]
    found = flow.sel(learning_rate=eta, method="nearest")
    assert float(found["learning_rate"]) == pytest.approx(eta)
    assert float(found) == pytest.approx(passage, rel=0.1)  # η/M = 1/16 is left out


def test_normalized_students_learn_at_any_rate(script, tree):
    times = tree["flow"].to_dataset()["hundredth"]
    rates = times["learning_rate"].values > 2 * script.BATCH_SIZE * 1.5
    none, batch = (times.sel(normalization=name).values[:, rates] for name in ("none", "batch"))
    assert np.isnan(none).all()
    assert np.isfinite(batch).all()
    assert script.verdicts(tree)["more learning rates learn than without normalization, batch"] == (
        "reproduced"
    )


def test_modes_know_both_condition_numbers(script, tree):
    modes = tree["modes"].to_dataset().sel(condition_number=30.0)
    np.testing.assert_allclose(modes["all_directions"], 30.0, rtol=1e-6)
    none, batch = (modes["along_teacher"].sel(normalization=name) for name in ("none", "batch"))
    assert none == pytest.approx(30.0, rel=1e-6)
    assert 1 < batch < none


def test_figures_and_tables(script, tree):
    drawn = script.figures(tree)["learning_time"]()
    titles = [axis.get_title() for axis in drawn.axes if axis.get_title()]
    assert titles == [r"$\kappa = 1$", r"$\kappa = 30$"]
    for axis, number in zip(drawn.axes[:2], SIZES["condition_numbers"], strict=True):
        assert axis.get_xscale() == axis.get_yscale() == "log"
        times = tree["flow"]["hundredth"].sel(condition_number=number)
        for name in ("none", "batch"):
            assert draws(axis, times.sel(normalization=name))
    assert "verdicts" in script.tables(tree)
