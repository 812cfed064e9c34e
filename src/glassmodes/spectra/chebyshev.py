"""Chebyshev recursions on blocks: spectral bound, low-pass filter and moments.

Symbols: l(x) maps the interval [low, high] to [-1, 1]; T_k is the Chebyshev polynomial.
The recursion runs in place on two work blocks with the sign trick
S_{k+1} = S_{k-1} +- M S_k, so a step is one product and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from glassmodes.errors import SolverError
from glassmodes.kernels.block import padded_width
from glassmodes.spectra.lanczos import LockStepLanczos
from glassmodes.spectra.operators import BlockOperator

_MISSED = 0.03  # epsilon: share of the spectrum's spread that a Ritz value may miss its end by
_ONE_RUN_FAILS = 0.1  # probability that one random start misses by more
_BOUND_STREAM = 2**32 - 1  # random stream of the bound, apart from all others
_START_STREAM = 2**33  # random streams of the start vectors, one each
_EDGE_LOOK = 20  # Lanczos steps between two looks at the largest Ritz value
_EDGE_STEPS = 2000
_OUTSIDE = 1e-6  # moments may exceed the norm by round-off; outside the bound they explode


@dataclass(frozen=True)
class SpectralBound:
    """Where the spectrum lies.

    upper : bound of the largest eigenvalue.  estimate : largest Ritz value.  lower : 0 unless
    a Ritz value is negative, then a bound of the smallest eigenvalue.
    """

    upper: float
    estimate: float
    lower: float = 0.0

    def position(self, values: np.ndarray) -> np.ndarray:
        """Return l(values), which maps [lower, upper] to [-1, 1]."""
        return (2 * np.asarray(values) - self.upper - self.lower) / (self.upper - self.lower)


def spectral_bound(operator: BlockOperator, width: int = 8, seed: int = 1) -> SpectralBound:
    """Bound the spectrum by short Lanczos runs from `width` random vectors at once.

    After k steps the largest Ritz value of one run misses the largest eigenvalue by more than
    epsilon of the spread of the spectrum with a probability below 1.65 sqrt(n)
    exp(-sqrt(epsilon) (2k - 1)).  k is chosen so that this is 0.1 for epsilon = 0.03, and
    1e-8 for eight runs.  A residual bound would not do: in a large disordered system a few
    stiff places hold eigenvalues far above the Ritz values of a short run, and a Chebyshev
    recursion explodes on them.

    Collective; k x width products, k = 30 at n = 3e6; the operator remembers the answer.
    Source: Kuczynski and Wozniakowski, SIAM J. Matrix Anal. Appl. 13, 1094 (1992), theorem 4.1.
    """
    if (width, seed) in operator.bounds:
        return operator.bounds[width, seed]
    doubtful = 1.65 * np.sqrt(operator.n) / _ONE_RUN_FAILS
    steps = int(np.ceil((np.log(doubtful) / np.sqrt(_MISSED) + 1) / 2))
    run = LockStepLanczos(operator, operator.random_block(width, seed, _BOUND_STREAM))
    while run.taken < steps and np.any(run.alive):
        run.step()
    largest = smallest = 0.0
    for q in range(width):
        diagonal, off_diagonal = run.tridiagonal(q)
        if len(diagonal):
            values = eigvalsh_tridiagonal(diagonal, off_diagonal)
            largest, smallest = max(largest, values[-1]), min(smallest, values[0])
    below = float(smallest) if smallest < -1e-10 * largest else 0.0
    # Both ends may be missed by epsilon of the true spread, unless the lower one is known.
    ends = 2 if below else 1
    margin = _MISSED * (largest - below) / (1 - ends * _MISSED)
    bound = SpectralBound(float(largest + margin), float(largest), below and below - margin)
    operator.bounds[width, seed] = bound
    return bound


def largest_eigenvalue(operator: BlockOperator, tolerance: float = 1e-6, seed: int = 1) -> float:
    """Return the largest eigenvalue to a relative error of about `tolerance`.

    Lanczos until the largest Ritz values of four random vectors agree and stand still: a rare
    stiff place that one of them has not seen yet keeps them apart.  Collective.
    """
    run = LockStepLanczos(operator, operator.random_block(4, seed, _BOUND_STREAM))
    largest = 0.0
    while run.taken < _EDGE_STEPS and np.any(run.alive):
        run.step()
        if run.taken % _EDGE_LOOK and np.any(run.alive):
            continue
        tops = [_largest_node(*run.tridiagonal(q)) for q in range(4)]
        before, largest = largest, max(tops)
        if largest - min(before, *tops) <= tolerance * largest:
            break
    return largest


def _largest_node(diagonal: np.ndarray, off_diagonal: np.ndarray) -> float:
    if not len(diagonal):
        return 0.0
    place = (len(diagonal) - 1,) * 2
    return float(eigvalsh_tridiagonal(diagonal, off_diagonal, select="i", select_range=place)[0])


def chebyshev_steps(
    operator: BlockOperator,
    start: np.ndarray,
    newest: np.ndarray,
    degree: int,
    low: float,
    high: float,
    gram: np.ndarray | None = None,
) -> Iterator[tuple]:
    """Run T_k(l(A)) x in place on two work blocks; yield ((block, sign), (older, sign)).

    The k-th item, k = 1 ... `degree`, holds T_k(l(A)) x = sign x block and the same for
    k - 1; only their owned rows count.  Collective; one block product an item.

    Parameters
    ----------
    operator
        Operator A.
    start, newest
        Work blocks; the owned rows of `start` hold x.  Both are overwritten.
    degree : int
        Last polynomial.
    low, high : float
        Interval that l maps to [-1, 1].
    gram : (3, width) or None
        Set at every item to the inner products older·older, older·block and block·block of the
        columns on this rank, signs left out.
    """
    half, middle = (high - low) / 2, (high + low) / 2
    older, newer = start, newest
    newer[: operator.n_local] = 0.0
    operator.accumulate(older, newer, 1 / half, -middle / half, gram)
    older_sign = newer_sign = 1
    yield (newer, newer_sign), (older, older_sign)
    for _ in range(1, degree):
        sign = -older_sign
        factor = 2.0 * sign * newer_sign / half
        operator.accumulate(newer, older, factor, -factor * middle, gram)
        older, newer = newer, older
        older_sign, newer_sign = newer_sign, sign
        yield (newer, newer_sign), (older, older_sign)


def random_starts(operator: BlockOperator, count: int, seed: int, first: int = 0) -> np.ndarray:
    """Return random vectors of entries +-1 without their known null part, (n_local, count).

    Vector `first` + q depends on the seed, q and the global rows alone.  Collective.
    """
    starts = np.empty((operator.n_local, count), order="F")
    for q in range(count):
        entries = operator.random_block(1, seed, _START_STREAM + first + q)[:, 0]
        np.copysign(1.0, entries, out=starts[:, q])
    return operator.project(starts)


def chebyshev_moments(
    operator: BlockOperator, start: np.ndarray, bound: SpectralBound, products: int
) -> np.ndarray:
    """Return <x_q| T_n(l(A)) |x_q> for n = 0 ... 2 products - 1, (2 products, m).

    The doubling identities mu_2k = 2 <a_k|a_k> - mu_0 and mu_2k+1 = 2 <a_k+1|a_k> - mu_1,
    with a_k = T_k x, give two moments for each product.

    Parameters
    ----------
    operator
        Operator A.
    start : (n_local, m)
        Vectors x_q; columns are taken in blocks of compiled width.
    bound
        Interval [lower, upper] that holds the spectrum.
    products : int
        Products for each vector.

    Raises
    ------
    SolverError
        If a moment exceeds the norm, |mu_n| > mu_0: the bound did not hold.

    Notes
    -----
    Collective.  Memory: two work blocks of at most 16 columns.
    """
    count, rows = start.shape[1], operator.n_local
    moments = np.empty((2 * products, count))
    width = padded_width(count)
    blocks = operator.work_block(width), operator.work_block(width)
    for first in range(0, count, width):
        part = start[:, first : first + width]
        blocks[0][:rows] = 0.0
        blocks[0][:rows, : part.shape[1]] = part
        sums = np.empty((2 * products, width))
        gram = np.empty((3, width))
        steps = chebyshev_steps(operator, *blocks, products, bound.lower, bound.upper, gram)
        for k, ((_, newer_sign), (_, older_sign)) in enumerate(steps):
            sums[2 * k], sums[2 * k + 1] = gram[0], gram[1] * (older_sign * newer_sign)
        sums = operator.reduce(sums)
        sums[2:] = 2 * sums[2:] - np.tile(sums[:2], (products - 1, 1))
        moments[:, first : first + width] = sums[:, : part.shape[1]]
    if not np.all(np.abs(moments) <= moments[0] * (1 + _OUTSIDE)):
        raise SolverError(
            "an eigenvalue lies outside the bound of the spectrum: its Chebyshev moments exceed "
            "the norm; run again with another seed"
        )
    return moments


def jackson_factors(count: int) -> np.ndarray:
    """Return the damping factors of the Jackson kernel, (count,), the first of them 1.

    They turn a series of `count` moments into a convolution with a positive peak of standard
    deviation pi / count in the angle arccos l(x).  Source: Weisse, Wellein, Alvermann and
    Fehske, Rev. Mod. Phys. 78, 275 (2006), Eq. 71.
    """
    k, phase = np.arange(count), np.pi / (count + 1)
    factors = (count - k + 1) * np.cos(k * phase) + np.sin(k * phase) / np.tan(phase)
    return factors / (count + 1)


class ChebyshevFilter:
    """The polynomial T_degree(l(A)) that damps [low, high] and lifts what lies below `low`.

    Parameters
    ----------
    operator
        Operator A.
    low, high : float
        Damped interval; `high` bounds the spectrum.
    degree : int
        Even, so that the lifted values are positive.
    width : int
        Block width.
    """

    def __init__(self, operator, low: float, high: float, degree: int, width: int) -> None:
        if degree % 2:
            raise ValueError("an odd filter degree finds the wrong end of the spectrum")
        self.operator, self.degree = operator, degree
        self.interval = low, high
        self.half, self.middle = (high - low) / 2, (high + low) / 2
        self._work = operator.work_block(width), operator.work_block(width)

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write T_degree(l(A)) x to `out`; both (n_local, width).  Collective."""
        rows = self.operator.n_local
        older, newer = self._work
        older[:rows] = x
        for (newest, sign), _ in chebyshev_steps(  # noqa: B007
            self.operator, older, newer, self.degree, *self.interval
        ):
            pass
        np.multiply(newest[:rows], sign, out=out)

    def eigenvalues(self, theta: np.ndarray) -> np.ndarray:
        """Return the eigenvalues of A below `low` whose filtered values are `theta` > 1."""
        argument = np.arccosh(np.maximum(np.abs(theta), 1.0)) / self.degree
        return self.middle - self.half * np.cosh(argument)

    def slope(self, theta: np.ndarray) -> np.ndarray:
        """Return |d T_degree(l(x)) / dx| where the filter has the value `theta` >= 1."""
        argument = np.arccosh(np.maximum(np.abs(theta), 1 + 1e-12)) / self.degree
        rise = np.sinh(self.degree * argument) / np.maximum(np.sinh(argument), 1e-12)
        return self.degree * rise / self.half
