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
# # How does a large learning rate regularize batch normalization?
#
# Large learning rates are said to be why batch normalization generalizes (Bjorck, Gomes & Selman
# 2018). With fewer samples than weights this can be solved.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

large_learning_rate = sbn.study.load("large_learning_rate")

# %% [markdown]
# ## Derivation
#
# Below $\alpha=1$ the student interpolates, whatever its weights are outside of the data: training
# never touches that part of $w(0)$. But $|w|$ grows, and only the direction of $w$ matters. What is
# kept weighs less the more $w$ has grown, $\chi=Q_\infty/Q_0$:

# %%
Math(r"\varepsilon_g = " + sbn.codegen.latex(sbn.symbolic.offline.batch_normalized_error()))

# %% [markdown]
# ## Simulation
#
# `python simulations/large_learning_rate.py` makes the store that we open here.
# Without it, a small one is made now, in a temporary folder.

# %%
tree = sbn.study.results(large_learning_rate)

# %%
figures = large_learning_rate.figures(tree)
figures["error"]()

# %%
for title, table in large_learning_rate.tables(tree).items():
    print(title)
    display(table.round(4))

# %% [markdown]
# Growth comes with the learning rate, and the error falls as predicted from the growth that is
# measured, towards that of least squares.
#
# ## What to try next
#
# - `start=sbn.OrderParameters(length=0.1)`: what do small initial weights do?
# - `schedule=`: how early must a large learning rate come to help?
