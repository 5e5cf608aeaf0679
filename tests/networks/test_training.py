"""Models and their training: reproducible, right at the limits, and a result when it diverges."""

from functools import partial

import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import statmech_bn as sbn  # noqa: E402
from statmech_bn import networks  # noqa: E402
from statmech_bn.errors import InvalidSetup  # noqa: E402
from statmech_bn.random.streams import stream  # noqa: E402

run = partial(
    networks.training_run,
    depth=2,
    channels=8,
    epochs=3,
    samples=512,
    batch_size=32,
    learning_rate=0.3,
)


def test_shapes_of_models():
    model = networks.plain_network((3, 32, 32), 5, depth=32, channels=2)
    assert model(torch.zeros(4, 3, 32, 32)).shape == (4, 5)
    assert len(networks.normalization_layers(model)) == 32
    model = networks.residual_network((1, 8, 8), 3, depth=4, channels=6)
    assert model(torch.zeros(4, 1, 8, 8)).shape == (4, 3)
    assert len(networks.normalization_layers(model)) == 9
    with pytest.raises(InvalidSetup, match="depth"):
        networks.plain_network((1, 8, 8), depth=33)
    with pytest.raises(InvalidSetup, match="shape"):
        networks.plain_network((8, 8))


def test_initial_weights_follow_from_the_seed_and_keep_the_variance():
    one, same, other = (networks.plain_network((8, 8, 8), channels=64, seed=s) for s in (0, 0, 1))
    assert torch.equal(one[3].weight, same[3].weight)
    assert not torch.equal(one[3].weight, other[3].weight)
    assert one[3].weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.02)


def test_training_learns_and_repeats():
    first, again = run(), run()
    xr.testing.assert_identical(first, again)
    assert first["training_loss"][-1] < 0.8 * first["training_loss"][0]
    assert first["test_accuracy"][-1] > 0.6
    assert np.isnan(first["diverged_at"])
    assert not run(seed=1)["test_loss"].equals(first["test_loss"])


def test_a_step_is_the_one_that_is_documented():
    """Momentum, weight decay on weights alone, gamma decay and a schedule, by hand."""
    images = networks.load(samples=64)
    model = networks.plain_network(images.shape, depth=1, channels=4)
    twin = networks.plain_network(images.shape, depth=1, channels=4)
    schedule = sbn.schedules.cosine(2)
    networks.train(
        model, images, 0.2, 64, 2,
        momentum=0.5, weight_decay=0.1, gamma_decay=0.3, schedule=schedule,
    )  # fmt: skip
    speed = {name: torch.zeros_like(p) for name, p in twin.named_parameters()}
    for time in (0, 1):  # one batch in an epoch: the order does not matter
        loss = nn.functional.cross_entropy(twin(images.train_inputs), images.train_labels)
        loss = loss + 0.3 * (twin[1].weight ** 2).sum()
        slopes = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for (name, p), slope in zip(twin.named_parameters(), slopes, strict=True):
                decay = 0.0 if name.startswith("1.") else 0.1
                speed[name] = 0.5 * speed[name] + slope + decay * p
                p -= 0.2 * schedule(time) * speed[name]
    for p, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, expected, rtol=1e-4, atol=1e-6)


def test_one_batch_that_is_the_training_set_makes_all_kinds_equal():
    """Without random statistics: batch, ghosts of the whole, population and its parts.

    Derivatives of the population's statistics leave out a sample, which is a 1/M of the batch.
    """
    settings = {"batch_size": 512, "refresh_steps": 1, "learning_rate": 0.3}
    expected = run(**settings)
    for more in ({"normalization": "population"}, {"normalization": "mean"}, {"ghost_size": 512}):
        found = run(**settings, **more)
        rtol = 1e-5 if "ghost_size" in more else 1 / 512
        np.testing.assert_allclose(found["test_loss"], expected["test_loss"], rtol=rtol)
    decayed = run(normalization="population", gamma_decay="correlated", **settings)
    assert (decayed["layer_gamma_decay"] == 0).all()  # (P − M)/(P − 1)
    np.testing.assert_allclose(decayed["test_loss"], expected["test_loss"], rtol=1 / 512)


def test_an_exact_population_is_that_of_the_training_set():
    """One step is that of batch normalization over the whole set, its loss that of the batch."""
    images = networks.load(samples=100)
    model, other = (
        networks.plain_network(images.shape, depth=2, channels=4, normalization=kind)
        for kind in ("population", "batch")
    )
    drawn = stream(0, 42)
    drawn.permutation(100)  # that of the sample that measures
    order = drawn.permutation(100)
    loss = nn.functional.cross_entropy(
        other(images.train_inputs)[order[:60]], images.train_labels[order[:60]]
    )
    loss.backward()
    networks.train(model, images, 0.1, 60, 1, exact_population=True)
    for ours, its in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, its - 0.1 * its.grad, rtol=1e-4, atol=1e-6)
    for layer in networks.normalization_layers(model).values():
        assert layer.reference_size == 0
    mixed = networks.plain_network(images.shape, depth=2, normalization="mean")
    mixed[4] = networks.replace_normalization(mixed[4], "batch")
    with pytest.raises(InvalidSetup, match="exact_population"):
        networks.train(mixed, images, 0.1, 60, 1, exact_population=True)


def test_divergence_is_a_result():
    found = run(normalization="none", learning_rate=1e4, weight_decay=1.0)
    assert 0 <= found["diverged_at"] <= 1
    assert found["diverged_at"].attrs["units"] == "epochs"
    assert np.isfinite(found["training_loss"][0])
    assert np.isinf(found["training_loss"][1:]).all()
    assert (found["test_accuracy"][1:] == 0).all()
    assert not any(np.isnan(found[name]).any() for name in found if name != "diverged_at")


def test_losses_are_those_of_the_training_set_s_statistics():
    images = networks.load(samples=300)
    model = networks.plain_network(images.shape, depth=2, channels=4)
    found = networks.train(model, images, 0.1, 32, 1)
    model.train()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(images.train_inputs), images.train_labels)
    assert found["training_loss"][-1].item() == pytest.approx(loss.item(), rel=1e-5)


def test_a_sweep_of_trainings(tmp_path):
    grid = {"normalization": ["batch", "population"], "seed": [0, 1]}
    train = partial(run, learning_rate=0.1)
    found = sbn.sweep(train, grid, tmp_path / "run.zarr", workers=2)
    assert found["test_accuracy"].dims == ("normalization", "seed", "epoch")
    alone = run(normalization="population", learning_rate=0.1, seed=1)
    np.testing.assert_array_equal(
        found["test_loss"].sel(normalization="population", seed=1), alone["test_loss"]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"network": "deep"}, {"schedule": "never"}, {"batch_size": 600}, {"gamma_decay": "both"},
        {"normalization": "layer"}, {"learning_rate": -1.0}, {"momentum": 2.0}, {"epochs": 0},
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments):
    name = {"normalization": "kind"}.get(*arguments, next(iter(arguments)))
    with pytest.raises(InvalidSetup, match=name):
        run(**arguments)
