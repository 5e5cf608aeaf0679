"""Inputs with a covariance: chain, N weights and flow agree, and with λ = 1 nothing is new.

`structured_numbers.json` has means and spreads of ρ_i, Q_i and γ of an independent implementation.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from scipy import stats
from scipy.linalg import expm

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.normalization import normalization as as_normalization
from statmech_bn.online.flow.blocks import _flow
from statmech_bn.online.flow.derivatives import flow_function
from statmech_bn.symbolic import structured_flow as block

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
USER_ACTIVATION = sp.Max(x, x / 5) + sp.sin(x) / 3
NORMALIZATIONS = ("none", "weight", "population", "batch")
SMALLEST_P = 1e-5  # over about 1000 comparisons with fixed seeds
CASES = json.loads(Path(__file__).with_name("structured_numbers.json").read_text())["cases"]
THREE = {"eigenvalues": [3, 1, 0.2], "teacher": [0.3, 0.4, 0.3]}
RAMP = np.arange(1.0, 21)
MULTIPLICITIES = {
    "4, 6, 10": sbn.Spectrum(**THREE, multiplicities=[4, 6, 10]),
    "1, 1, 18": sbn.Spectrum(**THREE, multiplicities=[1, 1, 18]),
    "20 × 1": sbn.Spectrum(
        np.geomspace(3, 0.1, 20), multiplicities=np.ones(20, int), teacher=RAMP / RAMP.sum()
    ),
}
SPECTRUM = MULTIPLICITIES["4, 6, 10"]
START = sbn.OrderParameters(0.3, 0.9, 1.0)
RUN = {"learning_rate": 0.8, "time": [2.0], "start": START, "dimension": 20}
BLOCKS = ("block_student_teacher", "block_student_student")


def setup_with_everything(normalization, activation="relu"):
    decay = 0.0 if normalization == "none" else 0.05
    return sbn.TeacherStudent(
        activation, normalization, 5, label_noise=0.3, gamma_decay=decay, weight_decay=0.1
    )


def students(quick):
    """Normalizations × multiplicities × activations; one activation of some pairs is quick."""
    activations = ("relu", "erf", USER_ACTIVATION)
    for i, normalization in enumerate(NORMALIZATIONS):
        for j, sizes in enumerate(MULTIPLICITIES):
            for k, activation in enumerate(activations):
                marks = () if sizes in quick and k == (i + j) % 3 else pytest.mark.slow
                name = f"{normalization}, {sizes}, {activation}"
                yield pytest.param(normalization, sizes, activation, marks=marks, id=name)


def states(run):
    """ρ_i, Q_i and γ of all replicas at the recorded times, shape (replicas, times, 2d + 1)."""
    values = [run[name].values[0] for name in BLOCKS]
    return np.concatenate([*values, run["gamma"].values[0][..., None]], axis=-1)


def weights(run):
    """Cosine and length of the weights, and γ, at the last time."""
    if BLOCKS[0] not in run:
        return [run[name].values[0, :, -1] for name in ("overlap", "length", "gamma")]
    rho, q = (run[name].values[0, :, -1].sum(axis=-1) for name in BLOCKS)
    return [rho / np.sqrt(q), np.sqrt(q), run["gamma"].values[0, :, -1]]


def smallest_p(first, second):
    """Least p-value of the means (Welch), the spreads (Brown-Forsythe) and the law (KS)."""
    smallest = 1.0
    for a, b in zip(first, second, strict=True):
        if np.ptp(a) == 0 and np.ptp(b) == 0:
            assert a[0] == b[0]
            continue
        means = stats.ttest_ind(a, b, equal_var=False).pvalue
        spreads = stats.levene(a, b, center="median").pvalue
        smallest = min(smallest, means, spreads, stats.ks_2samp(a, b).pvalue)
    return smallest


def reference(case):
    """Setup and start of a case."""
    keys = ("batch_size", "label_noise", "gamma_decay", "weight_decay")
    activation = x * (1 + sp.tanh(x)) / 2 if "tanh" in case["activation"] else case["activation"]
    setup = sbn.TeacherStudent(activation, case["name"], **{key: case[key] for key in keys})
    start = case["start"]
    return setup, sbn.OrderParameters.of_blocks(start["rho"], start["Q"], start["gamma"])


@pytest.mark.parametrize("level", [sbn.mesoscopic, sbn.microscopic])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_means_and_spreads_are_those_of_the_reference(case, level):
    """At (4, 6, 10), 3000 runs against 10⁵: means and variances within 4 standard errors."""
    setup, start = reference(case)
    known, runs = case["small_N"], 3000
    spectrum = sbn.Spectrum(
        case["eigenvalues"], multiplicities=known["multiplicities"], teacher=case["teacher"]
    )
    run = level(
        setup, case["eta"], known["time"], start, 20, runs, 1, case["eta_gamma"], inputs=spectrum
    )
    mean, spread = np.moveaxis(np.array(known["mean, std"]), 1, 0)
    found = states(run)[..., : mean.shape[-1]]
    away = found - found.mean(axis=0)
    variance, fourth = (away**2).mean(axis=0), (away**4).mean(axis=0)
    share = 1 / runs + 1 / known["runs"]
    np.testing.assert_array_less(
        np.abs(found.mean(axis=0) - mean), 4 * np.sqrt(variance * share) + 5e-6
    )
    of_spread = np.sqrt((fourth - variance**2) * share)
    rounding = 1e-5 * spread + 1e-10
    np.testing.assert_array_less(np.abs(variance - spread**2), 4 * of_spread + rounding)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_flow_is_that_of_the_reference(case):
    """Against 64 runs at N = 5000: 3 standard errors and O(1/N) with a constant of 4."""
    setup, start = reference(case)
    known = case["large_N"]
    spectrum = sbn.Spectrum(case["eigenvalues"], case["fractions"], teacher=case["teacher"])
    run = sbn.macroscopic(
        setup, case["eta"], known["time"], start, case["eta_gamma"], inputs=spectrum
    )
    mean, spread = np.moveaxis(np.array(known["mean, std"]), 1, 0)
    found = states(run)[..., : mean.shape[-1]]
    np.testing.assert_array_less(np.abs(found - mean), 3 * spread / 8 + 4 / 5000)


@pytest.mark.parametrize(("normalization", "sizes", "activation"), list(students(MULTIPLICITIES)))
def test_chain_and_weights_have_the_same_law(normalization, sizes, activation):
    setup, spectrum = setup_with_everything(normalization, activation), MULTIPLICITIES[sizes]
    chain = sbn.mesoscopic(setup, inputs=spectrum, replicas=3000, seed=1, **RUN)
    network = sbn.microscopic(setup, inputs=spectrum, replicas=1000, seed=2, **RUN)
    assert smallest_p(states(chain)[:, -1].T, states(network)[:, -1].T) > SMALLEST_P


@pytest.mark.parametrize(("normalization", "sizes", "activation"), list(students(["4, 6, 10"])))
def test_sums_and_samples_have_the_same_law(normalization, sizes, activation):
    """N + 2M numbers a step against M samples of N components, in the eigenbasis."""
    setup, spectrum = setup_with_everything(normalization, activation), MULTIPLICITIES[sizes]
    counts = spectrum.counts(20)
    variance = np.repeat(spectrum.eigenvalues, counts)
    teacher = np.repeat(np.sqrt(spectrum.teacher / counts), counts)

    def normal(generator, samples, dimension):
        return np.sqrt(variance) * generator.standard_normal((samples, dimension))

    inputs = sbn.Inputs(normal, np.zeros(20), variance)
    sums = sbn.microscopic(setup, inputs=spectrum, replicas=3000, seed=1, **RUN)
    samples = sbn.microscopic(setup, inputs=inputs, teacher=teacher, replicas=600, seed=2, **RUN)
    assert smallest_p(weights(sums), weights(samples)) > SMALLEST_P


@pytest.mark.parametrize("normalization", [*NORMALIZATIONS, "ghost(5)"])
def test_isotropic_sums_and_samples_have_the_same_law(normalization):
    def normal(generator, samples, dimension):
        return generator.standard_normal((samples, dimension))

    setup = setup_with_everything(normalization)
    if normalization == "ghost(5)":
        setup = replace(setup, batch_size=10)
    sums = sbn.microscopic(setup, replicas=3000, seed=1, **RUN)
    samples = sbn.microscopic(setup, replicas=600, seed=2, inputs=normal, **RUN)
    assert smallest_p(weights(sums), weights(samples)) > SMALLEST_P


@pytest.mark.parametrize(
    "normalization",
    ["batch", *(pytest.param(name, marks=pytest.mark.slow) for name in NORMALIZATIONS[:3])],
)
def test_a_block_with_an_eigenvalue_five_percent_off_is_noticed(normalization):
    """With 200 weights laws are narrow; the right chain is not noticed."""
    setup, run = setup_with_everything(normalization), RUN | {"dimension": 200, "replicas": 2000}
    sizes = {"multiplicities": [40, 60, 100], "teacher": THREE["teacher"]}
    right, wrong = (sbn.Spectrum([3, 1 + off, 0.2], **sizes) for off in (0, 0.05))
    network = states(sbn.microscopic(setup, inputs=right, seed=2, **run))[:, -1].T
    assert smallest_p(states(sbn.mesoscopic(setup, inputs=right, **run))[:, -1].T, network) > 1e-4
    found = smallest_p(states(sbn.mesoscopic(setup, inputs=wrong, **run))[:, -1].T, network)
    assert found < SMALLEST_P


@pytest.mark.parametrize("level", [sbn.mesoscopic, sbn.microscopic])
@pytest.mark.parametrize("sizes", MULTIPLICITIES)
def test_a_start_of_blocks_is_exact(level, sizes):
    spectrum = MULTIPLICITIES[sizes]
    known = 0.7 * np.sqrt(spectrum.teacher), np.full(spectrum.blocks, 0.49)  # w_i ∥ w*_i
    if sizes == "4, 6, 10":
        known = 0.5 * spectrum.teacher, np.array([0.4, 0.3, 0.5])
    start = sbn.OrderParameters.of_blocks(*known)
    run = level(SETUP, 1.0, [0.0], start, 20, inputs=spectrum, replicas=2)
    for name, value in zip(BLOCKS, known, strict=True):
        np.testing.assert_allclose(run[name].values[0, :, 0], [value, value], rtol=1e-12)


@pytest.mark.parametrize("level", [sbn.mesoscopic, sbn.microscopic])
def test_a_random_start_has_the_cosine_and_length(level):
    for spectrum in MULTIPLICITIES.values():
        run = level(SETUP, 1.0, [0.0], START, 20, inputs=spectrum, replicas=5)
        cosine, length, _ = weights(run)
        np.testing.assert_allclose(cosine, START.overlap, rtol=1e-12)
        np.testing.assert_allclose(length, START.length, rtol=1e-12)
        assert np.ptp(states(run)[:, 0, -2]) > 0.01  # Q of the last block


@pytest.mark.parametrize("level", [sbn.mesoscopic, sbn.microscopic])
def test_company_and_recording_change_nothing(level):
    run = {"start": START, "dimension": 20, "inputs": SPECTRUM, "seed": 3}
    alone = level(SETUP, 2.0, [3.0], replicas=1, workers=1, **run)
    among = level(SETUP, [0.5, 2.0], [0.0, 1.0, 3.0], replicas=3, workers=2, **run)
    for name in (*BLOCKS, "gamma", "generalization_error"):
        np.testing.assert_array_equal(among[name].values[1, 0, -1], alone[name].values[0, 0, 0])


SETUP = setup_with_everything("batch")
ISOTROPIC = sbn.Spectrum([1, 1], [0.3, 0.7], teacher=[0.6, 0.4])
STUDENTS = [
    ("linear", "none"), ("relu", "none"), ("erf", "weight"), (USER_ACTIVATION, "weight"),
    ("relu", "population"), ("linear", "batch"), ("relu", "batch"), ("relu", "ghost(5)"),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "normalization"), STUDENTS, ids=str)
def test_isotropic_blocks_have_the_isotropic_derivatives(activation, normalization):
    """dρ/dt = d(LR)/dt and dQ/dt = dL²/dt, to 10⁻¹²."""
    setup = replace(setup_with_everything(normalization, activation), batch_size=10)
    start = sbn.OrderParameters(0.3, 1.2, 1.0 if normalization == "none" else 0.8)
    rho, q = start.blocks(ISOTROPIC)
    state = np.array([rho[0], q[0], rho[1], q[1], start.gamma])
    found = _flow(setup, ISOTROPIC, start)(state, np.array([0.7, 0.4]))
    R, L = start.overlap, start.length
    scale = L if normalization == "none" else start.gamma
    of_cosine, of_log, of_gamma = flow_function(setup, scale)(R, np.log(L), start.gamma, 0.7, 0.4)
    known = L * (of_cosine + R * of_log), 2 * L**2 * of_log, of_gamma
    sums = found[0] + found[2], found[1] + found[3], found[4]
    np.testing.assert_allclose(sums, known, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("activation", "normalization"), STUDENTS, ids=str)
def test_isotropic_blocks_have_the_isotropic_trajectory(activation, normalization):
    setup = replace(setup_with_everything(normalization, activation), batch_size=10)
    arguments = setup, [0.5, 1.0], [0, 1, 3, 10], START
    known, found = sbn.macroscopic(*arguments), sbn.macroscopic(*arguments, inputs=ISOTROPIC)
    for name in ("overlap", "length", "gamma", "generalization_error"):
        np.testing.assert_allclose(found[name], known[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("directions", [30, 1000])
def test_many_directions_of_a_linear_student_are_those_of_a_linear_system(directions):
    """Without normalization 2ε_g = Σ λ_i (T_i − 2ρ_i + Q_i) drives every Q_i, with η² λ_i p_i/M."""
    spectrum, rate, size, noise = sbn.Spectrum.power_law(1.0, directions), 0.5, 4, 0.3
    setup = sbn.TeacherStudent("linear", "none", size, label_noise=noise)
    run = sbn.macroscopic(setup, rate, [0, 5], START, inputs=spectrum).isel(learning_rate=0)
    value, teacher = spectrum.eigenvalues, spectrum.teacher
    kick = rate**2 * value * spectrum.fractions / size
    zero, relax = np.zeros((directions, directions)), np.diag(rate * value)
    system = np.block([
        [-relax, zero, (rate * value * teacher)[:, None]],
        [2 * relax - 2 * np.outer(kick, value), np.outer(kick, value) - 2 * relax,
         (kick * (value @ teacher + noise**2))[:, None]],
        [np.zeros((1, 2 * directions + 1))],
    ])  # fmt: skip
    first = [*run.block_student_teacher[0].values, *run.block_student_student[0].values, 1.0]
    rho, q = (expm(5 * system) @ first)[:-1].reshape(2, -1)
    np.testing.assert_allclose(run.block_student_teacher[1], rho, rtol=1e-7)
    np.testing.assert_allclose(run.block_student_student[1], q, rtol=1e-7)
    error = value @ (teacher - 2 * rho + q) / 2
    assert float(run.generalization_error[1]) == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_units_of_the_inputs_are_those_of_labels_and_rates(activation, normalization):
    """g(s h) = s g(h): inputs √c times larger have c times the rate, and noise by √c less."""
    c, eta, time = 2.5, 0.4, [0.0, 1.0, 3.0]
    of_inputs = np.sqrt(c) if normalization in ("population", "batch") else 1.0  # of γ
    setups = [
        sbn.TeacherStudent(activation, normalization, 8, label_noise=0.3 * unit)
        for unit in (np.sqrt(c), 1.0)
    ]
    starts = [sbn.OrderParameters(0.3, 1.2, gamma) for gamma in (of_inputs, 1.0)]
    gamma_rates = [eta, c * eta / of_inputs**2]
    inputs = sbn.Spectrum([c], fractions=[1.0])
    found = sbn.macroscopic(setups[0], eta, time, starts[0], gamma_rates[0], inputs=inputs)
    known = sbn.macroscopic(setups[1], c * eta, time, starts[1], gamma_rates[1])
    for name in ("overlap", "length"):
        np.testing.assert_allclose(found[name], known[name], rtol=1e-6)
    np.testing.assert_allclose(found["gamma"], of_inputs * known["gamma"], rtol=1e-6)
    error = c * known["generalization_error"]
    np.testing.assert_allclose(found["generalization_error"], error, rtol=1e-6)


@pytest.mark.parametrize("normalization", [*NORMALIZATIONS, "ghost(5)"])
def test_a_chain_of_isotropic_blocks_has_the_isotropic_law(normalization):
    setup = replace(setup_with_everything(normalization, "erf"), batch_size=10)
    spectrum = sbn.Spectrum([1, 1], multiplicities=[2, 18])
    chain = sbn.mesoscopic(setup, replicas=3000, seed=1, **RUN)
    blocks = sbn.mesoscopic(setup, replicas=3000, seed=2, inputs=spectrum, **RUN)
    assert smallest_p(weights(blocks), weights(chain)) > SMALLEST_P


@pytest.mark.parametrize("normalization", [*NORMALIZATIONS, "ghost(8)"])
def test_the_derived_blocks_are_the_derived_isotropic_flow(normalization):
    """SymPy: with λ_i = 1 the blocks' rates add up to dρ/dt and dQ/dt."""
    s, rule = sbn.symbolic, as_normalization(normalization)
    flow = s.order_parameter_flow(rule)
    rates = block.block_rates(rule)
    unit = s.gamma / s.L if rule.has_scale else sp.S.One
    fields = {
        block.spread: s.L, block.length: s.L, block.spread_of_teacher: 1, block.cosine: s.R,
        block.unit: unit, block.drive: s.D / (1 - s.R**2), block.pull: s.A, block.variance: s.B,
    }  # fmt: skip
    symbols = (block.first, block.second, block.turn, block.noise)
    terms = [e.subs(fields) for e in block.field_terms(rule)]
    parts = sp.symbols("rho_1:3 Q_1:3 T_1:3 f_1:3", positive=True)
    rho, q, teacher, fraction = (parts[i : i + 2] for i in range(0, 8, 2))
    sums = [
        sum(
            rate.subs(dict(zip(symbols, terms, strict=True))).subs({
                block.rho: rho[i], block.square: q[i], block.teacher: teacher[i],
                block.fraction: fraction[i], block.eigenvalue: 1,
            })
            for i in range(2)
        )
        for rate in rates
    ]  # fmt: skip
    last = {
        rho[1]: s.R * s.L - rho[0], q[1]: s.L**2 - q[0], teacher[1]: 1 - teacher[0],
        fraction[1]: 1 - fraction[0],
    }  # fmt: skip
    known = s.L * flow[s.R] + s.R * flow[s.L], 2 * s.L * flow[s.L]
    for found, expected in zip(sums, known, strict=True):
        assert sp.simplify(found.subs(last) - expected) == 0


def test_a_store_gives_the_spectrum_back(tmp_path):
    run = sbn.mesoscopic(SETUP, inputs=SPECTRUM, replicas=2, **RUN)
    sbn.save(run, tmp_path / "run.zarr")
    again = sbn.open(tmp_path / "run.zarr")
    assert sbn.Spectrum.from_attrs(again.attrs) == SPECTRUM
    for name in BLOCKS:
        np.testing.assert_array_equal(again[name], run[name])


def test_all_levels_are_drawn_together():
    time = np.linspace(0, 2, 11)
    finite = {"start": START, "dimension": 20, "replicas": 3, "inputs": SPECTRUM}
    flow = sbn.macroscopic(SETUP, 0.8, time, START, inputs=SPECTRUM)
    chain = sbn.mesoscopic(SETUP, 0.8, time, **finite)
    network = sbn.microscopic(SETUP, 0.8, time, **finite)
    figure = sbn.plot.trajectories(flow, chain, network)
    for axis, name in zip(figure.axes, ("overlap", "length"), strict=False):
        drawn = axis.lines[0].get_ydata()
        np.testing.assert_allclose(drawn[[0, -1]], flow[name].values[0, [0, -1]])


def test_a_student_that_leaves_is_recorded():
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1)
    arguments = setup, [0.1, 50.0], np.linspace(0, 200, 9), sbn.OrderParameters()
    flow = sbn.macroscopic(*arguments, inputs=SPECTRUM)
    for run in (
        flow,
        sbn.mesoscopic(*arguments, 20, inputs=SPECTRUM),
        sbn.microscopic(*arguments, 20, inputs=SPECTRUM),
    ):
        assert np.isnan(run.diverged_at[0]).all()
        assert (run.diverged_at[1] < 200).all()
        assert np.isposinf(run.block_student_student[1, ..., -1, :]).all()
        assert np.isfinite(run.generalization_error[0]).all()


BY_BLOCKS = sbn.OrderParameters.of_blocks([0.1, 0.05, 0.2], [0.4, 0.3, 0.5])
FOUR = sbn.OrderParameters.of_blocks([0.1] * 4, [0.4] * 4)
TOO_ALIGNED = sbn.OrderParameters.of_blocks([0.5, 0.05, 0.2], [0.4, 0.3, 0.5])
FINITE = {"dimension": 20, "inputs": SPECTRUM}
LEVELS = {
    "macroscopic": (sbn.macroscopic, {"inputs": SPECTRUM}),
    "mesoscopic": (sbn.mesoscopic, FINITE),
    "microscopic": (sbn.microscopic, FINITE),
}


@pytest.mark.parametrize(
    ("levels", "changed", "words"),
    [
        (LEVELS, {"start": FOUR}, "start: expected 3 blocks"),
        (LEVELS, {"start": TOO_ALIGNED}, r"student_teacher² ≤ student_student · teacher"),
        (LEVELS, {"start": BY_BLOCKS, "inputs": None}, "start: expected an overlap and a length"),
        (LEVELS, {"inputs": "white"}, "inputs"),
        (
            ["mesoscopic", "microscopic"],
            {"start": BY_BLOCKS, "inputs": MULTIPLICITIES["1, 1, 18"]},
            "blocks of one component",
        ),
        (["mesoscopic", "microscopic"], {"dimension": 21}, "dimension: .*20.*got 21"),
        (["microscopic"], {"device": "cuda"}, "device.*'cpu'"),
        (["microscopic"], {"dtype": "float32"}, "dtype.*'float64'"),
        (["microscopic"], {"teacher": np.ones(20)}, "teacher.*from_covariance"),
        (
            ["microscopic"],
            {"start": BY_BLOCKS, "inputs": lambda g, m, n: g.standard_normal((m, n))},
            "start: expected an overlap and a length",
        ),
        (["macroscopic"], {"start": sbn.OrderParameters(0.3, 1.0, 0.0)}, "start.gamma.*kink"),
    ],
)
def test_refused(levels, changed, words):
    for name in levels:
        level, arguments = LEVELS[name]
        run = {"setup": SETUP, "learning_rate": 1.0, "time": [1.0], "start": START}
        with pytest.raises(InvalidSetup, match=words):
            level(**(run | arguments | changed))


def test_a_training_set_has_no_blocks():
    with pytest.raises(InvalidSetup, match="start: expected an overlap and a length"):
        sbn.offline.train(SETUP, 0.5, [1.0], dimension=20, epochs=1, start=BY_BLOCKS)


def test_correlation_of_fields_and_overlap_of_weights_are_two():
    """Where blocks differ, so do the cosines of fields and of weights, by ρ_i and Q_i."""
    inputs = sbn.Spectrum([2, 0.5], fractions=[0.5, 0.5])
    setup, start = sbn.TeacherStudent("linear", "weight", 4), sbn.OrderParameters(overlap=0.1)
    run = sbn.macroscopic(setup, 0.5, [0.0, 1.0], start, inputs=inputs).isel(time=-1)
    rho, q = run["block_student_teacher"].values[0], run["block_student_student"].values[0]
    eigenvalues, teacher = run["block_eigenvalue"].values, run["block_teacher"].values
    weights = rho.sum() / np.sqrt(q.sum() * teacher.sum())
    fields = (eigenvalues * rho).sum() / np.sqrt(
        (eigenvalues * q).sum() * (eigenvalues * teacher).sum()
    )
    np.testing.assert_allclose(run["weight_overlap"], weights)
    np.testing.assert_allclose(run["overlap"], fields)
    assert abs(weights - fields) > 0.01
    assert run["overlap"].attrs["long_name"] == "correlation of the fields"
