"""Samples whose spectral function is the cubic form, as the fits of a campaign see them."""

import numpy as np

from glassmodes.campaign.spectral_curves import Curves
from glassmodes.campaign.spectral_fits import Source
from glassmodes.observables.cubic_form import CubicForm

EDGE, FORCES, DAMPING, STATIC = 2.5, 0.27, 1e4, 0.012
PARTICLES = 48668
SAMPLES = 4


MOMENTS = {"moment_minus_one": -1, "moment_zero": 0, "moment_one": 1}


def source(density=1.4, coordination=6.1, system="lattice", spread=0.01, edge=EDGE, seed=1):
    """Samples whose spectral function is the cubic form, with noise of the weight."""
    rng = np.random.default_rng(seed)
    n = 3.0 * PARTICLES - 3.0
    weight = FORCES * (1.0 + spread * rng.normal(size=SAMPLES)) * PARTICLES / n
    w, omega = np.linspace(0, 2.8, 281), np.geomspace(1e-9, 1e3, 121)
    t = np.geomspace(1.0, 1e11, 111)
    affine = STATIC + 6 * FORCES * density / edge**2
    forms = [CubicForm(edge, a, PARTICLES / density / n, affine) for a in weight]
    response = np.array([f.complex_modulus(omega, DAMPING) for f in forms])
    relaxation = np.array([f.relaxation(t, DAMPING) for f in forms])
    static = np.array([f.static_modulus for f in forms])
    row = {
        "ensemble": system,
        "title": "",
        "group": "a group",
        "system": system,
        "coordination_asked": coordination,
        "dimension": 3,
        "particles": PARTICLES,
        "density": density,
        "samples": SAMPLES,
        "resolution": 0.02,
        "damping": DAMPING,
        "max_frequency": edge,
        "static_modulus": STATIC,
    }
    moments = {name: np.array([n * f.moment(k) for f in forms]) for name, k in MOMENTS.items()}
    numbers = np.arange(SAMPLES)
    return Source(
        row,
        numbers,
        {
            "max_frequency": np.full(SAMPLES, edge),
            "vibrations": np.full(SAMPLES, n),
            "number_density": np.full(SAMPLES, density),
            "non_affine_force_squared_mean": weight * n / PARTICLES,
            **moments,
        },
        Curves(
            w,
            {
                "density": np.full((SAMPLES, w.size), 1.0 / edge),
                "density_times_correlator": np.array([f.density(w) for f in forms]),
            },
            numbers,
        ),
        Curves(omega, {"storage_modulus": response.real, "loss_modulus": response.imag}, numbers),
        Curves(
            t,
            {"relaxation_modulus": relaxation, "decay": relaxation - static[:, None]},
            numbers,
        ),
        {
            "cubic_form": forms[0].density(w),
            "cubic_loss_modulus": response[0].imag,
            "cubic_decay": relaxation[0] - static[0],
        },
    )
