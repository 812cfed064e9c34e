# Gather the records of all batches into tables of samples and ensembles.


rule write_tables:
    """Write every table of results/tables but the comparison."""
    input:
        SAMPLE_FILES,
        ANALYSIS_FILES,
        SLICE_FILES,
    output:
        ensure(TABLE_FILES, non_empty=True),
    log:
        f"{RESULTS}/logs/tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        version=STAGE_VERSIONS["tables"],
        settings=table_params(),
    shell:
        job("tables")
