"""What replaces a normalization layer computes the same, or the layer is refused by its name."""

import copy

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

from statmech_bn import networks  # noqa: E402
from statmech_bn.errors import InvalidSetup, NetworkWarning  # noqa: E402
from statmech_bn.networks import Normalization, replace_normalization  # noqa: E402


class WithActivation(nn.BatchNorm1d):
    def forward(self, x):
        return torch.relu(super().forward(x))


class CalledOtherwise(nn.BatchNorm1d):
    def __call__(self, x):
        return torch.relu(super().__call__(x))


class AlwaysEvaluated(nn.BatchNorm1d):
    def train(self, mode=True):
        return super().train(False)


class OtherName(nn.BatchNorm1d):
    def extra_repr(self):
        return "batch normalization of another name"


class WithGain(nn.BatchNorm1d):
    """γ is stored as its distance from one."""

    def __init__(self, channels):
        super().__init__(channels)
        del self.weight
        self.gain = nn.Parameter(torch.zeros(channels))

    @property
    def weight(self):
        return 1 + self.gain


class Twice(nn.Module):
    """One layer at three places, two of them in the same module."""

    def __init__(self, layer):
        super().__init__()
        self.first, self.again = layer, layer
        self.inner = nn.Sequential(nn.Linear(4, 4), layer)

    def forward(self, x):
        return self.again(self.inner(self.first(x)))


def hooked(layer):
    layer.register_forward_hook(lambda module, inputs, output: 2 * output)
    return layer


def patched(layer):
    layer.forward = lambda x: 2 * nn.BatchNorm1d.forward(layer, x)
    return layer


def with_parts(layer):
    with torch.no_grad():
        for value in layer.parameters():
            value.uniform_(0.5, 2.0)
        layer.running_mean.uniform_(-1.0, 1.0)
        layer.running_var.uniform_(0.5, 2.0)
    return layer


class HeldTwice(nn.Module):
    """The layer that is called is no submodule alone, so that exchanging that changes nothing."""

    def __init__(self, held):
        super().__init__()
        self.layer = nn.BatchNorm1d(4)
        self.held = held(self.layer)


HELD = {
    "in a list": lambda layer: [None, layer],
    "in a mapping": lambda layer: {"a": layer},
    "as a method": lambda layer: layer.forward,
    "as methods": lambda layer: (layer.forward,),
}


def frozen(layer):
    return layer.eval().requires_grad_(False)


KEPT = {
    "plain": lambda: nn.BatchNorm1d(4),
    "ours": lambda: Normalization(4),
    "epsilon and momentum": lambda: nn.BatchNorm1d(4, eps=0.3, momentum=0.7),
    "no momentum at all": lambda: nn.BatchNorm1d(4, momentum=0.0),
    "without parameters": lambda: nn.BatchNorm1d(4, affine=False),
    "frozen": lambda: frozen(nn.BatchNorm1d(4)),
    "another name": lambda: OtherName(4),
    "double": lambda: nn.BatchNorm1d(4, dtype=torch.float64),
}
REFUSED = {
    "activation": (lambda: WithActivation(4), "nothing else"),
    "call": (lambda: CalledOtherwise(4), "nothing else"),
    "mode of its own": (lambda: AlwaysEvaluated(4), "nothing else"),
    "forward of the object": (lambda: patched(nn.BatchNorm1d(4)), "nothing else"),
    "several processes": (lambda: nn.SyncBatchNorm(4), "nothing else"),
    "lazy": (lambda: nn.LazyBatchNorm1d(), "Call the model on a batch"),
    "lazy without parameters": (lambda: nn.LazyBatchNorm1d(affine=False), "on a batch first"),
    "no statistics": (lambda: nn.BatchNorm1d(4, track_running_stats=False), "running statistics"),
    "cumulative": (lambda: nn.BatchNorm1d(4, momentum=None), "a momentum"),
    "hook": (lambda: hooked(nn.BatchNorm1d(4)), "without hooks"),
    "property": (lambda: WithGain(4), "parametrizations"),
    "pruned": (lambda: prune.l1_unstructured(nn.BatchNorm1d(4), "weight", 1), "parametrizations"),
    "parametrized": (
        lambda: nn.utils.parametrize.register_parametrization(
            nn.BatchNorm1d(4), "weight", nn.Softplus()
        ),
        "parametrizations",
    ),
    "parametrized bias": (
        lambda: nn.utils.parametrize.register_parametrization(
            nn.BatchNorm1d(4), "bias", nn.Softplus()
        ),
        "parametrizations",
    ),
}


@pytest.fixture
def x():
    return 5 + 3 * torch.randn(16, 4, generator=torch.Generator().manual_seed(0))


def steps(model, x):
    """Outputs and gradients in the model's mode, and after that in evaluation."""
    found = []
    for _ in range(3):
        inputs = x.clone().requires_grad_()
        output = model(inputs)
        found += [output, torch.autograd.grad((output**3).sum(), inputs)[0]]
    return [*found, model.eval()(x)]


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT.keys())
def test_a_layer_and_what_replaces_it_compute_the_same(make, x):
    torch.manual_seed(1)
    old = nn.Sequential(nn.Linear(4, 4), make())
    with_parts(old[1])
    old[0].to(old[1].running_mean.dtype)
    x = x.to(old[1].running_mean.dtype)
    new = replace_normalization(copy.deepcopy(old), "batch")
    assert type(new[1]) is Normalization
    assert new[1].training == old[1].training
    torch.testing.assert_close(steps(new, x), steps(old, x))
    assert sum(p.requires_grad for p in new[1].parameters()) == sum(
        p.requires_grad for p in old[1].parameters()
    )


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_another_function_is_refused_by_name_and_nothing_changes(make, reason):
    model = nn.Sequential(nn.BatchNorm1d(4), nn.ModuleDict({"deep": nn.Sequential(make())}))
    before = list(model.modules())
    with pytest.raises(InvalidSetup, match=rf"layer '1\.deep\.0'.*{reason}"):
        replace_normalization(model, "batch")
    assert all(a is b for a, b in zip(model.modules(), before, strict=True))
    with pytest.raises(InvalidSetup, match=f"^model: .*{reason}"):
        replace_normalization(make(), "batch")


@pytest.mark.parametrize("held", HELD.values(), ids=HELD.keys())
@pytest.mark.parametrize(
    "change",
    [
        lambda model: replace_normalization(model, "batch"),
        lambda model: networks.fix_statistics(model, torch.zeros(4, 4)),
    ],
)
def test_a_layer_that_is_held_elsewhere_is_refused(held, change):
    model = nn.Sequential(HeldTwice(held))
    with pytest.raises(InvalidSetup, match=r"layer '0\.layer'.*HeldTwice\.held"):
        change(model)
    assert type(model[0].layer) is nn.BatchNorm1d


def test_a_layer_that_has_seen_a_batch_is_no_longer_lazy(x):
    model = nn.Sequential(nn.LazyBatchNorm1d())
    model(x)
    new = replace_normalization(copy.deepcopy(model), "batch")
    torch.testing.assert_close(steps(new, x), steps(model, x))


def test_one_layer_at_three_places_stays_one(x):
    torch.manual_seed(2)
    old = Twice(with_parts(nn.BatchNorm1d(4)))
    new = replace_normalization(copy.deepcopy(old), "batch")
    assert type(new.first) is Normalization
    assert new.first is new.again is new.inner[1]
    torch.testing.assert_close(steps(new, x), steps(old, x))


def test_other_normalizations_stay():
    layers = nn.InstanceNorm1d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.LocalResponseNorm(2)
    model = replace_normalization(nn.Sequential(*layers, nn.BatchNorm1d(4)), "batch")
    assert all(a is b for a, b in zip(model, layers, strict=False))


def test_a_wrapped_model_is_reached(x):
    model = nn.DataParallel(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    assert type(replace_normalization(model, "mean").module[1]) is Normalization


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_scripted_model_is_refused():
    model = nn.Sequential(torch.jit.script(nn.BatchNorm1d(4)))
    with pytest.raises(InvalidSetup, match="scripted"):
        replace_normalization(model, "batch")


def test_a_weight_normalized_neighbour_is_no_obstacle(x):
    old = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.BatchNorm1d(4))
    new = replace_normalization(copy.deepcopy(old), "batch")
    torch.testing.assert_close(steps(new, x), steps(old, x))


def test_a_state_dict_fits_both(x):
    its, ours = nn.Sequential(with_parts(nn.BatchNorm1d(4))), nn.Sequential(Normalization(4))
    its(x)
    state = its.state_dict()
    ours.load_state_dict(state)
    assert "0.num_batches_tracked" in state
    torch.testing.assert_close(ours.eval()(x), its.eval()(x))
    back = nn.Sequential(nn.BatchNorm1d(4))
    back.load_state_dict(ours.state_dict())
    torch.testing.assert_close(back.eval()(x), its(x))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        ours.load_state_dict({**state, "0.other": torch.zeros(4)})


def test_gamma_decay_is_not_measured_behind_an_activation(x):
    model = nn.Sequential(nn.Linear(4, 4), WithActivation(4))
    with pytest.raises(InvalidSetup, match="layer '1'"):
        networks.decay_coefficients(model, x, 4)


def test_fixed_statistics_are_those_of_the_start_for_ever():
    x = torch.randn(60, 1, 8, 8) + 0.5
    model = networks.plain_network((1, 8, 8), depth=2, channels=4)
    networks.refresh_population(model, x)
    expected = model.eval()(x)
    layers = networks.normalization_layers(model)
    kept = [p for layer in layers.values() for p in layer.parameters()]
    assert networks.fix_statistics(model.train(), x) is model
    torch.testing.assert_close(model(x), expected)
    assert not networks.normalization_layers(model)
    assert {id(p) for p in kept} <= {id(p) for p in model.parameters()}
    first = model[1](model[0](x))
    torch.testing.assert_close(first.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(first.var((0, 2, 3), correction=0), torch.ones(4), atol=1e-3, rtol=0)
    with torch.no_grad():
        model[0].weight *= 2
    networks.refresh_population(model, x)
    torch.testing.assert_close(
        model[1](model[0](x)) - first,
        model[0](x) / 2 / model[1].variance.add(1e-5).sqrt()[:, None, None],
    )


def test_dense_layers_keep_the_mean_square_of_wide_networks():
    x = torch.randn(50, 1, 8, 8)
    model = networks.dense_network((1, 8, 8), 10, depth=5, channels=800, normalization="none")
    squares = [x.square().mean()]
    for layer in model:
        x = layer(x)
        if isinstance(layer, torch.nn.ReLU):
            squares.append(x.square().mean())
    assert len(squares) == 6
    assert [s.item() for s in squares] == pytest.approx([1.0] * 6, rel=0.15)
    assert x.shape == (50, 10)


def test_a_model_without_batch_normalization_is_said_to_have_none():
    with pytest.warns(NetworkWarning, match="nothing is replaced"):
        replace_normalization(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), "population")


@pytest.mark.parametrize("kind", ["weight", "ghost", "ghost(8)"])
def test_other_normalizations_are_said_where_to_find(kind):
    with pytest.raises(InvalidSetup, match=r"kind: .*ghost_size.*normalize_weights"):
        replace_normalization(nn.Sequential(nn.BatchNorm1d(3)), kind)
