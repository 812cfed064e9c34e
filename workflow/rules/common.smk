# The only place for functions of the workflow.
import json
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from glassmodes.campaign import costs, window_costs
from glassmodes.campaign.config import check_config
from glassmodes.campaign.manifest import BATCH_PATTERN, build_manifest
from glassmodes.campaign.products import figures_of, tables_of
from glassmodes.campaign.provenance import (
    analysis_settings,
    preparation_settings,
    slice_settings,
    typed_command,
    write_resolved,
    write_run,
)
from glassmodes.campaign.table_schema import TABLES
from glassmodes.campaign.versions import STAGE_VERSIONS
from glassmodes.errors import GlassmodesError

try:
    CAMPAIGN = check_config(config, "configuration")
except GlassmodesError as problem:
    raise WorkflowError(str(problem))

RESULTS = CAMPAIGN.campaign.results
BATCHES = build_manifest(CAMPAIGN)
ENVIRONMENT = f"{workflow.basedir}/envs/conda.yaml"

# Jobs read the checked configuration with all defaults, so that they repeat by hand.
CONFIG = f"{RESULTS}/config.json"

# The programs beside this Python are found even if its environment is not activated.
shell.prefix(f'export PATH="$PATH:{os.path.dirname(sys.executable)}"; ')

SAMPLE_FILES = [str(batch.samples_path(RESULTS)) for batch in BATCHES]
ANALYSIS_FILES = [
    str(batch.analysis_path(RESULTS, analysis))
    for batch in BATCHES
    for analysis in CAMPAIGN.analyses_of(batch.ensemble)
]
SLICE_FILES = [
    str(batch.slice_path(RESULTS, number))
    for batch in BATCHES
    for number in range(CAMPAIGN.slices_of(batch.ensemble))
]
# A campaign has the tables, fits and figures of the analyses it asks for.
TABLE_FILES = [
    f"{RESULTS}/{TABLES[name].path}"
    for name in tables_of(CAMPAIGN, "tables/")
    if name != "comparison"
] + [f"{RESULTS}/tables/units.csv"]
FIT_FILES = [f"{RESULTS}/{TABLES[name].path}" for name in tables_of(CAMPAIGN, "fits/")]
COMPARISON_FILE = f"{RESULTS}/{TABLES['comparison'].path}"
REPORT = f"{RESULTS}/report.html"
FIGURES = figures_of(CAMPAIGN)
FIGURE_FILES = [f"{RESULTS}/figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "png")]

SERIAL = [name for name, ensemble in CAMPAIGN.ensembles.items() if ensemble.ranks == 1]
PARALLEL = [name for name, ensemble in CAMPAIGN.ensembles.items() if ensemble.ranks > 1]
# Ensembles that are measured alike share a rule: its outputs are the files of one job.
ANALYSIS_SETS = sorted({CAMPAIGN.analyses_of(name) for name in CAMPAIGN.ensembles} - {()})


def job(words, launcher=""):
    """Return the shell command of a job: `words` follow `glassmodes campaign`.

    It ends with Snakemake, writes the log and ends it with the command to repeat by hand.
    """
    configuration = shlex.quote(CONFIG).replace("{", "{{").replace("}", "}}")
    return (
        f"exec python -m glassmodes.campaign.supervise {{log}} {launcher} "
        f"glassmodes campaign {words} --config {configuration}"
    )


def one_of(names):
    """Return the constraint of a wildcard that stands for one of `names`, or for nothing."""
    return "|".join(names) if names else "(?!)"


def measured_by(analyses, names):
    """Return those of `names` whose analyses are exactly `analyses`."""
    return [name for name in names if CAMPAIGN.analyses_of(name) == analyses]


def model_file(wildcards):
    """Return the model's own file as an input, nothing for a named model."""
    model = CAMPAIGN.ensembles[wildcards.ensemble].model
    return [model] if model.lower().endswith((".yaml", ".yml")) else []


def preparation_params(wildcards):
    """Return what the samples of an ensemble depend on; a change repeats them."""
    return json.dumps(preparation_settings(CAMPAIGN, wildcards.ensemble), sort_keys=True)


def analysis_params(wildcards):
    """Return what the analyses of an ensemble depend on; a change repeats them."""
    settings = {
        name: analysis_settings(CAMPAIGN, wildcards.ensemble, name)
        for name in CAMPAIGN.analyses_of(wildcards.ensemble)
    }
    return json.dumps(settings, sort_keys=True)


def slice_params(wildcards):
    """Return what the records of a slice depend on; a change repeats them."""
    settings = slice_settings(CAMPAIGN, wildcards.ensemble, int(wildcards.slice))
    return json.dumps(settings, sort_keys=True)


def slice_megabytes(wildcards, attempt):
    """Return the memory of the job of a slice."""
    return attempt * window_costs.slice_megabytes(CAMPAIGN, wildcards.ensemble)


def slice_minutes(wildcards, attempt):
    """Return the wall time of the job of a slice."""
    return attempt * window_costs.slice_minutes(CAMPAIGN, wildcards.ensemble, batch_size(wildcards))


def table_params():
    """Return what the tables depend on beside their inputs."""
    titles = {name: ensemble.title for name, ensemble in CAMPAIGN.ensembles.items()}
    return json.dumps([titles, CAMPAIGN.statistics.model_dump(mode="json")], sort_keys=True)


def batch_size(wildcards):
    """Return the number of samples of a batch."""
    first, last = wildcards.batch.split("-")
    return int(last) - int(first) + 1


def ranks(wildcards):
    """Return the MPI ranks of an ensemble."""
    return CAMPAIGN.ensembles[wildcards.ensemble].ranks


def megabytes(stage):
    """Return the memory of a job of `stage` as a function of N, d and attempt."""
    return lambda wildcards, attempt: attempt * costs.job_megabytes(
        CAMPAIGN, wildcards.ensemble, stage
    )


def minutes(stage):
    """Return the wall time of a job of `stage` as a function of N, d, protocol and attempt."""
    return lambda wildcards, attempt: attempt * costs.job_minutes(
        CAMPAIGN, batch_size(wildcards), wildcards.ensemble, stage
    )


def write_resolved_config():
    """Write the checked configuration and a description of this run into the results."""
    write_resolved(CAMPAIGN, Path(CONFIG))
    write_run(Path(RESULTS), typed_command())
