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
# # What becomes of fields and gradients in a convolutional network?
#
# Deep networks without normalization forget their inputs, and all samples push a channel the same
# way; batch normalization subtracts what they have in common, and makes gradients grow towards the
# input (Bjorck, Gomes & Selman 2018; Yang et al. 2019). That is theory of wide dense networks.
# Does a convolutional network share it, on digits, at the start and while it is trained?

# %%
# %matplotlib inline
import pandas as pd
from IPython.display import Math, display

import statmech_bn as sbn

network_signals = sbn.study.load("network_signals")

pd.set_option("display.max_colwidth", None)
s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# In wide dense ReLU layers that keep the variance, the correlation $c$ of two inputs goes to

# %%
show("c'", s.correlation_map("relu"))

# %% [markdown]
# which is 1 in the end. The mean square of gradients grows on its way back by $\chi$, without and
# with batch normalization

# %%
for normalization in ("none", "batch"):
    show(r"\chi", s.gradient_multiplier("relu", normalization))

# %% [markdown]
# In a convolution positions are correlated as well, and zero padding takes a share of the variance
# in every layer, in small images a large one. `sbn.depth.convolution_signals` therefore follows the
# covariances of all positions of all samples:
# $K'_{ij}=\frac{\sigma_w^2}{9}\sum_\delta E[g(h_{i+\delta})g(h_{j+\delta})]$.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_signals.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_signals)
figures = network_signals.figures(tree)

# %%
figures["initial"]()

# %%
figures["training"]()

# %% [markdown]
# Lines are the mean field, at infinite width.
#
# ## What the claims come to

# %%
network_signals.verdicts(tree).round(4)

# %% [markdown]
# The network shares the traits, in a smaller measure than a dense one of its depth: padding tells
# positions apart, and what is common to all of them is less than what two samples have in common at
# one position. With gradients in units of the fields, the growth with batch normalization is close
# to $\pi/(\pi-1)$ nevertheless, and the mean field of convolutions says by how much it is off.
#
# ## What to try next
#
# - `--depth 16`: without normalization the image's padding leaves nothing of the fields.
# - `--widths 16 64 256`: how fast do networks approach the mean field?
