r"""Population normalization and gamma decay in a training loop of one's own: one line a step.

Batch normalization is imitated by two things. The statistics of the population, which the weights
change, are measured anew every few steps; and the loss has Σ ζγ², with ζ from the theory, which the
weights change as well, anew every epoch or so. `GammaDecay` owns the order of the two: statistics
first, then ζ, which is measured with them, then the penalty, all before the forward pass.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from statmech_bn.checks import choice, count
from statmech_bn.errors import NetworkWarning, invalid
from statmech_bn.networks.arguments import check_inputs, check_model
from statmech_bn.networks.gamma_decay import decay_coefficients, gamma_penalty
from statmech_bn.networks.surgery import normalization_layers, refresh_population
from statmech_bn.symbolic.gamma_decay import STATISTICS


class GammaDecay:
    """The decay of each γ that batches of M amount to, for a model that is trained without them.

    Parameters
    ----------
    model : torch.nn.Module
        With layers of kind "population", say from `replace_normalization`.
    inputs : torch.Tensor
        Samples of the training set, (samples, channels, *positions), some hundreds: the
        population's statistics are theirs, and a refresh of P takes as long as P/3M steps. The
        first 256 measure ζ.
    batch_size : int
        M of the batch normalization that is imitated, at least 3.
    training_samples : int, optional
        Size of the training set, if batches are drawn from it without replacement.
    statistics : {"independent", "correlated"}
        The theory of ζ, as in `decay_coefficients`.
    refresh_steps : int
        Steps between measurements of the population's statistics. One is stable; with fewer the
        statistics lag behind the weights, which diverge at large learning rates.
    decay_steps : int
        Steps between measurements of ζ, say those of an epoch.

    Attributes
    ----------
    zeta : dict from name of the layer to torch.Tensor
        ζ of each channel, as it was measured last.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the model has no normalization layers.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        batch_size: int,
        training_samples: int | None = None,
        statistics: str = "correlated",
        refresh_steps: int = 1,
        decay_steps: int = 100,
    ) -> None:
        self._model, self._layers = check_model(model), normalization_layers(model)
        if not self._layers:
            raise invalid("model", "normalization layers", model, "Use replace_normalization.")
        check_inputs("inputs", inputs)
        self._inputs, self._sample = inputs, inputs[:256]
        self._batch_size = count("batch_size", batch_size, 3)
        self._training_samples = training_samples
        self._statistics = choice("statistics", statistics, STATISTICS)
        self._refresh_steps = count("refresh_steps", refresh_steps)
        self._decay_steps = count("decay_steps", decay_steps)
        self._done, self._warned = 0, False
        self.zeta: dict[str, Tensor] = {}

    def penalty(self) -> Any:
        """Begin a step: measure what is due, and return Σ ζγ², to be added to its mean loss.

        Returns
        -------
        torch.Tensor
            A number, differentiable in γ. Once it is not finite, there is a warning.
        """
        if self._done % self._decay_steps == 0:
            self.zeta = decay_coefficients(
                self._model,
                self._sample,
                self._batch_size,
                self._statistics,
                training_samples=self._training_samples,
            )
            refresh_population(self._model, self._inputs)
        elif self._done % self._refresh_steps == 0:
            refresh_population(self._model, self._inputs)
        self._done += 1
        found = gamma_penalty(self._model, self.zeta)
        statistics = [layer.running_var.sum() for layer in self._layers.values()]
        finite = torch.isfinite(torch.stack([found.detach(), *statistics])).all()  # type: ignore[union-attr]
        if not self._warned and not finite:
            self._warned = True
            warnings.warn(
                f"Statistics or γ are no longer finite at step {self._done}: lower the learning "
                f"rate, or refresh more often than every {self._refresh_steps} steps.",
                NetworkWarning,
                stacklevel=2,
            )
        return found
