# The campaign: from a configuration to samples, analyses, tables, fits, figures and a report.
#
#     glassmodes campaign run --cores 2            (what `make campaign` calls)
#     snakemake --workflow-profile workflow/profiles/local --cores 2 tables
#
# One job prepares or analyses a batch of samples; workflow/rules has a file for each stage.
from snakemake.utils import min_version

min_version("9.0")

# A file given on the command line replaces the default campaign; Snakemake would merge them.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/windows.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/fits.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


# A target asks for the files of all stages before it as well: Snakemake does not look for what is
# missing behind files that are up to date, and a damaged or deleted file has to be made again.
rule all:
    default_target: True
    input:
        BATCH_FILES,
        LATER_FILES,
        FIGURE_FILES,
        REPORT,


rule prepare:
    input:
        SAMPLE_FILES,


rule analyse:
    input:
        BATCH_FILES,


rule tables:
    input:
        BATCH_FILES,
        TABLE_FILES,


rule fits:
    input:
        BATCH_FILES,
        LATER_FILES,


rule figures:
    input:
        BATCH_FILES,
        LATER_FILES,
        FIGURE_FILES,


rule report:
    input:
        BATCH_FILES,
        LATER_FILES,
        FIGURE_FILES,
        REPORT,


onstart:
    write_resolved_config()
