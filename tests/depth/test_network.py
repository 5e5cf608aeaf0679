"""The deep network: gradients against finite differences and PyTorch, invariances."""

import json

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.depth import DeepNetwork, Parameters
from statmech_bn.depth.propagation import EPSILON
from statmech_bn.errors import InvalidSetup


def problem(network, positions, samples=9, seed=0):
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((samples, positions, network.inputs))
    labels = generator.integers(0, network.classes, samples)
    return network.initial(generator), inputs, labels, generator


@pytest.mark.parametrize("activation", ["tanh", "softplus"])
@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize(("kernel", "positions"), [(1, 1), (3, 4), (5, 6)])
def test_gradients_are_derivatives(activation, normalization, kernel, positions):
    network = DeepNetwork(3, 5, 4, 3, activation, normalization, kernel=kernel)
    parameters, inputs, labels, generator = problem(network, positions)
    _, gradients = sbn.depth.loss_and_gradients(network, parameters, inputs, labels)
    direction = [Parameters(*(generator.standard_normal(p.shape) for p in q)) for q in parameters]
    step = 1e-5
    ahead, behind = (
        sbn.depth.loss_and_gradients(
            network, sbn.depth.stepped(parameters, direction, rate), inputs, labels
        )[0]
        for rate in (-step, step)
    )
    along = sum(
        np.sum(a * b)
        for layer, change in zip(gradients.parameters, direction, strict=True)
        for a, b in zip(layer, change, strict=True)
    )
    assert along == pytest.approx((ahead - behind) / (2 * step), rel=1e-6, abs=1e-9)


def test_derivatives_of_fields_are_those_of_a_shift():
    network = DeepNetwork(2, 6, 4, 3, "tanh", "batch")
    parameters, inputs, labels, _ = problem(network, 1)
    _, gradients = sbn.depth.loss_and_gradients(network, parameters, inputs, labels)
    np.testing.assert_allclose(
        gradients.normalized[1].sum(axis=(0, 1)), gradients.parameters[1].shift, atol=1e-15
    )
    weight = np.tensordot(inputs, gradients.fields[0], axes=((0, 1), (0, 1)))
    np.testing.assert_allclose(weight, gradients.parameters[0].weight, atol=1e-15)


def test_gradients_are_pytorch_s():
    torch = pytest.importorskip("torch")
    network = DeepNetwork(3, 5, 4, 3, "tanh", "batch")
    parameters, inputs, labels, _ = problem(network, 1, samples=12)
    loss, gradients = sbn.depth.loss_and_gradients(network, parameters, inputs, labels)
    weights = [torch.tensor(p.weight, requires_grad=True) for p in parameters]
    h = torch.tensor(inputs[:, 0])
    for weight in weights[:-1]:
        fields = h @ weight
        normal = torch.nn.functional.batch_norm(fields, None, None, training=True, eps=EPSILON)
        h = torch.tanh(normal)
    found = torch.nn.functional.cross_entropy(h @ weights[-1], torch.tensor(labels))
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-12)
    for weight, layer in zip(weights, gradients.parameters, strict=True):
        np.testing.assert_allclose(weight.grad.numpy(), layer.weight, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 3])
def test_sums_of_gradients_before_normalization_vanish(kernel):
    network = DeepNetwork(6, 20, 8, 4, "relu", "batch", kernel=kernel)
    parameters, inputs, labels, _ = problem(network, 3, samples=30)
    _, gradients = sbn.depth.loss_and_gradients(network, parameters, inputs, labels)
    for g in gradients.fields:
        assert np.abs(g.sum(axis=(0, 1))).max() <= 1e-14 * np.abs(g).sum(axis=(0, 1)).max()
    behind = gradients.normalized[0]
    assert np.abs(behind.sum(axis=(0, 1))).max() > 1e-3 * np.abs(behind).sum(axis=(0, 1)).max()


def test_the_gain_does_not_matter_under_batch_normalization():
    found = []
    for gain in (0.3, 5.0):
        network = DeepNetwork(4, 20, 8, 4, "tanh", "batch", gain=gain)
        parameters, inputs, labels, _ = problem(network, 1, samples=30)
        loss, gradients = sbn.depth.loss_and_gradients(network, parameters, inputs, labels)
        found.append((loss, gradients.normalized[0], gain * gradients.parameters[1].weight))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)  # but for the ε in the variance


def test_a_convolution_does_not_see_where_things_are():
    network = DeepNetwork(3, 7, 4, 3, "relu", kernel=3)
    parameters, inputs, _, _ = problem(network, 6)
    here, there = (
        sbn.depth.forward(network, parameters, np.roll(inputs, k, axis=1)).logits for k in (0, 2)
    )
    np.testing.assert_allclose(here, there, atol=1e-13)


def test_fields_keep_their_variance():
    network = DeepNetwork(8, 400, 50, 10, "tanh")
    generator = np.random.default_rng(2)
    inputs, _ = sbn.depth.teacher_classes(100, 50, 10, generator)
    done = sbn.depth.forward(network, network.initial(generator), inputs)
    assert [np.mean(h**2) for h in done.fields] == pytest.approx([1.0] * 8, rel=0.15)


def test_attributes_say_which_network_it_was():
    network = DeepNetwork(3, 5, 4, activation="erf", normalization="batch")
    values = json.loads(network.to_attrs()["network"])
    assert DeepNetwork(**values) == network


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"depth": 0}, "depth"),
        ({"width": 0}, "width"),
        ({"classes": 1}, "classes"),
        ({"normalization": "layer"}, "normalization"),
        ({"gain": 0.0}, "gain"),
        ({"kernel": 2}, "kernel"),
    ],
)
def test_a_network_is_checked(changes, argument):
    with pytest.raises(InvalidSetup, match=argument):
        DeepNetwork(**{"depth": 2, "width": 3, "inputs": 4, **changes})


def test_inputs_are_checked():
    network = DeepNetwork(2, 3, 4)
    parameters = network.initial(np.random.default_rng(0))
    for shape in ((5,), (5, 3), (5, 1, 3)):
        with pytest.raises(InvalidSetup, match="inputs"):
            sbn.depth.forward(network, parameters, np.ones(shape))
