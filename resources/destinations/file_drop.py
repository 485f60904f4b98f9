"""A folder that takes one JSON file per action, named after its key."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.actions import FileDestination
from resources.destinations import declared_as
from resources.destinations.deadline import left_after
from resources.sources.places import environment, place

#: Seconds that one file may take, with finding out whether it is there.
_LONGEST = 20.0


@declared_as(FileDestination)
@dataclass(frozen=True)
class FileDrop:
    """A folder; a file appears whole or not at all, and never changes."""

    folder: Path
    attempts: int

    @classmethod
    def of(cls, part: FileDestination, spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str]) -> Self:
        return cls(place(part.folder, spec, environment(settings, environ)), part.attempts)

    @property
    def longest_seconds(self) -> float:
        return _LONGEST

    def send(self, action: ClaimedAction) -> DeliveryResult:
        """Writes the file, or finds it written."""
        try:
            return left_after(_LONGEST / 2, lambda: self._written(action))
        except TimeoutError:
            return DeliveryResult(DeliveryStatus.UNKNOWN, "no_answer", "the folder did not answer in time", maybe=True)

    def _written(self, action: ClaimedAction) -> DeliveryResult:
        file, draft = self._file(action), self.folder / f".{action.key}.{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("xb") as out:
                    out.write(action.body)
                    out.flush()
                    os.fsync(out.fileno())
                # a link is refused where a file is: nothing is ever written over
                os.link(draft, file)
            except FileExistsError:
                return self._same(action)
            finally:
                # half of a file takes room on a disk that has none
                draft.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            return DeliveryResult(DeliveryStatus.AGAIN, "folder_unwritable", _unwritable(self.folder, error))
        return DeliveryResult(DeliveryStatus.DONE, receipt={"file": file.name})

    def look_up(self, action: ClaimedAction) -> DeliveryResult | None:
        try:
            return left_after(_LONGEST / 2, lambda: self._looked_up(action))
        except (TimeoutError, OSError) as error:
            return DeliveryResult(
                DeliveryStatus.UNKNOWN, "no_answer", f"{type(error).__name__}: the fate could not be asked"
            )

    def _looked_up(self, action: ClaimedAction) -> DeliveryResult:
        return (
            self._same(action)
            if self._file(action).exists()
            else DeliveryResult(DeliveryStatus.AGAIN, "never_seen", "no such file")
        )

    def remembers(self, seconds: float) -> bool:
        return True

    def _file(self, action: ClaimedAction) -> Path:
        return self.folder / f"{action.key}.json"

    def _same(self, action: ClaimedAction) -> DeliveryResult:
        file, body = self._file(action), action.body
        # its size first: what somebody else put there may be of any
        if file.is_file() and file.stat().st_size == len(body) and file.read_bytes() == body:
            return DeliveryResult(DeliveryStatus.DONE, receipt={"file": file.name})
        return DeliveryResult(
            DeliveryStatus.REFUSED, "other_content", "a file with this key and another content is there"
        )

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _unwritable(folder: Path, error: OSError) -> str:
    """What to do about a folder that takes no file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.strerror}: the folder {folder.name} cannot be written; free some room on its disk"
    return f"{error.strerror}: the folder {folder.name} cannot be written"
