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
# # How large may a learning rate be?
#
# A student without normalization diverges above some learning rate; a normalized one never does.
# We derive the largest learning rate of every state and of the fixed points (Table 1 of Luo et
# al. 2019), and measure where a student explodes.

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math

import statmech_bn as sbn

maximum_learning_rate = sbn.study.load("maximum_learning_rate")

s = sbn.symbolic

# %% [markdown]
# ## Derivation
#
# Every student, normalized or not, turns towards its teacher by the same equation, $\dot
# R=\eta_{\mathrm{eff}}D-\eta_{\mathrm{eff}}^2RB/(2M)$, with its own effective learning rate:

# %%
students = ("none", "weight", "batch")
found = (rf"{sbn.codegen.latex(s.effective_learning_rate(n))} & \text{{{n}}}" for n in students)
Math(r"\eta_{\mathrm{eff}} = \begin{cases}" + r"\\".join(found) + r"\end{cases}")

# %% [markdown]
# $\dot R$ changes sign at $\eta_{\max}$. For the student without normalization, whose error
# depends on its length too, it is the error that changes sign:

# %%
Math(r"\eta_{\max} = " + sbn.codegen.latex(s.maximum_learning_rate("weight")))

# %%
Math(
    r"\eta_{\max} = "
    + sbn.codegen.latex(s.maximum_learning_rate("none", "linear").subs(s.lamda, 0))
)

# %% [markdown]
# Far from the teacher it becomes the learning rate at which the length explodes, $2M$ for linear
# and ReLU. Of an activation only the slopes at $\pm\infty$ count; a bounded one does not explode:

# %%
x = sp.Symbol("x")
for activation in ("linear", "relu", "softplus", sp.Max(x, x / 10), "tanh"):
    print(f"{activation!s:>14}: {s.divergence_learning_rate(activation).subs(s.lamda, 0)}")

# %% [markdown]
# ## Fixed points: Table 1 of Luo et al., and an exact row
#
# $\eta_{\max}$ is the learning rate at which $\partial\dot R/\partial R$ changes sign at the
# fixed point. Luo et al. treat batch normalization as population normalization with gamma decay,
# with $\zeta$ from statistics that are independent of the sample.

# %%
symbols = {"gamma": r"\gamma_0", "overlap": "R_0", "length": "L_0", "maximum": r"\eta_{\max}"}
rows = s.learning_rate_table()
lines = [
    [row.activation, row.student.replace("_", " "), *(getattr(row, name) for name in symbols)]
    for row in rows
]
print(sbn.codegen.latex_table(["", "student", *(f"${v}$" for v in symbols.values())], lines))

# %%
for student, (_, remark, _) in s.rate_table.STUDENTS.items():
    if remark:
        print(f"{student}: {remark}\n")

# %%
numbers = sbn.rates.table(batch_size=32, gamma_decay=0.02)
numbers[["gamma", "maximum_rate"]].to_dataframe().round(4)

# %% [markdown]
# Gamma decay raises $\eta_{\max}$ by about $6L^2$, as the smaller $\gamma$ makes smaller steps.
# The exact statistics lower it, by about $2L^2$: two of $M$ directions are projected out, and
# $1/\sigma_B^2$ fluctuates. So it is near the teacher. Far from it, where errors follow the
# student's own field, the projection takes them out of the noise, and $\eta_{\max}$ is larger:

# %%
for overlap in (0.1, 0.5, 0.9, 0.99, 0.999):
    state = sbn.OrderParameters(overlap)
    setups = [sbn.TeacherStudent("linear", name, batch_size=32) for name in ("weight", "batch")]
    weight, batch = (float(sbn.rates.maximum(setup, state)) for setup in setups)
    print(f"R = {overlap}: weight {weight:6.1f}, batch {batch:6.1f}")

# %%
batch = s.fixed_point("batch", "linear").maximum.subs({s.zeta: 0, s.Delta: 0})
Math(r"\eta_{\max}^{\mathrm{BN}} = " + sbn.codegen.latex(batch))

# %% [markdown]
# ## Simulation
#
# `python simulations/maximum_learning_rate.py` makes the store that we open here. Without it, a
# small one is made now, in a temporary folder.

# %%
tree = sbn.study.results(maximum_learning_rate)
figures = maximum_learning_rate.figures(tree)

# %% [markdown]
# Along a trajectory. With label noise $\eta_{\max}$ falls as $R$ grows, and a student stops
# turning where it meets $\eta$. Without normalization that is the end. A normalized student grows
# longer, its effective rate falls, and it goes on.

# %%
figures["along_linear"]()

# %%
figures["along_relu"]()

# %% [markdown]
# The explosion, measured with the chain by bisection. The chain is below $2M$ by a part of order
# $M/N$: a linear student of finite dimension explodes at $2M/(1+(M+1)/N)$.

# %%
figures["frontier"]()

# %%
measured = tree["frontier/mesoscopic"].to_dataset().sel(activation="linear")
dimension = measured.attrs["dimension"]
for size in measured["batch_size"].values:
    rates = measured["divergence_rate"].sel(batch_size=size)
    expected = 2 * size / (1 + (size + 1) / dimension)
    mean, error = (part.item() for part in sbn.study.mean_and_error(rates))
    print(f"M = {size:2d}: {mean:8.4f} ± {error:.4f}, expected {expected:8.4f}")

# %% [markdown]
# Six decades. Normalized students never diverge. Beyond $\eta\sim N$ a single step of the chain
# is larger than the student, and throws away what it knew; it then needs long to recover.

# %%
figures["six_decades"]()

# %% [markdown]
# ## What to try next
#
# - `sbn.rates.maximum(setup, result)` of your own trajectories and activations.
# - `sbn.rates.fixed_point(setup, rates)`: eigenvalues with label noise and weight decay.
# - Leaky ReLU: its outer slopes put the explosion above $2M$.
