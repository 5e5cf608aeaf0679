"""What a `statmech_bn.Spectrum` holds: read-only arrays that can be compared, stored and shown."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from statmech_bn.checks import real
from statmech_bn.errors import InputsWarning, InvalidStore, StatmechError
from statmech_bn.spectrum.blocks import MergeError, checked_blocks
from statmech_bn.untrusted import from_json


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Blocks:
    """The fields of a spectrum; see there."""

    eigenvalues: np.ndarray
    fractions: np.ndarray
    multiplicities: np.ndarray | None
    teacher: np.ndarray
    label_noise: float
    label_scale: float
    merge_error: MergeError
    basis: np.ndarray | None

    @property
    def blocks(self) -> int:
        """The number d of blocks."""
        return int(self.eigenvalues.size)

    @property
    def dimension(self) -> int | None:
        """N = Σ N_i if the multiplicities are given, otherwise None."""
        return None if self.multiplicities is None else int(self.multiplicities.sum())

    @property
    def isotropic(self) -> bool:
        """Whether there is one block, of λ = 1."""
        return self.blocks == 1 and bool(self.eigenvalues[0] == 1.0)

    @property
    def teacher_variance(self) -> float:
        """Variance of the teacher's field, ``σ_*² = Σ λ_i T_i``."""
        return float(self.eigenvalues @ self.teacher)

    def coordinates(self) -> dict[str, Any]:
        """Return the coordinates of the blocks in a Dataset."""
        return {
            "block": np.arange(self.blocks),
            "block_eigenvalue": ("block", self.eigenvalues),
            "block_teacher": ("block", self.teacher),
        }

    def to_attrs(self) -> dict[str, str]:
        """Return Dataset attributes from which :meth:`from_attrs` gives this spectrum back."""
        size = "fractions" if self.multiplicities is None else "multiplicities"
        values = {name: getattr(self, name).tolist() for name in ("eigenvalues", size, "teacher")}
        more = {"label_noise": self.label_noise, "label_scale": self.label_scale}
        return {"spectrum": json.dumps({**values, **more, "merge_error": [*self.merge_error]})}

    @classmethod
    def from_attrs(cls, attributes: Mapping[Any, Any]) -> Self:
        """Read the spectrum from a Dataset's attributes.

        Raises
        ------
        InvalidStore
            The attributes hold no spectrum, or one that is not readable.
        """
        try:
            values = dict(from_json(attributes["spectrum"], "attrs['spectrum']"))
            merge_error = MergeError._make(
                real("merge_error", e) for e in values.pop("merge_error")
            )
            more = {
                name: real(name, values.pop(name), 0.0) for name in ("label_noise", "label_scale")
            }
            found = cls.__new__(cls)  # what the constructor warns of was said when it was made
            found._fill(**values)
        except (LookupError, TypeError, ValueError, StatmechError) as error:
            raise InvalidStore(
                "The attributes hold no readable 'spectrum'; was this made by statmech_bn with "
                f"inputs=sbn.Spectrum(...)? ({type(error).__name__}: {error})"
            ) from error
        found._set(**more, merge_error=merge_error)
        return found

    def _fill(self, *arguments: Any, **more: Any) -> None:
        """Check the constructor's arguments and keep them."""
        blocks = checked_blocks(*arguments, **more)
        self._set(**blocks, label_noise=0.0, label_scale=1.0, merge_error=MergeError(), basis=None)

    def _set(self, **values: Any) -> None:
        """Set attributes, arrays as copies that cannot be written to."""
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value = value.copy()
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def _warn_of_outside(self, stacklevel: int) -> None:
        """Say that a part of the teacher is in blocks of λ_i = 0."""
        outside = float(self.teacher[self.eigenvalues == 0].sum())
        if outside > 0:
            warnings.warn(
                f"teacher: {outside:.3g} of it lies outside of the data's span (eigenvalue 0). No "
                "label depends on that part and no student learns it; leave those directions out, "
                "or give a teacher without them.",
                InputsWarning,
                stacklevel=stacklevel,
            )

    def _content(self) -> tuple[Any, ...]:
        """What two equal spectra have in common."""
        multiplicities = () if self.multiplicities is None else self.multiplicities
        arrays = (self.eigenvalues, self.fractions, self.teacher, multiplicities)
        return (*(tuple(a) for a in arrays), self.label_noise, self.label_scale, self.merge_error)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Blocks):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        size = "fractions" if self.multiplicities is None else "multiplicities"
        shown = {
            "eigenvalues": self.eigenvalues,
            size: getattr(self, size),
            "teacher": self.teacher,
        }
        form: Any = {"precision": 4, "separator": ", ", "threshold": 6, "edgeitems": 2}
        texts = (f"{name}={np.array2string(values, **form)}" for name, values in shown.items())
        return f"Spectrum({', '.join(texts)})"
