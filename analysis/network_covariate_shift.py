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
# # Does batch normalization reduce the internal covariate shift, and does it matter?
#
# Ioffe & Szegedy (2015) gave the shift its name: as the layers below learn, the inputs of a unit
# change. Batch normalization was made to reduce that. Santurkar et al. (2018) doubt both that it
# does, for the gradients, and that it matters: a network with noise behind its batch normalization
# learns though its inputs move in every step.

# %%
# %matplotlib inline
import statmech_bn as sbn

network_covariate_shift = sbn.study.load("network_covariate_shift")

# %% [markdown]
# ## Derivation
#
# The *shift of inputs* is the distance of a channel's distributions before and after an epoch,
# $W=\int|q_1(p)-q_2(p)|\,dp$ with the quantiles $q$, in units of its standard deviation. Behind the
# normalization mean and variance are $\beta$ and $\gamma^2$ whatever is below: only the shape is
# left to move, and $\gamma$ and $\beta$ themselves.
#
# The *shift of gradients* is what the step of the layers below $i$ makes of the gradient
# $G_i=\partial\mathcal L/\partial w_i$ of layer $i$. To first order in $\eta$
#
# $$G_i'-G_i=-\eta\sum_{j<i}H_{ij}G_j,$$
#
# with the blocks $H_{ij}$ of the Hessian between layers: a normalization that fixes mean and
# variance of the inputs need not make these blocks small. That the loss does not change with
# $|w_j|$ says only that $H_{ij}w_j=0$, and $G_j$ is orthogonal to $w_j$.

# %% [markdown]
# ## Simulation
#
# `python simulations/network_covariate_shift.py` makes the store that we open here. Without it, a
# small one is made now, in a temporary folder.

# %%
tree = sbn.study.results(network_covariate_shift)
figures = network_covariate_shift.figures(tree)

# %% [markdown]
# Quantiles of the inputs of one unit of the last layer:

# %%
figures["quantiles"]()

# %%
figures["shift"]()

# %% [markdown]
# ## What the claims come to
#
# Ratios are between runs of the same replica, of means over all epochs; errors are standard errors
# over replicas.

# %%
network_covariate_shift.verdicts(tree).round(3)

# %% [markdown]
# In full runs the inputs of a normalized network move six times less than those of one without, and
# its fields four times less. The gradients move alike in both: half of a gradient is new after one
# step of the layers below. Noise makes inputs move more than they do without any normalization, and
# the network learns faster than the latter all the same at the larger learning rate; at the smaller
# one the two are alike. So the shift of inputs does not decide; but it is not free either, as noise
# slows down what batch normalization learns.
#
# ## What to try next
#
# - `--depth 12`: without normalization deep networks hardly learn; is it the shift?
# - Does `networks.noise_behind` with a larger `shift` stop learning, and when?
# - The cosine `gradient_cosine` is in the store: is the direction what matters?
