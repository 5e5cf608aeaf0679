"""Kinds of normalization of a network's layer, whose mean and spread may be of different origin.

`statmech_bn.networks.Normalization` computes them; here stands what each of them takes from the
batch, and what follows from that for training.
"""

from __future__ import annotations

from dataclasses import dataclass

from statmech_bn.normalization.batch import BatchNormalization
from statmech_bn.normalization.none import Unnormalized
from statmech_bn.normalization.population import PopulationNormalization


@dataclass(frozen=True)
class LayerKind:
    """Origin of the mean and the spread that normalize a layer's fields.

    Attributes
    ----------
    batch_mean, batch_spread : bool
        Whether μ, and σ, is that of the batch; otherwise it is the population's.
    is_normalized : bool
        Whether there is any normalization.
    is_differentiated : bool
        Whether gradients know that μ and σ depend on the weights.
    """

    batch_mean: bool = False
    batch_spread: bool = False
    is_normalized: bool = True
    is_differentiated: bool = True

    @property
    def needs_population(self) -> bool:
        """Whether training takes μ or σ of the population, which must then be fresh."""
        return self.is_normalized and not (self.batch_mean and self.batch_spread)

    @property
    def differentiates_population(self) -> bool:
        """Whether gradients need those of the population's μ or σ."""
        return self.needs_population and self.is_differentiated


KINDS = {
    Unnormalized.kind: LayerKind(is_normalized=False),
    BatchNormalization.kind: LayerKind(batch_mean=True, batch_spread=True),
    "mean": LayerKind(batch_mean=True),
    "spread": LayerKind(batch_spread=True),
    PopulationNormalization.kind: LayerKind(),
    "frozen": LayerKind(is_differentiated=False),
}
"""Each kind of layer has a name, the argument `kind` of `statmech_bn.networks.Normalization`."""
