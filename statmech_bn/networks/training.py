r"""Training of classifiers by stochastic gradient descent.

A step is v ← mv + ∇(loss + Σ ζγ²) + λw, w ← w − ηs(t)v, with momentum m, weight decay λ on the
weights but not on γ and β, gamma decay ζ, and a schedule s of the time t in epochs. Batches are
drawn without replacement within an epoch; the rest that fills no batch is left out.

Loss and accuracy are those of population statistics, measured on the training set at each
evaluation: what the weights of that moment are worth, without the lag of moving averages. In
between, the population's statistics are refreshed before steps if a layer trains with them, and
their gradients are estimated on the batch. With `exact_population` every step sends the whole
training set through the network beside the batch, which has the exact gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn import functional

from statmech_bn import __version__
from statmech_bn.checks import count, flag, function, instance, integer, real
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.interrupts import bar
from statmech_bn.networks.arguments import (
    LARGEST_RATE,
    check_inputs,
    check_labels,
    check_model,
    fitting,
)
from statmech_bn.networks.data import Images
from statmech_bn.networks.gamma_decay import decay_coefficients, gamma_penalty
from statmech_bn.networks.normalization import kind_of
from statmech_bn.networks.surgery import in_mode, normalization_layers, refresh_population
from statmech_bn.normalization.network_layer import KINDS
from statmech_bn.online import schedules
from statmech_bn.random.streams import stream
from statmech_bn.symbolic.gamma_decay import STATISTICS

POPULATION_SAMPLES = 2048
"""At most so many training samples measure the population's statistics after an epoch."""
STEP_SAMPLES = 512
"""At most so many do, always the same ones, if they are measured before every step.

A step with P of them costs about P/3M steps more. As they stay the same, they add no noise to the
statistics, and γ and β make up for their constant distance from all samples."""
DECAY_SAMPLES = 256
"""At most so many training samples measure gamma decay."""
CHUNK = 2048
"""At most so many samples are evaluated at a time."""


def train(
    model: nn.Module,
    images: Images,
    learning_rate: float,
    batch_size: int = 64,
    epochs: int = 10,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    gamma_decay: float | str = 0.0,
    imitated_size: int | None = None,
    refresh_steps: int = 1,
    exact_population: bool = False,
    schedule: Callable[[float], float] | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> xr.Dataset:
    """Train a model in place, on the device that it and the images are on.

    Parameters
    ----------
    model : torch.nn.Module
        Ends in evaluation mode, its population statistics refreshed.
    images : Images
    learning_rate : float
        η ≥ 0.
    batch_size : int
        Samples of a step; layers with a ghost size make their statistics from fewer.
    epochs : int
    momentum : float
        m in [0, 1].
    weight_decay : float
        λ ≥ 0.
    gamma_decay : float or {"independent", "correlated"}
        ζ ≥ 0 of all channels, or the theory that gives it for each channel, anew in each epoch.
    imitated_size : int, optional
        M of the batch normalization whose gamma decay it is; by default `batch_size`.
    refresh_steps : int
        Steps between refreshes of the population's statistics. A refresh takes longer than a step;
        fewer of them are unstable at large η, where the statistics lag behind.
    exact_population : bool
        Measure the population's statistics on the whole training set in every step, and
        differentiate them there, for layers of kind "mean", "spread" or "population". It takes the
        time and the memory of a step on the whole training set.
    schedule : callable, optional
        Epochs ↦ factor of η, see `statmech_bn.schedules`.
    seed : int
        The order of the samples follows from it.
    progress : bool, optional
        Whether to show a bar on stderr; by default on a terminal alone, after a second.

    Returns
    -------
    xarray.Dataset
        Over ``epoch``, from 0, the start: ``training_loss``, ``training_accuracy``, ``test_loss``,
        ``test_accuracy``; over (epoch, layer) the means over channels ``layer_gamma`` of |γ| and
        ``layer_gamma_decay`` of ζ, for a model that has normalization layers. ``diverged_at`` is
        the time in epochs from which on the loss was no longer finite, NaN if it always was; from
        then on losses and γ are inf and accuracies 0.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range.
    """
    check_model(model)
    instance("images", images, Images)
    schedule = schedules.constant() if schedule is None else function("schedule", schedule)
    try:
        schedule(0.0)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise invalid("schedule", "a callable epochs ↦ factor", schedule, f"{error}") from error
    imitated_size = batch_size if imitated_size is None else imitated_size
    run = Run(
        learning_rate=real("learning_rate", learning_rate, 0.0, LARGEST_RATE),
        batch_size=count("batch_size", batch_size),
        epochs=count("epochs", epochs),
        momentum=real("momentum", momentum, 0.0, 1.0),
        weight_decay=real("weight_decay", weight_decay, 0.0, LARGEST_RATE),
        gamma_decay=_checked_decay(gamma_decay),
        imitated_size=count("imitated_size", imitated_size),
        refresh_steps=count("refresh_steps", refresh_steps),
        exact_population=flag("exact_population", exact_population),
        seed=integer("seed", seed, 0),
    )
    if run.batch_size > len(images.train_labels):
        raise invalid("batch_size", f"at most the {len(images.train_labels)} samples", batch_size)
    with bar(run.epochs, "networks", "epochs", progress) as show:
        return _Training(model, images, run, schedule).result(show)


def evaluate(model: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy, with the population's statistics.

    Parameters
    ----------
    model : torch.nn.Module
    inputs : torch.Tensor
        (samples, channels, *positions).
    labels : torch.Tensor
        (samples,).

    Returns
    -------
    loss, accuracy : float

    Raises
    ------
    InvalidSetup
        The batch is none that the model takes.
    """
    check_model(model)
    check_labels("labels", labels, check_inputs("inputs", inputs))
    loss, right = 0.0, 0
    with torch.no_grad(), in_mode(model, training=False), fitting(inputs):
        for x, y in zip(inputs.split(CHUNK), labels.split(CHUNK), strict=True):
            outputs = model(x)
            loss += functional.cross_entropy(outputs, y, reduction="sum").item()
            right += int((outputs.argmax(1) == y).sum())
    return loss / len(labels), right / len(labels)


@dataclass(frozen=True)
class Run:
    """Checked arguments of `train`."""

    learning_rate: float
    batch_size: int
    epochs: int
    momentum: float
    weight_decay: float
    gamma_decay: float | str
    imitated_size: int
    refresh_steps: int
    exact_population: bool
    seed: int


class _Training:
    """A model on its way through the epochs."""

    def __init__(
        self, model: nn.Module, images: Images, run: Run, schedule: Callable[[float], float]
    ) -> None:
        self.model, self.images, self.run, self.schedule = model, images, run, schedule
        self.inputs, self.labels = images.train_inputs, images.train_labels
        self.layers: dict[str, Any] = normalization_layers(model)
        kinds = {name: kind_of(layer) for name, layer in self.layers.items()}
        others = [name for name, kind in kinds.items() if not kind.differentiates_population]
        self.exact = run.exact_population and len(others) < len(kinds)
        if self.exact and others:
            fitting = [name for name, kind in KINDS.items() if kind.differentiates_population]
            kept = f"with exact_population, only layers of kind {', '.join(fitting)}"
            raise invalid("model", kept, f"others at {', '.join(others)}")
        self.refreshes = any(k.needs_population for k in kinds.values()) and not self.exact
        self.order = stream(run.seed, 42)
        samples = STEP_SAMPLES if self.refreshes else POPULATION_SAMPLES
        self.sample = self.inputs[self._permutation()[:samples]]
        self.zeta: Any = run.gamma_decay
        norms = {id(p) for layer in self.layers.values() for p in layer.parameters(recurse=False)}
        weights = [p for p in model.parameters() if id(p) not in norms]
        affine = [p for p in model.parameters() if id(p) in norms]
        groups: list[dict[str, Any]] = [
            {"params": weights, "weight_decay": run.weight_decay},
            {"params": affine, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.SGD(
            [group for group in groups if group["params"]], run.learning_rate, run.momentum
        )

    def result(self, show: Callable[[float], None]) -> xr.Dataset:
        """Train, and return what was measured after each epoch; shows how many have ended."""
        run, count = self.run, len(self.layers)
        quantities = ("training_loss", "training_accuracy", "test_loss", "test_accuracy")
        curves = {
            name: np.full(run.epochs + 1, 0.0 if "accuracy" in name else np.inf)
            for name in quantities
        }
        tables = {
            name: np.full((run.epochs + 1, count), np.inf)
            for name in ("layer_gamma", "layer_gamma_decay")
        }
        diverged_at = np.nan
        for epoch in range(run.epochs + 1):
            show(epoch - 1)
            part = self._epoch(epoch - 1) if epoch else 1.0
            values = self._measure() if part == 1 else (math.inf,)
            if not all(map(math.isfinite, values)):
                diverged_at = epoch - 1 + part
                break
            for name, value in zip(quantities, values, strict=True):
                curves[name][epoch] = value
            self._find_decay()
            tables["layer_gamma"][epoch] = [_mean(x.weight.abs()) for x in self.layers.values()]
            tables["layer_gamma_decay"][epoch] = [self._decay(name) for name in self.layers]
        self.model.eval()
        data: dict[str, Any] = {name: ("epoch", values) for name, values in curves.items()}
        coordinates = {"epoch": np.arange(run.epochs + 1)}
        if count:
            data |= {name: (("epoch", "layer"), values) for name, values in tables.items()}
            coordinates["layer"] = np.arange(1, count + 1)
        data["diverged_at"] = diverged_at
        attributes = {**vars(run), "dataset": self.images.name, "version": __version__}
        attributes["array_library"] = f"torch {torch.__version__}"
        result = describe(xr.Dataset(data, coordinates, attributes))
        result["diverged_at"].attrs["units"] = "epochs"
        return result

    def _epoch(self, time: int) -> float:
        """Train for an epoch; return the part of it that had a finite loss, 1 if all had."""
        run, losses = self.run, []
        steps = len(self.labels) // run.batch_size
        shuffled = self._permutation()
        self.model.train()
        for step in range(steps):
            factor = real("what schedule returns", self.schedule(time + step / steps), 0.0)
            rate = run.learning_rate * factor
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            if self.refreshes and step and step % run.refresh_steps == 0:
                refresh_population(self.model, self.sample)
            chosen = shuffled[step * run.batch_size : (step + 1) * run.batch_size]
            loss = functional.cross_entropy(self._outputs(chosen), self.labels[chosen])
            losses.append(loss.detach())
            if self.zeta:
                loss = loss + gamma_penalty(self.model, self.zeta)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        finite = torch.isfinite(torch.stack(losses)).tolist()
        return 1.0 if all(finite) else finite.index(False) / steps

    def _outputs(self, chosen: Tensor) -> Tensor:
        """Evaluate the model in training on some samples."""
        if not self.exact:
            return self.model(self.inputs[chosen])
        for layer in self.layers.values():
            layer.reference_size = len(self.inputs)
        try:
            return self.model(torch.cat([self.inputs[chosen], self.inputs]))[: len(chosen)]
        finally:
            for layer in self.layers.values():
                layer.reference_size = 0

    def _measure(self) -> tuple[float, ...]:
        refresh_population(self.model, self.sample)
        test = evaluate(self.model, self.images.test_inputs, self.images.test_labels)
        return (*evaluate(self.model, self.inputs, self.labels), *test)

    def _find_decay(self) -> None:
        """Measure ζ, if a theory gives it."""
        if isinstance(self.run.gamma_decay, str):
            sample, size = self.sample[:DECAY_SAMPLES], self.run.imitated_size
            self.zeta = decay_coefficients(
                self.model, sample, size, self.run.gamma_decay, training_samples=len(self.labels)
            )
            refresh_population(self.model, self.sample)

    def _decay(self, name: str) -> float:
        return _mean(self.zeta[name]) if isinstance(self.zeta, dict) else float(self.zeta)

    def _permutation(self) -> Tensor:
        return torch.from_numpy(self.order.permutation(len(self.labels))).to(self.inputs.device)


def _checked_decay(gamma_decay: float | str) -> float | str:
    if not isinstance(gamma_decay, str):
        return real("gamma_decay", gamma_decay, 0.0)
    if gamma_decay not in STATISTICS:
        raise invalid("gamma_decay", f"a number or one of {', '.join(STATISTICS)}", gamma_decay)
    return gamma_decay


def _mean(values: Tensor) -> float:
    return float(values.detach().mean())
