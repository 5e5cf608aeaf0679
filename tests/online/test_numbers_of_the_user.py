"""Numbers that a user gives are checked, and an error names the entry; also sizes of a run."""

import time

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.online.arguments import check_work

N = 6
SETUP = sbn.TeacherStudent("erf", "batch", 4)
POPULATION = sbn.TeacherStudent("erf", "population", 4)
START = sbn.OrderParameters(0.1)
ZERO, ONE, IDENTITY = np.zeros(N), np.ones(N), np.eye(N)
NOT_NUMBERS = [
    np.full((4, N), np.nan), np.full((4, N), np.inf), "abc", [["1"] * N] * 4, np.ones((4, N)) * 1j,
    [[None] * N] * 4, np.zeros((4, N), "datetime64[s]"), [[1.0] * N, [1.0]],
    np.array([["1"] * N] * 4, object), np.ma.masked_less(np.arange(4.0 * N).reshape(4, N), 3),
]  # fmt: skip


def normal(generator, samples, dimension):
    return generator.standard_normal((samples, dimension))


def simulate(setup=SETUP, **more):
    arguments = {"learning_rate": 1.0, "time": [0, 1], "start": START, "dimension": N, **more}
    return sbn.microscopic(setup, **arguments)


@pytest.mark.parametrize("part", ["mean", "covariance"])
@pytest.mark.parametrize(
    "values",
    [
        ONE * np.nan,
        -np.inf * ONE,
        "a",
        ["1"] * N,
        1j * ONE,
        [None] * N,
        np.empty(0),
        np.array(["1"] * N, object),
        np.ma.masked_array(ONE, [True] + [False] * (N - 1)),
    ],
)
def test_moments_are_numbers(part, values):
    with pytest.raises(InvalidSetup, match=rf"^inputs\.{part}"):
        sbn.Inputs(normal, **{"mean": ZERO, "covariance": ONE, part: values})


@pytest.mark.parametrize(
    "values",
    [
        np.ones(N - 1), np.eye(N - 1), -ONE, ZERO, 0 * IDENTITY, -IDENTITY,
        1e-20 * (IDENTITY - 0.5 * np.ones((N, N))), 2 * np.ones((N, N)) - IDENTITY,
        IDENTITY + 1e-3 * np.triu(np.ones((N, N)), 1), 1e-12 * np.triu(np.ones((N, N))),
    ],
)  # fmt: skip
def test_a_covariance_is_one(values):
    with pytest.raises(InvalidSetup, match=r"^inputs\.covariance"):
        sbn.Inputs(normal, ZERO, values)


@pytest.mark.parametrize(
    "covariance", [ONE, IDENTITY, np.outer(ONE, ONE), np.diag([0.0] + [1e-30] * 5)]
)
def test_a_covariance_may_be_singular(covariance):
    found = simulate(POPULATION, inputs=sbn.Inputs(normal, ZERO, covariance), time=[0, 0.5])
    assert not np.isnan(found.overlap).any()


def test_moments_have_the_dimension():
    with pytest.raises(InvalidSetup, match=r"inputs\.mean.*\(6,\)"):
        simulate(POPULATION, inputs=sbn.Inputs(normal, np.zeros(5), np.ones(5)))


@pytest.mark.parametrize("values", [*NOT_NUMBERS, np.ones((1, N)), np.empty((5, 0)), ONE, 3.0])
def test_data_are_checked(values):
    with pytest.raises(InvalidSetup, match="inputs"):
        sbn.Inputs(values)


@pytest.mark.parametrize("change", [0.0, 1e-15])
@pytest.mark.parametrize("value", [1.0, 0.1, 1e-150, 1e150])
def test_equal_data_have_no_population(value, change):
    """The mean of three times 0.1 is another number, and a change of a last digit is rounding."""
    data = np.full((3, N), value)
    data[0] *= 1 + change
    with pytest.raises(InvalidSetup, match="samples that vary"):
        simulate(POPULATION, inputs=data)


def test_data_that_single_precision_cannot_hold_are_refused():
    data = np.random.default_rng(0).standard_normal((8, N))
    for setup in (SETUP, POPULATION):
        with pytest.raises(InvalidSetup, match=r"^inputs: .*at most 1e\+15.*float32"):
            simulate(setup, inputs=1e30 * data, dtype="float32")
    with pytest.raises(InvalidSetup, match=r"^inputs: .*vary by.*float32"):
        simulate(POPULATION, inputs=1e6 + data, dtype="float32")
    for setup, inputs in ((SETUP, 1e6 + data), (SETUP, 1e10 * data), (POPULATION, 10 + data)):
        single = simulate(setup, inputs=inputs, dtype="float32", replicas=9)
        assert single.diverged_at.isnull().all()


@pytest.mark.parametrize("as_arrays", [False, True], ids=["compiled", "arrays"])
@pytest.mark.parametrize("values", [*NOT_NUMBERS, np.ones((4, N + 1)), np.ones(N), 1.0, None])
def test_an_error_names_the_step_of_a_bad_sample(values, as_arrays, monkeypatch):
    calls = []

    def broken(generator, samples, dimension):
        calls.append(samples)
        fine = len(calls) < 5  # the test samples, and steps 0, 1 and 2
        return normal(generator, samples, dimension) if fine else values

    if as_arrays:
        monkeypatch.setattr("statmech_bn.online.microscopic.namespace", lambda device: np)
    with pytest.raises(InvalidSetup, match=r"(?s)^inputs.*step 3"):
        simulate(inputs=broken, device="cuda" if as_arrays else "cpu")


def test_what_a_callable_raises_is_named():
    with pytest.raises(InvalidSetup, match=r"inputs, what 'few'.*TypeError.*\(generator, batch"):
        simulate(inputs=sbn.Inputs(lambda generator: None, name="few"))
    with pytest.raises(InvalidSetup, match="training set 0"):
        sbn.offline.train(SETUP, 2, 1.0, N, inputs=lambda *_: np.full((12, N), np.nan), epochs=1)


def test_integers_and_truth_values_are_numbers():
    runs = [
        simulate(inputs=lambda g, m, n, kind=kind: g.integers(2, size=(m, n)).astype(kind))
        for kind in (float, int, bool)
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.overlap, runs[0].overlap)


@pytest.mark.parametrize(
    "values",
    ["abc", ONE * np.nan, ZERO, np.ones(N - 1), IDENTITY, ["a"] * N, 1j * ONE, 1.0, np.inf * ONE],
)
def test_the_teacher_is_checked(values):
    with pytest.raises(InvalidSetup, match="teacher"):
        simulate(teacher=values)


@pytest.mark.parametrize("scale", [2.0**-1060, 1.0, 2.0**1020])
def test_the_teacher_may_have_any_length(scale):
    teacher = np.array([1.0, -1, 0.5, 0, 0.25, 1])
    np.testing.assert_array_equal(
        simulate(teacher=teacher * scale).overlap, simulate(teacher=teacher).overlap
    )


LEVELS = {
    "macroscopic": lambda **more: sbn.macroscopic(
        SETUP, **{"learning_rate": 1.0, "time": [0, 1], "start": START, **more}
    ),
    "mesoscopic": lambda **more: sbn.mesoscopic(
        SETUP, **{"learning_rate": 1.0, "time": [0, 1], "start": START, "dimension": N, **more}
    ),
    "microscopic": simulate,
    "offline.train": lambda **more: sbn.offline.train(
        SETUP, **{"load": 2.0, "learning_rate": 1.0, "dimension": N, "epochs": 1, **more}
    ),
}
BAD_RATES = [np.nan, np.inf, -1.0, 0, [], [[1.0, 2.0]], "1", ["1"], 1j, [1.0, None], [True, "x"]]
BAD = {
    "learning_rate": [*BAD_RATES, None],
    "gamma_learning_rate": [*BAD_RATES, [1.0, 2.0]],
    "start": [None, 0.1, "R", {"overlap": 0.1}, (0.1, 1.0)],
    "workers": [0, 1.5, "2", [1], -1],
}
BAD_TIME = {"time": [np.nan, [0, np.nan], "1", ["0", "1"], [], [[0, 1]], [1, 0], [0, 0], -1, None]}
BAD_COUNTS = {
    "dimension": [2, 2.5, np.nan, np.inf, "6", None, [6], 1j, -6, True, 10**400],
    "replicas": [0, 1.5, np.nan, "2", None, [2], True, -1, 2**70, 10**400],
    "seed": [-1, 0.5, np.nan, "0", None, [0], True, 1j],
    "device": ["gpu", 0, None, ["cpu"], np.array(["cpu", "cuda"])],
}
BAD_DTYPES = ["float16", float, None, np.zeros(2)]
CASES = {
    "macroscopic": {**BAD, **BAD_TIME},
    "mesoscopic": {**BAD, **BAD_TIME, **BAD_COUNTS},
    "microscopic": {**BAD, **BAD_TIME, **BAD_COUNTS, "dtype": BAD_DTYPES},
    "offline.train": {
        **BAD, **BAD_COUNTS, "dtype": BAD_DTYPES,
        "load": [0, -1.0, np.nan, "2", [], [[2.0]], 1e300, 1j, None],
        "epochs": [-1, 0.5, "1", None], "ridge": [-1.0, np.nan, "0"],
        "initializations": [0, "1", 2**70], "history": [5, "ab", [], [3, 2], [0, 99], [0.5]],
        "schedule": [1.0, "cosine", lambda t: np.nan, lambda t: "1", lambda t: -1.0],
        "labels": [ONE], "inputs": ["abc", np.ones((1, N))],
    },
}  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_arguments_of_a_level_are_checked(level):
    for name, values in CASES[level].items():
        for value in values:
            with pytest.raises(InvalidSetup, match=name.split("_")[0]):
                LEVELS[level](**{name: value})


@pytest.mark.parametrize("level", ["macroscopic", "mesoscopic"])
def test_levels_of_gaussian_inputs_name_the_other_one(level):
    for inputs in (normal, np.ones((3, N)), sbn.Inputs(normal)):
        with pytest.raises(InvalidSetup, match=r"(?s)^inputs.*microscopic"):
            LEVELS[level](inputs=inputs)


@pytest.mark.parametrize("level", ["mesoscopic", "microscopic"])
def test_seeds_of_any_size_are_other_ones(level):
    """An integer beyond 2⁵³ is not rounded."""
    seeds = (2**60, 2**60 + 1, np.int64(2**60))
    found = [LEVELS[level](seed=seed).overlap.values for seed in seeds]
    assert (found[0][..., -1] != found[1][..., -1]).all()
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("level", "message", "arguments"),
    [
        ("mesoscopic", r"^time × .*1\.15\S+ × 1000", {"time": [0, 2.0**60], "dimension": 1000}),
        ("mesoscopic", r"^time × .*1e\+07 × 10000", {"time": [0, 1e7], "dimension": 10**12}),
        ("mesoscopic", "^time × dimension", {"time": [0, 1e300], "dimension": 10**300}),
        ("mesoscopic", "^time × dimension", {"time": 2.0**53, "dimension": 3}),
        ("mesoscopic", "^time × dimension.* years", {"time": 1e9, "dimension": 10**6}),
        ("mesoscopic", "years", {"time": 1e6, "dimension": 10**6, "replicas": 10**6}),
        ("microscopic", "^time × dimension", {"time": [0, 2.0**60], "dimension": 1000}),
        ("microscopic", "^time × dimension.* years", {"time": 1e10, "dimension": 1000}),
        ("offline.train", "^epochs × load × dimension.* years", {"epochs": 10**16}),
        ("offline.train", "years", {"load": 1e6, "dimension": 1000, "epochs": 10**7}),
        ("offline.train", "load × dimension", {"load": 1e8, "dimension": 10**8}),
        ("mesoscopic", "replicas.* GiB", {"replicas": 2**30, "time": np.linspace(0, 1, 1000)}),
        ("microscopic", "dimension.* GiB", {"dimension": 10**12, "time": 0.0}),
        ("microscopic", "dimension.* GiB", {"dimension": 10**9, "time": 0.0, "inputs": normal}),
        ("offline.train", "GiB", {"replicas": 2**30, "history": True, "epochs": 1000}),
    ],
)
def test_runs_beyond_time_or_memory_are_refused_at_once(level, message, arguments):
    began = time.process_time()
    with pytest.raises(InvalidSetup, match=message):
        LEVELS[level](**arguments)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("runs", "cores", "device"), [(1, 1, "cpu"), (2, 2, "cpu"), (3, 2, "cpu"), (1, 1e4, "cuda")]
)
def test_a_run_takes_at_most_a_year(monkeypatch, runs, cores, device):
    """A core makes 10⁹ numbers a second; there are two, and a GPU is as fast as 10⁴."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    steps = 365.25 * 86400 * 1e9 * cores / runs / 2.0
    check_work(runs, 0.99 * steps, 2.0, 0.0, device)
    with pytest.raises(InvalidSetup, match="a run of at most a year"):
        check_work(runs, 1.01 * steps, 2.0, 0.0, device)


def test_a_chain_of_many_dimensions_runs():
    found = sbn.mesoscopic(SETUP, 1.0, [0, 1e-9], START, dimension=10**12)
    assert 0 < abs(found.overlap[0, 0, -1] - 0.1) < 1e-4


@pytest.mark.parametrize("rate", [1e-300, 1e150, 1e308])
@pytest.mark.parametrize("level", ["mesoscopic", "microscopic", "offline.train"])
def test_extreme_learning_rates_end_in_numbers(level, rate):
    found = LEVELS[level](learning_rate=rate)
    for name in ("overlap", "length", "gamma", "generalization_error"):
        assert not np.isnan(found[name]).any()


def test_data_of_another_dimension_say_which():
    with pytest.raises(InvalidSetup, match=f"inputs: expected rows.*Set dimension={N - 1}"):
        simulate(inputs=np.ones((12, N - 1)))


def test_labels_are_for_linear_students():
    rows = np.random.default_rng(0).standard_normal((12, N))
    setup = sbn.TeacherStudent("relu", "weight", 2)
    with pytest.raises(
        InvalidSetup, match=r"labels: expected None.*got \['relu'\].*activation='linear'"
    ):
        sbn.microscopic(setup, 1.0, [1.0], sbn.OrderParameters(), N, inputs=rows, labels=rows[:, 0])


def test_the_error_says_what_it_is_measured_on():
    """Rows that are held out give another error, and the labels of the error say which it is."""
    rows = np.random.default_rng(0).standard_normal((12, N))
    seen = simulate(inputs=rows[:6])
    held = simulate(inputs=rows[:6], test_inputs=rows[6:])
    assert (seen.attrs["error_samples"], held.attrs["error_samples"]) == (
        "rows of the inputs", "held out",
    )  # fmt: skip
    assert seen["generalization_error"].attrs["long_name"] == "error on rows that are learned from"
    assert held["generalization_error"].attrs["long_name"] == "generalization error"
    np.testing.assert_array_equal(seen["overlap"], held["overlap"])
    assert (seen["generalization_error"] != held["generalization_error"]).any()
    fresh = simulate(inputs=lambda g, m, n: g.standard_normal((m, n)))
    assert fresh.attrs["error_samples"] == "fresh"
    assert "error_samples" not in simulate().attrs
    for wrong in (rows[:, :-1], [[np.nan] * N]):
        with pytest.raises(InvalidSetup, match="test_inputs"):
            simulate(inputs=rows, test_inputs=wrong)
    with pytest.raises(InvalidSetup, match="test_inputs"):
        simulate(test_inputs=rows)
