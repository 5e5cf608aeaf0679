"""The loop of one's own does what `train` does, in the order that is stable."""

import warnings

import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

from statmech_bn import networks  # noqa: E402
from statmech_bn.errors import InvalidSetup, NetworkWarning  # noqa: E402


def data(samples=128):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (samples,), generator=generator)
    noise = torch.randn(samples, 1, 4, 4, generator=generator)
    return noise + labels[:, None, None, None], labels


def model():
    return networks.plain_network((1, 4, 4), 2, depth=2, channels=4, normalization="population")


def learn(net, x, y, rate, steps, **more):
    """Train as the how-to does; return the losses."""
    decay = networks.GammaDecay(net, x, batch_size=16, training_samples=len(x), **more)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    losses = []
    for step in range(steps):
        rows = slice(16 * step % len(x), 16 * step % len(x) + 16)
        loss = functional.cross_entropy(net(x[rows]), y[rows]) + decay.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, decay


def test_it_learns_and_measures_in_time():
    net, (x, y) = model(), data()
    losses, decay = learn(net, x, y, 0.1, 40, decay_steps=20)
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])
    expected = networks.decay_coefficients(net, x, 16, training_samples=len(x))
    for name, zeta in decay.zeta.items():
        assert (zeta > 0).any()
        assert zeta.shape == expected[name].shape


def test_statistics_are_those_of_the_weights_at_each_step():
    net, (x, _) = model(), data()
    decay = networks.GammaDecay(net, x, batch_size=16)
    decay.penalty()
    layer = next(iter(networks.normalization_layers(net).values()))
    before = layer.running_var.clone()
    with torch.no_grad():
        next(net.parameters()).mul_(2.0)
    decay.penalty()
    torch.testing.assert_close(layer.running_var, 4.0 * before)


def test_the_penalty_is_that_of_the_theory():
    net, (x, _) = model(), data()
    found = networks.GammaDecay(net, x, batch_size=16, training_samples=128).penalty()
    zeta = networks.decay_coefficients(net, x, 16, training_samples=128)
    torch.testing.assert_close(found, networks.gamma_penalty(net, zeta))


def test_divergence_is_said_once():
    net, (x, y) = model(), data()
    with pytest.warns(NetworkWarning, match="no longer finite") as told:
        learn(net, x, y, 1e30, 6)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(model(), x, y, 0.05, 3)


def test_bad_arguments_are_named():
    net, (x, _) = model(), data()
    for wrong in ({"batch_size": 2}, {"refresh_steps": 0}, {"statistics": "none"}):
        with pytest.raises(InvalidSetup, match=next(iter(wrong))):
            networks.GammaDecay(net, x, **{"batch_size": 8, **wrong})
    with pytest.raises(InvalidSetup, match="model"):
        networks.GammaDecay(torch.nn.Linear(2, 2), x, 8)
