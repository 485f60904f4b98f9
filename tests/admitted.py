"""What every test of an admission holds it to."""

from __future__ import annotations

from pipeline_project.domain.intake.admission import Admission


def balanced(admission: Admission) -> bool:
    """Whether every arrival is accounted for."""
    return admission.arrivals == admission.cases.num_rows + admission.quarantine.num_rows + admission.duplicates
