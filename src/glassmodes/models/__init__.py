"""Models of interaction: pair potentials, spring networks, and the named state points."""

from glassmodes.models.defaults import ModelDefaults, PowerLawDiameters
from glassmodes.models.harmonic_spheres import HarmonicSpheres
from glassmodes.models.inverse_power_law import InversePowerLaw
from glassmodes.models.lennard_jones import LennardJones
from glassmodes.models.library import known_models, named
from glassmodes.models.model import Model, from_spec
from glassmodes.models.model_file import from_yaml, resolve
from glassmodes.models.network import HarmonicNetwork
from glassmodes.models.potential import PairPotential
from glassmodes.models.tabulated import TabulatedPotential

__all__ = [
    "HarmonicNetwork",
    "HarmonicSpheres",
    "InversePowerLaw",
    "LennardJones",
    "Model",
    "ModelDefaults",
    "PairPotential",
    "PowerLawDiameters",
    "TabulatedPotential",
    "from_spec",
    "from_yaml",
    "known_models",
    "named",
    "resolve",
]
