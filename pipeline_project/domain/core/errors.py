"""What can go wrong that a person can mend. Every message says what to do next and holds nothing personal."""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Anything this project raises on purpose.

    Attributes:
        passing: whether waiting can mend it, so that trying again by itself is right. Most errors wait for a person.
    """

    passing: ClassVar[bool] = False


class SourceUnreadable(PipelineError):
    """A file, table or query is there and cannot be read whole."""


class SourceStillGrowing(PipelineError):
    """A file changed while it was read; trying again later is right."""

    passing = True


class PhotoUnreadable(PipelineError):
    """A photo is missing, outside its folder, too large or no image."""


class ModelUnavailable(PipelineError):
    """A model version cannot be loaded, or its files are not what was registered."""

    passing = True


class ModelLetGo(ModelUnavailable):
    """The files of a version that never decided were let go by `pipeline retention`."""

    passing = False


class TooFewOutcomes(PipelineError):
    """Not enough is known to train on."""


class StaleAttempt(PipelineError):
    """A newer attempt at the same night has begun; this one may no longer write."""

    passing = True


class NightNotEnded(PipelineError):
    """A night is still going on by the database's clock, whatever this machine's clock says."""

    passing = True


class LakeSchemaChanged(PipelineError):
    """A table's columns would change although nobody declared it."""


class CadenceChanged(PipelineError):
    """A workflow that has nights of one cadence was given another one."""

    def __init__(self, workflow: str, kept: str, given: str) -> None:
        super().__init__(
            f"{workflow} has nights such as {kept}, and {given} is a night of another cadence; a workflow keeps the "
            "cadence it began with: take `nights.every` back, or give the new cadence a workflow of another name, "
            "with `renamed_from` where what was decided counts for it"
        )


class DatabaseUnreachable(PipelineError):
    """PostgreSQL does not answer; the message names the URL without its password."""

    passing = True


class LakeUnavailable(PipelineError):
    """The lake cannot be written or read: no space, no permission, no store."""

    passing = True


class LakeRefused(LakeUnavailable):
    """The lake's store does not let this process in, or its credentials have expired. Waiting does not mend it."""

    passing = False


class LakeDamaged(LakeUnavailable):
    """A file of the lake is not what was written; the message names it. Waiting does not mend it."""

    passing = False


class FilesUnavailable(PipelineError):
    """A store of files or a disk is away, slow, full or failing; waiting can help, and the message says what else."""

    passing = True


class FilesRefused(PipelineError):
    """A store of files does not let this process in, or its credentials have expired; the message says which."""


class FileMissing(PipelineError):
    """There is no file of that name; the message says where."""


class ComputeUnavailable(PipelineError):
    """The cluster that does the heavy work is not there, died, or gave nothing for too long."""

    passing = True


class ComputeExhausted(PipelineError):
    """A single content takes more memory than a worker has; waiting does not mend it."""


class SettingInvalid(PipelineError):
    """A PIPELINE_ variable holds something it may not."""


class HomeUnusable(PipelineError):
    """Nothing can be written to PIPELINE_HOME."""


class DatabaseMissing(PipelineError):
    """PostgreSQL answers, but a database is missing and may not be created by this user."""


class LedgerRefused(PipelineError):
    """A rule of the ledger's own refused a row; the message names the rule, never the row."""


class LedgerMissing(LedgerRefused):
    """The ledger's database is there, and nobody has migrated it."""


class LedgerNewer(PipelineError):
    """A newer version of the code has migrated the ledger; a process of this one does nothing more there."""


class ValueRefused(LedgerRefused):
    """A value that no column of the ledger can hold."""


class WorkflowUnknown(PipelineError):
    """No workflow has that name."""


class NightMissing(PipelineError):
    """A night that another one needs was never written; the message names it and the command that makes it."""


class IdentityChanged(PipelineError):
    """The ids or the name of a workflow with history changed, so its cases would be decided again."""


class NightBlocked(PipelineError):
    """A night's checks have not passed on its tables as they are; the message has the reason and the next command."""


class NightOutOfTurn(PipelineError):
    """An earlier night of the workflow comes first; the message names it."""


class NightUndecided(PipelineError):
    """A night that was never decided whole cannot be released."""


class ClusterRefused(PipelineError):
    """One answer may not stand for this cluster; the message says why and what to do instead."""


class AuditBroken(PipelineError):
    """The audit chain is not what was signed, or cannot be signed; the message names the batch and what to do."""


class BreakRefused(PipelineError):
    """A break of the audit chain may not be accepted like this; the message says why and what to do instead."""


class PromotionRefused(PipelineError):
    """A model may not be signed or refused like this; the message says why."""


class RolloutRefused(PipelineError):
    """A rollout may not begin, end or be turned back like this; the message says why."""


class RecallRefused(PipelineError):
    """Decisions may not be recalled like this; the message says why."""


class RollbackRefused(PipelineError):
    """Who decides may not be changed like this; the message says why."""


class TrainingRefused(PipelineError):
    """Nothing is trained on this data, because the model would know what it must not; the message says what."""


class ReplayRefused(PipelineError):
    """These nights cannot be decided again like this; the message says which could be."""


class RolesMissing(PipelineError):
    """The database's roles are missing and may not be created by this user; the message gives the statements."""


class EventRefused(PipelineError):
    """Another system posted something that cannot be kept; the message says what to mend and repeats no value."""


class StaleClaim(PipelineError):
    """A task moved on since it was looked at: the lease ended, somebody else took it, or it is closed."""


class TaskTaken(PipelineError):
    """A task cannot be had by this person now; the message says why."""


class AnswerRefused(PipelineError):
    """An answer is not one the workflow knows, or cannot be carried out; the task stays with its reviewer."""


class SecondPersonNeeded(PipelineError):
    """Whoever proposed may not approve, or what was shown is not what was proposed."""


class ActionInvalid(PipelineError):
    """An action cannot be planned from a case's fields; the message names the kind, never a value."""


class KeyTaken(PipelineError):
    """An action's key is in the outbox with another content."""


class ActionRefused(PipelineError):
    """An action may not be let go like this; the message says what is missing."""


class PersonRefused(PipelineError):
    """An account cannot be made or changed like this; the message says what is wrong."""


class SignInRefused(PipelineError):
    """Name or password is wrong, the account is closed, or there were too many tries; it never says which."""


class KeysUnusable(PipelineError):
    """The keys that seal personal values are missing or not the right ones; the message names the file."""


class SealBroken(PipelineError):
    """A sealed value was changed, or stands where it does not belong; the message repeats nothing of it."""


class ForgettingRefused(PipelineError):
    """A subject cannot be forgotten; the message says what stands against it."""


class HoldRefused(PipelineError):
    """A legal hold cannot be placed or lifted like this; the message says why."""


class BackupRefused(PipelineError):
    """A backup may not be written like this: something lies there; the message says what."""


class BackupUnusable(PipelineError):
    """A backup is unfinished, damaged, or of a version that this one cannot read; the message says which."""


class RestoreRefused(PipelineError):
    """A backup may not be put there: something lies there, or a restore of another one was left half-way."""


def waits_for_a_person(name: str) -> bool:
    """Whether the error of this class, by its name, is one that waiting does not mend; its message says what to do."""
    error_class = _raised_on_purpose(name)
    return error_class is not None and not error_class.passing


def says_what_to_do(name: str) -> bool:
    """Whether the error of this class, by its name, is the project's own, whose message a person can act on."""
    return _raised_on_purpose(name) is not None


def _raised_on_purpose(name: str) -> type[PipelineError] | None:
    error_class = globals().get(name)
    return error_class if isinstance(error_class, type) and issubclass(error_class, PipelineError) else None
