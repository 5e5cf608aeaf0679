"""ε_g on inputs with a covariance: a homogeneous activation's closed form beside the integral."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.structured import structured_error, with_unit_teacher

x = sp.Symbol("x")


@pytest.mark.thorough
@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
@pytest.mark.parametrize(
    "activation", ["linear", "relu", "leaky_relu", abs(x), sp.Max(2 * x, x / 3)], ids=str
)
def test_the_error_of_a_homogeneous_activation_is_the_integral(activation, normalization):
    spectrum = sbn.Spectrum([3.0, 1.0, 0.2], [0.2, 0.5, 0.3], teacher=[0.6, 0.1, 0.3])
    setup = sbn.TeacherStudent(activation, normalization=normalization, batch_size=8)
    random = np.random.default_rng(1)
    teacher, own = np.sqrt(spectrum.teacher), random.normal(size=(20, 3)) / np.sqrt(3)
    rho, q = own * teacher, own**2
    gamma = random.uniform(-2, 2, 20) if normalization != "none" else np.ones(20)
    spread = np.sqrt(q @ spectrum.eigenvalues)
    scale = {"none": spread, "weight": gamma * spread / np.sqrt(q.sum(axis=1)), "batch": gamma}
    scale = scale[normalization] / np.sqrt(spectrum.teacher_variance)
    cosine = spectrum.field_cosine(rho, q) * np.sign(scale)
    rule = Quadrature.for_activation(with_unit_teacher(setup.activation, spectrum))
    found = structured_error(setup, spectrum, rho, q, gamma)
    np.testing.assert_allclose(found, rule.errors(cosine, np.abs(scale)), rtol=1e-9, atol=1e-13)
