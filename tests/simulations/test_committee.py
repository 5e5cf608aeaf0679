"""What units cost that a student has more than its teacher, against laws of small rates."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, special, stats

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
SIZES = {"units": (2, 4), "noises": (0.0, 0.3), "dimension": 30, "replicas": 4, "duration": 700.0}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("committee")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("committee") / "committee.zarr"
    options = script.Options(**SIZES, store=store, workers=1)
    with study.results(script, options) as tree:
        yield tree


def at_rest(script, normalization, units, length, learning_rate=0.02, time=3000.0):
    """Let a student flow from the teacher's units and silent ones of a length."""
    student = script.setup(normalization, "fixed", units, 0.3)
    rho, lengths = np.eye(units, 2), np.ones(units)
    lengths[2:] = length
    gamma = np.where(np.arange(units) < 2, 1.0, 0.0) if normalization == "weight" else 1.0
    start = sbn.OrderParameters(
        student_teacher=rho, student_student=np.diag(lengths**2), gamma=gamma
    )
    return student, sbn.macroscopic(student, learning_rate, [0.0, time], start, workers=1)


@pytest.mark.parametrize("units", [2, 3])
def test_silent_units_cost_what_goldt_et_al_say(script, units):
    """The flow at a rate of 0.02 within 0.5 %, (ηΔ²/2πM)(K − K* + K*/√3)."""
    _, run = at_rest(script, "none", units, 1e-3)
    law = 0.02 * 0.3**2 / (2 * np.pi * script.BATCH_SIZE) * (units - 2 + 2 / np.sqrt(3))
    assert run["generalization_error"].values[0, -1] == pytest.approx(law, rel=5e-3)


@pytest.mark.parametrize("normalization", ["none", "weight"])
@pytest.mark.parametrize("units", [2, 3])
def test_noise_of_the_weights_makes_the_error(script, normalization, units):
    """The flow at a rate of 0.2 within 1 %; silent units with a scale do not count."""
    student, run = at_rest(script, normalization, units, 1e-3 if normalization == "none" else 1.0,
                           0.2, 400.0)  # fmt: skip
    last = run.isel(learning_rate=0, time=-1)
    found = script.noise_error(student, 0.2, last)
    assert found == pytest.approx(last["generalization_error"].item(), rel=0.01)


def test_active_units_by_an_integral(script):
    """E[g(φ)²] by quadrature; two equal units, one of half the readout."""
    student = script.setup("none", "learned", 3, 0.0)
    lengths, readout = np.array([0.5, 0.5, 2.0]), np.array([1.0, 1.0, 0.5])
    run = xr.Dataset(
        {"student_student": (("a", "b"), np.diag(lengths**2)), "readout": ("a", readout),
         "gamma": ("a", np.ones(3))}
    )  # fmt: skip

    def square(length):
        def integrand(h):
            return special.erf(length * h / np.sqrt(2)) ** 2 * stats.norm.pdf(h)

        return integrate.quad(integrand, -9, 9)[0]

    part = readout**2 * [square(a) for a in lengths]
    assert script.active_units(student, run) == pytest.approx(part.sum() ** 2 / (part**2).sum())


def test_chain_and_flow_without_normalization_end_at_one_error(script):
    """N = 200, four starts: each knows its mean error to some per cent."""
    found = script.final_errors("none", "fixed", 2, 0.3, 200, 4, 300.0, seed=3)
    gap = found["generalization_error"] / found["theory"] - 1
    assert abs(gap.mean()) < 0.05
    assert gap.std() > 1e-4  # the chain fluctuates


def test_scales_silence_units(script, tree):
    runs = tree["student_units"].to_dataset().mean("replica").sel(readout="fixed", student_units=4)
    active = runs["active_units"]
    assert active.sel(normalization="none") > 3
    assert (np.abs(active.sel(normalization=["weight", "batch"]) - 2) < 0.2).all()


def test_verdicts_figures_and_tables(script, tree):
    growth = script.growth(tree["student_units"].to_dataset()).mean("replica")
    growth = growth.sel(normalization="none")
    assert growth.sel(readout="fixed") > 0.2
    assert growth.sel(readout="learned") < -0.1
    verdicts = script.verdicts(tree)
    assert verdicts["batch statistics leave an error without label noise"] == "reproduced"
    assert verdicts["... with batch normalization"] == "with a correction"
    drawn = script.figures(tree)
    assert len(drawn["fixed"]().axes) == 3
    assert drawn["learned"]().axes[0].get_yscale() == "log"
    assert "verdicts" in script.tables(tree)
