"""Models of interaction: pair potentials and their named state points."""

from glassmodes.models.defaults import ModelDefaults, PowerLawDiameters
from glassmodes.models.inverse_power_law import InversePowerLaw
from glassmodes.models.library import known_models, named
from glassmodes.models.model import Model, from_spec
from glassmodes.models.potential import PairPotential

__all__ = [
    "InversePowerLaw",
    "Model",
    "ModelDefaults",
    "PairPotential",
    "PowerLawDiameters",
    "from_spec",
    "known_models",
    "named",
]
