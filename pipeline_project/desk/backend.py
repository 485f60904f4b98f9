"""What the desk asks of the outside, as Protocols; `container/desk.py` opens the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.nights import Cadence
from pipeline_project.domain.core.people import NewAccount, Person, PersonRole, Session
from pipeline_project.domain.delivery.outbox_rows import (
    DestinationState,
    KillSwitch,
    NightSpending,
    OutboxRow,
    RedeliveryRequest,
    RedeliveryWish,
    StateCount,
)
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.lifecycle.signing import ChampionEntry, StandingProposal
from pipeline_project.domain.reporting.story import CaseStory
from pipeline_project.domain.review.agreement import Agreement
from pipeline_project.domain.review.answers import Answer, Answered
from pipeline_project.domain.review.cluster_reviews import ClusterAnswer, ClusterReview, OpenCluster
from pipeline_project.domain.review.new_tasks import DeskRules, ReviewTerms
from pipeline_project.domain.review.tasks import Mine, Proposal, Queue, QueueFilter, Task, TaskClaim
from pipeline_project.ports.keyring import Keyring
from pipeline_project.ports.sources import PhotoSource


class People(Protocol):
    """Accounts and roles."""

    def verify(self, name: str, password: str, place: str = "") -> Person: ...

    def from_provider(self, issuer: str, subject: str, email: str | None, verified: bool) -> Person: ...

    def everyone(self) -> Sequence[Any]: ...

    def reviewers(self) -> list[Person]: ...

    def add(self, account: NewAccount, by: str) -> Person: ...

    def grant(self, name: str, role: PersonRole, by: str) -> None: ...

    def revoke(self, name: str, role: PersonRole, by: str) -> None: ...

    def close(self, name: str, by: str) -> None: ...

    def set_password(self, name: str, password: str, by: str) -> None: ...


class Sessions(Protocol):
    """Signed-in browsers."""

    def begin(self, person: str) -> Session: ...

    def find(self, token: str) -> Session | None: ...

    def end(self, token: str) -> None: ...

    def end_all(self, person: str) -> int: ...


class Tasks(Protocol):
    """The queue and the tasks in hand."""

    def next_task(self, person: Person, workflow: str | None = None) -> Task | None: ...

    def claim(self, task_id: int, person: Person) -> Task: ...

    def renew(self, claim: TaskClaim) -> datetime: ...

    def give_back(self, claim: TaskClaim) -> None: ...

    def task(self, task_id: int) -> Task | None: ...

    def queue(
        self, filters: QueueFilter | None = None, limit: int = 50, after: tuple[float, int] | None = None
    ) -> Queue: ...

    def mine(self, person: str) -> Mine: ...

    def reveal(self, task_id: int, person: str, name: str, token: UUID | None) -> str | None: ...


class Answers(Protocol):
    """What people say of cases, and second people of that."""

    def answer(self, claim: TaskClaim, answer: Answer, rules: DeskRules) -> Answered: ...

    def approve(
        self, proposal: int, proposal_hash: str, person: str, rules: DeskRules, note: str | None = None
    ) -> Answered: ...

    def send_back(self, proposal: int, proposal_hash: str, person: str, note: str | None = None) -> None: ...

    def waiting(self, workflow: str | None = None) -> list[Proposal]: ...

    def proposal(self, proposal: int) -> Proposal | None: ...


class Clusters(Protocol):
    """Clusters decided once."""

    def open_clusters(self, workflow: str, terms: ReviewTerms) -> list[OpenCluster]: ...

    def open_cluster(self, workflow: str, cluster: str, terms: ReviewTerms) -> OpenCluster: ...

    def decide_cluster(
        self, workflow: str, cluster: str, person: str, answer: ClusterAnswer, rules: DeskRules
    ) -> ClusterReview: ...

    def review(self, review: int) -> ClusterReview | None: ...

    def reviews(self, workflow: str, night: str | None = None) -> list[ClusterReview]: ...


class Repeats(Protocol):
    """Cases answered twice."""

    def agreement(self, workflow: str) -> list[Agreement]: ...


class Outbox(Protocol):
    """Actions and their steering."""

    def listed(
        self, workflow: str | None = None, state: str | None = None, night: str | None = None, after: int = 0,
        limit: int = 50,
    ) -> list[OutboxRow]: ...  # fmt: skip

    def counts(self, workflow: str | None = None, night: str | None = None) -> dict[str, StateCount]: ...

    def night(self, workflow: str, night: str) -> NightSpending: ...

    def destinations(self) -> list[DestinationState]: ...

    def switch(self, workflow: str) -> KillSwitch: ...

    def stop(self, workflow: str, reason: str, person: str) -> None: ...

    def resume(self, workflow: str, reason: str, person: str) -> None: ...

    def ask(self, key: UUID, person: str, reason: str, dry_run: bool = False) -> RedeliveryRequest: ...

    def asked(self, workflow: str | None = None) -> list[RedeliveryWish]: ...

    def approve(self, redelivery: int, person: str) -> RedeliveryRequest: ...


class Stories(Protocol):
    """Everything the ledger knows of one case."""

    def story(self, workflow: str, case_id: str) -> CaseStory | None: ...


class DecidedNights(Protocol):
    """Decisions of nights, as they stand."""

    def counts(self, workflow: str, first: str | None = None, last: str | None = None) -> Any: ...

    def decided_nights(self, workflow: str) -> list[str]: ...


class Trail(Protocol):
    """The audit chain, searched."""

    def search(self, sought: Any, limit: int = 50, before: tuple[int, int] | None = None) -> Any: ...


class Models(Protocol):
    """Model versions that want to decide, and those that do."""

    def awaiting(self) -> Sequence[StandingProposal]: ...

    def champions(self, workflow: str) -> Sequence[ChampionEntry]: ...

    def proposals(self, workflow: str | None = None, limit: int = 50) -> Sequence[StandingProposal]: ...

    def proposal(self, number: int) -> StandingProposal | None: ...

    def sign(self, number: int, shown_hash: str, person: str, terms: RolloutTerms, note: str | None = None) -> str: ...

    def refuse(self, number: int, shown_hash: str, person: str, note: str) -> None: ...


@dataclass(frozen=True)
class Desk:
    """One workflow, as far as people meet it.

    Attributes:
        time_zone, every: where it keeps its clock, and how often it has a night.
    """

    review: ReviewTerms
    actions: ActionTerms
    rollout: RolloutTerms
    time_zone: str = "UTC"
    every: Cadence = Cadence.DAY

    def rules(self, reviewers: Iterable[Person]) -> DeskRules:
        """By what these people decide it."""
        return DeskRules(self.review, self.actions, [person.name for person in reviewers])


@dataclass(frozen=True)
class DeskPorts:
    """Everything the desk stands on.

    Attributes:
        desks: by workflow.
        photos: of a workflow, or None where its cases have none.
        sought: makes a search of the audit chain from its terms.
        alive: raises when the database does not answer.
    """

    people: People
    sessions: Sessions
    tasks: Tasks
    answers: Answers
    clusters: Clusters
    repeats: Repeats
    outbox: Outbox
    stories: Stories
    nights: DecidedNights
    trail: Trail
    keyring: Keyring
    models: Models
    desks: Mapping[str, Desk]
    photos: Callable[[str], PhotoSource | None]
    sought: Callable[..., Any]
    alive: Callable[[], None]
    reports_url: str = ""


@dataclass(frozen=True)
class Provider:
    """An OpenID provider, when people sign in there."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Frame:
    """How the desk is reached.

    Attributes:
        url: where people reach it, without a slash at the end.
        secret: signs the short-lived cookie of a sign-in.
        tenant: whose desk it is; "" for the house's.
        requests_a_minute: of one session; sign-ins of one address.
    """

    url: str
    secret: str = field(repr=False)
    provider: Provider | None = None
    tenant: str = ""
    requests_a_minute: int = 600
    sign_ins_a_minute: int = 20

    @property
    def secure(self) -> bool:
        """Whether it is reached over TLS, which cookies then insist on."""
        return self.url.startswith("https://")

    @property
    def cookie(self) -> str:
        return self.own_cookie("__Host-desk" if self.secure else "desk")

    def own_cookie(self, name: str) -> str:
        """What a cookie is called at this desk.

        A browser sends a cookie to every port of its host, so desks of two tenants would end each other's sessions.
        """
        return f"{name}-{self.tenant}" if self.tenant else name
