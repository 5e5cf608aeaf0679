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
# # Do convolutional residual networks grow as the mean field says?
#
# The notebook `residual_depth` has the mean field of residual blocks beside random dense networks.
# Here are convolutional ones, on noise and on digits, and the blocks that He et al. (2016) had at
# first, with ReLU behind the sum.

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math, display

import statmech_bn as sbn

network_residual = sbn.study.load("network_residual")


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# A convolution sums nine neighbours, each with weights of its own: if all positions are alike, as
# on a torus, mean squares grow as in dense layers, and those of gradients too. A batch has many
# unrelated pairs of points even where neighbours become alike, so that normalization divides by the
# same variance. Zeros around an image take a share from the fields at its border; similar images
# have less variance over the batch than their mean square.
#
# With ReLU behind the sum, $x\leftarrow\max(x+z,0)$ with a Gaussian $z$ from the normalized branch:
# a random walk that is reflected. After $n$ steps it is at zero with the probability of Sparre
# Andersen, whatever the law of $z$, and the mean is by Spitzer's identity

# %%
n, k = sp.symbols("n k", positive=True, integer=True)
show(r"P(x=0)", sp.binomial(2 * n, n) / 4**n)
show(r"\langle x\rangle", sp.Sum(1 / sp.sqrt(2 * sp.pi * k), (k, 1, n)))

# %% [markdown]
# The variance of $x$, by which the branch's gradients are divided, is $(1-2/\pi)n$ for long walks,
# smaller than the $(1-1/\pi)n$ of blocks without ReLU there, so that a block gains more:
# $\chi/(1-2/\pi)n$ with $\chi=\pi/(\pi-1)$. What passes by the skip connection must stay active.
# `sbn.depth.rectified_residual_growth` has both on a grid:

# %%
growth = sbn.depth.rectified_residual_growth(32)
growth[["field_square", "inactive"]].isel(depth=[0, 1, 2, 8, 32]).to_dataframe().round(4)

# %% [markdown]
# ## Simulation
#
# `python simulations/network_residual.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_residual)
tables = network_residual.tables(tree)

# %%
network_residual.figures(tree)["growth"]()

# %% [markdown]
# What the deepest networks have more than theory, as logarithms:

# %%
tables["gradient_square, logarithm of networks less theory"].round(3)

# %%
tables["gradient_square with ReLU behind the sum, logarithm"].round(3)

# %% [markdown]
# ## What the claims come to

# %%
tables["verdicts"]

# %% [markdown]
# ## What to try next
#
# - Wider networks and larger batches, which theory is for: `--channels 128 --samples 128`.
# - Other blocks: `sbn.depth.residual_growth("tanh", "before", depth=32)`.
# - Is the network whose gradients grow least the one that trains best?
