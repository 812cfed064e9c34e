"""CHOLMOD's supernodal Cholesky: one rank, positive definite only, fastest there."""

from __future__ import annotations

from glassmodes import memory
from glassmodes.spectra.factor_interface import (
    FactorDoesNotFit,
    Factorisation,
    NotPositiveDefiniteError,
    cholesky,
    expected_cost,
)

_INDEX_LIMIT = 2**31 - 1  # factor entries
_PETSC_NOT_DEFINITE = 81  # PETSC_ERR_MAT_CH_ZRPVT
_PEAK = 1.3  # bytes while the factor is made, over those it keeps


class CholmodFactorisation(Factorisation):
    """A factor by CHOLMOD, which orders with AMD and METIS and keeps the better."""

    name = "cholmod"

    @staticmethod
    def serves(matrix, definite: bool) -> bool:
        """Tell whether CHOLMOD is there and can take the matrix."""
        from petsc4py import PETSc

        return (
            definite
            and matrix.getComm().getSize() == 1
            and PETSc.Sys.hasExternalPackage("suitesparse")
        )

    def _factorise(self, definite: bool):
        from petsc4py import PETSc

        self._require_room()
        preconditioner = cholesky(self.matrix, "cholmod")
        options = PETSc.Options()
        quiet = "gm_cholmod_mat_cholmod_print"
        if not options.hasName(quiet):
            options[quiet] = 0  # its warnings would go to stdout
        preconditioner.setFromOptions()
        PETSc.Sys.pushErrorHandler("ignore")
        try:
            preconditioner.setUp()
        except PETSc.Error as error:
            preconditioner.destroy()
            if error.ierr == _PETSC_NOT_DEFINITE:
                raise NotPositiveDefiniteError(
                    "the matrix is not positive definite", None
                ) from None
            raise FactorDoesNotFit(
                f"CHOLMOD cannot factorise the matrix (PETSc error {error.ierr}): choose MUMPS"
            ) from None
        finally:
            PETSc.Sys.popErrorHandler()
        self.statistics["attempts"].append({"step": "as planned", "outcome": "done"})
        return preconditioner

    def _require_room(self) -> None:
        cost = expected_cost(self.matrix, "cholesky")
        limit = memory.tightest()
        if cost.entries > _INDEX_LIMIT:
            raise FactorDoesNotFit(
                f"CHOLMOD would need {cost.entries:.2g} entries, it counts to {_INDEX_LIMIT:.2g}"
            )
        if _PEAK * cost.bytes > limit.bytes:
            raise FactorDoesNotFit(
                f"CHOLMOD would need about {memory.in_words(_PEAK * cost.bytes)}, "
                f"{memory.in_words(limit.bytes)} can be had ({limit.source})"
            )

    def _measured(self) -> dict:
        found = self._factor.getInfo()
        return {
            "ordering": "AMD or METIS",
            "entries": float(found["nz_used"]),
            "flops": None,
            "bytes": int(found["memory"]),
        }

    @property
    def negatives(self) -> int:
        return 0  # otherwise it would have refused
