"""One training run from numbers and names alone, as a sweep calls it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import xarray as xr

from statmech_bn.checks import choice, count
from statmech_bn.files import user_path
from statmech_bn.networks.arguments import check_device
from statmech_bn.networks.data import DATASETS, Images, load
from statmech_bn.networks.models import NETWORKS
from statmech_bn.networks.training import train
from statmech_bn.online import schedules

SCHEDULES: dict[str, Callable[[int], schedules.Schedule]] = {
    "constant": lambda epochs: schedules.constant(),
    "cosine": lambda epochs: schedules.cosine(epochs),
    "step": lambda epochs: schedules.step([epochs / 2, 3 * epochs / 4]),
}


def training_run(
    network: str = "plain",
    normalization: str = "batch",
    learning_rate: float = 0.1,
    batch_size: int = 64,
    ghost_size: int = 0,
    gamma_decay: float | str = 0.0,
    imitated_size: int = 0,
    depth: int = 4,
    channels: int = 16,
    epochs: int = 10,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    refresh_steps: int = 1,
    exact_population: bool = False,
    schedule: str = "constant",
    dataset: str = "digits",
    folder: str | None = None,
    samples: int | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> xr.Dataset:
    """Train one network from its initialization: a function of numbers and names, for sweeps.

    On the CPU it computes on one thread, and leaves PyTorch so: the points of a sweep are what
    runs in parallel, and results do not depend on the number of threads.

    Parameters
    ----------
    network : {"dense", "plain", "residual"}
    normalization : {"none", "batch", "mean", "spread", "population", "frozen"}
        See `Normalization`.
    learning_rate : float
        This and what has no words of its own are as for `train` and `plain_network`.
    batch_size : int
    ghost_size : int
        0 is the batch size.
    gamma_decay : float or {"independent", "correlated"}
    imitated_size : int
        0 is the batch size.
    depth : int
    channels : int
    epochs : int
    momentum : float
    weight_decay : float
    refresh_steps : int
    exact_population : bool
    schedule : {"constant", "cosine", "step"}
        "step" divides η by ten after a half and after three quarters of the epochs.
    dataset : {"digits", "mnist", "fashion-mnist", "cifar-10"}
        The split into training and test set is the same for all seeds.
    folder : path-like, optional
        As for `load`.
    samples : int, optional
        As for `load`.
    device : {"cpu", "cuda"}
    seed : int
        Initial weights and the order of the samples follow from it.

    Returns
    -------
    xarray.Dataset
        As from `train`.

    Examples
    --------
    >>> found = training_run(depth=2, channels=4, epochs=1)
    >>> dict(found.sizes)
    {'epoch': 2, 'layer': 2}
    """
    choice("network", network, NETWORKS)
    choice("schedule", schedule, SCHEDULES)
    choice("device", device, ("cpu", "cuda"))
    check_device(device)
    if device == "cpu":
        torch.set_num_threads(1)
    choice("dataset", dataset, DATASETS)
    samples = None if samples is None else count("samples", samples)
    folder = None if folder is None else str(user_path(folder, "folder"))
    images = _loaded(dataset, folder, samples).to(device)
    ghosts = count("ghost_size", ghost_size, 0) or None
    made = NETWORKS[network](
        images.shape, images.classes, depth, channels, normalization, ghosts, seed
    )
    return train(
        made.to(device),
        images,
        learning_rate,
        batch_size,
        epochs,
        momentum=momentum,
        weight_decay=weight_decay,
        gamma_decay=gamma_decay,
        imitated_size=count("imitated_size", imitated_size, 0) or ghost_size or batch_size,
        refresh_steps=refresh_steps,
        exact_population=exact_population,
        schedule=SCHEDULES[schedule](count("epochs", epochs)),
        seed=seed,
    )


@lru_cache(maxsize=4)
def _loaded(dataset: str, folder: str | None, samples: int | None) -> Images:
    return load(dataset, folder, samples)
