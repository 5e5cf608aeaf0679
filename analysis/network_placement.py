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
# # Where must the normalization be for large learning rates?
#
# Karakida, Akaho & Amari (2019) say: in the last layer. What all samples have in common in a wide
# network makes an eigenvalue of the Fisher information that grows with the width, and the mean over
# samples of the outputs is what feels it. Subtracting it from the outputs removes the eigenvalue,
# normalization of hidden layers does not.

# %%
# %matplotlib inline
import statmech_bn as sbn

network_placement = sbn.study.load("network_placement")

# %% [markdown]
# ## Derivation
#
# The Fisher information of the squared loss, $F=\frac1P\sum_i\nabla o_i\nabla o_i'$, has the
# eigenvalues of the matrix $\Theta_{ij}/P=\nabla o_i\cdot\nabla o_j/P$. If all pairs of samples are
# alike, $\Theta_{ii}=\kappa_1$ and $\Theta_{ij}=\kappa_2$,
#
# $$\lambda_{\max}=\frac{\kappa_1+(P-1)\kappa_2}P,\qquad
# \text{without the mean}\quad\lambda_{\max}=\frac{\kappa_1-\kappa_2}P,$$
#
# as $o_i-\bar o$ has $\Theta$ centred in rows and columns. `depth.largest_fisher_eigenvalue` finds
# $\Theta$ of wide ReLU networks for given samples. Gradient descent is stable for
# $\eta<2/\lambda_{\max}$, as long as the weights are near the initial ones.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_placement.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_placement)

# %%
figures = network_placement.figures(tree)
figures["place"]()

# %% [markdown]
# Bjorck et al. (2018) trained a deep network that is normalized in its last layer alone, and found
# that it takes the large learning rates of one that is normalized everywhere. In dense networks,
# trained by batches:

# %%
figures["training"]()

# %% [markdown]
# ## What the claims come to
#
# Differences are between networks of the same replica; errors are standard errors over replicas.

# %%
network_placement.verdicts(tree).round(3)

# %% [markdown]
# Subtracting the mean of the outputs alone makes the eigenvalue several times smaller, the more the
# wider the layers are. In these networks, of a few layers and on digits, normalization of all
# hidden layers does as much, and that of the first a part of it. Dividing the outputs by their
# standard deviation too gives the eigenvalue back, as they are small, yet the rate is then no
# longer bound by it. Theory for wide networks is approached from above.
#
# ## What to try next
#
# - `--samples 512`: the eigenvalue that the mean removes does not depend on $P$, the rest falls.
# - Batches instead of the whole training set: the mean of the outputs is then random.
