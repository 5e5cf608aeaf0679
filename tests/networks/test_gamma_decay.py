"""ζ of channels against the derivations for single units, and against the loss of real batches."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from statmech_bn import networks, symbolic  # noqa: E402
from statmech_bn.errors import InvalidSetup  # noqa: E402
from statmech_bn.networks import Normalization, decay_coefficients  # noqa: E402
from statmech_bn.symbolic.gamma_decay import PARTS, STATISTICS  # noqa: E402

BATCH_SIZE = 16


def inputs(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def unit(*after, scale=1.0, seed=0):
    """One normalized unit on ten inputs."""
    torch.manual_seed(seed)
    normalization = Normalization(1, "population", epsilon=1e-12)
    nn.init.constant_(normalization.weight, scale)
    return nn.Sequential(nn.Linear(10, 1, bias=False), normalization, *after).double()


def measured_law(model, x):
    u = model[0](x).detach()
    u = (u - u.mean()) / u.std(correction=0)
    return {
        symbolic.skewness: (u**3).mean().item(),
        symbolic.excess_kurtosis: (u**4).mean().item() - 3,
    }


def penalty_part(theory, statistics, part):
    """ζ of one part, from the derivation's penalty."""
    penalty = theory.penalty if part == "both" else getattr(theory, f"from_{part}")
    if statistics == "independent":
        return penalty / symbolic.gamma**2
    return (penalty.diff(symbolic.gamma) / (2 * symbolic.gamma)).subs(symbolic.gamma, 1)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("law", ["gaussian", "skew"])
def test_a_linear_unit_has_its_derived_decay(statistics, part, law):
    model, x = unit(), inputs(200, 10)
    x = x if law == "gaussian" else x**2
    theory = symbolic.gamma_decay(statistics, "linear")
    expected = penalty_part(theory, statistics, part).subs(
        {symbolic.M: BATCH_SIZE, **measured_law(model, x)}
    )
    found = decay_coefficients(model, x, BATCH_SIZE, statistics, part, loss="squared")["1"]
    assert found.item() == pytest.approx(float(expected), abs=1e-10)
    finite = decay_coefficients(model, x, BATCH_SIZE, statistics, part, 200, "squared")["1"]
    assert finite.item() == pytest.approx(float(expected) * 184 / 199, abs=1e-10)


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_relu_unit_has_half_of_a_linear_one(statistics):
    """F = Θ(φ) for the exponential family of ReLU and for its squared loss; ½ for Gaussian u."""
    x = inputs(20_000, 10)
    x = torch.cat([x, -x])  # symmetric, so that every even average is exactly a half
    linear, relu = (
        decay_coefficients(unit(*after), x, BATCH_SIZE, statistics, loss="squared")["1"]
        for after in ((), (nn.ReLU(),))
    )
    assert relu.item() == pytest.approx(linear.item() / 2, rel=1e-9)
    expected = symbolic.gamma_decay(statistics, "linear", "gaussian").zeta.subs(symbolic.gamma, 1)
    expected = float(expected.subs(symbolic.M, BATCH_SIZE)) / 2
    assert relu.item() == pytest.approx(expected, rel=0.03)


def test_a_logistic_unit_has_its_derived_decay():
    """Cross-entropy of the outputs (φ, 0) is the logistic loss; Monte Carlo over 40 000 fields."""
    scale, head = 2.0, nn.Linear(1, 2, bias=False)
    model, x = unit(head, scale=scale), inputs(40_000, 10)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0], [0.0]]))
    zeta = symbolic.gamma_decay("independent", "logistic", "gaussian").zeta
    expected = float(zeta.subs({symbolic.gamma: scale, symbolic.M: BATCH_SIZE}).evalf())
    found = decay_coefficients(model, x, BATCH_SIZE, "independent")["1"]
    assert found.item() == pytest.approx(expected, rel=0.01)


def test_positions_that_say_the_same_count_once():
    """A convolution over copies of one position is a dense unit."""
    dense, x = unit(), inputs(300, 10)
    image = nn.Sequential(
        nn.Conv2d(10, 1, 1, bias=False), Normalization(1, "population", epsilon=1e-12),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ).double()  # fmt: skip
    with torch.no_grad():
        image[0].weight.copy_(dense[0].weight[:, :, None, None])
    copies = x[:, :, None, None].expand(-1, -1, 4, 4)
    for statistics in STATISTICS:
        one = decay_coefficients(dense, x, BATCH_SIZE, statistics, loss="squared")["1"]
        same = decay_coefficients(image, copies, BATCH_SIZE, statistics, loss="squared")["1"]
        torch.testing.assert_close(one, same)


@pytest.mark.parametrize("kind", ["batch", "mean", "spread"])
def test_the_excess_of_the_loss_over_real_batches(kind):
    """The loss of a convolutional channel, for labels of the model, rises by ζγ² under its batches.

    Independent and correlated statistics agree in this excess but for the skewness, absent here.
    """
    size, samples = 64, 4096
    x = inputs(samples, 2, 6, 6, seed=3) + 0.7 * inputs(samples, 2, 1, 1, seed=4)
    torch.manual_seed(2)
    normalization = Normalization(1, "population")
    model = nn.Sequential(
        nn.Conv2d(2, 1, 3, bias=False), normalization, nn.Softplus(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(1, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        normalization.weight.fill_(1.5)
        model[-1].weight.copy_(torch.tensor([[2.0], [0.0], [-2.0]]))
    part = {"batch": "both"}.get(kind, kind)
    zeta = decay_coefficients(model, x, size, "independent", part, samples)["1"].item()
    with torch.no_grad():
        model.eval()
        target = model(x).softmax(1)
        entropy = nn.functional.cross_entropy(model(x), target, reduction="none")
        replaced = networks.replace_normalization(model, kind).train()
        excess = []
        for seed in range(40):
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(samples, generator=generator)
            for chosen in order.split(size):
                with networks.keeping_buffers(replaced):
                    loss = nn.functional.cross_entropy(
                        replaced(x[chosen]), target[chosen], reduction="none"
                    )
                excess.append((loss - entropy[chosen]).mean().item())
    error = np.std(excess) / np.sqrt(len(excess))
    expected = zeta * 1.5**2
    assert expected > 10 * error
    assert abs(np.mean(excess) - expected) < 4 * error + 0.03 * expected
    # as if all values of a channel were independent
    naive = decay_coefficients(model, x, 16 * size, "independent", part)["1"].item() * 1.5**2
    assert abs(np.mean(excess) - naive) > 10 * error


def test_the_penalty_and_its_derivative():
    model = networks.plain_network((1, 8, 8), depth=3, channels=4)
    x = torch.randn(64, 1, 8, 8)
    zeta = decay_coefficients(model, x, 16)
    assert list(zeta) == list(networks.normalization_layers(model))
    penalty = networks.gamma_penalty(model, zeta)
    assert penalty.item() == pytest.approx(sum(z.sum().item() for z in zeta.values()))
    gammas = [layer.weight for layer in networks.normalization_layers(model).values()]
    slopes = torch.autograd.grad(penalty, gammas)
    for slope, z in zip(slopes, zeta.values(), strict=True):
        torch.testing.assert_close(slope, 2 * z)
    assert networks.gamma_penalty(model, 0.5).item() == pytest.approx(6.0)


def test_statistics_of_layers():
    model = networks.plain_network((1, 8, 8), depth=3, channels=4)
    x = torch.randn(64, 1, 8, 8)
    found = networks.layer_statistics(model, x, 16)
    for statistics in STATISTICS:
        zeta = decay_coefficients(model, x, 16, statistics)
        expected = [z.mean().item() for z in zeta.values()]
        np.testing.assert_allclose(found[f"gamma_decay_{statistics}"], expected, rtol=1e-5)
    assert (found["mean_variance"] < 1).all()  # positions average
    assert all(variable.attrs["long_name"] for variable in found.data_vars.values())


def test_changes_in_place_do_not_matter():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(10, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    inplace = nn.Sequential(*plain[:2], nn.ReLU(inplace=True), plain[3])
    x = torch.randn(50, 10)
    one, other = (decay_coefficients(model, x, 10)["1"] for model in (plain, inplace))
    torch.testing.assert_close(one, other)


def test_wrong_arguments_are_refused():
    model = networks.plain_network((1, 8, 8), depth=1, channels=4, normalization="none")
    x = torch.randn(8, 1, 8, 8)
    with pytest.raises(InvalidSetup, match="normalized layers"):
        decay_coefficients(model, x, 4)
    networks.replace_normalization(model, "batch")
    with pytest.raises(InvalidSetup, match="statistics"):
        decay_coefficients(model, x, 4, "none")
    with pytest.raises(InvalidSetup, match="batch_size"):
        decay_coefficients(model, x, 9, training_samples=8)
    with pytest.raises(InvalidSetup, match="loss"):
        decay_coefficients(model, x, 4, loss="hinge")
