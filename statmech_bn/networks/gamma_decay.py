r"""Gamma decay of hidden layers: ζ of every channel from what is measured on a sample.

A normalized channel in a network, φ_p = γû_p + β at the positions p of a sample, is a unit with a
loss of its own: what the layers above make of φ. The noise of μ_B and σ_B moves û_p from u_p, its
value under the population's statistics, by D₀ + D₁u_p. To second order the mean loss changes by

    γ E[g·(D₀ + D₁u)] + (γ²/2) E[(D₀ + D₁u)'F(D₀ + D₁u)],    g = ∂ℓ/∂φ,  F = E_y[gg'],

with the Fisher information F of φ, for labels y drawn from the network's outputs. Then E_y g = 0,
and with the scores G = Σ_p g_p = ∂ℓ/∂β and T = Σ_p g_p u_p = ∂ℓ/∂γ all that is left are averages of
G², GT and T² with moments of the field (`statmech_bn.symbolic.positions`). For independent
statistics,

    ζ = (V_μ/2M) E G² + (V_σ/8M) E T² :

the Fisher information of β and of γ take the places of E A'' and I(γ) in ζ of a single unit, and
M/V_μ, the number of independent values that a channel's mean has, that of M. In a finite training
set of P samples, batches without replacement have (P − M)/(P − 1) of the variance, and so of ζ.

The scores are those of the population-normalized network. Left out are the correlation of the noise
of different channels, the noise of the layers below, which theirs is another decay for, and that a
batch-normalized layer above removes a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
import torch
import xarray as xr
from torch import Tensor, nn

from statmech_bn.checks import choice, count, real
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.networks.losses import loss_named
from statmech_bn.networks.normalization import Normalization, kind_of
from statmech_bn.networks.surgery import (
    check_plain,
    hooked,
    in_mode,
    normalization_layers,
    refresh_population,
)
from statmech_bn.symbolic.gamma_decay import PARTS, STATISTICS
from statmech_bn.symbolic.positions import (
    beta_score,
    gamma_score,
    mean_variance,
    mixed_covariance,
    position_decay,
    sample_mean,
    sample_square,
    square_variance,
)
from statmech_bn.symbolic.symbols import M


class ChannelStatistics(NamedTuple):
    """What ζ of a layer's channels follows from, of shape (channels,) unless said otherwise.

    Attributes
    ----------
    sample_mean, sample_square : torch.Tensor
        ū and q of each sample, (samples, channels).
    information : tuple of torch.Tensor
        G², GT and T² of each sample, averaged over labels of the model, (samples, channels).
    skewness, excess_kurtosis : torch.Tensor
        Skewness and excess kurtosis of u over samples and positions.
    """

    sample_mean: Tensor
    sample_square: Tensor
    information: tuple[Tensor, Tensor, Tensor]
    skewness: Tensor
    excess_kurtosis: Tensor

    @property
    def fluctuations(self) -> tuple[Tensor, Tensor, Tensor]:
        """V_μ, V_σ and V_μσ of each channel, as `statmech_bn.symbolic.positions` defines them."""
        mean, square = (x - x.mean(0) for x in (self.sample_mean, self.sample_square))
        return (mean**2).mean(0), (square**2).mean(0), (mean * square).mean(0)

    def decay(self, statistics: str, part: str = "both") -> Tensor:
        """Return Mζ of each channel."""
        integrand = _integrand(statistics, part)
        moments = (self.sample_mean, self.sample_square, *self.fluctuations)
        return integrand(*self.information, *moments).mean(0)


def channel_statistics(
    model: nn.Module, inputs: Tensor, loss: str = "cross_entropy"
) -> dict[str, ChannelStatistics]:
    """Measure the fields and the scores of every normalized layer.

    Parameters
    ----------
    model : torch.nn.Module
        Its population statistics are refreshed with the inputs.
    inputs : torch.Tensor
        (samples, channels, *positions); some hundreds of samples.
    loss : {"cross_entropy", "squared"}

    Returns
    -------
    dict from name of the layer to ChannelStatistics

    Raises
    ------
    InvalidSetup
        The model has no normalized layer, or one whose output is not γû + β; or the loss is
        unknown.
    """
    roots = loss_named(loss).roots
    layers = {
        name: layer
        for name, layer in normalization_layers(model).items()
        if kind_of(layer).is_normalized
    }
    if not layers:
        raise invalid("model", "a model with normalized layers", type(model).__name__)
    for name, layer in layers.items():
        check_plain(name, layer)
    refresh_population(model, inputs)
    fields: dict[nn.Module, Tensor] = {}
    outputs: dict[nn.Module, Tensor] = {}

    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        fields[layer], outputs[layer] = _standardized(layer, arguments[0].detach()), output
        return output.clone()  # what follows may change it in place

    with in_mode(model, training=False), hooked(list(layers.values()), after=record):
        logits = model(inputs)
        if logits.ndim != 2:
            raise invalid("model", "outputs of shape (samples, classes)", tuple(logits.shape))
    used = {name: layer for name, layer in layers.items() if layer in outputs}
    sums = {
        name: [torch.zeros_like(fields[used[name]][:, :, 0]) for _ in range(3)] for name in used
    }
    wanted = [outputs[layer] for layer in used.values()]
    for root in roots(logits.detach()):
        slopes = torch.autograd.grad(logits, wanted, root, retain_graph=True)
        for (name, layer), slope in zip(used.items(), slopes, strict=True):
            g = slope.flatten(2) if slope.ndim > 2 else slope[:, :, None]
            along_beta, along_gamma = g.sum(2), (g * fields[layer]).sum(2)
            for total, product in zip(
                sums[name], (along_beta**2, along_beta * along_gamma, along_gamma**2), strict=True
            ):
                total += product
    return {name: _moments(fields[layer], tuple(sums[name])) for name, layer in used.items()}


def decay_coefficients(
    model: nn.Module,
    inputs: Tensor,
    batch_size: int,
    statistics: str = "correlated",
    part: str = "both",
    training_samples: int | None = None,
    loss: str = "cross_entropy",
) -> dict[str, Tensor]:
    """Find the ζ of every channel that batch normalization with batches of M amounts to.

    Parameters
    ----------
    model : torch.nn.Module
        Its population statistics are refreshed with the inputs.
    inputs : torch.Tensor
        (samples, channels, *positions); some hundreds of samples.
    batch_size : int
        M, the samples that make the statistics, at least 3.
    statistics : {"independent", "correlated"}
        Luo et al. (2019), or this project's: see `statmech_bn.symbolic.gamma_decay`.
    part : {"mean", "spread", "both"}
        Which of μ_B and σ_B is random.
    training_samples : int, optional
        P, if batches are drawn without replacement from a training set.
    loss : {"cross_entropy", "squared"}

    Returns
    -------
    dict from name of the layer to torch.Tensor
        ζ, shape (channels,).

    Raises
    ------
    InvalidSetup
        As `channel_statistics`, or a number is out of its range.
    """
    choice("statistics", statistics, STATISTICS)
    choice("part", part, PARTS)
    kept = kept_variance(batch_size, training_samples)
    found = channel_statistics(model, inputs, loss)
    return {name: kept * found[name].decay(statistics, part) / batch_size for name in found}


def gamma_penalty(model: nn.Module, zeta: float | Mapping[str, Tensor]) -> Tensor | float:
    """Sum ζγ² over the channels of all normalized layers: add it to the mean loss.

    Parameters
    ----------
    model : torch.nn.Module
    zeta : float or mapping
        One number for all, or from `decay_coefficients`.

    Returns
    -------
    torch.Tensor
        A number, differentiable in γ.
    """
    layers = normalization_layers(model)
    if isinstance(zeta, Mapping):
        if not set(zeta) <= set(layers) or not all(torch.is_tensor(x) for x in zeta.values()):
            wanted = "what decay_coefficients returns for this model"
            raise invalid("zeta", wanted, zeta, f"Its layers are {', '.join(layers)}.")
        return sum((zeta[name] * layers[name].weight ** 2).sum() for name in zeta)
    zeta = real("zeta", zeta, 0.0)
    normalized = [layer for layer in layers.values() if kind_of(layer).is_normalized]
    return zeta * sum((layer.weight**2).sum() for layer in normalized)


def layer_statistics(
    model: nn.Module,
    inputs: Tensor,
    batch_size: int,
    training_samples: int | None = None,
    loss: str = "cross_entropy",
) -> xr.Dataset:
    """Measure every layer's fields, Fisher information and ζ, averaged over its channels.

    Parameters
    ----------
    model : torch.nn.Module
        Its population statistics are refreshed with the inputs.
    inputs : torch.Tensor
        (samples, channels, *positions); some hundreds of samples.
    batch_size : int
        M, the samples that make the statistics, at least 3.
    training_samples : int, optional
        P, if batches are drawn without replacement from a training set.
    loss : {"cross_entropy", "squared"}

    Returns
    -------
    xarray.Dataset
        Over ``layer``, from 1: ``excess_kurtosis``, ``fisher_beta`` E G², ``fisher_gamma`` E T²,
        ``mean_variance`` V_μ, ``square_variance`` V_σ, ``gamma_decay_independent`` and
        ``gamma_decay_correlated`` ζ, ``layer_gamma`` the mean |γ|.
    """
    kept = kept_variance(batch_size, training_samples) / batch_size
    layers = normalization_layers(model)
    columns: dict[str, list[float]] = {}
    for name, found in channel_statistics(model, inputs, loss).items():
        v_mean, v_square, _ = found.fluctuations
        row = {
            "excess_kurtosis": found.excess_kurtosis,
            "fisher_beta": found.information[0],
            "fisher_gamma": found.information[2],
            "mean_variance": v_mean,
            "square_variance": v_square,
            **{f"gamma_decay_{s}": kept * found.decay(s) for s in STATISTICS},
            "layer_gamma": layers[name].weight.detach().abs(),
        }
        for key, value in row.items():
            columns.setdefault(key, []).append(value.mean().item())
    data = {key: ("layer", np.array(values)) for key, values in columns.items()}
    count = len(columns["layer_gamma"])
    attributes = {"batch_size": batch_size, "samples": len(inputs)}
    return describe(xr.Dataset(data, {"layer": np.arange(1, count + 1)}, attributes))


def kept_variance(batch_size: int, training_samples: int | None) -> float:
    """Return (P − M)/(P − 1), what drawing without replacement keeps; 1 for fresh samples."""
    size = count("batch_size", batch_size, 3)
    if training_samples is None:
        return 1.0
    population = count("training_samples", training_samples, 3)
    if size > population:
        raise invalid("batch_size", f"at most the {population} training samples", batch_size)
    return (population - size) / (population - 1)


def _standardized(layer: Any, h: Tensor) -> Tensor:
    """Return u of shape (samples, channels, positions)."""
    h = h.flatten(2) if h.ndim > 2 else h[:, :, None]
    epsilon = layer.epsilon if isinstance(layer, Normalization) else layer.eps
    spread = torch.sqrt(layer.running_var + epsilon)
    return (h - layer.running_mean[:, None]) / spread[:, None]


def _moments(u: Tensor, information: tuple[Tensor, ...]) -> ChannelStatistics:
    gg, gt, tt = information
    third, fourth = ((u**n).mean((0, 2)) for n in (3, 4))
    return ChannelStatistics(u.mean(2), (u**2).mean(2), (gg, gt, tt), third, fourth - 3)


@lru_cache(maxsize=8)
def _integrand(statistics: str, part: str) -> Callable[..., Tensor]:
    """Print M times the integrand of ζ as a function of tensors."""
    products = sp.symbols("GG GT TT")
    form = sp.Poly(M * position_decay(statistics, part), beta_score, gamma_score)
    powers = ((2, 0), (1, 1), (0, 2))
    expression = sum(
        product * form.coeff_monomial(beta_score**i * gamma_score**j)
        for product, (i, j) in zip(products, powers, strict=True)
    )
    fluctuations = (mean_variance, square_variance, mixed_covariance)
    arguments = (*products, sample_mean, sample_square, *fluctuations)
    return sp.lambdify(arguments, sp.expand(expression), modules="math", cse=True)
