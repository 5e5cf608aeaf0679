"""Covariate shift against blocks of the Hessian and SciPy's distance; noise against its law."""

import copy

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from statmech_bn import networks  # noqa: E402
from statmech_bn.errors import InvalidSetup  # noqa: E402
from statmech_bn.networks import Normalization  # noqa: E402


def small_model(kind="batch"):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 5, bias=False), Normalization(5, kind), nn.Tanh()]
    layers += [nn.Linear(5, 4, bias=False), Normalization(4, kind), nn.Tanh(), nn.Linear(4, 3)]
    return nn.Sequential(*layers).double()


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(20, 4, generator=generator, dtype=torch.float64), torch.arange(20) % 3


@pytest.mark.parametrize("kind", ["batch", "none"])
def test_a_small_step_shifts_gradients_by_the_hessian(kind):
    model, (x, y), eta = small_model(kind), batch(), 1e-5
    found = networks.gradient_shift(model, x, y, eta)
    names, values = zip(*model.named_parameters(), strict=True)
    sizes = [value.numel() for value in values]

    def loss(flat):
        parts = [f.view_as(v) for f, v in zip(flat.split(sizes), values, strict=True)]
        outputs = torch.func.functional_call(model, dict(zip(names, parts, strict=True)), x)
        return nn.functional.cross_entropy(outputs, y)

    flat = torch.cat([value.detach().flatten() for value in values])
    slope = torch.autograd.functional.jacobian(loss, flat)
    hessian = torch.autograd.functional.hessian(loss, flat)
    starts = np.cumsum([0, *sizes])
    weights = [names.index(name) for name in ("0.weight", "3.weight", "6.weight")]
    for k, index in enumerate(weights):
        own, below = slice(starts[index], starts[index + 1]), slice(0, starts[index])
        moved = eta * (hessian[own, below] @ slope[below]).norm() / slope[own].norm()
        assert found["gradient_shift"][k].item() == pytest.approx(moved.item(), rel=1e-3)
        assert (found["gradient_shift"][k] == 0) == (k == 0)


def test_a_step_of_everything_shifts_the_last_layer_by_all_but_its_own():
    model, (x, y), eta = small_model(), batch(), 0.5
    found = networks.gradient_shift(model, x, y, eta).isel(weight=-1)
    before = copy.deepcopy(model.state_dict())
    slopes = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), list(model.parameters()))
    with torch.no_grad():
        for parameter, slope in list(zip(model.parameters(), slopes, strict=True))[:-2]:
            parameter -= eta * slope
    loss = nn.functional.cross_entropy(model(x), y)
    [new] = torch.autograd.grad(loss, model[-1].weight)
    old = slopes[-2]
    assert found["gradient_shift"].item() == pytest.approx(((new - old).norm() / old.norm()).item())
    cosine = nn.functional.cosine_similarity(new.flatten(), old.flatten(), dim=0)
    assert found["gradient_cosine"].item() == pytest.approx(cosine.item())
    model.load_state_dict(before)
    networks.gradient_shift(model, x, y, eta)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_quantiles_have_the_distance_of_the_samples():
    model, (x, _) = small_model(), batch()
    before = networks.unit_quantiles(model, x, 20)  # as many as samples: all of them
    fields = model[0](x).detach()
    for name, values in (("field_quantile", fields), ("input_quantile", model[1](fields).detach())):
        assert before[name].isel(layer=0).shape == (5, 20)
        distance = np.abs(before[name][0, 2] - before[name][0, 0]).mean()
        expected = wasserstein_distance(values[:, 2], values[:, 0])
        assert distance.item() == pytest.approx(expected, rel=0.1)
        median = networks.unit_quantiles(model, x, 1)[name][0, :, 0]
        np.testing.assert_allclose(median, np.median(values, axis=0))
    assert np.isnan(before["input_quantile"][1, 4]).all()  # the second layer has four


def test_noise_has_its_mean_and_variance():
    layer = Normalization(2000)
    x = torch.randn(50, 2000)
    expected = layer(x)
    with networks.noise_behind(nn.Sequential(layer), seed=3):
        found = layer(x)
        again = layer(x)
        with networks.in_mode(layer, training=False):
            quiet = layer(x)
    with networks.in_mode(layer, training=False):
        assert torch.equal(quiet, layer(x))
    assert torch.equal(layer(x), expected)
    added = (found - expected).detach()
    shifts = added.mean(0)  # of each channel, as û has mean 0 there
    assert shifts.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.05)
    assert abs(np.corrcoef(shifts, (again - expected).detach().mean(0))[0, 1]) < 0.1
    stretch = (found * expected).mean(0) / (expected**2).mean(0)
    assert stretch.mean().item() == pytest.approx(1.125, abs=0.01)
    own = found - stretch * expected - shifts
    assert own.var().item() == pytest.approx(2 * 0.1**2 / 3, rel=0.1)
    with networks.noise_behind(nn.Sequential(layer), seed=3):
        assert torch.equal(layer(x), found)


def test_wrong_arguments_are_refused():
    model, (x, y) = small_model(), batch()
    with pytest.raises(InvalidSetup, match="normalization layers"):
        networks.unit_quantiles(nn.Linear(4, 2).double(), x)
    with pytest.raises(InvalidSetup, match="number"):
        networks.unit_quantiles(model, x, 0)
    with pytest.raises(InvalidSetup, match="learning_rate"):
        networks.gradient_shift(model, x, y, -1.0)
    with pytest.raises(InvalidSetup, match="shift"), networks.noise_behind(model, shift=-1.0):
        pass
