"""Errors that a person can mend: one sentence on standard error, and an exit code."""

from __future__ import annotations

import errno

from pipeline_project.commands.shared.console import Exit, complain
from pipeline_project.domain.core.errors import (
    AuditBroken,
    BackupRefused,
    BackupUnusable,
    DatabaseMissing,
    DatabaseUnreachable,
    FileMissing,
    FilesRefused,
    FilesUnavailable,
    HomeUnusable,
    LakeUnavailable,
    LedgerNewer,
    PipelineError,
    ReplayRefused,
    RestoreRefused,
    RolesMissing,
    SettingInvalid,
    SourceUnreadable,
    WorkflowUnknown,
)

_EXITS: tuple[tuple[type[PipelineError], Exit], ...] = (
    (WorkflowUnknown, Exit.NOT_FOUND),
    (SettingInvalid, Exit.WRONG_CALL),
    (BackupRefused, Exit.WRONG_CALL),
    (RestoreRefused, Exit.WRONG_CALL),
    (BackupUnusable, Exit.ENVIRONMENT_MISSING),
    (HomeUnusable, Exit.ENVIRONMENT_MISSING),
    (DatabaseUnreachable, Exit.ENVIRONMENT_MISSING),
    (DatabaseMissing, Exit.ENVIRONMENT_MISSING),
    (RolesMissing, Exit.ENVIRONMENT_MISSING),
    (LedgerNewer, Exit.ENVIRONMENT_MISSING),
    (ReplayRefused, Exit.WRONG_CALL),
    (AuditBroken, Exit.TAMPERED),
    (LakeUnavailable, Exit.ENVIRONMENT_MISSING),
    (FilesUnavailable, Exit.ENVIRONMENT_MISSING),
    (FilesRefused, Exit.ENVIRONMENT_MISSING),
    (FileMissing, Exit.ENVIRONMENT_MISSING),
    (SourceUnreadable, Exit.ENVIRONMENT_MISSING),
)
_ADVICE = {
    errno.ENOSPC: "free some space there, or set PIPELINE_HOME to a larger disk, and run it again",
    errno.EDQUOT: "free some of your quota, or set PIPELINE_HOME to another disk, and run it again",
    errno.EROFS: "set PIPELINE_HOME to a folder that can be written",
    errno.EACCES: "give yourself the right to it, or set PIPELINE_HOME to a folder of yours",
    errno.EPERM: "give yourself the right to it, or set PIPELINE_HOME to a folder of yours",
    errno.EISDIR: "name a file instead of a folder",
    errno.ENOTDIR: "name a folder where now a file stands",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def explained(error: PipelineError | OSError) -> Exit | None:
    """Says what went wrong and returns the exit code; None for an error that no advice fits."""
    if isinstance(error, OSError):
        if error.errno not in _ADVICE:
            return None
        where = f" at {error.filename}" if error.filename else ""
        complain(f"{error.strerror}{where}: {_ADVICE[error.errno]}")
        return Exit.ENVIRONMENT_MISSING
    complain(str(error))
    # imported here: reading specs is half of the time that `pipeline --help` would take
    from pipeline_project.spec.load import InvalidSpec

    if isinstance(error, InvalidSpec):
        return Exit.SPEC_MISTAKE
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.NIGHT_FAILED)
