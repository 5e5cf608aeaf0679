"""The direction of a student's first weights, from the cosine that a start has with the teacher."""

from __future__ import annotations

import numpy as np

from statmech_bn.teacher_student import OrderParameters


def directions(
    start: OrderParameters, teacher: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors along the teacher, and at the start's cosine to it towards another."""
    teacher = teacher / np.linalg.norm(teacher)
    other = other - (other @ teacher) * teacher
    other /= np.linalg.norm(other)
    return teacher, start.overlap * teacher + np.sqrt(1 - start.overlap**2) * other
