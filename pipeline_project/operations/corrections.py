"""Corrected rows of a night that was decided: its repairs, or a file that somebody gives."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline_project.domain.core.errors import RecallRefused, SourceUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.intake.admission import admit, read_rows
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.domain.privacy.fields import PersonalFields
from pipeline_project.services.lookups import looked_in
from pipeline_project.settings import Settings
from pipeline_project.spec.workflow import WorkflowSpec
from resources.contracts.arrivals import cases_contract
from resources.lake.sealed import SealedLake
from resources.sources import unhashed_columns
from resources.sources.repairs import Repairs, read_correction


def corrected_rows(
    spec: WorkflowSpec, settings: Settings, lake: SealedLake, night: str, file: Path | None
) -> pa.Table | None:
    """The corrected rows as cases that meet the contract, subjects under their pseudonyms; None where there are none.

    Args:
        file: rows as the source's own files have them; None takes the repairs of the night.

    Raises:
        RecallRefused: the file cannot be read, or rows of it do not meet the contract.
    """
    unhashed = unhashed_columns(spec)
    try:
        arrived = (
            ArrivedRows.joined(Repairs(settings, spec, unhashed).read(night))
            if file is None
            else read_correction(spec, file, night, unhashed)
        )
    except SourceUnreadable as error:
        raise RecallRefused(str(error)) from error
    rows = arrived.rows
    if not rows.num_rows:
        return None
    window = window_of(night, spec.nights.time_zone)
    typed = read_rows(rows, spec.case_schema, looked_in(spec, lake, window))
    admission = admit(typed, cases_contract(spec).validate(typed), None, window)
    if file is not None and admission.quarantine.num_rows:
        commonest = next(iter(admission.reasons))
        raise RecallRefused(
            f"{admission.quarantine.num_rows} of {len(rows)} rows of {file.name} do not meet the contract "
            f"({commonest}); correct them, nothing was changed"
        )
    personal = PersonalFields.of(spec.case_schema)
    return admission.cases if personal is None else lake.pseudonymous(admission.cases, personal)
