"""The samples of the benchmarks: 3D inverse-power-law glasses, prepared once and kept."""

from __future__ import annotations

from pathlib import Path

from glassmodes.preparation import InstantaneousQuench, prepare_sample
from glassmodes.sample import Sample

CACHE = Path(__file__).resolve().parent / "samples"
SEED = 2026
PROTOCOL = InstantaneousQuench(temperature=1.0, equilibration_time=20.0)


def glass(particles: int) -> Sample:
    """Return an instantaneously quenched `ipl_3d` sample."""
    path = CACHE / f"ipl_3d_{particles}.h5"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        prepare_sample("ipl_3d", particles, PROTOCOL, SEED).write(path)
    return Sample.read(path)
