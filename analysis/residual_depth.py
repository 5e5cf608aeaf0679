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
# # What do residual networks need normalization for?
#
# Blocks $x\leftarrow x+aF(x)$ add up: fields and gradients grow with depth. De & Smith (2020) find
# that batch normalization on the branch makes a block pass on a small share of itself, and that
# $a=0$ (SkipInit) does without it. We compare where the normalization can be, in wide random
# networks.

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math, display

import statmech_bn as sbn

residual_depth = sbn.study.load("residual_depth")

s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# A branch without normalization adds $a^2$ of the mean square that it sees, and its gradients as
# much of theirs: ReLU networks grow by $(1+a^2)$ in each block. A normalized branch adds $a^2$
# whatever $x$ is. Before block $l$ the variance of $x$ is $1+Vl$, by which the branch's gradients
# are divided; $V=1-1/\pi$ is the part of a ReLU layer's output that is not common to all inputs.
# The product of the growths is then a power of the depth:

# %%
V, k, L = sp.symbols("V l L", positive=True)
product = sp.product(1 + 1 / (1 + V * k), (k, 0, L - 1))
show(r"\prod_l\Bigl(1+\frac{1}{1+Vl}\Bigr)", product)

# %% [markdown]
# that is $L^{1/V}$, and $1/V$ is the growth $\chi$ per layer of normalized ReLU networks:

# %%
show(r"\chi", s.gradient_multiplier("relu", "batch"))

# %% [markdown]
# ## Simulation
#
# `python simulations/residual_depth.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(residual_depth)
figures = residual_depth.figures(tree)
tables = residual_depth.tables(tree)

# %%
figures["field"]()

# %% [markdown]
# Normalization behind the sum keeps fields, but each block then has a share of one half, at any
# depth, and gradients grow exponentially:

# %%
figures["gradient"]()

# %% [markdown]
# In deep networks batches and layers of finite size add up to more than theory has (logarithms):

# %%
tables["mean square gradient, logarithm of networks less theory"].round(3)

# %% [markdown]
# ## What the claims come to

# %%
for claim, (effect, rest) in residual_depth.claims(tree).items():
    print(f"{claim}: {sbn.study.decide(effect, rest)}.")

# %% [markdown]
# ## What to try next
#
# - Your own activation: `sbn.depth.residual_growth("gelu", "branch", depth=64)`.
# - Small batches: `sbn.depth.measure_residual("relu", "branch", 16, batch_size=8)`.
# - Which `branch_scale` makes gradients of a network without normalization grow like those with?
