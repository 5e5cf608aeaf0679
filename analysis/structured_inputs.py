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
# # What does the covariance of the inputs do to learning?
#
# The inputs' eigenvalues set how fast each direction is learned. First they follow a power law;
# then the inputs are handwritten digits, 8 × 8 and those of MNIST, beside Gaussian inputs of the
# same covariance.

# %%
# %matplotlib inline
from IPython.display import Math, display

import statmech_bn as sbn
from statmech_bn.symbolic.structured_flow import block_rates

structured_inputs = sbn.study.load("structured_inputs")

# %% [markdown]
# ## Derivation
#
# Directions of eigenvalue $\lambda_i$, of which there are $f_iN$, are a block. It has the order
# parameters $\rho_i=w_i\cdot w_i^*/N$ and $Q_i=|w_i|^2/N$, and $T_i=|w_i^*|^2/N$ of the teacher.
# One step, averaged, moves them by

# %%
for name in structured_inputs.NORMALIZATIONS:
    rule = sbn.TeacherStudent(normalization=name, batch_size=8).normalizer
    overlap, square = (sbn.codegen.latex(rate) for rate in block_rates(rule))
    print(name)
    display(Math(rf"d\rho_i/dt = {overlap}"), Math(rf"dQ_i/dt = {square}"))

# %% [markdown]
# where $a$ and $b$ are the regression of what the fields' errors weigh on the two fields, the same
# for all blocks. A normalization changes them, but they multiply $\lambda_i$ in every case: it
# divides the student by one number and whitens nothing.

# %% [markdown]
# ## Simulation
#
# `python simulations/structured_inputs.py` makes the store that we open here. Without it, a small
# one is made now, in a temporary folder.

# %%
tree = sbn.study.results(structured_inputs)
figures = structured_inputs.figures(tree)

# %% [markdown]
# Each block holds as much of the teacher. A steep spectrum puts nearly all of the error into a few
# directions, which are learned fast: a tenth is reached soon. What is left are many slow ones.

# %%
figures["power_laws"]()

# %% [markdown]
# Of the images we keep the principal components that hold 99 % of their variance, divided by one
# number, so that the covariance is theirs. Lines are theory, points the chain on Gaussian inputs of
# that covariance, open symbols students on images. The teacher has a random direction, in which
# images have variance 1, but for the last panel: there the labels are the images' own, odd or even.
# The best linear teacher explains a part of them, and what it leaves is label noise of this size,
# in units of $|w^*|/\sqrt N$:

# %%
{name: structured_inputs.noise("labels", name) for name in structured_inputs.SETS}

# %%
figures["digits"]()

# %%
figures["digits_gap"]()

# %% [markdown]
# Images of MNIST have more pixels, and their fields are sums of more components.

# %%
figures["mnist"]()

# %%
figures["mnist_gap"]()

# %% [markdown]
# For a linear student without normalization the mean weights depend on the covariance alone,
# exactly, whatever the images are. A nonlinear one weighs samples by $g'(\varphi)$, and asks for
# more of their distribution. Own labels are no teacher's: what is left of them is large on some
# images and small on others, and only its correlation with the pixels is zero.
#
# ## What the claims come to

# %%
for claim, verdict in structured_inputs.verdicts(tree).items():
    print(f"{claim}: {verdict}")

# %% [markdown]
# ## What to try next
#
# - `images` of the script: divide each pixel by its own spread. The rare ones, at the rim, then
#   have tails that are far from Gaussian.
# - `KEPT = 1`: the best linear teacher of MNIST's labels then lies in pixels that hardly ever vary,
#   which nobody learns, as least squares fits them to few images.
