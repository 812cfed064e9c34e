"""Measured corrections of the laws in `campaign.costs`: a table, read from a file.

The laws say how time and memory grow; `campaign.cost_fits` compares them with what jobs really
took and writes the table.  For one part of the work (modes, responses, ...) in one kind of sample
(glass_3d, ...) it holds

    measured / law = factor * prod_x (x / x_0)^e_x,     x: particles, modes, ranks

by least squares in logs.  Outside the sizes that were measured x is held at their end, so that
the law alone carries on: an exponent fitted over a decade would not survive three.

The table of the package comes from one machine.  A site writes its own and names it in the
environment variable ``GLASSMODES_COSTS``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from glassmodes.errors import InputError

VARIABLE = "GLASSMODES_COSTS"
FORMAT = 1
SECONDS, MEGABYTES = "seconds", "megabytes"
MEASURED, EXTRAPOLATED, LAW = "measured", "extrapolated", "law"
"""What an estimate rests on: sizes that were measured, others of that kind, the law alone."""

_REACH = 2.0
"""Beyond this factor outside the measured sizes an estimate counts as extrapolated."""


@dataclass(frozen=True)
class Exponent:
    """Power of one size in a correction, and the sizes between which it was measured."""

    value: float
    reference: float
    low: float
    high: float

    def factor(self, size: float) -> float:
        """Return the correction at `size`, held at the ends of the measured range."""
        held = min(max(size, self.low), self.high)
        return (held / self.reference) ** self.value

    def covers(self, size: float) -> bool:
        """Tell whether `size` was measured, or nearly so."""
        return self.low / _REACH <= size <= self.high * _REACH


@dataclass(frozen=True)
class Entry:
    """Correction of one law for one kind of sample.

    Attributes
    ----------
    part, kind, quantity : str
        Such as ``modes``, ``glass_3d``, ``seconds``.
    factor : float
        Measured over law at the reference sizes.
    spread : float
        Typical factor between a job and the fit: exp of the standard deviation in logs.
    jobs : int
        How many jobs were measured.
    exponents
        By name of the size: particles, modes, ranks.
    """

    part: str
    kind: str
    quantity: str
    factor: float
    spread: float
    jobs: int
    exponents: Mapping[str, Exponent] = field(default_factory=dict)


@dataclass(frozen=True)
class Correction:
    """What a table says on one estimate: measured over law, its spread and what it rests on."""

    factor: float = 1.0
    spread: float = 1.0
    basis: str = LAW


@dataclass(frozen=True)
class CostTable:
    """Corrections by part, kind and quantity.

    Attributes
    ----------
    start_seconds : float or None
        A job's start and end, beside its samples.
    base_megabytes : dict
        Of a rank before it holds a sample, by stage.
    machine, campaigns
        Where it was measured.
    """

    entries: tuple[Entry, ...] = ()
    start_seconds: float | None = None
    base_megabytes: Mapping[str, float] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    campaigns: tuple[str, ...] = ()

    def correction(
        self, part: str, kind: str, quantity: str, sizes: Mapping[str, float]
    ) -> Correction:
        """Return the correction of the law of a part at `sizes`; 1 where nothing was measured."""
        for entry in self.entries:
            if (entry.part, entry.kind, entry.quantity) == (part, kind, quantity):
                known = {n: e for n, e in entry.exponents.items() if n in sizes}
                factor = math.prod(e.factor(sizes[n]) for n, e in known.items())
                inside = all(e.covers(sizes[n]) for n, e in known.items())
                basis = MEASURED if inside else EXTRAPOLATED
                return Correction(entry.factor * factor, entry.spread, basis)
        return Correction()

    def to_json(self) -> str:
        """Return the table as text for a file, numbers to four digits."""
        content = {"format": FORMAT, **asdict(self)}
        return json.dumps(_rounded(content), indent=1) + "\n"


def load_costs() -> CostTable:
    """Return the table of the site if the environment names one, else that of the package."""
    given = os.environ.get(VARIABLE)
    return _read(given) if given else _shipped()


def read_costs(path: str | Path) -> CostTable:
    """Read a table.

    Raises
    ------
    InputError
        If it cannot be read, or is no table of costs.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"{path}: cannot read the table of costs ({reason})") from error
    return parse_costs(text, str(path))


def parse_costs(text: str, origin: str) -> CostTable:
    """Return the table that `text` holds; see `read_costs`."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, expected {FORMAT}")
        return CostTable(
            entries=tuple(_entry(entry) for entry in content["entries"]),
            start_seconds=_optional(content["start_seconds"]),
            base_megabytes={k: _positive(v) for k, v in content["base_megabytes"].items()},
            machine=dict(content["machine"]),
            campaigns=tuple(content["campaigns"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{origin}: no table of costs as `glassmodes campaign fit-costs` writes it ({error})"
        ) from error


def _entry(content: dict[str, Any]) -> Entry:
    exponents = {
        name: Exponent(
            float(e["value"]), _positive(e["reference"]), _positive(e["low"]), _positive(e["high"])
        )
        for name, e in content["exponents"].items()
    }
    if any(not abs(e.value) <= 10 for e in exponents.values()):
        raise ValueError("an exponent beyond 10")
    return Entry(
        str(content["part"]),
        str(content["kind"]),
        str(content["quantity"]),
        _positive(content["factor"]),
        max(1.0, _positive(content["spread"])),
        int(content["jobs"]),
        exponents,
    )


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < math.inf:
        raise ValueError(f"{value!r} where a positive number belongs")
    return number


def _optional(value: Any) -> float | None:
    return None if value is None else _positive(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(entry) for entry in value]
    return value


@cache
def _read(path: str) -> CostTable:
    return read_costs(path)


@cache
def _shipped() -> CostTable:
    file = resources.files("glassmodes.campaign") / "cost_table.json"
    return parse_costs(file.read_text(encoding="utf-8"), "cost_table.json of the package")
