"""Version of each stage, stored in its files and given to Snakemake as a parameter.

Snakemake does not see a change in imported code.  Raise the number of a stage when the
numbers that it writes change, and say so in the changelog: the next run then repeats
that stage and what follows from it.
"""

from __future__ import annotations

STAGE_VERSIONS: dict[str, int] = {
    "prepare": 1,
    "modes": 3,
    "moduli": 2,
    "dipoles": 2,
    "spectra": 1,
    "viscoelasticity": 1,
    "windows": 1,
    "tables": 1,
    "fits": 1,
    "figures": 1,
    "report": 1,
}
