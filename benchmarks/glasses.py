"""The samples of the benchmarks: inverse-power-law glasses, prepared once and kept.

    python benchmarks/glasses.py 3:100000 2:32000 4:8000

prepares samples beforehand, DIMENSION:PARTICLES each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from glassmodes.preparation import InstantaneousQuench, prepare_sample

CACHE = Path(__file__).resolve().parent / "samples"
SEED = 2026
TEMPERATURE = 1.0
EQUILIBRATION = 20.0
LARGE = 10_000
"""Particles from which on the liquid gets a tenth of the time, so that samples are made in minutes;
what that does to their lowest modes was not measured."""


def glass_path(particles: int, dimension: int = 3) -> Path:
    """Return the file of an instantaneously quenched `ipl` glass, made now if it is not there."""
    path = CACHE / f"ipl_{dimension}d_{particles}.h5"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        duration = EQUILIBRATION if particles < LARGE else EQUILIBRATION / 10
        protocol = InstantaneousQuench(temperature=TEMPERATURE, equilibration_time=duration)
        begin = time.perf_counter()
        prepare_sample(f"ipl_{dimension}d", particles, protocol, SEED).write(path)
        print(f"{path.name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return path


if __name__ == "__main__":
    for text in sys.argv[1:]:
        size = [int(part) for part in text.split(":")]
        glass_path(size[1], size[0])
