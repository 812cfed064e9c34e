r"""Response of damped modes: how one forgets a strain, and sums over many of them.

A mode of eigenvalue λ = ω² under x'' + ν x' + λ x = b γ adds w/λ f(λ, t) to the relaxation
modulus after a step strain and -w/(λ - z) to the complex one, with w = b² and

    f(λ, t) = e^(-ν t/2) [cosh s t + (ν/2s) sinh s t],   s² = ν²/4 - λ,        z = W² - i W ν.

f(0) = 1, f'(0) = 0.  The two are transforms of each other:
-λ/(λ - z) = -1 + i W ∫ f(λ, t) e^(-i W t) dt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DECAYS = 800.0  # ν t / 2 at which e^(-ν t/2) is zero
_AT_ONCE = 2**22  # numbers of the largest intermediate


def relaxation_function(
    eigenvalue: ArrayLike, time: ArrayLike, damping: float
) -> NDArray[np.float64]:
    """Return f(λ, t) for λ >= 0, t >= 0 and ν >= 0, broadcast together.

    Overdamped modes (λ < ν²/4) decay with the rates r₁ = λ/(ν/2 + s) and r₂ = ν/2 + s, which
    keeps r₁ exact when it is 10²⁰ times smaller than r₂:
    f = e^(-r₁ t) [1 + r₁ (1 - e^(-2 s t))/(2 s)], with the limit 1 + r₁ t at critical damping.
    """
    lam, t = np.broadcast_arrays(np.asarray(eigenvalue, float), np.asarray(time, float))
    half = damping / 2
    gap = half**2 - lam
    s = np.sqrt(np.abs(gap))
    over = gap >= 0
    forgotten = np.minimum(t, _DECAYS / half) if half > 0 else t  # keeps the phase finite
    with np.errstate(under="ignore", over="ignore"):
        slow = np.divide(lam, half + s, out=np.zeros_like(s), where=over & (half + s > 0))
        lag = np.divide(-np.expm1(-2 * s * t), 2 * s, out=t.astype(float), where=s > 0)
        decaying = np.exp(-slow * t) * (1 + slow * lag)
        phase = s * forgotten
        envelope = np.exp(-half * forgotten)
        ringing = envelope * (np.cos(phase) + half * forgotten * np.sinc(phase / np.pi))
    return np.where(over, decaying, ringing)


def overdamped_function(
    eigenvalue: ArrayLike, time: ArrayLike, damping: float
) -> NDArray[np.float64]:
    """Return exp(-λ t/ν), the limit of `relaxation_function` without inertia."""
    with np.errstate(under="ignore"):
        return np.exp(-np.asarray(eigenvalue, float) * np.asarray(time, float) / damping)


def response_sum(
    nodes: NDArray, weights: NDArray, frequency: ArrayLike, damping: float
) -> NDArray[np.complex128]:
    """Return Σ_k w_k/(λ_k - z) at z = W² - i W ν, of the shape of `frequency`.

    The imaginary part is -W ν Σ w_k/|λ_k - z|² and is summed as such: it keeps its sign and its
    digits when W ν is far below every λ.
    """
    w = np.asarray(frequency, np.float64).ravel()
    result = np.empty(len(w), complex)
    for part in _slices(len(w), len(nodes)):
        distance = nodes - w[part, None] ** 2
        loss = w[part, None] * damping
        scaled = weights / (distance**2 + loss**2)
        result[part] = (distance * scaled).sum(axis=1) - 1j * (loss * scaled).sum(axis=1)
    return result.reshape(np.shape(frequency))


def decay_sum(
    nodes: NDArray, weights: NDArray, time: ArrayLike, damping: float, inertia: bool = True
) -> NDArray[np.float64]:
    """Return Σ_k (w_k/λ_k) f(λ_k, t), of the shape of `time`; without inertia f = e^(-λ t/ν)."""
    function = relaxation_function if inertia else overdamped_function
    t = np.asarray(time, np.float64).ravel()
    result = np.empty(len(t))
    share = weights / nodes
    for part in _slices(len(t), len(nodes)):
        result[part] = function(nodes, t[part, None], damping) @ share
    return result.reshape(np.shape(time))


def _slices(rows: int, columns: int) -> list[slice]:
    step = max(1, _AT_ONCE // max(columns, 1))
    return [slice(first, first + step) for first in range(0, rows, step)]
