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
# # Is batch normalization a ridge?
#
# In the published picture batch normalization is population normalization with gamma decay
# $\zeta$, and for a linear student that is ridge regression with $\lambda_r = 2\alpha\zeta$. What
# does training on $P=\alpha N$ noisy samples say?

# %%
# %matplotlib inline
from IPython.display import Math

import statmech_bn as sbn

generalization = sbn.study.load("generalization")

# %% [markdown]
# ## Derivation
#
# A population-normalized student has $\phi=\gamma h/L$ and pays $\zeta\gamma^2$. For
# $v=\gamma\sqrt N w/|w|$ that is $\frac12\sum(y-v\cdot x/\sqrt N)^2+\frac{\lambda_r}2|v|^2$.
# Batch normalization divides by the spread of $h$ on the *training set*, which does not know of
# $|w|$: it is least squares, shrunken by the mean spread $s_M$ of $M$ unit Gaussians, and below
# $\alpha=1$ it keeps what the initial weights have outside of the data:

# %%
Math(r"\varepsilon_g = " + sbn.codegen.latex(sbn.symbolic.offline.batch_normalized_error()))

# %% [markdown]
# ## Simulation
#
# `python simulations/generalization.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(generalization)

# %%
figures = generalization.figures(tree)
figures["error"]()

# %% [markdown]
# The same data, the same noise: how many standard errors is batch normalization away from its own
# theory, and from the ridge of the published picture? Three refinements of least squares meet here.
# Shrinking by $s_M$ is of order $1/M$. At order $M^{-2}$, batches weight samples unevenly: a sample
# whose field $u$ is large stretches the spread of its batches and counts less. The weights'
# variance is

# %%
Math(
    r"\mathrm{Var}\,\psi/(\mathrm{E}\psi)^2 = "
    + sbn.codegen.latex(sbn.symbolic.offline.weight_variance())
)

# %% [markdown]
# and the noise of least squares grows by the factor $1+(1-1/\alpha)\,\mathrm{Var}\,\psi$, to first
# order in the variance. A ridge shrinks directions with little data the most; the spread of a batch
# shrinks all of them alike. So both may agree where their curves cross, and nowhere else.

# %%
generalization.table(tree).round(4)

# %% [markdown]
# ## A ReLU student
#
# Its theory, the replica-symmetric equations, holds where the loss is nearly convex, at large
# loads. At small loads gradient descent finds other minima than the lowest.

# %%
generalization.replica_table(tree).round(4)

# %% [markdown]
# ## Digits
#
# Handwritten digits are not Gaussian. Whitened, $N=40$ of their principal components have the
# second moments of the theory. With a teacher, nothing else is new. With true labels, odd or even,
# the best linear function of all images plays the teacher, of length $\rho$, and what it leaves is
# noise, $\sqrt{1-\rho^2}$: then $\rho^2\varepsilon_g+\frac12(1-\rho^2)$ is the error on held-out
# images. The lines have no free parameter.

# %%
figures["digits"]()

# %%
generalization.digit_table(tree).round(4)

# %% [markdown]
# The order of the students, the peak at $\alpha=1$ that batch normalization does not remove and the
# decay do, and most of the numbers are those of Gaussian inputs. At large loads the $1797$ images
# run out: training and held-out images together are then most of the population.
#
# ## What to try next
#
# - No label noise: where does the shrinking hurt?
# - Digits that are not whitened: `generalization.digits` with a covariance that is not isotropic.
# - Your own activation: `sbn.offline.replica_symmetric` and `sbn.offline.train` take any.
