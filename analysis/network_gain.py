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
# # Does a convolutional network train from weights of any size?
#
# Ioffe & Szegedy (2015): batch normalization makes training less sensitive to the initial scale of
# the weights, as $\mathrm{BN}((aW)u)=\mathrm{BN}(Wu)$. What does a network do whose weights are
# multiplied by a gain $a$?

# %%
# %matplotlib inline
import pandas as pd
from IPython.display import Math, display

import statmech_bn as sbn

network_gain = sbn.study.load("network_gain")

pd.set_option("display.max_colwidth", None)

# %% [markdown]
# ## Derivation
#
# A function of $w$ that does not change with $w\to aw$ has a gradient of order $1/a$ there. So for
# $\ell(w)=f(w_1/|w|)$ with weights of two dimensions:

# %%
import sympy as sp

w1, w2, a = sp.symbols("w_1 w_2 a", positive=True)
f = sp.Function("f")
slope = sp.diff(f(w1 / sp.sqrt(w1**2 + w2**2)), w1).doit()
ratio = sp.simplify((slope.subs({w1: a * w1, w2: a * w2}, simultaneous=True) / slope).doit())
display(Math(r"\partial_1\ell(aw)/\partial_1\ell(w) = " + sbn.codegen.latex(ratio)))

# %% [markdown]
# A step $\eta$ changes $w$ relative to its length $a|w|$ by $\eta/a^2$ of what it does at $a=1$:
# with the learning rate $a^2\eta$ of these weights, and $a^2\epsilon$, training is the same. Steps
# are orthogonal to $w$, so that small weights grow, and their gain is forgotten; large ones stay.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_gain.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(network_gain)
figures = network_gain.figures(tree)

# %%
figures["start"]()

# %%
figures["training"]()

# %% [markdown]
# ## What the claims come to

# %%
network_gain.verdicts(tree).round(4)

# %% [markdown]
# The first pass does not depend on the gain, but for $\epsilon$, and the gain is a learning rate:
# with $a^2\eta$ training is the same in every bit. At a fixed learning rate it is not: large
# weights turn slowly, and a short training ends before they have turned. The claim holds with a
# correction: normalization takes a far larger range of gains than no normalization, which trains
# only at the gain that keeps the fields, but the range is that of its learning rates.
#
# ## What to try next
#
# - `--epochs 30`: how long must training be for the largest gain to be forgotten?
# - Weight decay pulls large weights back; `statmech_bn.networks.train` has it.
