"""Measured weights have the order parameters that levels and hands find for them."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup

RNG = np.random.default_rng(11)
N = 30
TEACHER = RNG.standard_normal(N)


def descent(setup_noise, eta, batch, steps, spread):
    """Plain SGD of a linear student in NumPy; returns the weights after every step."""
    rng = np.random.default_rng(12)
    teacher = TEACHER * np.sqrt(N) / np.linalg.norm(TEACHER)
    w, kept = rng.standard_normal(N), []
    for _ in range(steps):
        kept.append(w.copy())
        x = rng.standard_normal((batch, N)) * spread
        error = x @ (teacher - w) / np.sqrt(N) + setup_noise * rng.standard_normal(batch)
        w = w + eta / np.sqrt(N) * x.T @ error / batch
    return np.array(kept), teacher


def test_a_trajectory_by_hand():
    weights, teacher = descent(0.1, 0.5, 4, 50, 1.0)
    setup = sbn.TeacherStudent("linear", "none", 4, label_noise=0.1)
    time = np.arange(50) / N
    found = sbn.measure(weights, 3 * TEACHER, time=time, setup=setup, learning_rate=0.5)
    assert found["overlap"].dims == ("learning_rate", "replica", "time")
    cosine = weights @ teacher / (np.linalg.norm(weights, axis=1) * np.sqrt(N))
    np.testing.assert_allclose(found["overlap"][0, 0], cosine, rtol=1e-12)
    np.testing.assert_allclose(found["length"][0, 0] ** 2, (weights**2).mean(axis=1), rtol=1e-12)
    exact = 0.5 * np.sum((weights - teacher) ** 2, axis=1) / N
    np.testing.assert_allclose(found["generalization_error"][0, 0], exact, rtol=1e-10)
    assert (found["gamma"] == 1).all()
    assert found.attrs["dimension"] == N
    assert sbn.TeacherStudent.from_attrs(found.attrs) == setup


@pytest.mark.parametrize("kind", ["spectrum", "diagonal", "covariance", "data"])
def test_blocks_by_hand(kind):
    """The error of a linear student on inputs of a covariance, without blocks."""
    variances = np.repeat([2.0, 1.0, 0.25], [5, 10, 15])
    turn = np.linalg.qr(RNG.standard_normal((N, N)))[0] if kind == "covariance" else np.eye(N)
    covariance = turn @ np.diag(variances) @ turn.T
    weights, teacher = descent(0.1, 0.5, 4, 30, np.sqrt(variances))
    inputs = {
        "spectrum": sbn.Spectrum([2, 1, 0.25], multiplicities=[5, 10, 15]),
        "diagonal": variances,
        "covariance": 0.5 * (covariance + covariance.T),
        "data": np.sqrt(variances * N) * np.concatenate([np.eye(N), -np.eye(N)]),
    }[kind]
    setup = sbn.TeacherStudent("linear", "none", 4)
    found = sbn.measure(weights, TEACHER, inputs=inputs, setup=setup)
    fields = np.einsum("ti,ij,j->t", weights, covariance, teacher)
    spread = np.einsum("ti,ij,tj->t", weights, covariance, weights)
    cosine = fields / np.sqrt(spread * (teacher @ covariance @ teacher))
    np.testing.assert_allclose(found["overlap"][0, 0], cosine, rtol=1e-10)
    missed = weights - teacher
    error = 0.5 * np.einsum("ti,ij,tj->t", missed, covariance, missed) / N
    np.testing.assert_allclose(found["generalization_error"][0, 0], error, rtol=1e-7)
    rho, q = found["block_student_teacher"], found["block_student_student"]
    assert rho.dims == ("learning_rate", "replica", "time", "block")
    np.testing.assert_allclose(found["block_eigenvalue"], [2, 1, 0.25], rtol=1e-12)
    np.testing.assert_allclose(rho.sum("block")[0, 0], weights @ teacher / N, rtol=1e-10)
    np.testing.assert_allclose(q.sum("block")[0, 0], (weights**2).mean(axis=1), rtol=1e-10)
    np.testing.assert_allclose((q @ found["block_eigenvalue"])[0, 0], spread / N, rtol=1e-10)
    np.testing.assert_allclose(found["block_teacher"].sum(), 1.0, rtol=1e-12)


def test_blocks_of_other_activations_by_simulation():
    """ε_g of erf and ReLU students, 10⁵ inputs, within 4 standard errors."""
    from scipy.special import erf

    variances = np.repeat([4.0, 0.5], [10, 20])
    teacher = TEACHER * np.sqrt(N) / np.linalg.norm(TEACHER)
    w = teacher + RNG.standard_normal(N)
    samples = np.random.default_rng(13).standard_normal((10**5, N)) * np.sqrt(variances)
    h, h_star = samples @ w / np.sqrt(N), samples @ teacher / np.sqrt(N)
    shapes = {"erf": lambda u: erf(u / np.sqrt(2)), "relu": lambda u: np.maximum(u, 0)}
    spread, length = np.sqrt(variances @ w**2 / N), np.linalg.norm(w) / np.sqrt(N)
    for activation, g in shapes.items():
        cases = {
            "none": (1.0, h),
            "weight": (-0.8, -0.8 * h / length),
            "population": (0.8, 0.8 * h / spread),
            "batch": (0.8, 0.8 * h / spread),
        }
        for normalization, (gamma, phi) in cases.items():
            setup = sbn.TeacherStudent(activation, normalization, 8)
            found = sbn.measure(w, teacher, gamma, inputs=variances, setup=setup)
            drawn = 0.5 * (g(h_star) - g(phi)) ** 2
            error = drawn.std() / np.sqrt(drawn.size)
            assert abs(found["generalization_error"].item() - drawn.mean()) < 4 * error


def test_what_the_network_level_records_is_measured():
    """The weights of one's own loop have in law what `microscopic` records at the same setup."""
    time = np.array([0.0, 2.0, 5.0])
    runs = np.array([
        descent_of_seed(seed)[np.rint(time * N).astype(int)] for seed in range(40)
    ])  # fmt: skip
    measured = sbn.measure(runs, np.ones(N), time=time, learning_rate=0.5)
    setup = sbn.TeacherStudent("linear", "none", 4, label_noise=0.3)
    start = sbn.OrderParameters(0.2)
    level = sbn.microscopic(setup, 0.5, time, start, dimension=N, replicas=40, seed=3)
    for name in ("overlap", "length"):
        a, b = measured[name].isel(learning_rate=0), level[name].isel(learning_rate=0)
        error = np.sqrt((a.var("replica") + b.var("replica")) / 40)
        z = (a.mean("replica") - b.mean("replica")).isel(time=[1, 2]) / error.isel(time=[1, 2])
        assert float(np.abs(z).max()) < 4
        np.testing.assert_allclose(a.isel(time=0), b.isel(time=0), rtol=1e-12)


def descent_of_seed(seed):
    rng = np.random.default_rng(100 + seed)
    other = rng.standard_normal(N)
    other -= other.mean()
    other *= np.sqrt(N) / np.linalg.norm(other)
    w, kept = 0.2 + np.sqrt(1 - 0.04) * other, []
    for _ in range(5 * N + 1):
        kept.append(w)
        x = rng.standard_normal((4, N))
        error = x @ (1 - w) / np.sqrt(N) + 0.3 * rng.standard_normal(4)
        w = w + 0.5 / np.sqrt(N) * x.T @ error / 4
    return np.array(kept)


def test_it_is_drawn_beside_theory():
    setup, start = sbn.TeacherStudent("linear", "none", 4), sbn.OrderParameters(0.2)
    time = np.linspace(0, 3, 10)
    theory = sbn.macroscopic(setup, 0.5, time, start)
    weights = descent(0.0, 0.5, 4, 10, 1.0)[0]
    measured = sbn.measure(weights, TEACHER, time=time, setup=setup, learning_rate=0.5)
    figure = sbn.plot.trajectories(theory, network=measured)
    assert len(figure.axes) == 4
    assert "N = 30" in str([text.get_text() for text in figure.legends[0].get_texts()])


def test_shapes():
    w = RNG.standard_normal((2, 3, 4, N))
    time = [0.0, 1.0, 2.0, 5.0]
    whole = sbn.measure(w, TEACHER, time=time, gamma=w[..., 0], learning_rate=[0.1, 0.2])
    one = sbn.measure(w[1, 2, 3], TEACHER, gamma=w[1, 2, 3, 0])
    assert whole["overlap"].shape == (2, 3, 4)
    for name in ("overlap", "length", "gamma"):
        assert one[name].item() == pytest.approx(whole[name][1, 2, 3].item(), rel=1e-13)
    assert one["time"].attrs["units"] == "1"
    assert whole["time"].attrs["units"] == "steps / N"


def test_divergence_is_a_result():
    w = RNG.standard_normal((2, 4, N))
    w[1, 2, 0] = np.nan
    found = sbn.measure(w, TEACHER, time=[0, 1, 2, 3], inputs=np.ones(N))
    assert np.isnan(found["diverged_at"][0, 0])
    assert found["diverged_at"][0, 1] == 2
    assert np.isfinite(found["overlap"][0, 1, :2]).all()
    for name in ("overlap", "length", "gamma", "block_student_teacher"):
        assert (found[name][0, 1, 2:] == np.inf).all()
    long = sbn.measure(1e200 * w[0], TEACHER)
    np.testing.assert_allclose(long["overlap"], sbn.measure(w[0], TEACHER)["overlap"], rtol=1e-12)


def test_tensors():
    torch = pytest.importorskip("torch")
    w = torch.tensor(RNG.standard_normal((3, N)), requires_grad=True)
    known = sbn.measure(w.detach().numpy(), TEACHER)
    gamma = torch.nn.Parameter(torch.ones(3))
    for weights in (w, list(w), w.detach()):
        found = sbn.measure(weights, torch.tensor(TEACHER), gamma=gamma)
        assert found.equals(known)


def test_objects_that_detach():
    """What PyTorch's tensors refuse, NumPy must not be asked to do."""

    class Tensor:
        def __init__(self, values, attached=True):
            self.values, self.attached = values, attached

        def detach(self):
            return Tensor(self.values, attached=False)

        def cpu(self):
            return self

        def __array__(self, dtype=None, copy=None):
            if self.attached:
                raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
            return self.values

    w = RNG.standard_normal((3, N))
    for weights in (Tensor(w), [Tensor(record) for record in w]):
        assert sbn.measure(weights, Tensor(TEACHER)).equals(sbn.measure(w, TEACHER))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": np.ones(N - 1)}, "weights.*30 components"),
        ({"weights": "many"}, "weights"),
        ({"weights": np.zeros((2, N))}, "weights.*not all zero"),
        ({"weights": np.full(N, np.nan)}, "weights.*first record"),
        ({"weights": np.ones(N) * 1j}, "weights"),
        ({"teacher": np.zeros(N)}, "teacher.*zero"),
        ({"teacher": [np.nan] * N}, "teacher"),
        ({"gamma": [1, 2, 3]}, "gamma.*broadcasts"),
        ({"time": [0.0]}, "time.*2 increasing"),
        ({"time": [1.0, 1.0]}, "time.*2 increasing"),
        ({"learning_rate": [1, 2]}, "learning_rate"),
        ({"setup": "relu"}, "setup"),
        ({"inputs": np.ones(4)}, "inputs.*30 components"),
        ({"inputs": sbn.Spectrum([2, 1], multiplicities=[3, 4])}, "dimension.*7"),
        ({"inputs": [-1.0] * N}, "covariance"),
    ],
    ids=str,
)  # fmt: skip
def test_refused(arguments, words):
    with pytest.raises(InvalidSetup, match=words):
        sbn.measure(**{"weights": np.ones((2, N)), "teacher": TEACHER, **arguments})
