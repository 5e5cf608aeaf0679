r"""Order parameters of weights that somebody else trained.

Weights w of fields h = w·x/√N beside a teacher w*, rescaled to |w*|² = N:

    L = |w|/√N,     R = w·w*/(|w||w*|)                          for inputs without a covariance,
    ρ_i = w_i·w*_i/N,     Q_i = |w_i|²/N,     R = Σλ_iρ_i/√(Σλ_iQ_i Σλ_iT_i)      with a spectrum,

where w_i is the part of w in block i of the covariance's eigenvectors (`statmech_bn.spectrum`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_bn.arrays import to_numpy
from statmech_bn.checks import UNREADABLE, array, instance, real
from statmech_bn.dataset import describe, order_parameter_dataset
from statmech_bn.errors import invalid
from statmech_bn.online.generalization import generalization_error
from statmech_bn.online.structured_error import structured_error
from statmech_bn.spectrum import Spectrum
from statmech_bn.teacher_student import TeacherStudent
