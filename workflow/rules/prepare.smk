# Prepare the samples of a batch: glasses (liquid, quench or cooling, minimum) or networks.


rule prepare_batch:
    """One rank prepares a batch, sample by sample."""
    input:
        model_file,
    output:
        ensure(f"{RESULTS}/samples/{{ensemble}}/{{batch}}.h5", non_empty=True),
    log:
        f"{RESULTS}/logs/prepare/{{ensemble}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{ensemble}}/{{batch}}.tsv"
    wildcard_constraints:
        ensemble=one_of(SERIAL),
        batch=BATCH_PATTERN,
    conda:
        ENVIRONMENT
    threads: cores_of_job(megabytes("prepare"))
    resources:
        mem_mb=megabytes("prepare"),
        runtime=minutes("prepare"),
    params:
        settings=preparation_params,
    shell:
        job("prepare --batch {wildcards.ensemble}/{wildcards.batch}")


rule prepare_batch_mpi:
    """Several ranks make each large glass of a batch together; networks one rank each."""
    input:
        model_file,
    output:
        ensure(f"{RESULTS}/samples/{{ensemble}}/{{batch}}.h5", non_empty=True),
    log:
        f"{RESULTS}/logs/prepare/{{ensemble}}/{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{ensemble}}/{{batch}}.tsv"
    wildcard_constraints:
        ensemble=one_of(PARALLEL),
        batch=BATCH_PATTERN,
    conda:
        ENVIRONMENT
    threads: cores_of_job(megabytes("prepare"))
    resources:
        mpi=launcher(megabytes("prepare")),
        tasks=ranks,
        cpus_per_task=cores_of_rank(megabytes("prepare")),
        mem_mb=memory_of_job(megabytes("prepare")),
        mem_mb_per_cpu=memory_per_core(megabytes("prepare")),
        runtime=minutes("prepare"),
    params:
        settings=preparation_params,
    shell:
        job(
            "prepare --batch {wildcards.ensemble}/{wildcards.batch}",
            launcher="{resources.mpi} -n {resources.tasks}",
        )
