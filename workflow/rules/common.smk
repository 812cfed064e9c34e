# The only place for functions of the workflow.
import functools
import json
import math
import os
import shlex
import signal
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from glassmodes.campaign import costs
from glassmodes.campaign.config import check_config
from glassmodes.campaign.locks import claim_results
from glassmodes.campaign.manifest import BATCH_PATTERN, build_manifest
from glassmodes.campaign.processes import announce_snakemake
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
# Tables of what is there may be asked for while a campaign of another configuration runs.
PARTIAL_CONFIG = f"{RESULTS}/partial/config.json"

# Schedulers send it to every process of a job before the wall time; jobs catch it and stop, and
# their Snakemake must live to wait for them.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Jobs that start while this Snakemake is killed notice that it is gone.
announce_snakemake()

# The programs beside this Python are found even if its environment is not activated.
# Snakemake formats shell commands: a brace in a name is written twice.
PROGRAMS = shlex.quote(os.path.dirname(sys.executable)).replace("{", "{{").replace("}", "}}")
shell.prefix(f'export PATH="$PATH":{PROGRAMS}; ')

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
BATCH_FILES = SAMPLE_FILES + ANALYSIS_FILES + SLICE_FILES
LATER_FILES = [*TABLE_FILES, *FIT_FILES, COMPARISON_FILE]
FIGURES = figures_of(CAMPAIGN)
FIGURE_FILES = [f"{RESULTS}/figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "png")]

# Facts of the site are entries of `default-resources` in a profile; no rule knows any. Snakemake
# hands them on to the jobs, where it reads the workflow again.
SITE = {
    name: getattr(value, "raw", value)
    for name, value in (workflow.resource_settings.default_resources or {}).items()
}
# `{cores}` in a launcher stands for the cores of one rank.
LAUNCHER = str(SITE.get("launcher", "mpiexec")).strip("'\"")
STEP = str(SITE.get("step", "")).strip("'\"").replace("{cores}", "{threads}")

SERIAL = [name for name, ensemble in CAMPAIGN.ensembles.items() if ensemble.ranks == 1]
PARALLEL = [name for name, ensemble in CAMPAIGN.ensembles.items() if ensemble.ranks > 1]
# Ensembles that are measured alike share a rule: its outputs are the files of one job.
ANALYSIS_SETS = sorted({CAMPAIGN.analyses_of(name) for name in CAMPAIGN.ensembles} - {()})


def job(words, launcher=STEP, config_path=CONFIG):
    """Return the shell command of a job: `words` follow `glassmodes campaign`.

    It ends with Snakemake, writes the log and ends it with the command to repeat by hand.
    """
    configuration = shlex.quote(config_path).replace("{", "{{").replace("}", "}}")
    return (
        f"exec python -m glassmodes.campaign.supervise {{log:q}} {launcher} "
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
    return megabytes("windows")(wildcards, attempt)


def slice_minutes(wildcards, attempt):
    """Return the wall time of the job of a slice."""
    return minutes("windows")(wildcards, attempt)


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
    """Return the memory of a rank of `stage` as a function of N, d and attempt."""
    most = SITE.get("max_memory_mb")
    return lambda wildcards, attempt: costs.scaled(
        first_megabytes(wildcards.ensemble, stage), attempt, int(most) if most else None
    )


@functools.cache
def first_megabytes(ensemble, stage):
    """Return what the first attempt asks for; the same for all batches of an ensemble."""
    beside = int(SITE.get("overhead_mb", 0)) / CAMPAIGN.ensembles[ensemble].ranks
    return costs.job_megabytes(CAMPAIGN, ensemble, stage) + math.ceil(beside)


@functools.cache
def first_minutes(ensemble, stage, size):
    """Return the wall time that the first attempt at a batch of `size` samples asks for."""
    return costs.job_minutes(CAMPAIGN, size, ensemble, stage)


def minutes(stage):
    """Return the wall time of a job of `stage` as a function of N, d, protocol and attempt."""
    return lambda wildcards, attempt: at_most_allowed(
        attempt * first_minutes(wildcards.ensemble, stage, batch_size(wildcards))
    )


def at_most_allowed(wanted):
    """Return a wall time within the limit of the site; a job that reaches it resumes later."""
    return min(wanted, int(SITE.get("max_minutes", wanted)))


def cores_of_rank(memory):
    """Return the cores of a rank: more than one where its memory is that of several cores."""

    def cores(wildcards, attempt):
        wanted = memory(wildcards, attempt)
        return math.ceil(wanted / int(SITE.get("memory_per_core_mb", wanted)))

    return cores


def cores_of_job(memory):
    """Return the cores of all ranks of a job."""
    cores = cores_of_rank(memory)
    return lambda wildcards, attempt: ranks(wildcards) * cores(wildcards, attempt)


def memory_per_core(memory):
    """Return the memory of each core of a rank, in MB."""
    cores = cores_of_rank(memory)
    return lambda wildcards, attempt: math.ceil(
        memory(wildcards, attempt) / cores(wildcards, attempt)
    )


def memory_of_job(memory):
    """Return the memory of all ranks, which one machine counts; clusters take that of a core."""
    return lambda wildcards, attempt: ranks(wildcards) * memory(wildcards, attempt)


def launcher(memory):
    """Return the launcher of MPI programs for ranks with this memory."""
    cores = cores_of_rank(memory)
    return lambda wildcards, attempt: LAUNCHER.replace("{cores}", str(cores(wildcards, attempt)))


def write_resolved_config():
    """Write the checked configuration and a description of this run into the results.

    One campaign at a time works there: the lock is held as long as this Snakemake lives.
    """
    global RESULTS_LOCK
    if set(workflow.dag_settings.targets) == {"partial_tables"}:
        write_resolved(CAMPAIGN, Path(PARTIAL_CONFIG))  # reads results that others may be writing
        return
    try:
        RESULTS_LOCK = claim_results(Path(RESULTS))
    except GlassmodesError as problem:
        raise WorkflowError(str(problem))
    write_resolved(CAMPAIGN, Path(CONFIG))
    write_run(Path(RESULTS), typed_command())
