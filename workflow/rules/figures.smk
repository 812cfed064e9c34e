# Draw the figures from tables, fits and comparison.


rule draw_figures:
    """Draw every figure as PDF and PNG: one job, because starting it costs more than drawing."""
    input:
        TABLE_FILES,
        FIT_FILES,
        COMPARISON_FILE,
    output:
        [ensure(f"{RESULTS}/figures/{name}.pdf", non_empty=True) for name in FIGURES],
        [
            report(
                ensure(f"{RESULTS}/figures/{name}.png", non_empty=True),
                caption="../report/figure.rst",
                category="Figures",
                labels={"figure": name},
            )
            for name in FIGURES
        ],
    log:
        f"{RESULTS}/logs/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        version=STAGE_VERSIONS["figures"],
    shell:
        job("figures")
