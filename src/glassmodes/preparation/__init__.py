"""Making glasses: liquids by molecular dynamics, minima, and the evidence for both."""

from glassmodes.preparation.minimise import MinimisationInfo, minimise
from glassmodes.preparation.prepare import prepare_sample
from glassmodes.preparation.protocols import (
    InstantaneousQuench,
    Protocol,
    RandomStart,
    SlowCooling,
    protocol_from,
)

__all__ = [
    "InstantaneousQuench",
    "MinimisationInfo",
    "Protocol",
    "RandomStart",
    "SlowCooling",
    "minimise",
    "prepare_sample",
    "protocol_from",
]
