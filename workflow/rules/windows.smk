# Find all modes of a window, one job for each slice of each batch.


rule search_slice:
    """One rank finds the modes of a slice in every sample of a batch."""
    input:
        f"{RESULTS}/samples/{{ensemble}}/{{batch}}.h5",
    output:
        ensure(f"{RESULTS}/analyses/{{ensemble}}/{{batch}}/windows-{{slice}}.h5", non_empty=True),
    log:
        f"{RESULTS}/logs/windows/{{ensemble}}/{{batch}}.{{slice}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/windows/{{ensemble}}/{{batch}}.{{slice}}.tsv"
    wildcard_constraints:
        ensemble=one_of(SERIAL),
        batch=BATCH_PATTERN,
        slice=r"\d{3}",
    conda:
        ENVIRONMENT
    threads: cores_of_job(slice_megabytes)
    resources:
        mem_mb=slice_megabytes,
        runtime=slice_minutes,
    params:
        settings=slice_params,
    shell:
        job("windows --batch {wildcards.ensemble}/{wildcards.batch} --slice {wildcards.slice}")


rule search_slice_mpi:
    """Several ranks share each sample of a batch."""
    input:
        f"{RESULTS}/samples/{{ensemble}}/{{batch}}.h5",
    output:
        ensure(f"{RESULTS}/analyses/{{ensemble}}/{{batch}}/windows-{{slice}}.h5", non_empty=True),
    log:
        f"{RESULTS}/logs/windows/{{ensemble}}/{{batch}}.{{slice}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/windows/{{ensemble}}/{{batch}}.{{slice}}.tsv"
    wildcard_constraints:
        ensemble=one_of(PARALLEL),
        batch=BATCH_PATTERN,
        slice=r"\d{3}",
    conda:
        ENVIRONMENT
    threads: cores_of_job(slice_megabytes)
    resources:
        mpi=launcher(slice_megabytes),
        tasks=ranks,
        cpus_per_task=cores_of_rank(slice_megabytes),
        mem_mb=memory_of_job(slice_megabytes),
        mem_mb_per_cpu=memory_per_core(slice_megabytes),
        runtime=slice_minutes,
    params:
        settings=slice_params,
    shell:
        job(
            "windows --batch {wildcards.ensemble}/{wildcards.batch} --slice {wildcards.slice}",
            launcher="{resources.mpi} -n {resources.tasks}",
        )
