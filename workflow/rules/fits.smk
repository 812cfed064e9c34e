# Fit exponents, tails, size scalings and cubic forms, and compare with the published values.


rule write_fits:
    """Write the fits of the analyses that the campaign has, with their verdicts."""
    input:
        TABLE_FILES,
    output:
        ensure(FIT_FILES, non_empty=True),
    log:
        f"{RESULTS}/logs/fits.log",
    benchmark:
        f"{RESULTS}/benchmarks/fits.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        version=STAGE_VERSIONS["fits"],
        settings=lambda wildcards: table_params(),
    shell:
        job("fits")


rule write_comparison:
    """Write what the paper says, what we measure and whether they agree."""
    input:
        TABLE_FILES,
        FIT_FILES,
    output:
        report(
            ensure(COMPARISON_FILE, non_empty=True),
            caption="../report/comparison.rst",
            category="Comparison with published values",
            labels={"table": "comparison"},
        ),
    log:
        f"{RESULTS}/logs/compare.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        version=STAGE_VERSIONS["fits"],
    shell:
        job("compare")
