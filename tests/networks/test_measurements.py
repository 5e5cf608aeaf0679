"""Sharpness, signals and flips against whole Hessians, the NumPy networks and closed forms."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from statmech_bn import depth, geometry, networks  # noqa: E402
from statmech_bn.errors import InvalidSetup  # noqa: E402
from statmech_bn.networks import Normalization  # noqa: E402
from statmech_bn.random.streams import stream  # noqa: E402


def whole_hessian(model, inputs, labels, loss):
    names, values = zip(*model.named_parameters(), strict=True)
    sizes = [value.numel() for value in values]

    def function(flat):
        parts = [f.view_as(v) for f, v in zip(flat.split(sizes), values, strict=True)]
        outputs = torch.func.functional_call(model, dict(zip(names, parts, strict=True)), inputs)
        return loss(outputs, labels)

    flat = torch.cat([value.detach().flatten() for value in values])
    return torch.autograd.functional.hessian(function, flat)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["batch", "mean", "spread", "none"])
def test_sharpness_is_the_largest_eigenvalues_of_the_hessian(kind, training):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 5, bias=False), Normalization(5, kind), nn.Tanh(), nn.Linear(5, 3)
    ).double()
    inputs, labels = torch.randn(20, 4, dtype=torch.float64), torch.arange(20) % 3
    model.train(training)
    before = copy.deepcopy(model.state_dict())
    found = networks.sharpness(model, inputs, labels, 3, tolerance=1e-10)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])
    hessian = whole_hessian(model, inputs, labels, nn.functional.cross_entropy)
    expected = torch.linalg.eigvalsh(hessian).flip(0)[:3]
    np.testing.assert_allclose(found["sharpness"], expected, rtol=1e-7)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("kind", ["batch", "none"])
def test_fisher_information_is_that_of_all_derivatives(kind, loss):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 5, bias=False), Normalization(5, kind), nn.Tanh(), nn.Linear(5, 3)
    ).double()
    inputs = torch.randn(20, 4, dtype=torch.float64)
    names, values = zip(*model.named_parameters(), strict=True)

    def outputs(*parameters):
        return torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), inputs)

    found = networks.fisher_eigenvalues(model, inputs, 3, loss, tolerance=1e-10)
    parts = torch.autograd.functional.jacobian(outputs, values)
    jacobian = torch.cat([part.flatten(2) for part in parts], dim=2).detach()
    p = model(inputs).softmax(1).detach()
    curvature = torch.eye(3, dtype=torch.float64).expand(20, 3, 3)
    if loss == "cross_entropy":  # E over labels of the product of slopes
        slopes = p[:, None] - torch.eye(3, dtype=torch.float64)
        curvature = torch.einsum("by,byk,byl->bkl", p, slopes, slopes)
    fisher = torch.einsum("bki,bkl,blj->ij", jacobian, curvature, jacobian) / 20
    expected = torch.linalg.eigvalsh(fisher).flip(0)[:3]
    np.testing.assert_allclose(found["fisher_eigenvalue"], expected, rtol=1e-7)


def test_sharpness_of_least_squares_is_that_of_the_covariance():
    torch.manual_seed(0)
    model, x = nn.Linear(6, 1, bias=False), torch.randn(50, 6)
    found = networks.sharpness(model, x, torch.zeros(50, 1), 2, loss="squared", tolerance=1e-6)
    expected = np.linalg.eigvalsh((x.T @ x / 50).numpy())[::-1][:2]
    np.testing.assert_allclose(found["sharpness"], expected, rtol=1e-4)


def test_sharpness_refuses_wrong_arguments():
    model, x = nn.Linear(2, 2), torch.zeros(3, 2)
    with pytest.raises(InvalidSetup, match="number"):
        networks.sharpness(model, x, torch.zeros(3, dtype=int), 6)
    with pytest.raises(InvalidSetup, match="finite numbers"):
        networks.sharpness(model, x + torch.inf, torch.zeros(3, dtype=int))
    nn.init.constant_(model.weight, torch.inf)
    with pytest.raises(InvalidSetup, match="finite loss"):
        networks.sharpness(model, x + 1, torch.zeros(3, dtype=int))


def torch_twin(network, parameters):
    """The same dense network in PyTorch."""
    layers = []
    for layer in parameters[:-1]:
        linear = nn.Linear(*layer.weight.shape, bias=False)
        linear.weight = nn.Parameter(torch.from_numpy(layer.weight.T.copy()))
        normalization = Normalization(layer.weight.shape[1], network.normalization, epsilon=1e-12)
        layers += [linear, normalization.double(), nn.ReLU()]
    top = nn.Linear(*parameters[-1].weight.shape, bias=False)
    top.weight = nn.Parameter(torch.from_numpy(parameters[-1].weight.T.copy()))
    return nn.Sequential(*layers, top)


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_signals_equal_those_of_the_network_in_numpy(normalization):
    network = depth.DeepNetwork(5, 12, 8, 4, normalization=normalization)
    inputs, labels = depth.teacher_classes(40, 8, 4, np.random.default_rng(1))
    expected = depth.gradient_alignment(network, inputs, labels, replicas=1, seed=3)
    parameters = network.initial(stream(3, 24, 0))
    model = torch_twin(network, parameters)
    found = networks.signals(model, torch.from_numpy(inputs), torch.from_numpy(labels))
    for name in ("gradient_alignment", "alignment_behind", "gradient_coherence", "gradient_square"):
        np.testing.assert_allclose(found[name], expected[name][0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        found["alignment_weights"][:-1], expected["alignment_weights"][0], rtol=1e-7
    )
    done = depth.forward(network, parameters, inputs)
    moments = [
        (np.mean(h.mean(axis=(0, 1)) ** 2), np.mean(h.var(axis=(0, 1)))) for h in done.fields
    ]
    np.testing.assert_allclose(found["channel_mean"], [m for m, _ in moments])
    np.testing.assert_allclose(found["channel_variance"], [v for _, v in moments])
    slopes = depth.backward(network, parameters, done, labels).parameters
    norms = [np.linalg.norm(layer.weight) for layer in slopes]
    np.testing.assert_allclose(found["gradient_norm"], norms, rtol=1e-7)


def test_signals_of_a_convolution_sum_over_its_positions():
    """One kernel weight sees |x||g| at every position: brute force over all of them."""
    model = networks.plain_network((2, 6, 6), 3, depth=2, channels=4).double()
    x = torch.randn(5, 2, 6, 6, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1])
    found = networks.signals(model, x, labels)
    h = model[0](x).detach().requires_grad_()
    loss = nn.functional.cross_entropy(model[1:](h), labels)
    g = torch.autograd.grad(loss, h)[0].flatten(2)
    seen = nn.functional.unfold(x, 3, padding=1, stride=model[0].stride)
    terms = torch.einsum("bip,bop->oibp", seen, g).flatten(2)
    expected = (terms.sum(2).abs() / terms.abs().sum(2)).mean()
    assert found["alignment_weights"][0].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("reference", ["batch", "population"])
@pytest.mark.parametrize("size", [8, 40])
def test_flips_of_gaussian_fields(reference, size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 10, bias=False), Normalization(10), nn.ReLU())
    inputs = torch.randn(8000, 30)
    found = networks.flip_rate(model, inputs, size, reference, replicas=6)["flip_rate"]
    expected = (
        np.arccos(1 - 1 / size) / np.pi if reference == "batch" else geometry.jitter.flip_rate(size)
    )
    error = found.std(ddof=1) / np.sqrt(found.size)
    assert error < 0.02 * expected
    assert abs(found.mean() - expected) < 4 * error + 2e-3 * expected


def test_flips_need_a_batch_that_matters():
    model = networks.plain_network((1, 8, 8), depth=3, channels=4, normalization="none")
    x = torch.randn(40, 1, 8, 8)
    assert (networks.flip_rate(model, x, 10)["flip_rate"] == 0).all()
    before = copy.deepcopy(networks.replace_normalization(model, "batch").state_dict())
    found = networks.flip_rate(model, x, 12)
    assert found["flip_rate"].shape == (4, 3)
    assert (found["flip_rate"] > 0).all()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    with pytest.raises(InvalidSetup, match="half"):
        networks.flip_rate(model, x, 21)
    with pytest.raises(InvalidSetup, match="ReLU"):
        networks.flip_rate(nn.Linear(2, 2), torch.zeros(8, 2), 3)
