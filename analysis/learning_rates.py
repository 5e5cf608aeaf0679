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
# # Which learning rates can a student take?
#
# A student learns online from a noisy teacher, with or without normalization. Batch normalization
# is said to allow far larger learning rates. Why, how large, and at what price?
#
# We derive it, simulate it at three levels (ODEs at $N\to\infty$, the exact chain of the order
# parameters at finite $N$, and $N$ weights), and compare.

# %%
# %matplotlib inline
import numpy as np
import sympy as sp
from IPython.display import Math

import statmech_bn as sbn

learning_rates = sbn.study.load("learning_rates")


# %%
def show(flow):
    """Typeset a flow."""
    return Math(r"\begin{aligned}" + sbn.codegen.latex(flow) + r"\end{aligned}")


# %% [markdown]
# ## Derivation
#
# The order parameters are the overlap $R$ with the teacher, the length $L=|w|/\sqrt N$ and the
# scale $\gamma$ of the normalization. Without normalization, a linear student follows

# %%
vanilla = sbn.symbolic.order_parameter_flow("none", "linear")
show(vanilla)

# %% [markdown]
# Far from the teacher the error grows like $L^2$. Its rate changes sign at the largest learning
# rate that this student can take:

# %%
s = sbn.symbolic
error = s.generalization_error("linear").subs(s.gamma, s.L)  # the output of this student is h = Lu
growth = error.diff(s.R) * vanilla[s.R] + error.diff(s.L) * vanilla[s.L]
growth_far_out = sp.limit(growth.subs({s.lamda: 0, s.Delta: 0}) / s.L**2, s.L, sp.oo)
[largest] = [root for root in sp.solve(growth_far_out, s.eta) if root != 0]
Math(r"\eta_{\max} = " + sbn.codegen.latex(largest))

# %% [markdown]
# Weight normalization makes every step orthogonal to $w$, so $L$ can only grow:

# %%
show(sbn.symbolic.order_parameter_flow("weight", "linear"))

# %% [markdown]
# and so does batch normalization, with factors that depend on the batch size $M$:

# %%
show(sbn.symbolic.order_parameter_flow("batch", "linear"))

# %% [markdown]
# The learning rate enters $dR/dt$ as $\eta\gamma/L^2$ only. Noise makes $L^4$ grow like
# $2\eta^2\gamma^2 B\,t/M$, so after a while $\eta/L^2$ has forgotten $\eta$: a step that is too
# large makes the next ones smaller. No learning rate is too large. With label noise $\Delta$ and
# $\gamma\to1$, what is left is
#
# $$1-R \simeq \frac{\Delta}{4\sqrt{2Mt}}$$
#
# whatever $\eta$ was. The price is that a small constant learning rate does better in the end.

# %% [markdown]
# ## Simulation
#
# `python simulations/learning_rates.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(learning_rates)

# %% [markdown]
# Each level is a group of the store, over activation × student × learning rate × time. A point of
# it is one run, of the setup

# %%
learning_rates.setup("relu", "batch")

# %%
figures = learning_rates.figures(tree)
figures["final_error"]()

# %% [markdown]
# Without normalization the error grows with $\eta$ and is infinite beyond $2M=64$ (shaded). With
# it, the curves bend over to a plateau. Very large learning rates leave it again at finite $N$:
# single steps, of size $\eta/N$, are then no longer small.

# %%
figures["linear_none"]()

# %%
figures["linear_batch"]()

# %% [markdown]
# On the plateau the overlap is the one predicted above:

# %%
theory = tree["macroscopic"].to_dataset().sel(activation="linear", student="weight")
overlap = theory["overlap"].isel(time=-1)
noise, batch_size = learning_rates.LABEL_NOISE, learning_rates.BATCH_SIZE
predicted = noise / 4 / np.sqrt(2 * batch_size * float(theory["time"][-1]))
for rate in theory["learning_rate"].values:
    print(f"η = {rate:7.2f}   1 − R = {1 - overlap.sel(learning_rate=rate).item():.5f}")
print(f" prediction   1 − R = {predicted:.5f}")

# %% [markdown]
# ## What to try next
#
# - Your own activation: `sbn.TeacherStudent(activation=sympy.Max(x, x / 10), ...)`.
# - Weight decay stops the growth of $L$: which learning rate is then the best?
# - `gamma_learning_rate`: at finite $N$, how much of the noise at large $\eta$ comes from $\gamma$?
# - A larger batch moves the divergence to $2M$. What does it do to the plateau?
