"""The layers against PyTorch's batch normalization in limits, and against finite differences."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from statmech_bn import networks  # noqa: E402
from statmech_bn.errors import InvalidSetup  # noqa: E402
from statmech_bn.networks import Normalization  # noqa: E402

RANDOM = ("batch", "mean", "spread", "population")
SHAPES = {"dense": (12, 3), "image": (12, 3, 4, 2)}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def x(request):
    generator = torch.Generator().manual_seed(1)
    return 2 + 3 * torch.randn(request.param, dtype=torch.float64, generator=generator)


def layer(kind, x, ghost_size=None):
    """Parameters that are not trivial, and the population's statistics of another sample."""
    made = Normalization(3, kind, ghost_size).double()
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.7, -1.3, 2.0]))
        made.bias.copy_(torch.tensor([0.1, 0.0, -0.4]))
        made.running_mean.copy_(torch.tensor([1.5, 2.5, 2.0]))
        made.running_var.copy_(torch.tensor([7.0, 11.0, 9.0]))
    return made


def pytorch(made, x):
    """PyTorch's own layer with the same parameters and statistics."""
    classes = {2: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    its = classes[x.ndim](3).double()
    its.load_state_dict(made.state_dict(), strict=False)
    return its


def gradients(model, x, upstream):
    x = x.clone().requires_grad_()
    output = model(x)
    return output, torch.autograd.grad(output, (x, model.weight, model.bias), upstream)


def same(first, second):
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("ghost_size", [None, 12])
def test_one_group_is_pytorch(x, ghost_size):
    ours = layer("batch", x, ghost_size)
    its, upstream = pytorch(ours, x), torch.randn_like(x)
    same(gradients(ours, x, upstream), gradients(its, x, upstream))
    same(ours.running_mean, its.running_mean)
    same(ours.running_var, its.running_var)
    same(ours.eval()(x), its.eval()(x))


def test_groups_are_normalized_one_by_one(x):
    ours = layer("batch", x, 4)
    whole, upstream = layer("batch", x), torch.randn_like(x)
    output, found = gradients(ours, x, upstream)
    parts = [gradients(whole, *pair) for pair in zip(x.split(4), upstream.split(4), strict=True)]
    same(output, torch.cat([part[0] for part in parts]))
    same(found[0], torch.cat([part[1][0] for part in parts]))
    for k in (1, 2):
        same(found[k], sum(part[1][k] for part in parts))
    groups = x.unflatten(0, (3, 4))
    others = (1, *range(3, x.ndim + 1))
    same(
        ours.running_mean,
        0.9 * torch.tensor([1.5, 2.5, 2.0]).double() + 0.1 * groups.mean(others).mean(0),
    )
    expected = 0.9 * torch.tensor([7.0, 11.0, 9.0]).double() + 0.1 * groups.var(others).mean(0)
    same(ours.running_var, expected)


@pytest.mark.parametrize("kind", RANDOM)
def test_all_kinds_are_batch_normalization_if_the_batch_is_the_population(x, kind):
    made = layer(kind, x)
    its = pytorch(made, x)
    networks.refresh_population(made, x)
    same(made(x), its(x))


def test_frozen_statistics_have_no_gradient(x):
    made, upstream = layer("frozen", x), torch.randn_like(x)
    its = pytorch(made, x)
    networks.refresh_population(made, x)
    output, found = gradients(made, x, upstream)
    same(output, its(x))
    shape = (-1, *[1] * (x.ndim - 2))
    scale = (made.weight / torch.sqrt(made.running_var + made.epsilon)).view(shape)
    same(found[0], upstream * scale)


@pytest.mark.parametrize("kind", ["mean", "spread"])
def test_one_statistic_is_the_batch_s(x, kind):
    made = layer(kind, x)
    others = (0, *range(2, x.ndim))
    mean = x.mean(others) if kind == "mean" else made.running_mean
    variance = x.var(others, correction=0) if kind == "spread" else made.running_var
    shape = (-1, *[1] * (x.ndim - 2))
    mean, spread = mean.view(shape), torch.sqrt(variance + made.epsilon).view(shape)
    same(made(x), made.weight.view(shape) * (x - mean) / spread + made.bias.view(shape))
    before = made.running_mean.clone(), made.running_var.clone()
    made(x)
    same((made.running_mean, made.running_var), before)


@pytest.mark.parametrize("kind", ["batch", "frozen", "none"])
@pytest.mark.parametrize("ghost_size", [None, 4])
def test_gradients_equal_finite_differences(x, kind, ghost_size):
    made = layer(kind, x, ghost_size)

    def output(x, gamma, beta):
        return torch.func.functional_call(copy.deepcopy(made), {"weight": gamma, "bias": beta}, x)

    given = (x.requires_grad_(), made.weight.detach().clone(), made.bias.detach().clone())
    assert torch.autograd.gradcheck(output, (given[0], *(p.requires_grad_() for p in given[1:])))


@pytest.mark.parametrize("kind", ["mean", "spread", "population"])
@pytest.mark.parametrize("ghost_size", [None, 4])
def test_population_statistics_move_with_the_other_samples(x, kind, ghost_size):
    """The definition in a loop, its statistics moving away from x by what the others do."""
    made, at = layer(kind, x, ghost_size), x.clone()
    size = ghost_size if ghost_size and kind != "population" else len(x)
    rest, shape = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
    centre = made.running_mean.view(shape)

    def output(x):
        found = []
        for m in range(len(x)):
            group = range(m // size * size, m // size * size + size)
            others = [k for k in group if k != m]
            mean = made.running_mean + (x - at)[others].mean(rest)
            moved = (x - centre) ** 2 - (at - centre) ** 2
            variance = made.running_var + moved[others].mean(rest)
            if kind == "mean":
                mean = x[group].mean(rest)
            if kind == "spread":
                variance = x[group].var(rest, correction=0)
            spread = torch.sqrt(variance + made.epsilon).view(shape)
            u = (x[m] - mean.view(shape)) / spread
            found.append(made.weight.view(shape) * u + made.bias.view(shape))
        return torch.stack(found)

    upstream = torch.randn_like(x)
    x.requires_grad_()
    same(made(x), output(x))
    expected = torch.autograd.grad(output(x), (x, made.weight, made.bias), upstream)
    same(torch.autograd.grad(made(x), (x, made.weight, made.bias), upstream), expected)


@pytest.mark.parametrize("kind", ["mean", "spread", "population"])
@pytest.mark.parametrize("ghost_size", [None, 3])
def test_a_population_behind_the_batch_gives_its_statistics(x, kind, ghost_size):
    """Value against the definition, gradients against finite differences."""
    made = layer(kind, x, ghost_size)
    made.reference_size = 6
    rest, shape = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
    own, population = x[:6], x[6:]

    def normalized(values, mean, variance):
        spread = torch.sqrt(variance + made.epsilon).view(shape)
        u = (values - mean.view(shape)) / spread
        return made.weight.view(shape) * u + made.bias.view(shape)

    exact = population.mean(rest), population.var(rest, correction=0)
    expected = []
    for group in own.split(ghost_size or 6):
        mean = group.mean(rest) if kind == "mean" else exact[0]
        variance = group.var(rest, correction=0) if kind == "spread" else exact[1]
        expected.append(normalized(group, mean, variance))
    same(made(x), torch.cat([*expected, normalized(population, *exact)]))
    assert torch.autograd.gradcheck(made, x.requires_grad_())


def test_the_mean_gradient_of_the_population_is_that_of_a_large_batch():
    """Within four standard errors for 512 batches of 16; with constant statistics it is not."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(8192, 20, dtype=torch.float64, generator=generator)
    labels = x[:, :1].relu()
    torch.manual_seed(1)
    linear = nn.Linear(20, 1, bias=False).double()

    def gradients(kind, size):
        model = nn.Sequential(linear, Normalization(1, kind, epsilon=1e-12).double())
        networks.refresh_population(model, x)
        parts = zip(x.split(size), labels.split(size), strict=True)
        losses = [((model(a) - b) ** 2).mean() for a, b in parts]
        return torch.stack([torch.autograd.grad(loss, linear.weight)[0][0] for loss in losses])

    whole, w = gradients("batch", 8192)[0], linear.weight.detach()[0]
    assert abs(whole @ w) < 1e-9
    found = gradients("population", 16)
    error = found.std(0) / np.sqrt(len(found))
    assert ((found.mean(0) - whole).abs() < 4 * error).all()
    assert gradients("frozen", 16).mean(0) @ w > 20 * (error @ w.abs())


def test_wrong_arguments_are_refused(x):
    with pytest.raises(InvalidSetup, match="kind"):
        Normalization(3, "layer")
    with pytest.raises(InvalidSetup, match="divisor"):
        layer("batch", x, 5)(x)
    for samples, ghosts in ((2, None), (0, None), (0, 4)):
        with pytest.raises(InvalidSetup, match=f"^x: .*three values.*got {samples}"):
            Normalization(3, ghost_size=ghosts)(torch.zeros(samples, 3))


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, eps=1e-3), nn.ReLU())
        self.branch = nn.ModuleDict({"a": nn.Sequential(nn.BatchNorm2d(3, affine=False))})
        self.top = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3))

    def forward(self, x):
        x = self.first(x)
        return self.top(x + self.branch["a"](x))


@pytest.mark.parametrize("kind", networks.normalization.KINDS)
def test_replacement_in_a_nested_model(kind):
    torch.manual_seed(0)
    model, x = Nested().double(), torch.randn(6, 3, 4, 4, dtype=torch.float64)
    optimizer_has = list(model.parameters())
    model(x)
    model.eval()
    before = model(x)
    names = list(networks.normalization_layers(model))
    assert networks.replace_normalization(model, kind) is model
    layers = networks.normalization_layers(model)
    assert list(layers) == names == ["first.1", "branch.a.0", "top.2"]
    assert all(isinstance(m, Normalization) and not m.training for m in layers.values())
    assert layers["first.1"].epsilon == 1e-3
    kept = [p for p in model.parameters() if p.requires_grad]
    assert all(a is b for a, b in zip(kept, optimizer_has, strict=True))
    assert all(p.dtype == torch.float64 for p in model.state_dict().values())
    if kind == "none":
        model.train()
        same(
            model.first(x),
            nn.functional.relu(model.first[0](x) + model.first[1].bias.view(-1, 1, 1)),
        )
    else:
        same(model(x), before)
    model.eval()
    again = networks.replace_normalization(model, "batch", 3)
    same(again(x), before)


def test_a_single_layer_is_replaced_by_the_new_one():
    new = networks.replace_normalization(nn.BatchNorm1d(4), "mean", 8)
    assert (new.kind, new.ghost_size, new.channels) == ("mean", 8, 4)


def test_a_refreshed_model_computes_what_the_whole_batch_would():
    torch.manual_seed(0)
    model, x = Nested().double(), torch.randn(50, 3, 4, 4, dtype=torch.float64)
    whole = model(x)
    networks.refresh_population(model, x)
    assert model.training
    same(model.eval()(x), whole)


def test_buffers_and_modes_come_back():
    model = Nested()
    model.top.eval()
    before = copy.deepcopy(model.state_dict())
    with networks.keeping_buffers(model), networks.in_mode(model, training=True):
        model(torch.randn(6, 3, 4, 4))
        assert model.top[2].training
    assert not model.top[2].training
    assert model.first[1].training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
