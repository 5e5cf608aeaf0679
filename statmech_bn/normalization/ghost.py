r"""Ghost batches: batch normalization by groups of M_g of the M samples of a step.

The samples are split into M/M_g groups, each normalized by its own mean and spread (Hoffer, Hubara,
Soudry 2017, arXiv 1705.08741). A step is the mean of M/M_g independent steps of batch normalization
at M_g: drive and pull are those of a batch of M_g, and the noise of the step, η²γ²B/(M Q), has M in
it and B at M_g. Large batches thus keep the statistical noise, and the gamma decay, of small ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from statmech_bn.errors import invalid
from statmech_bn.normalization.batch import BatchNormalization


@dataclass(frozen=True)
class GhostBatches(BatchNormalization):
    """The field by mean and spread of a group of `size` samples.

    Parameters
    ----------
    size : int
        M_g ≥ 3, a divisor of the batch size.
    """

    size: int
    kind: ClassVar[str] = "ghost"

    @property
    def name(self) -> str:
        """The kind and the size of a group, as in "ghost(8)"."""
        return f"{self.kind}({self.size})"

    def group(self, batch_size: Any) -> Any:
        """Return M_g, whatever M is."""
        return self.size

    def check_batch(self, batch_size: int) -> None:
        """Refuse a batch that cannot be split into groups.

        Raises
        ------
        InvalidSetup
            Groups of fewer than 3 samples, or a batch that is no multiple of them.
        """
        super().check_batch(batch_size)
        if batch_size % self.size:
            raise invalid(
                "batch_size", f"a multiple of the group's {self.size} samples", batch_size
            )
