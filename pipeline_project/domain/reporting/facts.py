"""What a night report is made from: plain values of the spec, and the tables and counts of one night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from pipeline_project.domain.clusters.newcomers import Novelty
from pipeline_project.domain.core.costs import PolicyTerms
from pipeline_project.domain.core.schema import CaseSchema
from pipeline_project.domain.measures.machine_time import MachinePrices, StepTime
from pipeline_project.domain.measures.maturity import Matured


@dataclass(frozen=True)
class ReportTerms:
    """What a spec says about a workflow, as far as a report needs it.

    Attributes:
        decide_from: the first night that is decided.
        options: title by option name, in the spec's order; the order of every `expected_costs`.
        acts: options that lead to an action outside.
        labels: the order of every `probabilities`.
        policy: which options deny, and what asking a person costs.
        prices: what the machine's time costs.
    """

    workflow: str
    title: str
    owners: tuple[str, ...]
    currency: str
    decide_from: str
    schema: CaseSchema
    labels: tuple[str, ...]
    options: Mapping[str, str]
    acts: frozenset[str]
    policy: PolicyTerms
    prices: MachinePrices = field(default_factory=MachinePrices)

    @property
    def denying(self) -> frozenset[str]:
        """Options that only a person may choose."""
        return frozenset(name for name, denies in zip(self.options, self.policy.denies, strict=True) if denies)


@dataclass(frozen=True)
class Versions:
    """What the night was made with; what is unknown stays empty.

    Attributes:
        model_night: the night as of which the model was trained.
        lake: version read or written, by "workflow/asset".
        encoders: version by what is encoded ("text", "photos").
    """

    package: str
    spec_hash: str
    model_version: str | None = None
    model_night: str | None = None
    lake: Mapping[str, int] = field(default_factory=dict)
    encoders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """Something that someone should know: drift, a failed run, a late file."""

    severity: Literal["error", "warning", "note"]
    text: str


@dataclass(frozen=True)
class EncodedAndReused:
    """How many distinct contents a night encoded, and how many vectors were there already."""

    encoded: int
    reused: int


@dataclass(frozen=True)
class NightFacts:
    """One night as the tables have it; a step that did not run leaves its table None.

    Attributes:
        arrivals: rows that came in.
        duplicates: exact repeats among them, neither admitted nor refused.
        embeddings: needs only the columns case_id, image_problem, text_key, photo_keys.
        places: answers the reviewers can give this night; None takes it from the spec's capacity.
        shadow_price: what one more place would save, in the workflow's currency.
        bounds: what else bounded the policy, in sentences: a promise, a budget, a surge.
        matured: earlier decisions whose outcome has become known.
        timings: what each step took, by asset, in the order to be shown.
        encoding: distinct contents encoded and reused, of each modality by what several are called; None where that
            was not kept.
        newcomers: new clusters that were reported this night.
        blocked: why the night's checks stopped it, in words; None if they did not.
    """

    night: str
    arrivals: int
    cases: pa.Table
    quarantine: pa.Table
    versions: Versions
    duplicates: int = 0
    embeddings: pa.Table | None = None
    clusters: pa.Table | None = None
    scores: pa.Table | None = None
    decisions: pa.Table | None = None
    places: int | None = None
    shadow_price: float | None = None
    bounds: tuple[str, ...] = ()
    matured: Matured | None = None
    timings: Mapping[str, StepTime] = field(default_factory=dict)
    encoding: Mapping[str, EncodedAndReused] | None = None
    alerts: tuple[Alert, ...] = ()
    blocked: str | None = None
    newcomers: tuple[Novelty, ...] = ()
