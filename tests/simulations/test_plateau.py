"""How long a committee stays on its plateau, against the flow's Jacobian, in a tiny run."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
SIZES = {
    "dimensions": (50, 200), "rates": (2.0, 4.0), "batch_sizes": (8, 32), "usual_dimension": 50,
    "replicas": 5, "duration": 250.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("plateau")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("plateau") / "plateau.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "decay_of_one_unit", lambda size: 0.12 / size)  # nearly so, at once
        with study.results(script, script.Options(**SIZES, store=store, workers=1)) as tree:
            yield tree


def test_the_time_of_a_passage_lies_between_two_times(script):
    time = np.array([0.0, 10.0, 20.0])
    assert script.passage(np.array([0.1, 0.4, 0.8]), time) == pytest.approx(12.5)
    assert script.passage(np.array([0.1, 0.2, 0.3]), time) == 20.0
    assert script.passage(np.array([0.6, 0.2, 0.3]), time) == 0.0


def test_specialization_is_1_of_the_teacher_itself_and_0_of_equal_units(script):
    student = script.setup("none", 4)
    for rho, square, expected in ([np.eye(2), 4.0, 0.5], [np.full((2, 2), 0.5), 1.0, 0.0]):
        start = sbn.OrderParameters(
            student_teacher=rho, student_student=square * np.eye(2) if expected else np.ones((2, 2))
        )
        run = sbn.macroscopic(student, 1.0, [0.0], start)
        assert script.specialization(run).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("normalization", ["weight", "gamma decay"])
def test_the_length_grows_like_ln_n_at_the_escape_rate(script, normalization):
    """Starts of one random direction differ by N^(−1/2); λ_s is of the Jacobian."""
    student, rate = script.setup(normalization, 1000), 0.1
    escape = sbn.rates.plateau(student, rate)["escape_rate"].item()
    time = np.linspace(0, 1200 / rate, 4001)
    lengths = []
    for dimension in (10**8, 10**12):
        start = sbn.OrderParameters.random(student, dimension, seed=0)
        run = sbn.macroscopic(student, rate, time, start)
        lengths.append(script.passage(script.specialization(run), time))
    slope = np.diff(lengths).item() / np.log(1e4)
    assert slope == pytest.approx(1 / (2 * escape), rel=5e-3)


def test_without_the_penalty_the_saddle_is_that_of_the_flow(script):
    """Saddle and escape rate of ε_g alone against the Jacobian of the flow at η → 0."""
    found = script.penalty(8, "none")
    flow = sbn.rates.plateau(script.setup("weight", 8), 1e-3)
    assert found["parting"].item() == pytest.approx(0.0, abs=2e-3)
    assert found["escape_rate"].item() == pytest.approx(flow["escape_rate"].item() / 1e-3, rel=5e-3)
    assert found["mixing"].item() == pytest.approx(0.0, abs=1e-5)
    assert found["generalization_error"].item() == pytest.approx(0.0, abs=1e-9)


def test_the_coupling_speeds_the_escape_by_a_share_of_order_1_over_m(script):
    """Units part on the plateau, and it is left sooner; without the coupling by ten times less."""
    none = script.penalty(1024, "none")["escape_rate"].item()
    found = {(size, terms): script.penalty(size, terms)
             for size in (1024, 4096) for terms in ("own", "coupled")}  # fmt: skip
    share = {key: values["escape_rate"].item() / none - 1 for key, values in found.items()}
    assert share[1024, "coupled"] == pytest.approx(0.014, rel=0.05)
    assert share[1024, "coupled"] / share[4096, "coupled"] == pytest.approx(4, rel=0.15)
    assert share[1024, "coupled"] > 10 * share[1024, "own"]
    parting = [found[size, "coupled"]["parting"].item() for size in (1024, 4096)]
    assert parting[0] / parting[1] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("size", [8, 32])
def test_the_decay_of_one_unit_rests_where_batch_statistics_do(script, size):
    decays = sbn.TeacherStudent("erf", "weight", size, gamma_decay=script.decay_of_one_unit(size))
    start = sbn.OrderParameters(overlap=1.0)
    gamma = [
        sbn.macroscopic(setup, 0.1, [1000.0], start)["gamma"].item()
        for setup in (decays, sbn.TeacherStudent("erf", "batch", size))
    ]
    assert gamma[0] == pytest.approx(gamma[1], rel=1e-3)
    assert gamma[0] < 1 - 1 / size


@pytest.mark.slow
def test_the_penalty_has_the_saddle_of_the_flow_with_batch_statistics(script):
    """M = 16, where terms beyond the order 1/M are a percent."""
    found = script.penalty(16, "coupled")
    flow = sbn.rates.plateau(script.setup("batch", 16), 0.02)
    assert 1 - found["parting"].item() == pytest.approx(flow["mutual_overlap"].item(), rel=0.02)
    assert found["escape_rate"].item() == pytest.approx(flow["escape_rate"].item() / 0.02, rel=0.02)


def test_chain_and_flow_without_normalization_have_one_length(script):
    found = script.plateaus("none", 32, 1.0, 1000, replicas=6, duration=200.0, seed=3)
    gap = found["plateau_length"] / found["theory"] - 1
    assert abs(gap.mean()) < 0.05
    assert (found["mixing"] < 5e-3).all()  # when it ends, it still learns


def test_small_batches_mix_units_as_the_penalty_says(script, tree):
    """At M = 32 within a fifth: terms of higher order and the learning rate are a tenth."""
    law = tree["penalty"].to_dataset().sel(batch_size=32, terms="coupled")
    found = script.plateaus("batch", 32, 1.0, 200, replicas=2, duration=350.0, seed=1).mean()
    assert found["mixing"].item() == pytest.approx(law["mixing"].item(), rel=0.2)
    error = law["generalization_error"].item()
    assert found["generalization_error"].item() == pytest.approx(error, rel=0.35)


def test_verdicts_figures_and_tables(script, tree):
    lengths = tree["batch_size"].to_dataset()["plateau_length"].mean("replica")
    assert (lengths.sel(normalization="batch") > 1.5 * lengths.sel(normalization="none")).all()
    verdicts = script.verdicts(tree)
    assert verdicts["the coupling of units parts them on the plateau"] == "reproduced"
    assert verdicts["the coupling of units mixes them at the end"] == "the opposite"
    drawn = script.figures(tree)
    assert len(drawn["length"]().axes) == 3
    errors = drawn["batches"]().axes[1]
    assert errors.get_xscale() == errors.get_yscale() == "log"
    tables = script.tables(tree)
    assert "verdicts" in tables
    effect, _ = script.claims(tree)["mixing falls like 1/M"]
    power = tables["powers of M, chain with batch"]["mixing"].item()
    assert power == pytest.approx(-effect.mean().item())
