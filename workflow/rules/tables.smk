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
        settings=lambda wildcards: table_params(),
    shell:
        job("tables")


rule partial_tables:
    """Write tables of what is there into partial/tables; it waits for no job and starts none."""
    log:
        f"{RESULTS}/logs/partial_tables.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    shell:
        job("partial", config_path=PARTIAL_CONFIG)
