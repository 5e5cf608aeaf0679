"""What README promises of bits: on what else than its own arguments a value may depend."""

import numpy as np
import pytest

import statmech_bn as sbn

STATES = ("overlap", "length", "gamma", "generalization_error")
START = sbn.OrderParameters(0.1)
RATES = [2.5, 0.3, 5.0]


def chaotic(normalization):
    """Small batches and large steps, which make a last bit grow."""
    return sbn.TeacherStudent("relu", normalization, 3, label_noise=0.5)


def run(level, normalization="batch", rates=RATES, **more):
    setup = sbn.TeacherStudent("relu", normalization, 6, label_noise=0.5)
    if level == "offline.train":
        load = more.pop("load", [1.0, 2.0])
        return sbn.offline.train(setup, load, rates, 50, epochs=20, **{"replicas": 4, **more})
    arguments = {"setup": setup, "learning_rate": rates, "time": [0, 5.0, 20.0], "start": START}
    if level == "macroscopic":
        more.pop("replicas", None)
        return sbn.macroscopic(**arguments, **more)
    function = getattr(sbn, level)
    arguments["setup"] = chaotic(normalization)
    return function(**arguments, **{"dimension": 50, "replicas": 4, "seed": 5, **more})


def assert_same_bits(found, whole, **where):
    for name in STATES:
        np.testing.assert_array_equal(found[name], whole[name].isel(where))


@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
@pytest.mark.parametrize("level", ["macroscopic", "mesoscopic"])
def test_other_learning_rates_do_not_matter(level, normalization):
    rates = [0.1 * rate for rate in RATES] if normalization == "none" else RATES
    whole = run(level, normalization, rates)
    for k, rate in enumerate(rates):
        assert_same_bits(run(level, normalization, [rate]), whole, learning_rate=[k])
    pair = run(level, normalization, rates[::-1][:2])
    assert_same_bits(pair, whole, learning_rate=[2, 1])


LEVELS = ["macroscopic", "mesoscopic", "microscopic", "offline.train"]
TYPED = [
    ("macroscopic", {}),
    ("mesoscopic", {}),
    *(
        (level, {"dtype": dtype})
        for level in ("microscopic", "offline.train")
        for dtype in ("float64", "float32")
    ),
]


@pytest.mark.parametrize("rates", [[5.0], RATES], ids=["one", "three"])
@pytest.mark.parametrize(("level", "more"), TYPED)
def test_workers_do_not_matter(level, more, rates):
    whole = run(level, rates=rates, workers=1, **more)
    for workers in (2, 3):
        assert_same_bits(run(level, rates=rates, workers=workers, **more), whole)


@pytest.mark.thorough
@pytest.mark.parametrize("rates", [[5.0], RATES], ids=["one", "three"])
@pytest.mark.parametrize(("level", "more"), TYPED[1:])
def test_other_replicas_do_not_matter(level, more, rates):
    whole = run(level, rates=rates, **more)
    for replicas in (1, 3):
        found = run(level, rates=rates, replicas=replicas, **more)
        assert_same_bits(found, whole, replica=slice(replicas))


def test_other_loads_do_not_matter():
    assert_same_bits(run("offline.train", load=2.0), run("offline.train"), load=[1])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("level", ["microscopic", "offline.train"])
def test_other_learning_rates_matter_by_rounding_only(level, dtype, tolerance):
    """After few steps; a product of matrices rounds by its shape."""
    setup = sbn.TeacherStudent("erf", "batch", 8, label_noise=0.5)
    short = {"replicas": 4, "dtype": dtype}

    def found(rates):
        if level == "microscopic":
            return sbn.microscopic(setup, rates, [0, 0.2], START, 50, **short)
        return sbn.offline.train(setup, 2.0, rates, 50, epochs=1, **short)

    whole = found(RATES)
    for k, rate in enumerate(RATES):
        for name in STATES:
            expected = whole[name].isel(learning_rate=[k])
            np.testing.assert_allclose(found([rate])[name], expected, tolerance, tolerance)
