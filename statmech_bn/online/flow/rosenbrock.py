r"""One step of Rodas5P for a state of any dimension, compiled.

The flow is stiff where γ or L relax faster than R moves, which at a learning rate of 10⁶ is by six
decades, so the method is linearly implicit. For y' = f(t, y) with Jacobian J, a step h solves

    (1/(hγ) − J) uᵢ = f(t + cᵢh, y + Σ aᵢⱼuⱼ) + Σ cᵢⱼuⱼ/h + h dᵢ ∂f/∂t,      i = 1 … 8

and ends at y + Σ mⱼuⱼ, of order 5; u₈ is the difference to order 4, by which the step is chosen.
Inside of it, at the fraction θ,

    y(θ) = (1−θ) y₀ + θ [y₁ + (1−θ)(k₁ + θ(k₂ + θ k₃))],       kₙ = Σ hₙⱼuⱼ,       of order 4.

The method is stiffly accurate and L-stable. J is a difference quotient.

Sources: G. Steinebach, Construction of Rosenbrock–Wanner method Rodas5P and numerical benchmarks
within the Julia Differential Equations package, BIT Numer. Math. 63, 27 (2023), from which the
coefficients are; E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, section IV.7.
"""

import numpy as np

from statmech_bn.compile_cache import numba

DIAGONAL = 0.21193756319429014
"""γ of the method."""
STAGES = 8
A = np.zeros((STAGES, STAGES))
"""Where f is evaluated; from the sixth stage on, what has been found is added with weight one."""
A[1, :1] = 3.0
A[2, :2] = 2.849394379747939, 0.45842242204463923
A[3, :3] = -6.954028509809101, 2.489845061869568, -10.358996098473584
A[4, :4] = 2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641
A[5:, :5] = (
    -7.502846399306121,
    2.561846144803919,
    -11.627539656261098,
    -0.18268767659942256,
    0.030198172008377946,
)
A[6:, 5] = 1.0
A[7, 6] = 1.0
C = np.zeros((STAGES, STAGES))
C[1, :1] = -14.155112264123755
C[2, :2] = -17.97296035885952, -2.859693295451294
C[3, :3] = 147.12150275711716, -1.41221402718213, 71.68940251302358
C[4, :4] = 165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306
C[5, :5] = (
    24.854864614690072,
    -3.0009227002832186,
    47.4931110020768,
    5.5814197821558125,
    -0.6610691825249471,
)
C[6, :6] = (
    30.91273214028599,
    -3.1208243349937974,
    77.79954646070892,
    34.28646028294783,
    -19.097331116725623,
    -28.087943162872662,
)
C[7, :7] = (
    37.80277123390563,
    -3.2571969029072276,
    112.26918849496327,
    66.9347231244047,
    -40.06618937091002,
    -54.66780262877968,
    -9.48861652309627,
)
NODES = np.array(
    [0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1, 1, 1]
)
SLOPES = np.array(
    [
        0.21193756319429014,
        -0.42387512638858027,
        -0.3384627126235924,
        1.8046452872882734,
        2.325825639765069,
        0,
        0,
        0,
    ]
)
DENSE = np.array(
    [
        [
            25.948786856663858,
            -2.5579724845846235,
            10.433815404888879,
            -2.3679251022685204,
            0.524948541321073,
            1.1241088310450404,
            0.4272876194431874,
            -0.17202221070155493,
        ],
        [
            -9.91568850695171,
            -0.9689944594115154,
            3.0438037242978453,
            -24.495224566215796,
            20.176138334709044,
            15.98066361424651,
            -6.789040303419874,
            -6.710236069923372,
        ],
        [
            11.419903575922262,
            2.8879645146136994,
            72.92137995996029,
            80.12511834622643,
            -52.072871366152654,
            -59.78993625266729,
            -0.15582684282751913,
            4.883087185713722,
        ],
    ]
)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def factorize(jacobian, shift, factors, order):
    """Fill the LU factors of shift − J, and the order of its rows by partial pivoting.

    Reciprocals of U's diagonal stand in its place: a product takes less time than a quotient.
    """
    size = order.size
    for i in range(size):
        order[i] = i
        for j in range(size):
            factors[i, j] = -jacobian[i, j]
        factors[i, i] += shift
    for k in range(size):
        largest = k
        for i in range(k + 1, size):
            if abs(factors[i, k]) > abs(factors[largest, k]):
                largest = i
        if largest != k:
            order[k], order[largest] = order[largest], order[k]
            for j in range(size):
                factors[k, j], factors[largest, j] = factors[largest, j], factors[k, j]
        factors[k, k] = 1.0 / factors[k, k]
        for i in range(k + 1, size):
            factors[i, k] *= factors[k, k]
            for j in range(k + 1, size):
                factors[i, j] -= factors[i, k] * factors[k, j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def solve(factors, order, right, found):
    """Fill the solution of LU x = right, the rows of which are taken in their order."""
    size = order.size
    for i in range(size):
        total = right[order[i]]
        for j in range(i):
            total -= factors[i, j] * found[j]
        found[i] = total
    for i in range(size - 1, -1, -1):
        total = found[i]
        for j in range(i + 1, size):
            total -= factors[i, j] * found[j]
        found[i] = total * factors[i, i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def stage_state(state, increments, stage, found):
    """Fill where stage number `stage` evaluates f; at stage 8 plus u₈ is the step's end."""
    for n in range(state.size):
        total = state[n]
        for j in range(stage):
            total += A[stage, j] * increments[j, n]
        found[n] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def solve_stage(factors, order, increments, stage, size, rate, drift, right):
    """Fill u of one stage from f and ∂f/∂t there; `right` is room for a right-hand side."""
    for n in range(order.size):
        total = 0.0
        for j in range(stage):
            total += C[stage, j] * increments[j, n]
        right[n] = size * SLOPES[stage] * drift[n] + rate[n] + total / size
    solve(factors, order, right, increments[stage])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def dense_terms(increments, terms):
    """Fill k₁, k₂, k₃ of the interpolation, (3, components)."""
    for k in range(3):
        for n in range(terms.shape[1]):
            terms[k, n] = 0.0
            for j in range(STAGES):
                terms[k, n] += DENSE[k, j] * increments[j, n]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def interpolate(before, after, terms, part, n):
    """Return component n at a fraction of the step."""
    rest = 1.0 - part
    curve = terms[0, n] + part * (terms[1, n] + part * terms[2, n])
    return rest * before[n] + part * (after[n] + rest * curve)
