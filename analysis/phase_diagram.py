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
# # Where does a student learn, and which schedule does it need?
#
# Three questions about a learning rate $\eta$, over six decades of it and for every batch size $M$
# and label noise $\Delta$: does the student diverge, how long does it take to reach an overlap of
# 0.9 with the teacher, and how good is it in the end? At $N\to\infty$ each answer is an ODE of
# three order parameters, so that ten thousand of them take seconds.

# %%
# %matplotlib inline
import sympy as sp
from IPython.display import Math

import statmech_bn as sbn

phase_diagram = sbn.study.load("phase_diagram")

# %% [markdown]
# ## Derivation
#
# With weight normalization a step is orthogonal to $w$, and the length $L$ changes by noise alone:

# %%
s = sbn.symbolic
flow = s.order_parameter_flow("weight")
Math(r"\frac{dL}{dt} = " + sbn.codegen.latex(flow[s.L].subs(s.lamda, 0)))

# %% [markdown]
# $R$ turns at the effective learning rate $\eta\gamma/L^2$. Late in training $\gamma$ and $B$ are
# constants, and a schedule $s(t)$ multiplies $\eta$. Then $L^4$ is an integral of $s^2$, and what
# drives $R$ forgets the size of $\eta$ but not the shape of $s$:

# %%
tau, T = sp.symbols("tau T", positive=True)
c = sp.Symbol("c", positive=True)  # 2γ²B/M
shapes = {
    "constant": sp.Integer(1),
    "cosine": (1 + sp.cos(sp.pi * tau / T)) / 2,
}
effective = {}
for name, shape in shapes.items():
    fourth_power = c * s.eta**2 * sp.integrate(sp.expand(shape**2), (tau, 0, s.t))
    effective[name] = sp.simplify(s.eta * shape.subs(tau, s.t) / sp.sqrt(fourth_power))
Math(r"\eta_{\rm eff} \propto " + sp.latex(effective["constant"]))

# %%
Math(r"\eta_{\rm eff} \propto " + sp.latex(effective["cosine"]))

# %% [markdown]
# The $\eta$ has cancelled from both. A constant learning rate is annealed like $t^{-1/2}$ by the
# growth of $L$, which is too slow for the noise to average out (that takes $1/t$). The cosine ends
# at zero whatever its $\eta$ was. So a normalized student still gains from a schedule, but not any
# more from tuning the learning rate that it multiplies; without normalization both matter.

# %% [markdown]
# ## Simulation
#
# `python simulations/phase_diagram.py` makes the store that we open here. Without it, a small one
# is made now, in a temporary folder.

# %%
tree = sbn.study.results(phase_diagram)
figures = phase_diagram.figures(tree)

# %% [markdown]
# Without normalization the linear student diverges at $\eta>2M$ (hatched), and the error before
# that grows with $\eta$. Normalized students converge everywhere. From some $\eta$ on, the columns
# are the same: the learning rate has become irrelevant. The error that batch normalization keeps at
# small $M$ is the shrinkage of $\gamma$ to $s_M R$.

# %%
figures["generalization_error_batch_size"]()

# %%
figures["generalization_error_label_noise"]()

# %% [markdown]
# The time to $R=0.9$. A slow learning rate does not get there (dotted); a fast one does not get
# there faster once the length has grown.

# %%
figures["learning_time_batch_size"]()

# %% [markdown]
# ## Which schedule?
#
# The final error after the same time, against the learning rate that the schedule multiplies. Lines
# are theory, points the chain at finite $N$.

# %%
figures["schedules"]()

# %% [markdown]
# How much the error varies over the learning rates at which the student has learned ($\eta\ge1$):

# %%
theory = tree["schedules/macroscopic"].to_dataset().isel(time=-1)
learned = theory["generalization_error"].where(theory["learning_rate"] >= 1, drop=True)
for student, title in phase_diagram.STUDENTS.items():
    for name, label in phase_diagram.SCHEDULES.items():
        error = learned.sel(student=student, schedule=name)
        best, worst = float(error.min()), float(error.max())
        print(f"{title:18} {label:16} best {best:.1e}   worst / best {worst / best:8.1f}")

# %% [markdown]
# ## What to try next
#
# - Your own schedule: any function of $t$, `sbn.macroscopic(..., schedule=lambda t: 1 / (1 + t))`.
# - `inverse_time` with another timescale: which one gives a normalized student the smallest error?
# - Weight decay keeps $L$ finite. Does the constant learning rate then win or lose?
# - Does warm-up help anywhere? Try a start of small length, `sbn.OrderParameters(length=0.01)`.
