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
# # What do units cost that a student has more than its teacher?
#
# A student of $K>K^*$ units can do what its teacher does in many ways. Under label noise it matters
# which one gradient descent finds: Goldt et al. (2019) saw that units too many cost error if the
# second layer is fixed, and lower it if that learns. We add normalization, by the chain that is
# exact at every $N$.

# %%
# %matplotlib inline
import numpy as np
import sympy as sp

import statmech_bn as sbn

committee = sbn.study.load("committee")

# %% [markdown]
# ## Derivation
#
# Around a minimum of the error with the Hessian $H$, steps at a small rate add noise of the
# covariance $(\eta/N)^2\Delta^2H/M$, and the weights have the variance $\eta\Delta^2/(2M)$ along
# each direction that bends, of $N$ for each unit. What that adds to the error is
# $\tfrac12\operatorname{Tr}(H)\,\eta\Delta^2/(2M)$, and $H$ has $v_k^2\gamma_k^2/Q_{kk}\,
# E[g'(\varphi_k)^2]$ for unit $k$. For erf units the average is

# %%
h, s = sp.symbols("h s", positive=True)
slope = sp.diff(sp.erf(h / sp.sqrt(2)), h)
weight = sp.exp(-(h**2) / (2 * s**2)) / (s * sp.sqrt(2 * sp.pi))
sp.simplify(sp.integrate(slope**2 * weight, (h, -sp.oo, sp.oo)))

# %% [markdown]
# Two units that are the teacher's, of the length 1, have $1/\sqrt3$ of what silent ones have. So
# the error is $(\eta\Delta^2/2\pi M)(K-K^*+K^*/\sqrt3)$ if the others are silent: they cost more
# than those that work. The flow at a small rate, from a student of three units with a silent one:

# %%
student = committee.setup("none", "fixed", 3, label_noise=0.3)
start = sbn.OrderParameters(
    student_teacher=[[1, 0], [0, 1], [0, 0]], student_student=np.diag([1, 1, 1e-6])
)
flow = sbn.macroscopic(student, 0.02, [0.0, 3000.0], start, workers=1)
error = flow["generalization_error"].values[0, -1]
law = 0.02 * 0.3**2 / (2 * np.pi * committee.BATCH_SIZE) * (1 + 2 / np.sqrt(3))
print(f"flow {error:.3e}, law {law:.3e}")

# %% [markdown]
# ## Simulation
#
# `python simulations/committee.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(committee)
figures = committee.figures(tree)
figures["fixed"]()

# %% [markdown]
# Lines are the flow from the same starts, where it is closed, points the chain. A second layer that
# is fixed has no other way to silence a unit without normalization than $w=0$, or two units that
# are each other's opposite; both are shaken by noise. With a scale, $\gamma_k=0$ silences a unit,
# and such a unit has no gradient and no noise: the number of units does not matter. The error is
# lower, too, since weights grow and the rate $\eta/Q$ falls. Batch statistics leave an error that
# is not of noise, $O(1/M^2)$, as is seen at $\Delta=0$.

# %%
figures["learned"]()

# %% [markdown]
# If the second layer learns, units share what one unit of the teacher does, $\sum_kv_k=v_n^*$. The
# noise of the output is that of $\sum_kv_k^2$, which is smaller the more they are.

# %% [markdown]
# ## What the claims come to

# %%
for claim, verdict in committee.verdicts(tree).items():
    print(f"{claim}: {verdict}")

# %% [markdown]
# ## What to try next
#
# - Two silent units become each other's opposite, as longer ones are less noisy. How long does that
#   take, and what is the law of the error in between?
# - Weight decay keeps $Q$ where it is: what is the final error of a normalized student then?

# %%
opposite = sbn.OrderParameters(
    student_teacher=[[1, 0], [0, 1], [0, 0], [0, 0]],
    student_student=np.diag([1, 1, 0.01, 0.02]),
)
student = committee.setup("none", "fixed", 4, label_noise=0.3)
run = sbn.macroscopic(student, 2.0, [0.0, 100.0, 400.0, 1600.0], opposite, workers=1)
np.round(run["student_student"].values[0, :, 2, 2:], 2)
