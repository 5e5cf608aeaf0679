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
# # What is left of the learning rate after a long time?
#
# A normalized student with noise anneals itself. At which rate, and does it remember the learning
# rate that it was given?

# %%
# %matplotlib inline
import numpy as np
from IPython.display import Math

import statmech_bn as sbn

late_time = sbn.study.load("late_time")

s = sbn.symbolic


# %%
def show(law):
    """Typeset an asymptotic law."""
    names = {s.eta_eff: r"\eta_{\mathrm{eff}}", s.L: "L", s.misalignment: "1-R"}
    lines = (rf"{names[symbol]} &\simeq {sbn.codegen.latex(e)}" for symbol, e in law.items())
    return Math(r"\begin{aligned}" + r"\\".join(lines) + r"\end{aligned}")


# %% [markdown]
# ## Derivation
#
# Near the teacher, $1-R\ll1$, the scale $\gamma$ is at rest and the noise is a constant $B$. The
# length grows by noise alone, so $\dot\eta_{\mathrm{eff}}=-\eta_{\mathrm{eff}}^3B/M$. The overlap
# is fast: drive $D\simeq D_1(1-R)$ and noise balance. SymPy solves both:

# %%
show(s.late_time("weight"))

# %% [markdown]
# Only $L$ remembers $\eta$. The constants of a linear student with weight normalization, where
# $B=(1-\gamma_0)^2+\Delta^2$:

# %%
show(s.late_time("weight", "linear"))

# %% [markdown]
# ReLU has half the drive and half the noise, and its kink adds a slow correction, $t^{-1/4}$
# relative to the first term:

# %%
show(s.late_time("weight", "relu"))

# %% [markdown]
# Batch normalization at finite $M$. The batch's own normalization projects the error of $\gamma$
# out of every step, so that $B$ has label noise only:

# %%
show(s.late_time("batch", "linear"))

# %% [markdown]
# With ReLU there is no closed form: the averages at $R=1$ are integrated. Here batch statistics
# are noise by themselves: at finite $M$ even a perfectly aligned student without label noise does
# not fit its labels, as $\hat u$ is not $u$. It anneals itself, too:

# %%
for size in (8, 32, 128):
    setup = sbn.TeacherStudent("relu", "batch", size)
    law = sbn.rates.late_time(setup, [1e4])
    print(f"M = {size:3d}, Δ = 0:  1 − R = {law.misalignment.item():.2e} at t = 10⁴")

# %% [markdown]
# ## Simulation
#
# `python simulations/late_time.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(late_time)
figures = late_time.figures(tree)
figures["linear"]()

# %%
figures["relu"]()

# %% [markdown]
# At $t=10^5$, relative to the asymptote:

# %%
students = [(a, s) for a in late_time.ACTIVATIONS for s in late_time.STUDENTS]
flow, law = (tree[group].to_dataset() for group in ("macroscopic", "asymptote"))
for name in ("effective_rate", "misalignment"):
    ratio = (flow[name] / law[name]).isel(time=-1)
    for activation, student in students:
        shown = ratio.sel(activation=activation, student=student).values
        print(f"{activation:>7} {student:>7} {name:>15}", np.round(shown, 4))

# %% [markdown]
# The smallest $\eta$ is last to arrive: $1/\eta_{\mathrm{eff}}^2$ starts from $1/\eta^2$. For
# ReLU what is left is the kink's correction,

# %%
last = law["correction"].isel(time=-1).sel(activation="relu", student="weight")
print(f"{last.item():.4f}")

# %% [markdown]
# The chain at finite $N$, extrapolated in $1/N$ from two dimensions, in standard errors from the
# flow:

# %%
chain = (tree[group].to_dataset() for group in ("mesoscopic", "smaller"))
mean, error = late_time.infinite_dimension(*chain)
away = ((mean - flow.sel(time=mean["time"])) / error).isel(time=-1)
for name in ("effective_rate", "misalignment"):
    for activation, student in students:
        shown = away[name].sel(activation=activation, student=student).values
        print(f"{activation:>7} {student:>7} {name:>15}", np.round(shown, 1))

# %% [markdown]
# ## What to try next
#
# - A schedule $\eta(t)$: which one makes a normalized student learn faster than $t^{-1/2}$?
# - Weight decay stops the growth of $L$ (`analysis/weight_decay.py`).
# - `sbn.rates.late_time` of your own activation.
