"""The models with a name, each with its constants and its usual state point.

Sources, cited by their keys below:

- Barbot 2018: Barbot et al., Phys. Rev. E 97, 033001, the mixture of Falk and Langer; here with
  the force shifted to 0 at 2.5 sigma, where the original smooths it between 2 and 2.5 sigma
- thesis: Kapteijns, *Soft excitations in glasses*, chapters 2, 3, 5 and 6
- Lerner 2019: J. Non-Cryst. Solids 522, 119570
- Kob 1995: Kob and Andersen, Phys. Rev. E 51, 4626; here with the force shifted to 0 at the
  cutoff, where the original shifts only the energy
- Mizuno 2020: Mizuno, Shimada and Ikeda, Phys. Rev. Research 2, 013215
- Ninarello 2017: Ninarello, Berthier and Coslovich, Phys. Rev. X 7, 021039
- Schroder 2020: Schroder and Dyre, J. Chem. Phys. 152, 141101
"""

from __future__ import annotations

import math
from collections.abc import Callable

from glassmodes.errors import InputError, nearest
from glassmodes.models.defaults import ModelDefaults, PowerLawDiameters
from glassmodes.models.harmonic_spheres import HarmonicSpheres
from glassmodes.models.inverse_power_law import InversePowerLaw
from glassmodes.models.lennard_jones import LennardJones
from glassmodes.models.model import Model
from glassmodes.models.network import HarmonicNetwork

_HALF = (0.5, 0.5)
_GOLDEN = (4 / (5 + math.sqrt(5)), (1 + math.sqrt(5)) / (5 + math.sqrt(5)))  # N_L/N_S = φ/2
_KOB_ANDERSEN_LENGTHS = [[1.0, 0.8], [0.8, 0.88]]
_KOB_ANDERSEN_ENERGIES = [[1.0, 1.5], [1.5, 0.5]]


def _binary_ipl() -> Model:
    # Species 0 is the small particle; the cutoff scales with the length of the pair.
    lengths = [[1.0, 1.18], [1.18, 1.4]]
    return InversePowerLaw(exponent=10, smoothing=3, cutoffs=1.48, lengths=lengths)


def _polydisperse_ipl() -> Model:
    # The unit of length is the smallest diameter.
    return InversePowerLaw(exponent=10, smoothing=3, cutoffs=1.4, non_additivity=0.1)


def _swap_ipl() -> Model:
    # The unit of length is the mean diameter.
    return InversePowerLaw(exponent=12, smoothing=2, cutoffs=1.25, non_additivity=0.2)


def _kob_andersen() -> Model:
    return LennardJones(lengths=_KOB_ANDERSEN_LENGTHS, energies=_KOB_ANDERSEN_ENERGIES, cutoffs=2.5)


def _modified_binary_lj() -> Model:
    return LennardJones(
        lengths=_KOB_ANDERSEN_LENGTHS,
        energies=_KOB_ANDERSEN_ENERGIES,
        cutoff_distances=[[1.5, 2.0], [2.0, 1.5]],
    )


def _falk_langer() -> Model:
    # Species 0 is the small particle; like particles attract half as much.
    small, large = 2 * math.sin(math.pi / 10), 2 * math.sin(math.pi / 5)
    return LennardJones(
        lengths=[[small, 1.0], [1.0, large]], energies=[[0.5, 1.0], [1.0, 0.5]], cutoffs=2.5
    )


def _swap_diameters(ratio: float = 2.219) -> PowerLawDiameters:
    # P(D) ~ D^-3 has the mean 2 D_min D_max / (D_min + D_max), which is 1 here.
    return PowerLawDiameters((1 + ratio) / (2 * ratio), (1 + ratio) / 2)


_LIBRARY: dict[str, tuple[Callable[[], Model], ModelDefaults | None]] = {
    "ipl_2d": (_binary_ipl, ModelDefaults(2, 0.86, _HALF, source="thesis 2.2")),
    "ipl_3d": (_binary_ipl, ModelDefaults(3, 0.82, _HALF, source="thesis 2.2")),
    "ipl_4d": (_binary_ipl, ModelDefaults(4, 0.80, _HALF, source="thesis 2.2")),
    "poly_3d": (
        _polydisperse_ipl,
        ModelDefaults(
            3, 0.65, diameters=PowerLawDiameters(1.0, 2.22), source="Lerner 2019, thesis 3"
        ),
    ),
    "nbc_2d": (
        _swap_ipl,
        ModelDefaults(2, 1.0, diameters=_swap_diameters(), source="Ninarello 2017"),
    ),
    "nbc_3d": (
        _swap_ipl,
        ModelDefaults(3, 1.0, diameters=_swap_diameters(), source="Ninarello 2017"),
    ),
    "kob_andersen": (_kob_andersen, ModelDefaults(3, 1.2, (0.8, 0.2), source="Kob 1995")),
    "mblj": (_modified_binary_lj, ModelDefaults(3, 1.2, (0.8, 0.2), source="Schroder 2020")),
    "lennard_jones": (
        lambda: LennardJones(lengths=1.0, cutoffs=2.5),
        ModelDefaults(3, 0.997, source="Mizuno 2020"),
    ),
    "lj_2d": (_falk_langer, ModelDefaults(2, 1.024, _GOLDEN, source="Barbot 2018")),
    "harmonic_spheres": (
        lambda: HarmonicSpheres(lengths=1.0),
        ModelDefaults(3, 0.73 * 6 / math.pi, source="Mizuno 2020"),
    ),
    "hertzian_spheres": (
        lambda: HarmonicSpheres(lengths=[[1.0, 1.2], [1.2, 1.4]], exponent=2.5),
        ModelDefaults(3, 0.938, _HALF, source="thesis 4"),
    ),
    "harmonic_network": (HarmonicNetwork, None),
}


def known_models() -> list[str]:
    """Return the names that `named` accepts, sorted."""
    return sorted(_LIBRARY)


def named(name: str) -> Model:
    """Return a new model by its name, with its defaults; `InputError` names the nearest one."""
    if name not in _LIBRARY:
        raise InputError(
            f"unknown model {name!r}; known are {', '.join(known_models())}, "
            f"or a file MODEL.yaml{nearest(name, known_models())}"
        )
    build, defaults = _LIBRARY[name]
    model = build()
    model.name, model.defaults = name, defaults
    return model
