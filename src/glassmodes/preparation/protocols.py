"""Thermal histories of a glass, as data.

A protocol says what happens to the liquid before the descent to the minimum.  Temperatures
are in units of energy / k_B, times in those of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar

from glassmodes.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True)
class RandomStart:
    """No liquid at all: straight to the minimum from random positions (T = infinity)."""

    name: ClassVar[str] = "random_start"


@dataclass(frozen=True, kw_only=True)
class InstantaneousQuench:
    """A liquid in equilibrium at one temperature, then straight to the minimum.

    Parameters
    ----------
    temperature
        Of the liquid.
    equilibration_time
        Time in the liquid, after a short melting with redrawn velocities.
    time_step
        None: 0.0025 from temperature 1 on, 0.005 below, which suits units in which the
        particles' stiffness is of order 100, as in the inverse power laws.
    thermostat_time
        Relaxation time of the Nose-Hoover chain.
    """

    name: ClassVar[str] = "instantaneous_quench"
    temperature: float
    equilibration_time: float = 50.0
    time_step: float | None = None
    thermostat_time: float = 0.2

    def __post_init__(self) -> None:
        _expect_positive(self, "temperature", "thermostat_time")
        _expect_liquid(self)


@dataclass(frozen=True, kw_only=True)
class SlowCooling:
    """A liquid in equilibrium, cooled linearly in time, then to the minimum.

    Parameters
    ----------
    temperature, final_temperature
        Where the cooling starts and ends.
    rate
        Temperature lost per time.
    equilibration_time, time_step, thermostat_time
        As in `InstantaneousQuench`; without a time step each stretch of the cooling has that
        of its temperature.
    """

    name: ClassVar[str] = "slow_cooling"
    temperature: float
    final_temperature: float
    rate: float
    equilibration_time: float = 50.0
    time_step: float | None = None
    thermostat_time: float = 0.2

    def __post_init__(self) -> None:
        _expect_positive(self, "temperature", "final_temperature", "rate", "thermostat_time")
        _expect_liquid(self)
        if self.final_temperature >= self.temperature:
            raise InputError(
                f"slow_cooling ends at {self.final_temperature:g}, not below its start "
                f"{self.temperature:g}"
            )


Protocol = InstantaneousQuench | SlowCooling | RandomStart

PROTOCOLS: dict[str, type[Protocol]] = {
    cls.name: cls for cls in (InstantaneousQuench, SlowCooling, RandomStart)
}


def protocol_from(settings: Mapping[str, Any], known_as: Mapping[str, Any] = PROTOCOLS) -> Any:
    """Build the protocol of ``{"name": ..., **parameters}``.

    Parameters
    ----------
    settings
        Name and parameters.
    known_as
        Class of each name.

    Raises
    ------
    InputError
        Unknown name or parameter (the nearest known one is given), a missing one, or a value
        out of range.
    """
    parameters = dict(settings)
    name = parameters.pop("name", None)
    if name not in known_as:
        raise InputError(
            f"unknown protocol {name!r}; known are {', '.join(known_as)}{nearest(name, known_as)}"
        )
    cls = known_as[name]
    known = [field.name for field in fields(cls)]
    for key in parameters:
        if key not in known:
            raise InputError(
                f"unknown parameter {key!r} of the protocol {name}; known are "
                f"{', '.join(known) or 'none'}{nearest(key, known)}"
            )
    try:
        return cls(**parameters)
    except TypeError as error:
        wanted = [
            field.name
            for field in fields(cls)
            if field.name not in parameters
            and field.default is MISSING
            and field.default_factory is MISSING
        ]
        raise InputError(
            f"the protocol {name} lacks parameters or holds text for a number; "
            f"not given: {', '.join(wanted) or 'nothing that is needed'}"
        ) from error


def describe(protocol: Any) -> dict[str, Any]:
    """Return the protocol as plain data, the inverse of `protocol_from`."""
    return {"name": protocol.name, **asdict(protocol)}


def default_time_step(temperature: float) -> float:
    """Return the time step for inverse-power-law liquids at a temperature."""
    return 0.0025 if temperature >= 1.0 else 0.005


def _expect_positive(protocol: Any, *names: str) -> None:
    for name in names:
        value = getattr(protocol, name)
        if not 0 < value < float("inf"):
            raise InputError(f"{protocol.name}: {name} is {value}; expected a positive number")


def _expect_liquid(protocol: Any) -> None:
    if not 0 <= protocol.equilibration_time < float("inf"):
        raise InputError(
            f"{protocol.name}: equilibration_time is {protocol.equilibration_time}; "
            "expected a number >= 0"
        )
    if protocol.time_step is not None:
        _expect_positive(protocol, "time_step")
