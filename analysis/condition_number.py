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
# # Do learning rates and condition numbers matter less with normalization?
#
# A linear student learns from Gaussian inputs whose eigenvalues lie between 1 and $1/\kappa$. Cai,
# Li & Shen (2019) prove for least squares by gradient descent that batch normalization converges
# at any learning rate, and that the condition number near the solution is no larger. What is left
# of that when every step has samples of its own?

# %%
# %matplotlib inline
import statmech_bn as sbn

condition_number = sbn.study.load("condition_number")

# %% [markdown]
# ## Derivation
#
# Near its teacher a student without normalization relaxes at the rates $\eta\lambda_i$. Population
# or batch statistics leave the length of the weights free, and take one direction away, the
# teacher's: the relative deviations $y_i$ of the blocks move as $\dot
# y_i\propto-\lambda_i(y_i-\sum_j\lambda_jT_jy_j/\sum_j\lambda_jT_j)$. Equal $y_i$ stay, and the
# other rates lie between neighbouring eigenvalues, times one number:

# %%
inputs = condition_number.spectrum(100.0)
for name in condition_number.NORMALIZATIONS:
    found = sbn.rates.modes(condition_number.setup(name), inputs)
    print(f"{name:12}", found["relaxation_rate"].values.round(3))

# %% [markdown]
# The weights orthogonal to the teacher, of which there are many more, relax at $\eta\lambda_i$
# times a number, whatever the normalization is: their condition number is that of the inputs.

# %% [markdown]
# ## Simulation
#
# `python simulations/condition_number.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(condition_number)
figures = condition_number.figures(tree)
figures["learning_time"]()

# %% [markdown]
# Lines are theory for $N\to\infty$, points the chain. Without normalization the best learning rate
# is just below the one at which the student diverges. With it there is no such edge: the first
# steps make the weights long, and a student of any learning rate anneals itself to one that works.
# Only when $\eta$ is not small against $N$ does the chain leave the theory, since one step then
# turns the weights by a large angle.
#
# The shortest learning time over all rates, and by how much a condition number lengthens it:

# %%
shortest = condition_number.best(tree, "flow")
growth = shortest / shortest.isel(condition_number=0)
growth.to_pandas().round(2)

# %% [markdown]
# ## What the claims come to

# %%
for claim, verdict in condition_number.verdicts(tree).items():
    print(f"{claim}: {verdict}")

# %% [markdown]
# ## What to try next
#
# - `SHARE` of the script: a thousandth asks for the slow directions.
# - Label noise: its late time forgets the covariance, see `statmech_bn.rates.late_time`.

# %%
noisy = sbn.TeacherStudent("linear", "batch", 16, label_noise=0.5)
laws = {k: sbn.rates.late_time(noisy, [1e6], condition_number.spectrum(k)) for k in (1.0, 100.0)}
{k: (float(law["misalignment"][0]), float(law["crossover_time"])) for k, law in laws.items()}
