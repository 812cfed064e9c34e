# Put figures, tables and verdicts into one page that opens without a network.


rule write_report:
    """Write results/report.html."""
    input:
        TABLE_FILES,
        FIT_FILES,
        COMPARISON_FILE,
        FIGURE_FILES,
    output:
        ensure(REPORT, non_empty=True),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        version=STAGE_VERSIONS["report"],
        title=lambda wildcards: CAMPAIGN.campaign.title,
    shell:
        job("report")
