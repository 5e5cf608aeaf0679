r"""The paper's equations, derived and printed by SymPy: ``\eqn{key}`` in the text.

A new equation is one entry of `EQUATIONS`. The left-hand sides, and the order in which the terms of
a sum are written, are chosen here; every right-hand side is derived by `statmech_bn.symbolic`. Run
as ``python -m paper.equations`` it writes ``equations.tex`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import sympy as sp

import statmech_bn as sbn
from paper.stores import BUILD
from statmech_bn.normalization import normalization
from statmech_bn.symbolic import structured_flow as blocks

s = sbn.symbolic
SPREAD = sbn.symbolic.offline.shrinkage
NOISE = sp.Symbol(r"B_{\perp}", positive=True)
INFORMATION = sp.Symbol(r"\mathcal{I}(\gamma)")
CURVATURE = sp.Symbol(r"\mathbb{E}[A'']")
STUDENTS = {
    "none": "no normalization",
    "weight": "weight norm.",
    "weight_gamma_decay": r"weight norm.\ $+\,\zeta\gamma^2$",
    "batch_as_gamma_decay": "batch norm., published",
    "batch": "batch norm., exact",
}
UNITS = {"linear": "linear", "relu": "ReLU"}


def signed(expression: sp.Expr, per_line: int = 9) -> str:
    """Print a sum with its positive terms first, so many of them in a line."""
    terms = sorted(sp.Add.make_args(expression), key=_negative)
    text = sbn.codegen.latex(terms[0])
    for place, term in enumerate(terms[1:], start=1):
        start = r" \\ &\quad " if place % per_line == 0 else " "
        sign, shown = ("-", -term) if _negative(term) else ("+", term)
        text += f"{start}{sign} {sbn.codegen.latex(shown)}"
    return text


def _negative(term: sp.Expr) -> bool:
    return term.could_extract_minus_sign() and not isinstance(term, sp.Add)


def flow(rates: Mapping[sp.Symbol, sp.Expr]) -> str:
    """Print a flow, one line for each order parameter."""
    return lines({rf"\dot {sp.latex(name)}": rate for name, rate in rates.items()})


def lines(laws: Mapping[str, sp.Expr | str], relation: str = "=", per_line: int = 9) -> str:
    """Print named expressions as the body of an align environment."""
    shown = {
        name: law if isinstance(law, str) else signed(law, per_line) for name, law in laws.items()
    }
    return " \\\\\n".join(f"{name} &{relation} {law}" for name, law in shown.items())


def roots(expression: sp.Expr) -> str:
    """Print a sum of products with their square roots under one sign."""
    printed = []
    for term in sp.Add.make_args(expression):
        outside, inside = sp.S.One, sp.S.One
        for factor in sp.Mul.make_args(sp.powdenest(term, force=True)):
            base, exponent = factor.as_base_exp()
            if exponent in (sp.S.Half, -sp.S.Half):
                inside *= base ** (2 * exponent)
            else:
                outside *= factor
        if inside.is_number:
            outside, inside = outside * sp.sqrt(inside), sp.S.One
        root = "" if inside == 1 else rf"\sqrt{{{sbn.codegen.latex(inside)}}}"
        printed.append(root if outside == 1 else f"{sbn.codegen.latex(outside)} {root}")
    return " + ".join(printed)


def with_scale(expression: sp.Expr) -> sp.Expr:
    """Write Γ functions of M by the mean spread s_M."""
    M = s.M
    ratio = SPREAD * M ** sp.Rational(3, 2) / (2 * sp.sqrt(2)) * sp.gamma(M / 2 - sp.Rational(1, 2))
    shorter = sp.expand(expression).subs(sp.gamma(M / 2 + 1), ratio)
    return sp.gammasimp(sp.expand_func(shorter))


def product(expression: sp.Expr) -> sp.Expr:
    """Factor, and write 1 − R² where it is a factor."""
    factored = sp.factor(expression)
    square = sp.UnevaluatedExpr(1 - s.R**2)
    return factored.subs((s.R - 1) * (s.R + 1), -square) if factored.is_Mul else factored


def batch_noise() -> sp.Expr:
    """Return the noise B_⊥ of a linear student with batch normalization: dL²/dt = η²γ²B_⊥/(ML²)."""
    growth = sp.expand(with_scale(s.order_parameter_flow("batch", "linear")[s.L])).coeff(s.eta, 2)
    return product(growth * 2 * s.L**3 * s.M / s.gamma**2)


def batch_flow() -> str:
    """Print the exact flow of a linear student with batch normalization."""
    short = {}
    for name, rate in s.order_parameter_flow("batch", "linear").items():
        powers = sp.collect(sp.expand(with_scale(rate)), s.eta, evaluate=False)
        short[name] = sp.Add(
            *(
                power * NOISE * sp.factor(factor / batch_noise().doit())
                if power == s.eta**2
                else product(power * factor)
                for power, factor in powers.items()
            )
        )
    return flow(short)


def averages(activation: str) -> str:
    """Print the drive, the pull and the noise of a normalized student."""
    drive, pull, square, slope = s.field_averages(activation)
    noise = square + slope * s.Delta**2
    per_line = 4 if activation == "linear" else 3  # what a column holds
    return lines(
        {"D": product(drive), "A_2": signed(pull), "B": sp.expand(noise)}, per_line=per_line
    )


def by_batch_size(expression: sp.Expr, variable: sp.Symbol = s.u) -> str:
    """Print an expression of order 1/M as 1/M times a polynomial in some variable."""
    collected = sp.collect(sp.expand(s.M * expression), variable, sp.factor)
    return rf"\frac{{1}}{{M}}\left[{signed(collected)}\right]"


def pi_first(expression: sp.Expr) -> str:
    """Print π − 1 rather than −1 + π."""
    return signed(expression).replace(r"-1 + \pi", r"\pi - 1")


def mean_spread() -> str:
    """Print s_M exactly, and to second order in 1/M."""
    exact = s.spread_moment(1).subs(sp.gamma(s.M / 2 + 1), s.M / 2 * sp.gamma(s.M / 2))
    expansion = sbn.codegen.latex(s.linear_scale(2))
    return f"{sbn.codegen.latex(sp.powsimp(exact))} \\\\ &= {expansion} + O(M^{{-3}})"


def independent_zeta() -> str:
    """Print the published ζ by the Fisher information and the mean curvature."""
    zeta = s.gamma_decay("independent").zeta
    for integral in zeta.atoms(sp.Integral):
        weighted = integral.function.has(s.u**2)
        zeta = zeta.subs(integral, INFORMATION if weighted else CURVATURE)
    return signed(sp.collect(sp.expand(zeta), [INFORMATION, CURVATURE], sp.factor))


def correlated_penalty() -> str:
    """Print the penalty of a linear unit whose samples make its statistics."""
    penalty = s.gamma_decay("correlated", "linear").penalty
    return sbn.codegen.latex(sp.factor(penalty))


def late_time(normalization: str, activation: str | None = None) -> str:
    """Print what is left at late times, without gamma decay."""
    names = {s.eta_eff: r"\eta_{\rm eff}", s.L: "L", s.misalignment: "1-R"}
    law = s.late_time(normalization, activation) if activation else s.late_time(normalization)
    shown = {
        names[name]: roots(sp.simplify(with_scale(value.subs(s.zeta, 0))))
        for name, value in law.items()
        if name != s.L
    }
    return lines(shown, r"\simeq")


def equilibrium() -> str:
    """Print the equilibrium with weight decay."""
    names = {s.eta_eff: r"\eta_{\rm eff}", s.L: "L", s.misalignment: "1-R"}
    found = {names[k]: v for k, v in s.equilibrium("weight").items() if k in names}
    found["L^2"] = found.pop("L") ** 2
    return lines({name: roots(value) for name, value in found.items()})


def ridge_error() -> str:
    """Print ε_g of ridge regression by the resolvent G and its derivative."""
    error = s.offline.ridge_error(explicit=False)
    trace = sp.Function("G")(s.offline.ridge)
    short = {trace.diff(s.offline.ridge): sp.Symbol("G'"), trace: sp.Symbol("G")}
    return signed(error.subs(short))


def block_flow() -> str:
    """Print the flow of a block of inputs with a covariance, without weight decay."""
    rates = blocks.block_rates(normalization("weight"))
    shown = [sp.expand(rate.subs(s.lamda, 0)) for rate in rates]
    return flow(dict(zip((blocks.rho, blocks.square), shown, strict=True)))


def branch(expression: sp.Piecewise, place: int) -> str:
    """Print one branch of a function of the load: 0 is below α = 1, 1 above."""
    return signed(expression.args[place].expr, per_line=3)


def rate_table() -> str:
    """Print the fixed points without label noise, and the learning rates there."""
    rows = []
    for row in s.learning_rate_table():
        if row.gamma is None:
            continue  # no closed form
        cells = [sp.factor(with_scale(cell)) for cell in (row.gamma, row.length, row.maximum)]
        if cells[2].could_extract_minus_sign():
            numerator, denominator = sp.fraction(cells[2])
            cells[2] = sp.Mul(-numerator, 1 / sp.expand(-denominator), evaluate=False)
        effective = sp.factor(with_scale(row.effective))
        rows.append([UNITS[row.activation], STUDENTS[row.student], *cells, effective])
    header = ["unit", "student", r"$\gamma_0$", "$L_0$", r"$\eta_{\max}$", r"$\eta_{\rm eff}$"]
    return sbn.codegen.latex_table(header, rows)


EQUATIONS: dict[str, Callable[[], str]] = {
    "flow/none": lambda: flow(s.order_parameter_flow("none")),
    "flow/weight": lambda: flow(s.order_parameter_flow("weight")),
    "flow/batch": batch_flow,
    "noise/batch": lambda: sbn.codegen.latex(batch_noise()),
    "averages/linear": lambda: averages("linear"),
    "averages/relu": lambda: averages("relu"),
    "error/linear": lambda: signed(s.generalization_error("linear")),
    "shift/correlated": lambda: by_batch_size(s.batch_moments("correlated")[0]),
    "square/independent": lambda: by_batch_size(s.batch_moments("independent")[1]),
    "square/correlated": lambda: by_batch_size(s.batch_moments("correlated")[1]),
    "zeta/independent": independent_zeta,
    "zeta/independent/linear": lambda: sbn.codegen.latex(
        s.gamma_decay("independent", "linear").zeta
    ),
    "zeta/correlated/linear": lambda: sbn.codegen.latex(
        s.gamma_decay("correlated", "linear").zeta.subs(s.gamma, 1)
    ),
    "penalty/correlated": correlated_penalty,
    "mean_spread": mean_spread,
    "effective/none": lambda: sbn.codegen.latex(s.effective_learning_rate("none")),
    "effective/weight": lambda: sbn.codegen.latex(s.effective_learning_rate("weight")),
    "maximum/weight": lambda: sbn.codegen.latex(s.maximum_learning_rate("weight")),
    "divergence": lambda: sbn.codegen.latex(s.divergence_learning_rate("linear").subs(s.lamda, 0)),
    "late/linear": lambda: late_time("weight", "linear"),
    "late/relu": lambda: late_time("weight", "relu"),
    "late/batch": lambda: late_time("batch", "linear"),
    "equilibrium": equilibrium,
    "ridge/error": ridge_error,
    "ridge/best": lambda: sbn.codegen.latex(s.offline.best_ridge()[1]),
    "offline/below": lambda: branch(s.offline.batch_normalized_error(), 0),
    "offline/above": lambda: branch(s.offline.batch_normalized_error(), 1),
    "offline/variance": lambda: signed(s.offline.weight_variance()),
    "offline/best": lambda: branch(s.offline.best_batch_size(), 1),
    "depth/map": lambda: signed(s.correlation_map("relu")),
    "depth/map/batch": lambda: pi_first(sp.factor(s.correlation_map("relu", "batch"))),
    "depth/late": lambda: sbn.codegen.latex(s.late_correlation("relu")),
    "depth/multiplier": lambda: pi_first(s.gradient_multiplier("relu", "batch")),
    "depth/moments": lambda: sbn.codegen.latex(s.fuss_catalan(3).moment),
    "depth/edge": lambda: sbn.codegen.latex(s.fuss_catalan(3).edge),
    "structured/flow": block_flow,
    "geometry/offset": lambda: sbn.codegen.latex(s.least_squares_offset().minimizer),
    "geometry/folded": lambda: sbn.codegen.latex(s.least_squares_offset(folded=True).minimizer),
    "geometry/jitter": lambda: by_batch_size(s.boundary_variance(), sp.Symbol("b", real=True)),
    "geometry/inside": lambda: sbn.codegen.latex(s.flip_rate("inside")),
    "geometry/outside": lambda: sbn.codegen.latex(s.flip_rate("outside")),
}
"""Each key of ``\\eqn`` has a function that prints its equation."""


def write(build: Path = BUILD) -> dict[str, str]:
    """Derive all equations and the table of learning rates; returns the equations."""
    folder = build / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    equations = {key: derive() for key, derive in EQUATIONS.items()}
    definitions = (rf"\defineeqn{{{key}}}{{{text}}}" for key, text in equations.items())
    (folder / "equations.tex").write_text("\n".join(definitions) + "\n")
    (folder / "rates.tex").write_text(rate_table() + "\n")
    return equations


if __name__ == "__main__":
    for key, text in write().items():
        print(f"{key}: {text}\n")
