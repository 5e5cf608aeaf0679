"""Weight normalization of networks: where it is population normalization, and what it ignores."""

import copy

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from statmech_bn import networks  # noqa: E402
from statmech_bn.errors import InvalidSetup  # noqa: E402

MODELS = {
    "dense": networks.dense_network,
    "plain": networks.plain_network,
    "residual": networks.residual_network,
}


@pytest.fixture
def sample():
    return 1 + torch.randn(40, 2, 6, 6, generator=torch.Generator().manual_seed(3))


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model(request):
    return request.param((2, 6, 6), classes=3, depth=2, channels=5)


def weights(model):
    """The free weights of everything below a normalization."""
    found = [m for m in model.modules() if hasattr(m, "parametrizations")]
    return [m.parametrizations.weight.original for m in found]


def test_it_begins_as_population_normalization(model, sample):
    twin = copy.deepcopy(model)
    networks.refresh_population(twin, sample)
    expected = twin.eval()(sample)
    made = networks.normalize_weights(model, sample)
    torch.testing.assert_close(made(sample), expected)
    torch.testing.assert_close(made(sample[:3]), expected[:3])  # nothing is of the batch
    assert not networks.normalization_layers(made)


def test_only_the_direction_of_weights_counts(model, sample):
    made = networks.normalize_weights(model, sample)
    before = made(sample)
    before.square().sum().backward()
    free = weights(made)
    assert len(free) == sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in made.modules()) - 1
    for weight in free:
        along = (weight.grad * weight).flatten(1).sum(1)
        sizes = weight.grad.flatten(1).norm(dim=1) * weight.flatten(1).norm(dim=1)
        assert (along.abs() <= 1e-5 * sizes).all()
    with torch.no_grad():
        for factor, weight in enumerate(free, 2):
            weight *= factor
    torch.testing.assert_close(made(sample), before)


def test_scales_are_the_same_parameters(sample):
    model = networks.plain_network((2, 6, 6), depth=2, channels=5)
    scales = [layer.weight for layer in networks.normalization_layers(model).values()]
    made = networks.normalize_weights(model, sample)
    assert {id(x) for x in scales} <= {id(x) for x in made.parameters()}


def test_what_has_no_weights_before_it_is_refused_as_a_whole(sample):
    model = nn.Sequential(nn.Conv2d(2, 5, 3), networks.Normalization(5), nn.ReLU())
    model.append(nn.BatchNorm2d(5))
    with pytest.raises(InvalidSetup, match=r"layer '3': .*directly before it"):
        networks.normalize_weights(model, sample)
    assert len(networks.normalization_layers(model)) == 2
    assert not hasattr(model[0], "parametrizations")
    with pytest.raises(InvalidSetup, match="normalized layers"):
        networks.normalize_weights(model[:1], sample)
    nn.init.zeros_(model[0].weight)
    with pytest.raises(InvalidSetup, match="not zero"):
        networks.normalize_weights(model[:2], sample)
