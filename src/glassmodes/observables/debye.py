r"""Debye frequency and sound waves of an isotropic solid, in any dimension d.

Symbols: G, K shear and bulk modulus; ρ mass density; n number density; c_T, c_L speeds of
transverse and longitudinal sound;

    c_T² = G/ρ,    c_L² = [K + 2 (d - 1) G/d]/ρ.

Each of the d branches fills the wave vectors of N modes, so that

    ω_D^d = d (2π)^d n / (Ω_d [(d - 1) c_T^-d + c_L^-d]),    Ω_d = π^(d/2)/Γ(d/2 + 1).

It holds for isotropic samples only; cubic crystals have no such frequency.
"""

from __future__ import annotations

from math import gamma, pi

import numpy as np


def sound_speeds(shear_modulus, bulk_modulus, mass_density, d: int):
    """Return (c_T, c_L); NaN for a modulus below zero, where no such wave travels.

    The arguments may be arrays that broadcast.
    """
    shear_modulus, bulk_modulus = np.asarray(shear_modulus), np.asarray(bulk_modulus)
    longitudinal = bulk_modulus + 2 * (d - 1) / d * shear_modulus
    with np.errstate(invalid="ignore"):
        return np.sqrt(shear_modulus / mass_density), np.sqrt(longitudinal / mass_density)


def debye_frequency(shear_modulus, bulk_modulus, number_density, mass_density, d: int):
    """Return ω_D from the moduli.

    Parameters
    ----------
    shear_modulus, bulk_modulus : float or array
        In energies per volume.
    number_density, mass_density : float or array
        Particles and mass per volume; equal for unit masses.
    d
        Dimension.

    Returns
    -------
    float or array
        Angular frequency; NaN where the shear modulus of a finite sample is not positive
        (such a sample is legitimate, its Debye frequency does not exist).
    """
    transverse, longitudinal = sound_speeds(shear_modulus, bulk_modulus, mass_density, d)
    ball = pi ** (d / 2) / gamma(d / 2 + 1)
    with np.errstate(divide="ignore"):
        slowness = (d - 1) * transverse ** (-float(d)) + longitudinal ** (-float(d))
    power = d * (2 * pi) ** d * np.asarray(number_density) / (ball * slowness)
    result = np.where(np.asarray(shear_modulus) > 0, power, np.nan) ** (1 / d)
    return result if result.ndim else float(result)


def first_transverse_phonon(shear_modulus, mass_density, box_edge):
    """Return 2π c_T / L, the lowest transverse sound frequency in a box of edge L.

    In a box of unequal edges L is the longest.  NaN for a negative modulus.
    """
    with np.errstate(invalid="ignore"):
        result = 2 * pi * np.sqrt(np.asarray(shear_modulus) / mass_density) / box_edge
    return result if result.ndim else float(result)
