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
# # How badly conditioned is a product of random matrices?
#
# A deep linear network multiplies its matrices. Bjorck, Gomes & Selman (2018) recall that the
# singular values of such products spread ever wider, and suspect that batch normalization helps by
# keeping them together. Does it?

# %%
# %matplotlib inline
import numpy as np
from IPython.display import Math, display

import statmech_bn as sbn

matrix_products = sbn.study.load("matrix_products")

s = sbn.symbolic


# %%
def show(name, expression):
    """Typeset an equation."""
    display(Math(f"{name} = {sbn.codegen.latex(expression)}"))


# %% [markdown]
# ## Derivation
#
# Free probability: the S-transforms of free factors multiply, and the generating function of the
# moments of $s$ factors solves, e.g. for $s=3$,

# %%
law = s.fuss_catalan(3)
display(Math(sbn.codegen.latex(law.equation)))

# %% [markdown]
# from which follow the moments, the upper edge, and the density along the curve $x(\varphi)$:

# %%
show("E[x^k]", law.moment)
show(r"x_{\max}", law.edge)
show("x", law.position)
show("p(x)", law.density)

# %% [markdown]
# ## Simulation
#
# `python simulations/matrix_products.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(matrix_products)
figures = matrix_products.figures(tree)

# %%
figures["spectra"]()

# %% [markdown]
# Second moments, with the corrections at this $N$:

# %%
moments = matrix_products.moments(tree, 2)
moments.round(3)

# %%
figures["conditions"]()

# %% [markdown]
# ## What the claims come to


# %%
decades = {}
for normalization in ("none", "batch"):
    growth = matrix_products.growth(tree, normalization)
    mean, error = (part.item() for part in sbn.study.mean_and_error(growth))
    decades[normalization] = f"{mean:.2f} ± {error:.2f} decades per factor"
conditions = {n: matrix_products.last(tree, "relu", n) for n in decades}
errors = moments["errors away"].abs().max()
print("Products follow the Fuss–Catalan law: reproduced.")
print(f"  second moments within {errors:.1f} standard errors, s = 1 … 8")
exponent = tree["law"]["growth"].item() / np.log(10)
print("Their condition number explodes with depth: reproduced.")
print(f"  {decades['none']};")
print(f"  {exponent:.2f} for an endless product")
print("Batch normalization prevents it: not for linear networks,")
print(f"  {decades['batch']};")
print("but yes for what ReLU layers say about a batch: condition number of the last fields")
print(f"  {conditions['none']:.0e} without, {conditions['batch']:.0e} with normalization")

# %% [markdown]
# Dividing channels by their spread makes rows equally long, not orthogonal. It takes the
# nonlinearity, which adds new directions in each layer, and the subtraction of the mean, which
# stops one common direction from taking over. ($10^{15}$ and more stands for singular in double
# precision.)
#
# ## What to try next
#
# - `sbn.depth.representation_conditions("tanh", ...)`: weakly nonlinear layers add little.
# - Fewer samples than channels: `samples=16, width=256`.
