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
# # Which learning rate does weight decay leave?
#
# The length of a normalized student does not change what it computes. What does weight decay do
# to it, then?

# %%
# %matplotlib inline
from IPython.display import Math

import statmech_bn as sbn

weight_decay = sbn.study.load("weight_decay")

s = sbn.symbolic

# %% [markdown]
# ## Derivation
#
# Noise makes the student longer, weight decay makes it shorter. SymPy solves for the length at
# which both balance, for the effective learning rate that follows, and for the drive $D$ that
# holds the overlap. At weak decay $D=D_1(1-R)$:

# %%
names = {s.eta_eff: r"\eta_{\mathrm{eff}}", s.L: "L", s.D: "D", s.misalignment: "1-R"}
rest = s.equilibrium("batch")
lines = (rf"{names[symbol]} &= {sbn.codegen.latex(e)}" for symbol, e in rest.items())
Math(r"\begin{aligned}" + r"\\".join(lines) + r"\end{aligned}")

# %% [markdown]
# The learning rate and the decay enter as the product $\eta\lambda$ alone, but for $L\propto
# \sqrt\eta$. More is true: $(\eta,\lambda,L)\to(c\eta,\lambda/c,\sqrt c\,L)$ leaves the whole
# flow of $R$, $\gamma$ and $\eta_{\mathrm{eff}}$ unchanged. Only the start tells such runs apart,
# and it is forgotten after a time of order $1/(\eta\lambda)$.

# %% [markdown]
# ## Simulation
#
# `python simulations/weight_decay.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(weight_decay)
figures = weight_decay.figures(tree)
figures["collapse_linear"]()

# %%
figures["collapse_relu"]()

# %% [markdown]
# The spread at the end, between learning rates of a ratio of 100:

# %%
last = tree["collapse"].to_dataset()[list(weight_decay.VARIABLES)].isel(time=-1)
spread = last.max("learning_rate") / last.min("learning_rate") - 1
spread.to_dataframe().map("{:.1e}".format)

# %% [markdown]
# The equilibrium, for a range of products:

# %%
figures["equilibrium_linear"]()

# %%
figures["equilibrium_relu"]()

# %% [markdown]
# ## What to try next
#
# - Without label noise a linear student has a resting point, too: is it stable?
#   (`sbn.rates.fixed_point(setup, rates)` has the eigenvalues.)
# - Which product $\eta\lambda$ gives the smallest error after a given time?
# - Lower $\eta\lambda$ in steps: how long does the student need to follow?
