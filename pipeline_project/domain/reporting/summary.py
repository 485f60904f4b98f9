"""One night in numbers and sentences: everything a page, an index or a line of metadata may say about it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.nights import shown_locally
from pipeline_project.domain.core.reasons import ASK_PERSON, Reason
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.measures.machine_time import MachineTime, StepTime, machine_time
from pipeline_project.domain.privacy.masking import MASK, id_is_personal, secrets_of_cases
from pipeline_project.domain.reporting import money
from pipeline_project.domain.reporting import sentences as words
from pipeline_project.domain.reporting.calibration import CalibrationReport, calibration
from pipeline_project.domain.reporting.facts import NightFacts, ReportTerms, Versions
from pipeline_project.domain.reporting.groups import Groups, groups
from pipeline_project.domain.reporting.machine import machine_sentences
from pipeline_project.domain.reporting.newcomers import NewcomerLine, newcomer_lines
from pipeline_project.domain.reporting.people import (
    PeopleLine,
    Refusal,
    WaitingCase,
    people_lines,
    refusals,
    waiting_cases,
)
from pipeline_project.domain.reporting.states import Banner, ReportState, banners, state_of
from pipeline_project.domain.vectors.modalities import MODALITIES, file_modalities

CONFIDENCE_BINS = 20
MOST_CLUSTERS = 6


@dataclass(frozen=True)
class Confidence:
    """How sure the model was: cases per twentieth from 0 to 1, by who decided."""

    by_policy: tuple[int, ...]
    to_people: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    """What was turned into vectors.

    Attributes:
        contents: how many of each modality, by what one of them is called.
        distinct: how many different ones of all together.
        failed: cases with a file that could not be read, by what such a file is called.
    """

    contents: Mapping[str, int]
    distinct: int
    failed: Mapping[str, int]


@dataclass(frozen=True)
class NightReport:
    """A night, summed up; money in `currency`, None where nothing is known.

    Attributes:
        begins: when an hour or a week begins, as people there read the clock; empty for a day.
        places: answers the reviewers can give this night.
        crowded_out: cases the policy would have shown to a person if there had been a place.
        amount: value of all cases decided or asked.
        options: in the spec's order, those not chosen included.
        comparison: this night in expected cost; `realised`: earlier nights in cost that came true.
        machine: what its steps took, which `machine_sentences` say.
        immature: how much of `realised` and `calibration` lies in nights that are too young, in a sentence; or empty.
        commands: what to type next, with what it shows.
    """

    workflow: str
    title: str
    owners: tuple[str, ...]
    currency: str
    night: str
    begins: str
    state: ReportState
    banners: tuple[Banner, ...]
    arrivals: int
    admitted: int
    refused: int
    repeats: int
    by_policy: int
    to_people: int
    places: int
    crowded_out: int
    shadow_price: float | None
    bounds: tuple[str, ...]
    amount: float | None
    options: tuple[money.OptionLine, ...]
    people: tuple[PeopleLine, ...]
    waiting: tuple[WaitingCase, ...]
    refusals: tuple[Refusal, ...]
    more_refusals: int
    groups: Groups | None
    newcomers: tuple[NewcomerLine, ...]
    comparison: money.Comparison | None
    realised: money.Comparison | None
    calibration: CalibrationReport | None
    immature: str
    confidence: Confidence | None
    encoded: Encoded | None
    timings: tuple[tuple[str, StepTime], ...]
    machine: MachineTime
    machine_sentences: tuple[str, ...]
    versions: Versions
    commands: tuple[tuple[str, str], ...]

    @property
    def decided(self) -> bool:
        """Decisions exist, whoever made them."""
        return self.by_policy + self.to_people > 0

    @property
    def share_to_people(self) -> float | None:
        total = self.by_policy + self.to_people
        return self.to_people / total if total else None

    @property
    def amount_to_people(self) -> float | None:
        """Value of the cases that people see."""
        return money.known_sum([line.amount for line in self.people])

    @property
    def headline(self) -> str:
        """The night in two sentences."""
        text = words.arrivals_sentence(self.arrivals, self.admitted, self.refused, self.repeats)
        return f"{text} {words.decisions_sentence(self.by_policy, self.to_people)}" if self.decided else text

    @property
    def reviewers_sentence(self) -> str:
        """How much of the reviewers' time is used, and what more of it would be worth."""
        if self.places == 0:
            asked = words.count(self.to_people, "case")
            what = f"{asked} must be seen anyway" if self.to_people else "nobody was asked"
            return f"No places with reviewers are planned; {what}."
        text = f"{words.count(self.to_people, 'case')} to people, {words.count(self.places, 'place')} planned."
        if self.crowded_out:
            verb = "was" if self.crowded_out == 1 else "were"
            text += f" {words.count(self.crowded_out, 'more case')} {verb} wanted but found no place."
        if self.shadow_price:
            return f"{text} One more place would save {words.money(self.shadow_price, self.currency)} tonight."
        if self.comparison is None or self.shadow_price is None:
            return text
        return f"{text} One more place would save nothing tonight."


def summarize(terms: ReportTerms, facts: NightFacts) -> NightReport:
    """Sums up a night for people.

    Personal values are masked here, so nothing that reads the report needs to know which fields are personal.
    """
    state = state_of(facts, terms)
    decisions = _decisions(facts)
    asked = decisions["option"] == ASK_PERSON
    show_ids = not id_is_personal(terms.schema)
    secrets = secrets_of_cases(terms.schema, facts.cases)
    refused, more = refusals(facts.quarantine, terms)
    waiting = waiting_cases(decisions, terms, secrets, show_ids)
    missing = facts.arrivals - facts.cases.num_rows - facts.quarantine.num_rows - facts.duplicates
    changed = int((decisions["would_be"].notna() & (decisions["would_be"] != decisions["option"])).sum())
    matured, comparison = facts.matured, money.compare_expected(decisions, terms)
    machine = machine_time(facts.timings.values(), terms.prices)
    return NightReport(
        workflow=terms.workflow,
        title=terms.title,
        owners=terms.owners,
        currency=terms.currency,
        night=facts.night,
        begins=shown_locally(facts.night, terms.schema.time_zone),
        state=state,
        banners=banners(state, facts, terms, missing, changed, comparison),
        arrivals=facts.arrivals,
        admitted=facts.cases.num_rows,
        refused=facts.quarantine.num_rows,
        repeats=facts.duplicates,
        by_policy=int((~asked).sum()),
        to_people=int(asked.sum()),
        places=terms.policy.places(facts.cases.num_rows) if facts.places is None else facts.places,
        crowded_out=int((decisions["reason"] == Reason.NO_PLACE_LEFT).sum()),
        shadow_price=facts.shadow_price,
        bounds=facts.bounds,
        amount=money.known_sum(decisions["amount"]),
        options=money.by_option(decisions, terms),
        people=people_lines(decisions),
        waiting=waiting,
        refusals=refused,
        more_refusals=more,
        groups=_groups(terms, facts, decisions, show_ids),
        newcomers=newcomer_lines(facts.newcomers),
        comparison=comparison,
        realised=None if matured is None else money.compare_realised(matured, terms),
        calibration=None if matured is None else calibration(matured.decisions, terms.labels),
        immature=matured.immature.sentence if matured else "",
        confidence=_confidence(facts.scores, decisions),
        encoded=_encoded(facts.embeddings),
        timings=tuple(facts.timings.items()),
        machine=machine,
        machine_sentences=machine_sentences(
            machine, len(facts.timings), facts.encoding, len(decisions), terms.prices, terms.currency
        ),
        versions=facts.versions,
        commands=_commands(terms, facts, waiting, decisions, show_ids),
    )


_COLUMNS = (
    *("case_id", "option", "reason", "would_be", "amount", "cheapest", "cheapest_cost", "person_cost", "benefit"),
    *("expected_costs", "reasons"),
)


def _decisions(facts: NightFacts) -> pd.DataFrame:
    """The decisions as objects (lists stay lists, null stays None), without rows when there are none."""
    if facts.decisions is None:
        return pd.DataFrame({name: pd.Series([], dtype=object) for name in _COLUMNS})
    columns = {name: pd.Series(facts.decisions[name].to_pylist(), dtype=object) for name in _COLUMNS}
    return pd.DataFrame(columns)


def _groups(terms: ReportTerms, facts: NightFacts, decisions: pd.DataFrame, show_ids: bool) -> Groups | None:
    if facts.clusters is None or facts.clusters.num_rows == 0:
        return None
    options = dict(zip(decisions[CASE_ID], decisions["option"], strict=True))
    night_groups = groups(facts.clusters, facts.cases, terms.schema, options, facts.night, MOST_CLUSTERS)
    return night_groups if show_ids else night_groups.with_masked_ids(MASK)


def _confidence(scores: pa.Table | None, decisions: pd.DataFrame) -> Confidence | None:
    """None when nothing was scored; a case not decided counts as decided by nobody and is left out."""
    if scores is None:
        return None
    option = dict(zip(decisions[CASE_ID], decisions["option"], strict=True))
    pairs = zip(scores["case_id"].to_pylist(), scores["confidence"].to_pylist(), strict=True)
    decided = [(option[case] == ASK_PERSON, sure) for case, sure in pairs if sure is not None and case in option]
    if not decided:
        return None
    edges = np.linspace(0, 1, CONFIDENCE_BINS + 1)
    people, _ = np.histogram([sure for asked, sure in decided if asked], edges)
    policy, _ = np.histogram([sure for asked, sure in decided if not asked], edges)
    return Confidence(tuple(int(n) for n in policy), tuple(int(n) for n in people))


def _encoded(embeddings: pa.Table | None) -> Encoded | None:
    if embeddings is None or embeddings.num_rows == 0:
        return None
    keys = {m.singular: [key for case in m.keys_of(embeddings) for key in case] for m in MODALITIES.values()}
    return Encoded(
        contents={singular: len(held) for singular, held in keys.items()},
        distinct=sum(len(set(held)) for held in keys.values()),
        failed={m.singular: len(embeddings) - embeddings[m.problem_column].null_count for m in file_modalities()},
    )


def _commands(
    terms: ReportTerms, facts: NightFacts, waiting: tuple[WaitingCase, ...], decisions: pd.DataFrame, show_ids: bool
) -> tuple[tuple[str, str], ...]:
    """The commands that go on from here, the ones that apply tonight."""
    commands = []
    if len(decisions):
        case = "CASE"
        if show_ids:
            case = waiting[0].case_id if waiting else str(decisions[CASE_ID].iloc[0])
        commands.append((f"pipeline why {terms.workflow} {shlex.quote(case)}", "the whole dossier of one decision"))
    if facts.quarantine.num_rows:
        command = f"pipeline quarantine {terms.workflow} --night {facts.night}"
        commands.append((command, "every refused row with its reasons, and how to repair it"))
    commands.append((f"pipeline status {terms.workflow}", "the nights done, missing and blocked"))
    return tuple(commands)
