"""The largest eigenvalue of the Fisher information against products of gradients of networks."""

import numpy as np
import pytest

from statmech_bn import depth


@pytest.mark.parametrize("mean_subtracted", [False, True])
def test_wide_networks_have_the_largest_eigenvalue(mean_subtracted):
    torch = pytest.importorskip("torch")
    from statmech_bn import networks

    rng, found = np.random.default_rng(0), []
    x = (0.5 + rng.normal(size=(12, 9))).astype(np.float32)
    for seed in range(10):
        model = networks.dense_network((1, 3, 3), 2, 3, 400, "none", seed=seed)
        rows = []
        for output in model(torch.from_numpy(x).reshape(12, 1, 3, 3))[:, 0]:
            slopes = torch.autograd.grad(
                output, list(model.parameters()), retain_graph=True, materialize_grads=True
            )
            rows.append(torch.cat([slope.flatten() for slope in slopes]))
        gradients = torch.stack(rows).double()
        if mean_subtracted:
            gradients = gradients - gradients.mean(0)
        found.append(torch.linalg.eigvalsh(gradients @ gradients.T)[-1].item() / 12)
    expected = depth.largest_fisher_eigenvalue(x, 3, 400, mean_subtracted)
    mean, error = np.mean(found), np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.1 * expected
    assert abs(mean - expected) < 4 * error


def test_independent_samples_have_the_eigenvalues_of_two_numbers():
    """λ_max = (κ₁ + (P − 1)κ₂)/P, and (κ₁ − κ₂)/P without the mean."""
    x = np.eye(40, 3000) * np.sqrt(3000)  # of length √n, orthogonal
    own = depth.largest_fisher_eigenvalue(x[:1], 2, 500)
    whole, left = (depth.largest_fisher_eigenvalue(x, 2, 500, centre) for centre in (False, True))
    assert whole + 39 * left == pytest.approx(own)
    assert whole > 5 * left
