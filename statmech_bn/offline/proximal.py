r"""The proximal operator of a sample's loss, for any activation, and its average over the field.

A sample with label y that pulls on the student through the susceptibility V moves its field from
the cavity field ω to

    z(ω) = argmin_z (z − ω)²/(2V) + ½(y − g(z))²,     f = (z − ω)/V = g'(z)(y − g(z)).

With H(z) = ½z² + ½V(y − g(z))² the minimum over all branches is argmax_z ωz − H(z): it lies on the
lower convex hull of H, and ω is the slope there. So z rises with ω, along the pieces where H
touches its hull, with ω = Ω(z) = z − V g'(z)(y − g(z)). Where the hull bridges a gap between two
branches, z jumps at equal costs (Maxwell's construction); where a kink of g makes H convex, z stays
at the kink for a range of ω. The hull of H on a grid finds the pieces and Newton's method their
ends, after which

    E f,   E f²,   E[f (ω − centre)]/width,     ω ~ N(centre, width²)

are Gauss–Legendre sums over smooth pieces, with z from Newton's method. The last is
width·E[∂_ω f] by Stein's lemma, jumps included.
"""

from __future__ import annotations

import numpy as np

from statmech_bn.compile_cache import numba

REACH = 6.5
"""Fields beyond this many standard deviations weigh less than 10⁻¹⁰."""
PANEL = 3.5
"""A panel has at most this length in standard deviations, and the nodes of `_LEGENDRE`."""
MOST_PIECES = 64
ROUNDING = 1e-14

_LEGENDRE = np.polynomial.legendre.leggauss(10)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def field_moments(activation, table, label, susceptibility, centre, width, refinement, work):
    """Return (E f, E f², E[f (ω − centre)]/width) over ω ~ N(centre, width²) at one label.

    Parameters
    ----------
    activation : C callback
        Fills g, g' and g'' at an array of points.
    table : tuple of ndarray
        Grid of z with g and g' there, and the indices of the kinks in it with g' on either side.
    label, susceptibility, centre, width : float
        y, V, and mean and standard deviation of ω.
    refinement : float
        Divides the length of the panels.
    work : tuple of ndarray
        Scratch memory from `workspace`.
    """
    pieces = work[3]
    count = _pieces(activation, table, label, susceptibility, work)
    nodes, weights = _LEGENDRE
    mean, square, tilt = 0.0, 0.0, 0.0
    for piece in range(count):
        low = max(pieces[piece, 0], centre - REACH * width)
        high = min(pieces[piece, 1], centre + REACH * width)
        if not low < high:
            continue
        within = _grid_range(table[0], pieces, piece)
        panels = int(np.ceil((high - low) / (PANEL * width) * refinement))
        half = 0.5 * (high - low) / panels
        for panel in range(panels):
            middle = low + (2 * panel + 1) * half
            for j in range(nodes.size):
                omega = middle + half * nodes[j]
                eta = (omega - centre) / width
                z = _on_piece(
                    activation, table, label, susceptibility, pieces[piece], within, omega, work
                )
                f = (z - omega) / susceptibility
                weight = half / width * weights[j] * np.exp(-0.5 * eta * eta) / np.sqrt(2 * np.pi)
                mean += weight * f
                square += weight * f * f
                tilt += weight * f * eta
    return mean, square, tilt


@numba.njit(cache=True, nogil=True, error_model="numpy")
def proximal(activation, table, label, susceptibility, fields):
    """Return z(ω) for an array of fields ω at one label; the arguments are those above."""
    work = workspace(table[0].size)
    count = _pieces(activation, table, label, susceptibility, work)
    pieces = work[3]
    found = np.empty(fields.size)
    for i in range(fields.size):
        piece = 0
        while piece < count - 1 and fields[i] > pieces[piece, 1]:
            piece += 1
        within = _grid_range(table[0], pieces, piece)
        found[i] = _on_piece(
            activation, table, label, susceptibility, pieces[piece], within, fields[i], work
        )
    return found


@numba.njit(cache=True, nogil=True)
def workspace(size):
    """Make scratch memory: H and Ω on the grid, the hull, the pieces, a point of the callback."""
    return (
        np.empty(size),
        np.empty(size),
        np.empty(size, dtype=np.int64),
        np.empty((MOST_PIECES, 4)),
        np.empty((4, 1)),
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pieces(activation, table, label, susceptibility, work):
    """Fill rows (ω from, ω to, z from, z to) in order of ω; z is constant at a kink."""
    z, value, slope, kinks, left, right = table
    cost, omega, hull, pieces, _ = work
    for i in range(z.size):
        error = label - value[i]
        cost[i] = 0.5 * z[i] * z[i] + 0.5 * susceptibility * error * error
        omega[i] = z[i] - susceptibility * slope[i] * error
    vertices = _lower_hull(table, label, cost, hull)
    count, at, reached, kink = 0, -np.inf, z[0], 0
    for vertex in range(vertices):
        i = hull[vertex]
        while kink < kinks.size and kinks[kink] < i:
            kink += 1
        pinned = kink < kinks.size and kinks[kink] == i
        if pinned and reached < z[i]:
            end = z[i] - susceptibility * left[kink] * (label - value[i])
            count = _add(pieces, count, at, end, reached, z[i])
            at, reached = end, z[i]
        jump = vertex < vertices - 1 and hull[vertex + 1] > i + 1
        start, stop, where = z[i], z[i], 0.0
        if jump:
            start, stop, where = _equal_costs(
                activation, table, label, susceptibility, i, hull[vertex + 1], work
            )
        if pinned:
            end = z[i] - susceptibility * right[kink] * (label - value[i])
            if jump and start == z[i]:
                end = where
            count = _add(pieces, count, at, end, z[i], z[i])
            at = end
        if jump:
            if start > reached:
                count = _add(pieces, count, at, where, reached, start)
            at, reached = where, stop
    return _add(pieces, count, at, np.inf, reached, z[-1])


@numba.njit(cache=True, nogil=True)
def _add(pieces, count, low, high, start, stop):
    if not low < high:
        return count
    if count < pieces.shape[0]:
        pieces[count, 0], pieces[count, 1] = low, high
        pieces[count, 2], pieces[count, 3] = start, stop
        return count + 1
    pieces[count - 1, 1], pieces[count - 1, 3] = high, stop
    return count


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _lower_hull(table, label, cost, hull):
    """Fill the indices of the hull's vertices, without concave kinks; return their number."""
    z, value, _, kinks, left, right = table
    count, kink = 0, 0
    for i in range(z.size):
        while kink < kinks.size and kinks[kink] < i:
            kink += 1
        at_kink = kink < kinks.size and kinks[kink] == i
        if at_kink and (label - value[i]) * (right[kink] - left[kink]) > 0.0:
            continue
        while count >= 2:
            a, b = hull[count - 2], hull[count - 1]
            if (cost[b] - cost[a]) * (z[i] - z[b]) < (cost[i] - cost[b]) * (z[b] - z[a]):
                break
            count -= 1
        hull[count] = i
        count += 1
    return count


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _equal_costs(activation, table, label, susceptibility, i, j, work):
    """Return the ends of a jump and its ω, where ωz − H(z) is as large at both ends."""
    z, cost = table[0], work[0]
    start, stop = z[i], z[j]
    where = (cost[j] - cost[i]) / (stop - start)
    for _ in range(30):  # Newton's method, quadratic
        start = _local(activation, table, label, susceptibility, i, where, work)
        stop = _local(activation, table, label, susceptibility, j, where, work)
        if not start < stop:
            break
        low, high = (
            _cost(activation, label, susceptibility, start, work),
            _cost(activation, label, susceptibility, stop, work),
        )
        before, where = where, (high - low) / (stop - start)
        if abs(where - before) <= 1e-12 * (1.0 + abs(where)):
            break
    return start, stop, where


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _cost(activation, label, susceptibility, z, work):
    point = work[4]
    point[0, 0] = z
    activation(point[0], point[1], point[2], point[3])
    return 0.5 * z * z + 0.5 * susceptibility * (label - point[1, 0]) ** 2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _local(activation, table, label, susceptibility, i, omega_wanted, work):
    """Return the local maximum of ωz − H(z) next to grid point i."""
    z, value, _, kinks, left, right = table
    omega = work[1]
    low, high = omega[i], omega[i]
    for kink in range(kinks.size):
        if kinks[kink] == i:
            low = z[i] - susceptibility * left[kink] * (label - value[i])
            high = z[i] - susceptibility * right[kink] * (label - value[i])
    if low <= omega_wanted <= high:
        return z[i]
    step = 1 if omega_wanted > high else -1
    first = i
    while 0 < first + step < z.size - 1 and (omega[first + step] - omega_wanted) * step < 0.0:
        if (kinks == first + step).any():
            break
        first += step
    start, stop = z[first], z[first + step]
    return _solve(
        activation, label, susceptibility, omega_wanted,
        min(start, stop), max(start, stop), 0.5 * (start + stop), work,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _grid_range(z, pieces, piece):
    """Return the indices of the last grid point not above a piece and the first not below it."""
    below = np.searchsorted(z, pieces[piece, 2], side="right") - 1
    return below, np.searchsorted(z, pieces[piece, 3], side="left")


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _on_piece(activation, table, label, susceptibility, piece, within, omega_wanted, work):
    """Return z(ω) on a piece, `within` a range of the grid: a bracket, then Newton's method."""
    below, above = within
    below_omega, above_omega, low, high = piece
    if low == high:
        return low
    z, omega = table[0], work[1]
    while above - below > 1:
        middle = (below + above) // 2
        if omega[middle] < omega_wanted:
            below, low, below_omega = middle, z[middle], omega[middle]
        else:
            above, high, above_omega = middle, z[middle], omega[middle]
    guess = low + (high - low) * (omega_wanted - below_omega) / (above_omega - below_omega)
    if not low < guess < high:
        guess = 0.5 * (low + high)
    return _solve(activation, label, susceptibility, omega_wanted, low, high, guess, work)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve(activation, label, susceptibility, omega_wanted, low, high, guess, work):
    """Solve Ω(z) = ω between low and high, Ω rising: Newton's method kept inside by bisection."""
    point = work[4]
    z = guess
    for _ in range(100):
        point[0, 0] = z
        activation(point[0], point[1], point[2], point[3])
        error = label - point[1, 0]
        excess = z - susceptibility * point[2, 0] * error - omega_wanted
        rise = 1.0 + susceptibility * (point[2, 0] ** 2 - error * point[3, 0])
        if excess > 0.0:
            high = z
        else:
            low = z
        step = excess / rise if rise > 0.0 else np.inf
        following = z - step
        if not low <= following <= high:
            following = 0.5 * (low + high)
        if abs(following - z) <= ROUNDING * (1.0 + abs(z)):
            return following
        z = following
    return z
