# Analyse the samples of a batch. All analyses of a sample share its pairs, operator and factor,
# hence one job, which leaves one file per analysis.

for analyses in ANALYSIS_SETS:

    rule:
        name:
            f"analyse_batch_{'_'.join(analyses)}"
        input:
            f"{RESULTS}/samples/{{ensemble}}/{{batch}}.h5",
        output:
            [
                ensure(f"{RESULTS}/analyses/{{ensemble}}/{{batch}}/{name}.h5", non_empty=True)
                for name in analyses
            ],
        log:
            f"{RESULTS}/logs/analyse/{{ensemble}}/{{batch}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/analyse/{{ensemble}}/{{batch}}.tsv"
        wildcard_constraints:
            ensemble=one_of(measured_by(analyses, SERIAL)),
            batch=BATCH_PATTERN,
        conda:
            ENVIRONMENT
        threads: cores_of_job(megabytes("analyse"))
        resources:
            mem_mb=megabytes("analyse"),
            runtime=minutes("analyse"),
        params:
            settings=analysis_params,
        shell:
            job("analyse --batch {wildcards.ensemble}/{wildcards.batch}")

    rule:
        name:
            f"analyse_batch_mpi_{'_'.join(analyses)}"
        input:
            f"{RESULTS}/samples/{{ensemble}}/{{batch}}.h5",
        output:
            [
                ensure(f"{RESULTS}/analyses/{{ensemble}}/{{batch}}/{name}.h5", non_empty=True)
                for name in analyses
            ],
        log:
            f"{RESULTS}/logs/analyse/{{ensemble}}/{{batch}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/analyse/{{ensemble}}/{{batch}}.tsv"
        wildcard_constraints:
            ensemble=one_of(measured_by(analyses, PARALLEL)),
            batch=BATCH_PATTERN,
        conda:
            ENVIRONMENT
        threads: cores_of_job(megabytes("analyse"))
        resources:
            mpi=launcher(megabytes("analyse")),
            tasks=ranks,
            cpus_per_task=cores_of_rank(megabytes("analyse")),
            mem_mb=memory_of_job(megabytes("analyse")),
            mem_mb_per_cpu=memory_per_core(megabytes("analyse")),
            runtime=minutes("analyse"),
        params:
            settings=analysis_params,
        shell:
            job(
                "analyse --batch {wildcards.ensemble}/{wildcards.batch}",
                launcher="{resources.mpi} -n {resources.tasks}",
            )
