r"""Functions of an operator that single out a window inside its spectrum.

Both are `Transform`s for `BlockLanczos`: the eigenvalues of f(A) that belong to the window are
the largest in size, and well apart from each other.

The band-pass polynomial is the best one of its degree D: with theta = arccos l(x), theta_0 the
middle of the window in this angle and delta the half-width of the lobe,

    p(x) = W(theta - theta_0) + W(theta + theta_0),   W(phi) = T_{2D}(cos(phi/2) / cos(delta/2)),

is a polynomial of degree D in x, stays in [-2, 2] outside the lobe and rises like
cosh(D sqrt(delta^2 - phi^2)) inside: what the Chebyshev low-pass filter is at the end of a
spectrum.  W is the transform of the Dolph-Chebyshev window, the narrowest lobe for a given
ripple.  Source: Dolph, Proc. IRE 34, 335 (1946).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from scipy.linalg.blas import daxpy

from glassmodes.errors import SolverError
from glassmodes.spectra.block_lanczos import WIDTH
from glassmodes.spectra.chebyshev import SpectralBound, chebyshev_steps
from glassmodes.spectra.factorisations import factorise
from glassmodes.spectra.operators import BlockOperator

_LIFT = 6.0  # D delta: the lobe rises to cosh(6) = 200 times the ripple
_RATIO = 1.7  # eigenvalues under the lobe per eigenvalue in the window
_MARGIN = 12  # and besides
_WIDEST = 1.0  # half-width of a lobe, in radians
_RIPPLE = 2.0
_STANDS_OUT = 2.0  # times the ripple
_TILE = 2**15  # numbers of a block that are added up while they are in the cache
_GRID = 65  # points at which the lobe's least value in the window is looked for
_NEAREST = 1e-7  # distance of the shift to an eigenvalue, over the half-width of the window
_MOVES = 5
_ASIDE = 0.0437  # shift beside the middle, where symmetric spectra like to have eigenvalues


class Incomplete(SolverError):
    """A way through a slice that does not reach all its eigenvalues; another one may."""


class WindowTransform(Protocol):
    """A function f(A) under which the window [low, high] stands out.

    bar : |f| at the end of the window where it is least; every eigenvalue in it has |f| >= bar.
    floor : what stands out of the rest of the spectrum has |f| > floor.
    """

    bar: float
    floor: float

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write f(A) x to `out`; both (n_local, `WIDTH`).  Collective."""

    def values(self, theta: np.ndarray) -> np.ndarray:
        """Return the eigenvalues of A behind those of f(A), the lower one if there are two."""

    def error(self, theta: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Return ||A x - v x|| of x = f(A) y / theta, for ||f(A) y - theta y|| = `residual`."""

    def describe(self) -> dict[str, Any]:
        """Return the parameters."""

    def destroy(self) -> None:
        """Free what it holds."""


def band_pass_degree(
    bound: SpectralBound, low: float, high: float, count: Callable[[float, float], float]
) -> int:
    """Return the degree of the polynomial of a window; arguments as of `BandPass`."""
    return _degree(_lobe_width(bound, low, high, count))


def _degree(delta: float) -> int:
    return max(2, int(np.ceil(_LIFT / delta)))


def _lobe_width(
    bound: SpectralBound, low: float, high: float, count: Callable[[float, float], float]
) -> float:
    """Return the half-width of the lobe that holds enough eigenvalues, by bisection."""
    start, end = _angle(bound, high), _angle(bound, low)
    middle, half = (start + end) / 2, (end - start) / 2
    wanted = _RATIO * count(low, high) + _MARGIN
    narrow, wide = 1.05 * half, max(_WIDEST, 1.5 * half)
    for _ in range(40):
        width = (narrow + wide) / 2
        held = count(_place(bound, middle + width), _place(bound, middle - width))
        narrow, wide = (width, wide) if held < wanted else (narrow, width)
    return min(wide, 3.0)


def _angle(bound: SpectralBound, value: float) -> float:
    return float(np.arccos(np.clip(bound.position(np.array(value)), -1, 1)))


def _place(bound: SpectralBound, angle):
    low, high = bound.lower, bound.upper
    return (high + low) / 2 + (high - low) / 2 * np.cos(np.clip(angle, 0, np.pi))


class BandPass:
    """The polynomial p(A); see the module.

    Parameters
    ----------
    operator
        Operator A.
    bound
        Interval that holds the spectrum.
    low, high : float
        Window.
    count : callable
        count(a, b): estimated number of eigenvalues in [a, b]; sizes the lobe.

    Notes
    -----
    `apply` makes D block products and D / 2 passes that add the polynomials up; memory: three
    blocks.
    """

    def __init__(
        self,
        operator: BlockOperator,
        bound: SpectralBound,
        low: float,
        high: float,
        count: Callable[[float, float], float],
    ) -> None:
        self.operator, self.bound = operator, bound
        start, end = self._angle(high), self._angle(low)
        self.middle = (start + end) / 2
        self.delta = _lobe_width(bound, low, high, count)
        self.degree = _degree(self.delta)
        self.coefficients = self._coefficients()
        inside = self._value(np.linspace(start, end, _GRID))
        self.bar, self.floor = float(inside.min()) * (1 - 1e-9), _STANDS_OUT * _RIPPLE
        self._width = high - low
        self._work = operator.work_block(WIDTH), operator.work_block(WIDTH)
        self._sum = np.empty((operator.n_local, WIDTH))

    def _angle(self, value: float) -> float:
        return _angle(self.bound, value)

    def _lobe(self, phi: np.ndarray) -> np.ndarray:
        """Return W(phi)."""
        y = np.abs(np.cos(phi / 2)) / np.cos(self.delta / 2)
        order = 2 * self.degree
        ripple = np.cos(order * np.arccos(np.minimum(y, 1.0)))
        return np.where(y > 1, np.cosh(order * np.arccosh(np.maximum(y, 1.0))), ripple)

    def _value(self, angle: np.ndarray) -> np.ndarray:
        return self._lobe(angle - self.middle) + self._lobe(angle + self.middle)

    def value(self, values: np.ndarray) -> np.ndarray:
        """Return p at `values`."""
        return self._value(np.arccos(np.clip(self.bound.position(values), -1, 1)))

    def _coefficients(self) -> np.ndarray:
        """Return c_k of p = sum_k c_k T_k(l(x)): W is an even trigonometric polynomial."""
        points = 2 * self.degree + 2
        series = np.fft.rfft(self._lobe(2 * np.pi * np.arange(points) / points)).real / points
        series = series[: self.degree + 1]
        series[1:] *= 2
        return 2 * series * np.cos(self.middle * np.arange(self.degree + 1))

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write p(A) x to `out`; both (n_local, `WIDTH`).  Collective."""
        rows, c = self.operator.n_local, self.coefficients
        self._work[0][:rows] = x
        np.multiply(self._work[0][:rows], c[0], out=self._sum)
        ends = self.bound.lower, self.bound.upper
        steps = chebyshev_steps(self.operator, *self._work, self.degree, *ends)
        for k, ((newer, sign), (older, older_sign)) in enumerate(steps, start=1):
            if k % 2 == 0:  # two at a time: the sum passes through memory half as often
                self._add((older, older_sign * c[k - 1]), (newer, sign * c[k]))
            elif k == self.degree:
                self._add((newer, sign * c[k]))
        out[:] = self._sum

    def _add(self, *parts: tuple[np.ndarray, float]) -> None:
        total = self._sum.reshape(-1)
        for first in range(0, total.size, _TILE):
            size = min(_TILE, total.size - first)
            for block, factor in parts:
                daxpy(block.reshape(-1), total, size, factor, first, 1, first, 1)

    def values(self, theta: np.ndarray) -> np.ndarray:
        """Return the lower one of the two eigenvalues in the lobe with p = `theta`."""
        rise = np.arccosh(np.maximum(np.abs(theta), 1.0)) / (2 * self.degree)
        phi = 2 * np.arccos(np.minimum(np.cosh(rise) * np.cos(self.delta / 2), 1.0))
        return _place(self.bound, self.middle + phi)

    def error(self, theta: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Return the estimated residual in A; the ripple and the slope of the lobe leave it."""
        spread = self.bound.upper - self.bound.lower
        return residual * np.maximum(_RIPPLE * spread / theta**2, self._width / np.abs(theta))

    def describe(self) -> dict[str, Any]:
        """Return the parameters."""
        return {"transform": "band-pass polynomial", "degree": self.degree}

    def destroy(self) -> None:
        """Nothing to free."""


class ShiftInvert:
    """(A - shift)^-1 on a factor, the shift close to the middle of the window.

    Parameters
    ----------
    operator
        Operator A.
    low, high : float
        Window.

    Raises
    ------
    SolverError
        If the factorisation fails.

    Notes
    -----
    Collective.  One factorisation, more if the shift meets an eigenvalue.
    """

    def __init__(self, operator: BlockOperator, low: float, high: float) -> None:
        half = (high - low) / 2
        for move in range(_MOVES):
            self.shift = (low + high) / 2 + (_ASIDE * 1.7**move) * half
            self._matrix = operator.assembled()
            self._matrix.shift(-self.shift)
            try:
                self._factor = factorise(self._matrix, definite=False)
            except SolverError:
                self._matrix.destroy()
                raise
            if self._is_far(operator, half):
                break
            self.destroy()
        else:
            raise Incomplete(
                f"no shift between {low:.12g} and {high:.12g} keeps a distance to the eigenvalues: "
                "ask for a wider window, or for the method slepc or dense"
            )
        self.bar = 1 / max(high - self.shift, self.shift - low) * (1 - 1e-9)
        self.floor = 0.0

    def _is_far(self, operator: BlockOperator, half: float) -> bool:
        """Tell whether no eigenvalue is close to the shift, by two steps of inverse iteration."""
        if self._factor.statistics["null_pivots"]:
            return False
        x = operator.project(np.asfortranarray(operator.random_block(1, 0)))
        for _ in range(2):
            x /= np.sqrt(operator.inner(x, x)[0, 0])
            x = operator.project(self._factor.solve(x))
        growth = float(np.sqrt(operator.inner(x, x)[0, 0]))
        return bool(np.isfinite(growth)) and growth < 1 / (_NEAREST * half)

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write (A - shift)^-1 x to `out`; both (n_local, `WIDTH`).  Collective."""
        out[:] = self._factor.solve(x)

    def values(self, theta: np.ndarray) -> np.ndarray:
        """Return shift + 1 / theta."""
        return self.shift + 1 / theta

    def error(self, theta: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Return ||A x - v x||, exact."""
        return residual / theta**2

    def describe(self) -> dict[str, Any]:
        """Return the parameters."""
        return {
            "transform": "shift-invert",
            "shift": self.shift,
            "factor": self._factor.name,
            "factor_seconds": self._factor.seconds,
        }

    def destroy(self) -> None:
        """Free the factor."""
        self._factor.destroy()
        self._matrix.destroy()
