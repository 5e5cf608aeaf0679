# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Is batch normalization population normalization with gamma decay, in a residual network?
#
# Luo et al. (2019) compare batch normalization (BN), population normalization (PN) and PN with
# gamma decay in residual networks, at batch sizes from small to large, and ask what random
# statistics do to the correlation of units. We do so in a small residual network on 5000 images of
# MNIST, trained with momentum, beside weight normalization (WN). What they measured could be
# compared in kind alone: the full text of the paper, with its networks, learning rates and numbers,
# was not available to us.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

network_regularization = sbn.study.load("network_regularization")


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# How the gamma decay $\zeta$ of a channel follows from its fields and the Fisher information is in
# `network_batch_size`. Here is what random statistics do to two units whose fields have the
# correlation $q$. Normalized over $M$ samples, $\langle\hat u_k\hat u_l\rangle$ is the mean of the
# sample correlation, which for Gaussian fields is

# %%
from statmech_bn.symbolic.coupled_decay import sample_correlation

show(r"\langle r\rangle", sample_correlation())

# %% [markdown]
# or $q-q(1-q^2)/2M$ to first order. The mean alone takes $1/M$ of the covariance and as much of
# both variances, and leaves the correlation as it is. The standard deviation alone does what both
# do: where samples of two units are large together, so are their $\sigma_B$.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_regularization.py` makes the store that we open here. Without it, a
# small one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_regularization)
figures = network_regularization.figures(tree)

# %%
figures["training"]()

# %% [markdown]
# Lines without points are theory for Gaussian fields: exact for BN and for the mean alone, to first
# order in $1/M$ for the standard deviation alone.

# %%
figures["correlation"]()

# %%
network_regularization.measured(tree)

# %% [markdown]
# ## What the claims come to
#
# Differences are between networks of the same initial weights and order of samples.

# %%
network_regularization.verdicts(tree)

# %% [markdown]
# ## What to try next
#
# - `--preset paper`: five batch sizes, 4000 images, 20 epochs.
# - One rate for all batch sizes instead of rates in proportion to $M$.
# - Ghost batches, which have the noise of small batches' statistics without that of their
#   gradients: `networks.residual_network(shape, ghost_size=4)`.
