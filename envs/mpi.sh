# Settings of Open MPI for laptops, containers and CI; the one place that has them.
# Sourced by .venv/bin/mpiexec; source it yourself to use another mpiexec. Values already set win.

# containers and CI run as root
export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT:-1}"
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM:-1}"
# more ranks than cores; two jobs side by side must not both be bound to core 0;
# idle ranks give their core away (Open MPI 4, then 5)
export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe:-1}"
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy:-none}"
export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-1}"
export PRTE_MCA_rmaps_default_mapping_policy="${PRTE_MCA_rmaps_default_mapping_policy:-:oversubscribe}"
export PRTE_MCA_hwloc_default_binding_policy="${PRTE_MCA_hwloc_default_binding_policy:-none}"
# containers forbid the single copy between processes that shared memory would like
if [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then
    export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism:-none}"
    export OMPI_MCA_smsc="${OMPI_MCA_smsc:-^cma}"
fi
# A process that started MPI without mpiexec (a notebook, a test) leaves marks that make an
# mpiexec of its own believe it runs inside a job, and end without a word
if [ "${OMPI_MCA_ess:-}" = singleton ]; then
    for name in $(env | sed -nE 's/^((PMIX|OMPI_MCA_orte)_[A-Za-z0-9_]*)=.*/\1/p'); do
        unset "$name"
    done
    unset name OMPI_MCA_ess OMPI_MCA_pmix OMPI_APP_CTX_NUM_PROCS ORTE_SCHIZO_DETECTION
fi
