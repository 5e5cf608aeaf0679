"""The N-vector simulation as array code: NumPy, the standard, and a GPU's kernels on the host."""

import importlib
import shutil

import array_api_strict
import numpy as np
import pytest
import sympy as sp
from host_kernels import HostKernels
from scipy import stats

import statmech_bn as sbn
from statmech_bn.online.network import stacks
from statmech_bn.random.device import LABELS, SAMPLES, DeviceNormals

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
ACTIVATIONS = ["linear", "relu", "erf", sp.Max(x, x / 5) + sp.sin(x) / 3]
NAMES = ("none", "weight", "population", "batch", "ghost(5)")
VARIABLES = ("overlap", "length", "gamma", "generalization_error")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def everything(normalization, activation="relu", batch_size=5):
    decay = 0.0 if normalization == "none" else 0.05
    if normalization == "ghost(5)":
        batch_size *= 2
    return sbn.TeacherStudent(
        activation, normalization, batch_size, label_noise=0.3, gamma_decay=decay, weight_decay=0.1
    )


def laplace(generator, samples, dimension):
    return 0.3 + generator.laplace(scale=np.linspace(0.5, 1, dimension), size=(samples, dimension))


def normal(dimension):
    """Gaussian inputs whose samples are drawn, as array code draws them."""
    return sbn.Inputs(
        lambda generator, samples, size: generator.standard_normal((samples, size)),
        mean=np.zeros(dimension), covariance=np.ones(dimension),
    )  # fmt: skip


def run(normalization, **more):
    gamma = 1.0 if normalization == "none" else 0.8
    return {
        "learning_rate": [0.5, 1.5], "time": [0, 0.5, 1.5], "dimension": 13, "replicas": 2,
        "start": sbn.OrderParameters(0.3, 1.2, gamma), "seed": 3, **more,
    }  # fmt: skip


@pytest.fixture
def on_both(monkeypatch):
    """Simulate twice: compiled, and as array code where another library stands for the GPU's.

    Compiled code draws no samples of Gaussian inputs; here they are given to it as any inputs.
    """
    module = importlib.import_module("statmech_bn.online.microscopic")

    def simulate(library, setup, **arguments):
        given = {"inputs": normal(arguments["dimension"]), **arguments}
        compiled = sbn.microscopic(setup, **(arguments if "dtype" in arguments else given))
        with monkeypatch.context() as patch:
            patch.setattr(module, "namespace", lambda device: library)
            return compiled, sbn.microscopic(setup, device="cuda", **arguments)

    return simulate


def assert_same(compiled, found, tolerance):
    """Compare two runs; ε_g of inputs that are given is measured, that of others integrated."""
    measured = compiled.attrs["inputs"] == found.attrs["inputs"]
    for name in VARIABLES if measured else VARIABLES[:3]:
        np.testing.assert_allclose(found[name], compiled[name], tolerance, tolerance)
    np.testing.assert_array_equal(found.diverged_at, compiled.diverged_at)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("normalization", NAMES)
@pytest.mark.parametrize("library", [np, array_api_strict], ids=["numpy", "strict"])
def test_array_code_makes_the_compiled_steps(library, normalization, activation, on_both):
    """The same numbers in the same order: equal to rounding, with all that a setup can have."""
    setup = everything(normalization, activation)
    arguments = run(normalization, schedule=sbn.schedules.cosine(3.0))
    assert_same(*on_both(library, setup, **arguments), 1e-12)
    data = np.random.default_rng(1).standard_t(7, size=(50, 13)) + 0.3
    assert_same(*on_both(library, setup, inputs=data, **arguments), 1e-12)
    compiled, found = on_both(library, setup, inputs=laplace, **arguments)
    assert_same(compiled, found, 1e-12)
    assert found.attrs["array_library"] == f"{library.__name__} {library.__version__}"


@pytest.mark.parametrize("normalization", NAMES)
@pytest.mark.parametrize("library", [np, array_api_strict], ids=["numpy", "strict"])
def test_array_code_makes_them_in_single_precision(library, normalization, on_both):
    arguments = run(normalization, dtype="float32", inputs=laplace)
    compiled, found = on_both(library, everything(normalization, "erf"), **arguments)
    assert_same(compiled, found, 1e-5)


def test_divergence_is_the_same(on_both):
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1)
    arguments = run("none", learning_rate=[0.5, 50.0], time=np.linspace(0, 200, 9))
    compiled, found = on_both(np, setup, **arguments)
    assert_same(compiled, found, 1e-10)
    assert np.isfinite(found.diverged_at.isel(learning_rate=1)).all()
    single = sbn.microscopic(setup, dtype="float32", **arguments)
    assert (single.diverged_at < compiled.diverged_at).isel(learning_rate=1).all()
    assert np.isnan(single.diverged_at).isel(learning_rate=0).all()


def test_blocks_and_stacks_leave_no_trace(on_both, monkeypatch):
    arguments = run("batch", replicas=3)
    _, whole = on_both(np, everything("batch"), **arguments)
    monkeypatch.setattr(stacks, "BLOCK_SIZE", 1000)
    monkeypatch.setattr(stacks, "STACK_SIZE", 200)
    _, parts = on_both(np, everything("batch"), **arguments)
    assert_same(whole, parts, 1e-13)


def z_scores(first, second):
    """Differences of means over replicas, in standard errors, for each variable and rate."""
    scores = []
    for name in VARIABLES[:3]:
        a, b = (found[name].isel(time=-1) for found in (first, second))
        error = np.sqrt((a.var("replica") + b.var("replica")) / a.sizes["replica"])
        if error.all():  # γ of none is always 1
            scores.append(((a.mean("replica") - b.mean("replica")) / error).values)
    return np.array(scores)


@needs_compiler
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kernels_of_a_gpu_are_right(dtype, on_both):
    """Its CUDA source, run on the host: the same steps, and the same law with its own normals."""
    setup = everything("batch", "erf", batch_size=8)
    arguments = run("batch", dtype=dtype)
    library, tolerance = HostKernels(), 1e-12 if dtype == "float64" else 1e-5
    assert_same(*on_both(library, setup, inputs=laplace, **arguments), tolerance)
    compiled, found = on_both(library, setup, **{**arguments, "replicas": 500})
    assert np.abs(z_scores(compiled, found)).max() < 3.5  # of 6
    for name in VARIABLES[:3]:
        a, b = (data[name].isel(time=-1, learning_rate=0) for data in (compiled, found))
        assert stats.ks_2samp(a, b).pvalue > 1e-3, name


@needs_compiler
def test_normals_of_a_counter():
    library = HostKernels()
    drawn = DeviceNormals(library, 5, range(2, 6)).draw(SAMPLES, 10, 50, 1001, "float64")
    assert drawn.shape == (50, 4, 1001)
    part = DeviceNormals(library, 5, range(3, 5)).draw(SAMPLES, 20, 7, 333, "float64")
    np.testing.assert_array_equal(part, drawn[10:17, 1:3, :333])
    single = DeviceNormals(library, 5, range(2, 6)).draw(SAMPLES, 10, 1, 1001, "float32")
    np.testing.assert_array_equal(single, drawn[:1].astype("float32"))
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 1e-3
    assert np.unique(drawn).size == drawn.size
    for purpose, seed in ((LABELS, 5), (SAMPLES, 6)):
        other = DeviceNormals(library, seed, range(2, 6)).draw(purpose, 10, 50, 1001, "float64")
        assert abs(np.corrcoef(drawn.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(drawn.size)


@pytest.mark.parametrize("normalization", NAMES)
def test_single_precision_is_close_to_double(normalization):
    """The same samples, rounded; R, L and γ follow to the accuracy of the weights."""
    for learning_rate in (0.5, [0.5, 1.5]):
        arguments = run(
            normalization, learning_rate=learning_rate, time=[0, 5.0], dimension=200,
            inputs=normal(200),
        )  # fmt: skip
        double = sbn.microscopic(everything(normalization, "erf"), **arguments)
        single = sbn.microscopic(everything(normalization, "erf"), dtype="float32", **arguments)
        for name in VARIABLES:
            np.testing.assert_allclose(single[name], double[name], rtol=2e-5, atol=2e-6)
        assert not (single.overlap == double.overlap).any()
        assert single.attrs["dtype"] == "float32"


GPU = {"learning_rate": [0.3, 1.0], "time": [0.0, 2.0], "dimension": 200}


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("normalization", NAMES)
def test_gpu_and_cpu_have_the_same_law(normalization, dtype):
    setup = everything(normalization, ACTIVATIONS[-1], batch_size=8)
    arguments = run(normalization, **GPU, replicas=400, dtype=dtype)
    scores = z_scores(
        sbn.microscopic(setup, **arguments), sbn.microscopic(setup, device="cuda", **arguments)
    )
    assert np.abs(scores).max() < 4  # of 6, eight times


@pytest.mark.gpu
@pytest.mark.parametrize("normalization", NAMES)
def test_gpu_makes_the_same_steps_with_given_inputs(normalization):
    setup = everything(normalization, "erf")
    data = np.random.default_rng(1).standard_t(7, size=(50, 13)) + 0.3
    for inputs in (data, laplace):
        arguments = run(normalization, inputs=inputs)
        compiled = sbn.microscopic(setup, **arguments)
        found = sbn.microscopic(setup, device="cuda", **arguments)
        assert_same(compiled, found, 1e-10)
        assert found.attrs["array_library"].startswith("cupy")


@pytest.mark.gpu
def test_gpu_is_reproducible():
    arguments = run("batch", **GPU, replicas=20)
    first, second = (
        sbn.microscopic(everything("batch"), device="cuda", **arguments) for _ in range(2)
    )
    assert first.identical(second)
    often = {**arguments, "time": np.linspace(0, 2, 5)}
    recorded = sbn.microscopic(everything("batch"), device="cuda", **often).isel(time=[0, -1])
    np.testing.assert_array_equal(recorded.overlap, first.overlap)
    fewer = sbn.microscopic(everything("batch"), device="cuda", **{**arguments, "replicas": 3})
    np.testing.assert_allclose(fewer.overlap, first.overlap[:, :3], rtol=1e-10)


@pytest.mark.gpu
def test_gpu_memory_does_not_grow_with_steps():
    import cupy

    pool, used = cupy.get_default_memory_pool(), []
    for time in (1.0, 10.0):
        pool.free_all_blocks()
        arguments = run("batch", **{**GPU, "time": [time], "dimension": 2000}, replicas=4)
        assert stacks.BLOCK_SIZE < 4 * 8 * 2000 * 2000, "several blocks in either run"
        sbn.microscopic(everything("batch", batch_size=8), device="cuda", **arguments)
        used.append(pool.total_bytes())
    assert used[1] < 1.1 * used[0]
