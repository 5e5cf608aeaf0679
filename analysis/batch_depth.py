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
# # How deep do networks train with batch normalization?
#
# Yang et al. (2019) find that the mean square of a gradient grows by a factor $\chi>1$ in each
# normalized layer on its way back, more in small batches, and that networks train down to about
# $16/\ln\chi$ layers. We predict $\chi$ for any activation, batch size, scale, shift and
# $\varepsilon$, measure it in random networks, and train networks of several depths.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

batch_depth = sbn.study.load("batch_depth")

s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# Deep down, all $M$ samples of a batch are alike: the fields of a unit, less their mean, are an
# isotropic Gaussian vector of $M-1$ dimensions, and normalized fields a point of a sphere. Two
# samples have the correlation $-1/(M-1)$. What a gradient loses by the projection off $1$ and
# $\hat u$, it more than gains by $1/\sigma_B^2$, whose mean is $M/(M-3)$ times the inverse of the
# variance. For linear layers this leaves

# %%
show(r"\chi_\mathrm{linear}", s.gradient_multiplier("linear", "batch", s.M))

# %% [markdown]
# which no other activation falls below. ReLU layers have a closed form, too; its values and its
# limit $M\to\infty$ are

# %%
show(r"\chi_\mathrm{ReLU}(\infty)", s.gradient_multiplier("relu", "batch"))
{M: round(float(s.gradient_multiplier("relu", "batch", M)), 3) for M in (5, 8, 16, 64)}

# %% [markdown]
# For other activations the averages over the sphere are integrals over two angles, which
# `sbn.depth.batch_fixed_point` computes.

# %% [markdown]
# ## Simulation
#
# `python simulations/batch_depth.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(batch_depth)
figures = batch_depth.figures(tree)

# %%
figures["growth"]()

# %% [markdown]
# Lines are the theory, points networks. With four or five samples the variance of $1/\sigma_B^2$
# over channels is infinite: means of networks of finite width are mostly below theory, and their
# error bars too small, so that we compare from six samples on. Large batches exceed theory by what
# a finite width adds, of order $M$ over the width:

# %%
scores = batch_depth.scores(tree)
scores.round(3)

# %% [markdown]
# A small scale $\gamma$ makes tanh linear, a positive shift $\beta$ ReLU; both bring $\chi$ down to
# $(M-2)/(M-3)$. An $\varepsilon$ of the order of the variance takes away what small batches add,
# and little more, until fields vanish with depth and gradients with them:

# %%
figures["remedies"]()

# %% [markdown]
# Trained for a fixed number of steps, deep networks learn less, and those of small batches lose it
# first. The right panel has the depth in units of $16/\ln\chi$. What counts as training was fixed
# beforehand: at the best of three learning rates, the loss of the batches falls from $\ln 10$, that
# of a guess, at least half as far as at the best depth of the same batch size. Where the deepest
# networks still train, theirs is a lower bound:

# %%
figures["training"]()

# %%
depths = batch_depth.depths(tree)
depths.round(2)

# %% [markdown]
# ## What the claims come to

# %%
for claim, (effect, rest) in batch_depth.claims(tree).items():
    print(f"{claim}: {sbn.study.decide(effect, rest)}.")
print(f"  networks and theory: within {scores['in standard errors'].max():.1f} standard errors")
ratio = depths["ratio"]
print(f"  half is learned at {ratio.min():.2f} to {ratio.max():.2f} of 16/ln χ")

# %% [markdown]
# ## What to try next
#
# - Your own activation: `sbn.depth.batch_fixed_point(expression, batch_size=8)`.
# - How much $\gamma$ do deep tanh networks need?
#   `batch_fixed_point("tanh", 8, scale=...).trainable_depth`.
# - Train longer, or with learning rates that differ between layers: what limits the depth?
