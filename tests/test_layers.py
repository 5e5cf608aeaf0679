"""The transforms against PyTorch, finite differences and the derivation, on several libraries."""

import array_api_strict
import numpy as np
import pytest

from statmech_bn import layers
from statmech_bn.errors import InvalidSetup

SHAPES = {"dense": (7, 3), "sequence": (4, 3, 5), "image": (3, 3, 2, 4)}


@pytest.fixture(params=[np, array_api_strict], ids=["numpy", "strict"])
def xp(request):
    return request.param


@pytest.fixture
def generator():
    return np.random.default_rng(3)


def batch(generator, shape):
    """Input, γ, β and a gradient."""
    x = 2 + 3 * generator.standard_normal(shape)
    gamma, beta = generator.standard_normal((2, shape[1]))
    return x, gamma, beta, generator.standard_normal(shape)


def slopes(function, values, step=1e-6):
    """Central differences of a number that a function returns."""
    result = np.empty(values.shape)
    for index in np.ndindex(values.shape):
        up, down = values.copy(), values.copy()
        up[index] += step
        down[index] -= step
        result[index] = (function(up) - function(down)) / (2 * step)
    return result


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_libraries_agree(xp, generator, shape):
    arrays = batch(generator, shape)
    x, gamma, beta, upstream = (xp.asarray(a) for a in arrays)
    output, cache = layers.batch_norm_forward(x, gamma, beta)
    found = (output, *layers.batch_norm_backward(upstream, cache))
    found += layers.moving_averages(xp.zeros(3), xp.ones(3), cache)
    found += (layers.batch_norm_inference(x, cache.mean, cache.variance, gamma, beta),)
    assert all(isinstance(a, type(x)) for a in found)
    x, gamma, beta, upstream = arrays
    rows = np.moveaxis(x, 1, -1).reshape(-1, 3)
    assert cache.samples == len(rows)
    expected = gamma * (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5) + beta
    for result in (found[0], found[-1]):
        np.testing.assert_allclose(np.moveaxis(np.asarray(result), 1, -1).reshape(-1, 3), expected)
    np.testing.assert_allclose(np.asarray(found[4]), 0.1 * rows.mean(0))
    np.testing.assert_allclose(np.asarray(found[5]), 0.9 + 0.1 * rows.var(0, ddof=1))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_gradients_equal_finite_differences(generator, shape):
    x, gamma, beta, upstream = batch(generator, shape)

    def loss(x, gamma, beta):
        return np.sum(upstream * layers.batch_norm_forward(x, gamma, beta)[0])

    _, cache = layers.batch_norm_forward(x, gamma, beta)
    found = layers.batch_norm_backward(upstream, cache)
    expected = (
        slopes(lambda a: loss(a, gamma, beta), x),
        slopes(lambda a: loss(x, a, beta), gamma),
        slopes(lambda a: loss(x, gamma, a), beta),
    )
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, wanted, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_equal_to_pytorch(generator, shape):
    torch = pytest.importorskip("torch")
    x, gamma, beta, upstream = (torch.asarray(a) for a in batch(generator, shape))
    kind = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
    module = kind(3, eps=1e-3, momentum=0.3, dtype=torch.float64)
    module.weight.data, module.bias.data = gamma, beta
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for shift in (0.0, 1.0):  # the running statistics of two steps
        inputs = (x + shift).requires_grad_()
        module.zero_grad()
        wanted = module(inputs)
        wanted.backward(upstream)
        output, cache = layers.batch_norm_forward(inputs.detach(), gamma, beta, 1e-3)
        mean, variance = layers.moving_averages(mean, variance, cache, 0.3)
        found = layers.batch_norm_backward(upstream, cache)
        torch.testing.assert_close(output, wanted.detach())
        for result, gradient in zip(
            found, (inputs.grad, module.weight.grad, module.bias.grad), strict=True
        ):
            torch.testing.assert_close(result, gradient)
        torch.testing.assert_close(mean, module.running_mean)
        torch.testing.assert_close(variance, module.running_var)
    module.eval()
    output = layers.batch_norm_inference(x, mean, variance, gamma, beta, 1e-3)
    torch.testing.assert_close(output, module(x).detach())


def test_weight_norm_equals_pytorch(generator):
    torch = pytest.importorskip("torch")
    weights, upstream = generator.standard_normal((2, 4, 3, 2, 2))
    module = torch.nn.utils.parametrizations.weight_norm(
        torch.nn.Conv2d(3, 4, 2, dtype=torch.float64), dim=0
    )
    gamma = torch.asarray(generator.standard_normal(4))
    scale, direction = (
        module.parametrizations.weight.original0,
        module.parametrizations.weight.original1,
    )
    scale.data, direction.data = gamma.reshape(4, 1, 1, 1), torch.asarray(weights)
    module.weight.backward(torch.asarray(upstream))
    normalized, cache = layers.weight_norm_forward(torch.asarray(weights), gamma)
    along_weights, along_gamma = layers.weight_norm_backward(torch.asarray(upstream), cache)
    torch.testing.assert_close(normalized, module.weight.detach())
    torch.testing.assert_close(along_weights, direction.grad)
    torch.testing.assert_close(along_gamma, scale.grad.reshape(4))


def test_channels_last_is_the_same_transform(generator):
    x, gamma, beta, upstream = batch(generator, SHAPES["image"])
    output, cache = layers.batch_norm_forward(x, gamma, beta)
    moved, moved_cache = layers.batch_norm_forward(
        np.moveaxis(x, 1, -1), gamma, beta, channel_axis=-1
    )
    np.testing.assert_array_equal(np.moveaxis(moved, -1, 1), output)
    first = layers.batch_norm_backward(upstream, cache)[0]
    second = layers.batch_norm_backward(np.moveaxis(upstream, 1, -1), moved_cache)[0]
    np.testing.assert_allclose(np.moveaxis(second, -1, 1), first, rtol=1e-12)


def test_the_gradient_forgets_constants_and_its_own_field(generator):
    x, gamma, beta, upstream = batch(generator, SHAPES["image"])
    _, cache = layers.batch_norm_forward(x, gamma, beta, epsilon=0.0)
    along, _, _ = layers.batch_norm_backward(upstream, cache)
    scale = np.abs(along).sum(axis=(0, 2, 3))
    assert (np.abs(along.sum(axis=(0, 2, 3))) < 1e-14 * scale).all()
    assert (np.abs((along * x).sum(axis=(0, 2, 3))) < 1e-13 * scale).all()


def test_its_own_statistics_restore_the_input(xp, generator):
    x = xp.asarray(batch(generator, SHAPES["image"])[0])
    _, cache = layers.batch_norm_forward(x, xp.ones(3), xp.zeros(3))
    output, _ = layers.batch_norm_forward(x, cache.spread, cache.mean)
    np.testing.assert_allclose(np.asarray(output), np.asarray(x), rtol=1e-13)


def test_the_scale_of_the_weights_does_not_matter(generator):
    x, weights = generator.standard_normal((16, 5)), generator.standard_normal((3, 5))
    gamma, beta, upstream = np.ones(3), np.zeros(3), generator.standard_normal((16, 3))
    results = []
    for a in (1.0, 8.0):
        output, cache = layers.batch_norm_forward(x @ (a * weights).T, gamma, beta, epsilon=0.0)
        along_fields, _, _ = layers.batch_norm_backward(upstream, cache)
        results.append((output, a * along_fields.T @ x))
    for first, second in zip(*results, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-12)


@pytest.mark.parametrize("kernel", [(), (2, 2)], ids=["dense", "convolution"])
def test_population_norm_is_what_batch_norm_becomes_over_the_population(xp, generator, kernel):
    weights = generator.standard_normal((3, 5, *kernel))
    inputs = weights[0].size
    x = generator.standard_normal((400, inputs)) @ generator.standard_normal((inputs, inputs)) + 1
    gamma, beta = generator.standard_normal((2, 3))
    mean, covariance = x.mean(0), np.cov(x.T, ddof=0)
    normalized, bias, cache = layers.population_norm_forward(
        *(xp.asarray(a) for a in (weights, gamma, beta, mean, covariance))
    )
    found = x @ np.asarray(normalized).reshape(3, -1).T + np.asarray(bias)
    fields = x @ weights.reshape(3, -1).T
    output, batch_cache = layers.batch_norm_forward(fields, gamma, beta, epsilon=0.0)
    np.testing.assert_allclose(found, output, rtol=1e-10)
    upstream = generator.standard_normal(found.shape)
    rows = (upstream.T @ x).reshape(weights.shape)
    along_weights, along_gamma, along_beta = layers.population_norm_backward(
        xp.asarray(rows), xp.asarray(upstream.sum(0)), cache
    )
    along_fields, *expected = layers.batch_norm_backward(upstream, batch_cache)
    wanted = (along_fields.T @ x).reshape(weights.shape)
    np.testing.assert_allclose(np.asarray(along_weights), wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(np.asarray(along_gamma), expected[0], rtol=1e-9)
    np.testing.assert_allclose(np.asarray(along_beta), expected[1], rtol=1e-9)


def test_weight_norm_gradients_equal_finite_differences(xp, generator):
    weights, upstream = generator.standard_normal((2, 3, 4, 2))
    gamma = generator.standard_normal(3)

    def loss(weights, gamma):
        return np.sum(upstream * layers.weight_norm_forward(weights, gamma)[0])

    normalized, cache = layers.weight_norm_forward(xp.asarray(weights), xp.asarray(gamma))
    lengths = np.sqrt((np.asarray(normalized) ** 2).sum(axis=(1, 2)))
    np.testing.assert_allclose(lengths, np.abs(gamma))
    found = [np.asarray(a) for a in layers.weight_norm_backward(xp.asarray(upstream), cache)]
    np.testing.assert_allclose(found[0], slopes(lambda a: loss(a, gamma), weights), atol=1e-9)
    np.testing.assert_allclose(found[1], slopes(lambda a: loss(weights, a), gamma), atol=1e-9)
    np.testing.assert_allclose((found[0] * weights).sum(axis=(1, 2)), 0, atol=1e-14)


ONE = np.ones(1)
WRONG = {
    "gamma": lambda: layers.batch_norm_forward(np.ones((4, 2)), ONE, ONE),
    "channel_axis": lambda: layers.batch_norm_forward(np.ones((4, 1)), ONE, ONE, channel_axis=2),
    "epsilon": lambda: layers.batch_norm_forward(np.ones((4, 1)), ONE, ONE, epsilon=-1.0),
    "constant": lambda: layers.batch_norm_forward(np.ones((4, 1)), ONE, ONE, epsilon=0.0),
    "without a mask": lambda: layers.batch_norm_forward(
        np.ma.masked_array([[1.0], [2.0]], [[True], [False]]), ONE, ONE
    ),
    "squares are finite": lambda: layers.batch_norm_forward(
        np.array([[3e4], [-3e4]], np.float16), np.ones(1, np.float16), np.zeros(1, np.float16)
    ),
    "at least two": lambda: layers.batch_norm_forward(np.ones((1, 1)), ONE, ONE),
    "floating": lambda: layers.batch_norm_forward(np.ones((4, 1), dtype=int), ONE, ONE),
    "one library": lambda: layers.batch_norm_forward([[1.0], [2.0]], ONE, ONE),
    "upstream": lambda: layers.batch_norm_backward(
        np.ones((4, 2)), layers.batch_norm_forward(np.ones((4, 1)), ONE, ONE)[1]
    ),
    "mean": lambda: layers.batch_norm_inference(np.ones((4, 1)), np.ones(2), ONE, ONE, ONE),
    "variance": lambda: layers.batch_norm_inference(np.ones((4, 1)), ONE, 0 * ONE, ONE, ONE, 0.0),
    "momentum": lambda: layers.moving_averages(
        ONE, ONE, layers.batch_norm_forward(np.ones((4, 1)), ONE, ONE)[1], 2.0
    ),
    "> 0": lambda: layers.weight_norm_forward(np.zeros((1, 3)), ONE),
    "weights": lambda: layers.weight_norm_forward(np.zeros(3), ONE),
    "beta": lambda: layers.population_norm_forward(np.eye(2), np.ones(2), ONE, ONE, np.eye(2)),
    "covariance": lambda: layers.population_norm_forward(
        np.ones((1, 2)), ONE, ONE, np.ones(2), np.eye(3)
    ),
    "expected shape": lambda: layers.weight_norm_backward(
        np.ones((1, 3)), layers.weight_norm_forward(np.ones((1, 2)), ONE)[1]
    ),
    "upstream_bias": lambda: layers.population_norm_backward(
        np.ones((1, 2)),
        np.ones(2),
        layers.population_norm_forward(np.ones((1, 2)), ONE, ONE, np.ones(2), np.eye(2))[2],
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_an_error_names_what_is_wrong(message):
    with pytest.raises(InvalidSetup, match=message):
        WRONG[message]()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("value", "samples"), [(0.1, 3), (1 / 3, 10_000), (1e8, 1000), (-7.7e-9, 5)]
)
def test_a_constant_channel_has_no_spread(value, samples, dtype):
    """The rounding of a long sum is no spread: û is 0 with ε, and an error without."""
    ulp = np.spacing(np.full((samples, 1), value, dtype))
    column = np.full((samples, 1), value, dtype)
    column[::2] += ulp[::2]
    varied = np.linspace(1, 2, samples, dtype=dtype)[:, None]
    x, ones = np.concatenate([column, varied], axis=1), np.ones(2, dtype)
    with pytest.raises(InvalidSetup, match="constant over the batch"):
        layers.batch_norm_forward(x, ones, 0 * ones, 0.0)
    output, cache = layers.batch_norm_forward(x, ones, 0.5 * ones, 1e-30)
    assert (output[:, 0] == 0.5).all()
    assert cache.variance[0] == 0
    np.testing.assert_allclose(output[:, 1].std(), 1, rtol=1e-5)
    varied = value * (1 + 1e3 * np.finfo(dtype).eps * np.linspace(0, 1, samples)[:, None])
    normalized = layers.batch_norm_forward(varied.astype(dtype), ones[:1], 0 * ones[:1], 0.0)[0]
    np.testing.assert_allclose(normalized.std(), 1, rtol=1e-3)
