"""Making glasses and spring networks, and the evidence for what they are."""

from glassmodes.preparation.domain_minimise import minimise_domain
from glassmodes.preparation.domain_prepare import prepare_domain
from glassmodes.preparation.minimise import MinimisationInfo, minimise
from glassmodes.preparation.networks import (
    BondDepletedLattice,
    LatticeVacancies,
    NetworkProtocol,
    RandomNetwork,
    make_network,
    network_from,
    realised,
)
from glassmodes.preparation.prepare import prepare_sample
from glassmodes.preparation.protocols import (
    InstantaneousQuench,
    Protocol,
    RandomStart,
    SlowCooling,
    protocol_from,
)

__all__ = [
    "BondDepletedLattice",
    "InstantaneousQuench",
    "LatticeVacancies",
    "MinimisationInfo",
    "NetworkProtocol",
    "Protocol",
    "RandomNetwork",
    "RandomStart",
    "SlowCooling",
    "make_network",
    "minimise",
    "minimise_domain",
    "network_from",
    "prepare_domain",
    "prepare_sample",
    "protocol_from",
    "realised",
]
