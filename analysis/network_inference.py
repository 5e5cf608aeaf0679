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
# # Does inference with the example's own statistics show what training did, in networks?
#
# The notebook `inference` has the question in the solvable model: a sample is one of the $M$ that
# normalize it, and inference could let it have the share $a=1/M$ of the statistics (Summers &
# Dinneen 2020). Here it is asked of trained networks, beside running averages.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

network_inference = sbn.study.load("network_inference")

s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# To order $1/M$ the field that training shows on average, and that inference shows with the share
# $a$ and the factor $c$ on $\gamma$, agree for Gaussian fields at

# %%
weight, scale = s.own_weight()
show("a", weight)
show("c", scale)

# %% [markdown]
# In a convolution an image's own mean and variance are those over its positions. Its share in those
# of its batch is $1/M$, whatever the number of positions; but the statistics of the others
# fluctuate less, as those of $M_\mathrm{eff}=M/V_\mu>M$ values (`network_batch_size`), so that the
# factor on $\gamma$ should be nearer to 1.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_inference.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_inference)
figures = network_inference.figures(tree)
tables = network_inference.tables(tree)

# %%
figures["own"]()

# %%
figures["running"]()

# %%
tables["loss, less that of inference with the population's statistics"]

# %% [markdown]
# ## What the claims come to

# %%
tables["verdicts"]

# %% [markdown]
# ## What to try next
#
# - `--sizes 64`: does anything of order $1/M$ still matter?
# - Own statistics in the last layer alone, or in the first.
# - Batches of test images of one class: what does training mode say of them?
