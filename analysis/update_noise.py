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
# # How noisy is a step?
#
# Bjorck, Gomes & Selman (2018) bound the noise of a step by $\eta^2C/M$: what sets it is the
# learning rate over the batch size. We measure it in the teacher–student model and in a deep
# network.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn

update_noise = sbn.study.load("update_noise")

s = sbn.symbolic

# %% [markdown]
# ## Derivation
#
# In the teacher–student model the noise is what makes the student longer, the term of order
# $\eta^2$ of

# %%
for name in ("weight", "batch"):
    growth = s.order_parameter_flow(name, "linear")[s.L]
    display(Math(f"dL/dt = {sbn.codegen.latex(growth)}"))

# %% [markdown]
# With weight normalization it is $\eta^2B/M$; with batch statistics $M-2$ of $M$ directions carry
# noise, and dividing by $\sigma_B$ has a mean beyond 1.
#
# In any network whose gradient is a mean over samples, tr Cov is $C/M$ for batches drawn with
# replacement. Without replacement from $P$ samples it is $\frac{C}{M}\frac{P-M}{P-1}$.

# %% [markdown]
# ## Simulation
#
# `python simulations/update_noise.py` makes the store that we open here. Without it, a small one is
# made now, in a temporary folder.

# %%
tree = sbn.study.results(update_noise)
figures = update_noise.figures(tree)

# %%
figures["step"]()

# %%
figures["network"]()

# %% [markdown]
# ## What the claims come to

# %%
print("Noise is η²C/M: reproduced, in standard errors from theory at most")
for name, title in update_noise.STUDENTS.items():
    found = tree["step"].to_dataset().sel(student=name)
    print(f"  one step, {title}: {update_noise.largest_score(found.step_noise, found.theory):.1f}")
found = tree["network/none"].to_dataset()
for way in ("with", "without"):
    score = update_noise.largest_score(found[f"noise_{way}"], found[f"theory_{way}"])
    print(f"  deep network, {way} replacement: {score:.1f}")
found = tree["network/batch"].to_dataset()
scaled = (found["batch_size"] * found["noise_with"]).mean("replica")
print("With batch normalization: with a correction. M tr Cov by M:")
print(scaled.to_series().round(1).to_string(header=False))

# %% [markdown]
# The gradient of a normalized batch is no mean over samples: at small $M$ it is noisier than the
# inverse batch size says.
#
# ## What to try next
#
# - `DIMENSION` of the script: at small $N$ the square of the mean gradient shows in the chain.
# - An epoch is a sum of batches without replacement: what is the noise of all its steps together?
