"""One tiny call that works for each function that needs PyTorch."""

import torch

from statmech_bn import networks


def images():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 1, 4, 4, generator=generator)
    labels = torch.arange(12) % 2
    return networks.Images("ours", inputs[:8], labels[:8], inputs[8:], labels[8:])


def model():
    return networks.plain_network((1, 4, 4), 2, depth=1, channels=2)


def on(*names, **more):
    """Return a call on the training set of a network."""
    given = {"inputs": images().train_inputs, "labels": images().train_labels}
    return lambda: {"model": model()} | {name: given[name] for name in names} | more


sizes = {
    "shape": (1, 4, 4), "classes": 2, "depth": 1, "channels": 2, "normalization": "batch",
    "ghost_size": 4, "seed": 0,
}  # fmt: skip
NETWORKS = {
    "networks.Images": lambda: dict(vars(images())),
    "networks.Images.to": lambda: {"self": images(), "device": "cpu"},
    "networks.Normalization": lambda: {
        "channels": 2, "kind": "batch", "ghost_size": 4, "epsilon": 1e-5, "momentum": 0.1
    },
    "networks.GammaDecay": lambda: {
        "model": model(), "inputs": images().train_inputs, "batch_size": 4,
        "training_samples": None, "statistics": "correlated", "refresh_steps": 1, "decay_steps": 1,
    },
    "networks.GammaDecay.penalty": lambda: {
        "self": networks.GammaDecay(model(), images().train_inputs, 4)
    },
    "networks.decay_coefficients": on(
        "inputs", batch_size=4, statistics="correlated", part="both", training_samples=None,
        loss="cross_entropy",
    ),
    "networks.dense_network": lambda: dict(sizes),
    "networks.evaluate": on("inputs", "labels"),
    "networks.fisher_eigenvalues": on(
        "inputs", number=1, loss="cross_entropy", tolerance=1e-3, seed=0
    ),
    "networks.fix_statistics": on("inputs"),
    "networks.flip_rate": on("inputs", batch_size=4, reference="batch", replicas=2, seed=0),
    "networks.gamma_penalty": on(zeta=0.1),
    "networks.gradient_shift": on(
        "inputs", "labels", learning_rate=0.1, loss="cross_entropy"
    ),
    "networks.in_mode": on(training=False),
    "networks.keeping_buffers": on(),
    "networks.layer_statistics": on(
        "inputs", batch_size=4, training_samples=None, loss="cross_entropy"
    ),
    "networks.load": lambda: {
        "name": "digits", "folder": None, "samples": 20, "test_share": 0.2, "seed": 0
    },
    "networks.noise_behind": on(shift=0.5, stretch=0.25, jitter=0.1, seed=0),
    "networks.normalization_layers": on(),
    "networks.normalize_weights": on("inputs"),
    "networks.plain_network": lambda: dict(sizes),
    "networks.refresh_population": lambda: {
        "model": networks.replace_normalization(model(), "population"),
        "inputs": images().train_inputs,
    },
    "networks.replace_normalization": on(kind="batch", ghost_size=4),
    "networks.residual_network": lambda: sizes | {"depth": 2},
    "networks.sharpness": on(
        "inputs", "labels", number=1, loss="cross_entropy", tolerance=1e-3, seed=0
    ),
    "networks.signals": on("inputs", "labels", loss="cross_entropy"),
    "networks.train": on(
        images=images(), learning_rate=0.1, batch_size=4, epochs=1, momentum=0.0,
        weight_decay=0.0, gamma_decay=0.0, imitated_size=None, refresh_steps=1,
        exact_population=False, schedule=None, seed=0, progress=False,
    ),
    "networks.training_run": lambda: {
        "network": "plain", "normalization": "batch", "learning_rate": 0.1, "batch_size": 8,
        "ghost_size": 0, "gamma_decay": 0.0, "imitated_size": 0, "depth": 1, "channels": 2,
        "epochs": 1, "momentum": 0.0, "weight_decay": 0.0, "refresh_steps": 1,
        "exact_population": False, "schedule": "constant", "dataset": "digits", "folder": None,
        "samples": 20, "device": "cpu", "seed": 0,
    },
    "networks.unit_quantiles": on("inputs", number=5),
}  # fmt: skip
