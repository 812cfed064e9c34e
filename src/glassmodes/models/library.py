"""The models with a name, each with its constants and its usual state point.

Sources, cited by their keys below:

- thesis: Kapteijns, *Soft excitations in glasses*, chapters 2, 3, 5 and 6
- Lerner 2019: J. Non-Cryst. Solids 522, 119570
- Ninarello 2017: Ninarello, Berthier and Coslovich, Phys. Rev. X 7, 021039
"""

from __future__ import annotations

from collections.abc import Callable

from glassmodes.errors import InputError, nearest
from glassmodes.models.defaults import ModelDefaults
from glassmodes.models.inverse_power_law import InversePowerLaw
from glassmodes.models.model import Model

_HALF = (0.5, 0.5)


def _binary_ipl() -> Model:
    # Species 0 is the small particle; the cutoff scales with the length of the pair.
    lengths = [[1.0, 1.18], [1.18, 1.4]]
    return InversePowerLaw(exponent=10, smoothing=3, cutoffs=1.48, lengths=lengths)


_LIBRARY: dict[str, tuple[Callable[[], Model], ModelDefaults]] = {
    "ipl_2d": (_binary_ipl, ModelDefaults(2, 0.86, _HALF, source="thesis 2.2")),
    "ipl_3d": (_binary_ipl, ModelDefaults(3, 0.82, _HALF, source="thesis 2.2")),
    "ipl_4d": (_binary_ipl, ModelDefaults(4, 0.80, _HALF, source="thesis 2.2")),
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
