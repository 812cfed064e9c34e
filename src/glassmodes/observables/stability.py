"""Whether a force-free sample is at a minimum of its energy, at a saddle, or floppy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glassmodes.spectra.eigenmodes import lowest_modes

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem


def require_stable(system: HarmonicSystem) -> None:
    """Refuse a sample with net forces or with a negative eigenvalue of its Hessian.

    Solves with the Hessian cannot be trusted to notice a saddle: a right-hand side without
    a component along the unstable modes, for instance by symmetry, never meets them.  Zero
    modes beyond the obvious ones (a particle held by one fading contact, floppy parts of a
    network) are found and handed to `system`, whose solves leave them out.

    Raises
    ------
    SampleError
        ``"not_at_minimum"`` or ``"saddle"``, with the number of negative eigenvalues.

    Notes
    -----
    Springs at rest have H = Σ k n nᵀ >= 0: there is no saddle to look for, and the non-affine
    forces are orthogonal to every zero mode, however many there are.  Responses to other
    forces ask for `find_floppy_modes`.
    Collective.  The lowest mode costs a small part of the time of moduli or dipoles; a system
    remembers that it was found stable.
    """
    system.require_minimum()
    if system.interactions.unstressed or system.found_stable:
        return
    operator = system.operator
    if operator.n <= operator.nullity:
        return
    lowest = lowest_modes(operator, count=1, certificate=False, tolerance=1e-3)
    if np.any(lowest.values < 0):
        system.refuse_saddle()
    if lowest.zero_vectors.shape[1]:
        find_floppy_modes(system)
    system.found_stable = True


def find_floppy_modes(system: HarmonicSystem) -> None:
    """Find all zero modes beyond the obvious ones and have the solves of `system` leave them out.

    For responses to forces that may push along them, as those of dipoles do.  Collective; one
    factorisation, and one vector for each zero mode.
    """
    if system.operator.nullity < system.operator.n:
        system.add_null_vectors(lowest_modes(system.operator, count=1).zero_vectors)
