# Draw the figures from tables, fits and comparison.


rule draw_figure:
    """Draw one figure as PDF and PNG."""
    input:
        TABLE_FILES,
        FIT_FILES,
        COMPARISON_FILE,
    output:
        ensure(f"{RESULTS}/figures/{{figure}}.pdf", non_empty=True),
        report(
            ensure(f"{RESULTS}/figures/{{figure}}.png", non_empty=True),
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/{{figure}}.tsv"
    wildcard_constraints:
        figure=one_of(FIGURES),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        version=STAGE_VERSIONS["figures"],
    shell:
        job("figure {wildcards.figure}")
