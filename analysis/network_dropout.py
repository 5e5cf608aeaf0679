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
# # Does dropout do for large batches what small ones do?
#
# The statistics of small batches are noise, and noise regularizes. Large batches lack it; Luo et
# al. (2019) give them dropout behind the normalization instead. Here a small residual network
# learns a few images of MNIST, so few that it learns them by heart.

# %%
# %matplotlib inline
import sympy as sp

import statmech_bn as sbn

network_dropout = sbn.study.load("network_dropout")

# %% [markdown]
# ## Derivation
#
# How much of it would be as much noise? With the share $p$ dropped and the rest divided by $1-p$, a
# field $u$ has the variance $pu^2/(1-p)$ over masks. Statistics of $M$ independent Gaussian samples
# move it by a variance of $(1+u^2/2)/M$ to first order. On average over $u$ these are equal at

# %%
p, M = sp.symbols("p M", positive=True)
u_square = 1
sp.solve(p * u_square / (1 - p) - (1 + sp.Rational(u_square, 2)) / M, p)[0]

# %% [markdown]
# which is 0.16 for $M=8$, and less in a convolution, where statistics are over positions too. But
# dropout is another noise: it is independent from value to value, and a batch moves all positions
# of a channel together. That noise of equal size is of equal use is what we ask.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_dropout.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_dropout)
tables = network_dropout.tables(tree)

# %%
network_dropout.figures(tree)["losses"]()

# %%
tables["at the end of training"]

# %% [markdown]
# ## What the claims come to
#
# Differences are between networks of the same initial weights.

# %%
tables["claims"]

# %% [markdown]
# ## What to try next
#
# - More images, of which fewer are learned by heart: `--samples 2000`.
# - `--small 4`: the less one batch knows, the more noise has dropout to make up for.
# - Masks that are the same for all positions of a channel.
