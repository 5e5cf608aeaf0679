"""The Python that makes the figure of a state, to be copied: five lines."""

from __future__ import annotations

import sympy as sp

from statmech_bn.explore import typed
from statmech_bn.explore.curves import BLOCKS, REPLICAS, TIMES, gamma_decay, scale, start
from statmech_bn.explore.state import State


def python(state: State) -> str:
    """Write the Python that computes and draws what a state shows of learning.

    Parameters
    ----------
    state : State

    Returns
    -------
    str
        It calls the results ``runs`` and the figure ``figure``. What was typed is written as it
        was read, never as it was typed.

    Examples
    --------
    >>> print(python(State(normalizations=("batch",), activation="erf", batch_size=8)))
    import numpy as np, statmech_bn as sbn
    time = np.linspace(0, 20.0, 201)
    students = [(name, sbn.TeacherStudent("erf", name, 8, 0.5, 0.0, 0.0), \
sbn.OrderParameters(0.05, 1.0, 1.0)) for name in ("batch",)]
    runs = {name: [sbn.macroscopic(setup, 1.0, time, start)] for name, setup, start in students}
    figure = sbn.plot.students(runs)
    """
    g = typed.read(state.activation)
    plain = g.name == state.activation
    activation = f'"{g.name}"' if plain else f'sympy.sympify("{sp.sstr(g.expression)}")'
    names, zeta, gamma, rows = _names(state)
    numbers = f"{state.batch_size}, {state.label_noise}, {zeta}, {state.weight_decay}"
    first = f"{state.overlap}, {state.length}, {gamma}"
    if state.is_committee:
        numbers += f", student_units={state.student_units}, teacher_units={state.teacher_units}"
        begin = start(state, state.normalizations[0])
        rho, q = begin.student_teacher, begin.student_student
        first = f"student_teacher={rho}, student_student={q}, gamma={gamma}"
    made = f"sbn.TeacherStudent({activation}, name, {numbers})"
    given = f", inputs=sbn.Spectrum.power_law({state.exponent}, {BLOCKS})" if state.exponent else ""
    call = f"setup, {state.learning_rate}, time, start"
    levels = [f"sbn.macroscopic({call}{given})"]
    if state.chain:
        levels.append(f"sbn.mesoscopic({call}, {state.dimension}, {REPLICAS}{given})")
    return "\n".join([
        f"import numpy as np, {'' if plain else 'sympy, '}statmech_bn as sbn",
        f"time = np.linspace(0, {state.duration}, {TIMES})",
        f"students = [(name, {made}, sbn.OrderParameters({first})) for {names} in {rows}]",
        f"runs = {{name: [{', '.join(levels)}] for name, setup, start in students}}",
        "figure = sbn.plot.students(runs)",
    ])  # fmt: skip


def _names(state: State) -> tuple[str, str, str, str]:
    """Return what runs over the students, their ζ and γ, and the values of all three.

    They are written once where all students have the same.
    """
    rows = [(n, gamma_decay(state, n), scale(state, n)) for n in state.normalizations]
    if len({row[1:] for row in rows}) == 1:
        return "name", str(rows[0][1]), str(rows[0][2]), _tuple([f'"{row[0]}"' for row in rows])
    return "name, zeta, gamma", "zeta", "gamma", _tuple([f'("{n}", {z}, {g})' for n, z, g in rows])


def _tuple(entries: list[str]) -> str:
    return f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
