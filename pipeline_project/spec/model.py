"""The workflow spec: one kind of case and everything declared about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    Field,
    PrivateAttr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline_project.domain.clusters.clustering import ClusterTerms
from pipeline_project.domain.clusters.newcomers import AlarmTerms
from pipeline_project.domain.core import schema as domain
from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.number_forms import NumberForm, ThousandsMark
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.features.building import FeaturePlan
from pipeline_project.domain.intake.duplicates import OutcomeCell
from pipeline_project.domain.lifecycle.retraining_due import RetrainRule
from pipeline_project.domain.models.training import TrainingPlan
from pipeline_project.domain.models.training_guards import GuardTerms
from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.review.new_tasks import ReviewTerms
from pipeline_project.spec import plans
from pipeline_project.spec.acting import ActionsSpec as ActionsSpec
from pipeline_project.spec.base import Part, Portion, Share, Slug, Words, refusal
from pipeline_project.spec.cron import cron_problem
from pipeline_project.spec.draft import Draft
from pipeline_project.spec.lifecycle import DriftSpec, GatesSpec, PolicySpec, RolloutSpec
from pipeline_project.spec.options import Alternatives as Alternatives
from pipeline_project.spec.options import Options, cost_matrix, named_options
from pipeline_project.spec.options import OptionSpec as OptionSpec
from pipeline_project.spec.privacy import RetentionSpec as RetentionSpec
from pipeline_project.spec.reviewing import ReviewSpec as ReviewSpec
from pipeline_project.spec.rules import findings
from pipeline_project.spec.scoring import HistorySpec as HistorySpec
from pipeline_project.spec.scoring import ModelSpec as ModelSpec
from pipeline_project.spec.scoring import RetrainSpec as RetrainSpec
from pipeline_project.spec.source import ColumnOutcome, DatePartsSpec, OutcomeFeed, Source, TimeFormat
from pipeline_project.spec.terms import action_terms, cluster_terms, report_terms, review_terms

Owner = Annotated[
    str,
    StringConstraints(pattern=r"^(team:[A-Za-z0-9_][A-Za-z0-9_.-]*|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"),
]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class FieldSpec(Part):
    """One field of a case."""

    type: domain.FieldType = Field(description="number, category, text, image, time or identifier.")
    role: domain.Role | None = Field(
        None,
        description="id, time, amount, subject (the customer), feature or ignore. Without it numbers, categories, "
        "texts and images are features, times and identifiers are ignored.",
    )
    column: str | None = Field(None, min_length=1, description="The column in the source, when it has another name.")
    parts: DatePartsSpec | None = Field(None, description="Of a time that stands in several columns: which they are.")
    required: bool = Field(True, description="A row without a value goes to quarantine.")
    minimum: float | date | None = Field(None, description="Smallest number or earliest day allowed.")
    maximum: float | date | None = Field(None, description="Largest number or latest day allowed.")
    allowed: tuple[str, ...] = Field((), description="The only values a category may take.")
    max_length: int | None = Field(None, ge=1, description="Longest text allowed, in characters.")
    many: bool = Field(False, description="An image field that holds several paths.")
    separator: str = Field(";", min_length=1, description="Between several paths.")
    known_later: bool = Field(
        False, description="The value is known only after the decision; such a field is refused as a feature."
    )
    pii: bool = Field(False, description="Names or describes a person; masked wherever it is shown.")

    @property
    def holds(self) -> domain.FieldType:
        """What its values are once they are read (`FieldType.holds`)."""
        return self.type.holds

    @property
    def effective_role(self) -> domain.Role:
        if self.role is not None:
            return self.role
        ignored = {domain.FieldType.TIME, domain.FieldType.IDENTIFIER}
        return domain.Role.IGNORE if self.holds in ignored or self.known_later else domain.Role.FEATURE


class NightsSpec(Part):
    """Which nights there are, and when they run."""

    time_zone: str = Field(description="IANA name; a night is a day in this zone.")
    first: date = Field(description="The first night there is.")
    decide_from: date = Field(description="The first night that is decided; earlier ones only warm up the models.")
    last: date | None = Field(None, description="The last night there is, for data that has ended; open without it.")
    schedule: str = Field("30 2 * * *", description="Cron, in the time zone: when the night before is run.")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no IANA time zone; write for instance Europe/Berlin or UTC") from error
        return value

    @field_validator("decide_from")
    @classmethod
    def _in_order(cls, value: date, info: ValidationInfo) -> date:
        first = info.data.get("first")
        if first is not None and value < first:
            raise ValueError(f"must not come before `first` ({first}); the nights between the two warm up the models")
        return value

    @field_validator("last")
    @classmethod
    def _ends_after(cls, value: date | None, info: ValidationInfo) -> date | None:
        decided = info.data.get("decide_from")
        if value is not None and decided is not None and value < decided:
            raise ValueError(f"must not come before `decide_from` ({decided}); nothing would be decided")
        return value

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        problem = cron_problem(value)
        if problem:
            raise ValueError(problem)
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class ContractSpec(Part):
    """What a night's rows must meet, beyond what each field says."""

    quarantine_limit: Share = Field(
        0.2,
        description="A larger share of refused rows is taken for a failure of the whole night and blocks it.",
    )
    unique: tuple[tuple[str, ...], ...] = Field((), description="Groups of fields that may not repeat in a night.")
    compare: tuple[str, ...] = Field(
        (),
        description="Expressions over numbers and times that must be true of every row, for instance "
        "`price >= discount` or `delivered_at - ordered_at <= 30`: the difference of two times is in days.",
    )


class TwinsSpec(Part):
    """Cases that say the same under different ids; without a word here the later one goes to quarantine."""

    real: Words | None = Field(
        None, description="Why cases that say the same under other ids are cases of their own; then they are decided."
    )
    shared_with: dict[Slug, Words] = Field(
        default_factory=dict,
        description="Workflows that read the same source, each with why both may decide the same rows.",
    )


class TextSpec(Part):
    """How texts become vectors."""

    encoder: str = Field(
        "all-minilm-l6-v2",
        description="`all-minilm-l6-v2` (comes with the package), a folder, or `hf:owner/name@commit` with the "
        "commit's 40 digits.",
    )
    tokens_per_batch: int = Field(2048, ge=64, description="Token budget of a batch, padding included.")
    max_tokens: int = Field(256, ge=8, le=512, description="Longer texts are cut here.")


class ImageSpec(Part):
    """How photos become vectors.

    A case names photos by paths that start in the source's `folder`, or beside the first file of a table; a path that
    leads out of there is refused.
    """

    encoder: str = Field(
        "photo-statistics-v1",
        description="`photo-statistics-v1` (colour, texture and layout; needs no weights), a folder, or "
        "`hf:owner/name@commit` with the commit's 40 digits.",
    )
    batch: int = Field(32, ge=1, description="Photos in a batch.")
    max_pixels: int = Field(50_000_000, ge=1, description="A larger photo is refused unopened.")


class ClustersSpec(Part):
    """Which cases are alike, over a window of nights."""

    window_nights: int = Field(ClusterTerms.window_nights, ge=1, description="Nights looked back, this one included.")
    minimum_size: int = Field(ClusterTerms.minimum_size, ge=2, description="Fewest members of a cluster.")
    dimensions: int = Field(
        ClusterTerms.dimensions, ge=2, description="Vectors are reduced to this many before clustering."
    )
    fit_limit: int = Field(ClusterTerms.fit_limit, ge=100, description="Above it the clusters are fitted on a sample.")
    alarm_members: int = Field(
        AlarmTerms.members,
        ge=2,
        description="A new cluster is reported from so many latest cases that are alike across accounts.",
    )
    alarm_accounts: int = Field(AlarmTerms.accounts, ge=2, description="They must be of so many accounts.")
    alarm_nights: int = Field(
        AlarmTerms.nights, ge=1, description="Latest means so many nights; a cluster is new for as many."
    )
    alarm_similarity: float = Field(
        AlarmTerms.similarity,
        gt=0,
        le=1,
        description="Cosine from which two cases are alike, words and photos together.",
    )
    alarm_chance: Portion = Field(
        AlarmTerms.chance,
        gt=0,
        lt=1,
        description="Ordinary new clusters, as the earlier ones were, grow so with at most this chance.",
    )


class WorkflowSpec(Part):
    """One kind of case and everything declared about it: one YAML file."""

    workflow: Slug = Field(description="The name: lower case, digits and underscores.")
    title: Words = Field(description="In words, for people.")
    description: str = Field("", description="What a case is and what is decided.")
    owners: tuple[Owner, ...] = Field(min_length=1, description="E-mail addresses, or team:name.")
    currency: Currency = Field("EUR", description="Three capital letters, ISO 4217.")
    nights: NightsSpec = Field(description="Which nights there are.")
    source: Source = Field(description="Where cases come from: kind files, table or sql.")
    missing: tuple[str, ...] = Field((), description="Strings that mean no value, beside the empty one.")
    decimal: Literal[".", ","] = Field(".", description="The decimal mark of numbers.")
    thousands: ThousandsMark | tuple[ThousandsMark, ...] = Field(
        (),
        description="What may stand between thousands, one mark or several: `.`, `,`, `'`, `_`, or a blank, which "
        "stands for no-break and narrow blanks too.",
    )
    number_forms: tuple[NumberForm, ...] = Field(
        (),
        description="What else may stand in a number: `currency` (the code or sign of `currency`, no other one), "
        "`minus_behind` (`12-`), `brackets` (`(12)` is -12).",
    )
    time_formats: tuple[TimeFormat, ...] = Field(
        (),
        description="strptime patterns, tried in order after ISO 8601; `%z` and `%Z` take offsets, GMT, UTC and the "
        "names of `time_zone`. Also `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` (counted since 1970), `excel` and "
        "`excel_1904` (days as Excel counts them).",
    )
    id_from: tuple[str, ...] = Field((), description="Columns hashed into the id when there is no id field.")
    renamed_from: tuple[Slug, ...] = Field(
        (),
        description="The workflow's earlier names, or one of them: what they decided counts as decided. The workflow's "
        "own name stands for earlier ids.",
    )
    new_cases_from: date | None = Field(
        None, description="After a change of ids or of the name: the first night whose cases are new ones."
    )
    fields: dict[Slug, FieldSpec] = Field(min_length=1, description="The fields of a case, by name.")
    twins: TwinsSpec = Field(
        default_factory=lambda: TwinsSpec(), description="What is meant by cases that say the same under other ids."
    )
    contract: ContractSpec = Field(default_factory=lambda: ContractSpec(), description="What rows must meet.")
    text: TextSpec | None = Field(
        None, description="How texts become vectors; with text features it need not be written."
    )
    image: ImageSpec | None = Field(
        None, description="How photos become vectors; with image features it need not be written."
    )
    clusters: ClustersSpec | None = Field(None, description="Only where there are vectors.")
    labels: tuple[Slug, ...] = Field(
        min_length=2, max_length=1000, description="What can turn out to be true of a case."
    )
    outcome: OutcomeFeed = Field(description="Where the truth comes from: kind column or files.")
    model: ModelSpec = Field(default_factory=lambda: ModelSpec(), description="How a case is scored.")
    options: Options = Field(
        description="What can be done: options by name, or one per label (`title`, `right`, `wrong`)."
    )
    review: ReviewSpec = Field(description="Asking a person.")
    policy: PolicySpec = Field(default_factory=lambda: PolicySpec(), description="What else bounds the policy.")
    gates: GatesSpec = Field(
        default_factory=lambda: GatesSpec(), description="What a challenger must show before it is signed."
    )
    rollout: RolloutSpec = Field(
        default_factory=lambda: RolloutSpec(), description="How a signed challenger comes to decide, and goes back."
    )
    drift: DriftSpec = Field(default_factory=lambda: DriftSpec(), description="When a night is no longer like before.")
    actions: ActionsSpec | None = Field(None, description="What is done outside about a decision.")
    retention: RetentionSpec = Field(
        default_factory=lambda: RetentionSpec(), description="How long personal data is kept."
    )

    _folder: Path | None = PrivateAttr(None)

    @field_validator("renamed_from", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _holds_together(self) -> WorkflowSpec:
        found = findings(Draft({name: getattr(self, name) for name in type(self).model_fields}))
        if found:
            raise refusal(found)
        # Frozen for everyone else; what a text or a photo needs by default becomes part of the spec and its hash.
        for section, kind, default in (
            ("text", domain.FieldType.TEXT, TextSpec),
            ("image", domain.FieldType.IMAGE, ImageSpec),
        ):
            if getattr(self, section) is None and any(
                f.holds == kind and f.role == domain.Role.FEATURE for f in self.case_schema.fields
            ):
                object.__setattr__(self, section, default())
        return self

    # -- what the other rooms read ----------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.workflow

    @property
    def folder(self) -> Path:
        """Where relative paths start: the folder of the YAML file."""
        return self._folder or Path.cwd()

    def placed_in(self, folder: Path) -> WorkflowSpec:
        """The same spec, with relative paths starting at `folder`."""
        self._folder = folder
        return self

    @property
    def spec_hash(self) -> str:
        """sha256 over the spec's content; it does not depend on the order of keys or on comments."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def case_schema(self) -> domain.CaseSchema:
        return domain.CaseSchema(
            fields=tuple(_field(name, field) for name, field in self.fields.items()),
            time_zone=self.nights.time_zone,
            missing=frozenset({"", *self.missing}),
            id_from=self.id_from,
            time_formats=self.time_formats,
            decimal=self.decimal,
            thousands=(self.thousands,) if isinstance(self.thousands, str) else self.thousands,
            number_forms=self.number_forms,
            currency=self.currency,
        )

    @property
    def outcome_cell(self) -> OutcomeCell | None:
        """Where the truth stands in the rows themselves; None where it comes in files."""
        told = self.outcome
        return (
            OutcomeCell(told.column, told.values, self.case_schema.missing) if isinstance(told, ColumnOutcome) else None
        )

    @property
    def encodes(self) -> bool:
        """Whether cases have vectors."""
        return self.text is not None or self.image is not None

    def warms_up(self, night: str) -> bool:
        """Whether a night (a partition key) comes before the first one that is decided."""
        return date.fromisoformat(night) < self.nights.decide_from

    def has_night(self, night: str) -> bool:
        """Whether a night (a partition key) is one of the workflow's."""
        day, last = date.fromisoformat(night), self.nights.last
        return day >= self.nights.first and (last is None or day <= last)

    @property
    def option_specs(self) -> dict[str, OptionSpec]:
        """The options by name, also when they are made from the labels."""
        return named_options(self.options, self.labels)

    @property
    def cost_matrix(self) -> CostMatrix:
        return cost_matrix(self.option_specs, self.labels)

    @property
    def policy_terms(self) -> PolicyTerms:
        return PolicyTerms(
            denies=tuple(option.denies for option in self.option_specs.values()),
            review_cost=self.review.cost,
            capacity=self.review.capacity,
            exploration=self.review.exploration,
            seed=self.workflow,
            promise=self.policy.promise.terms if self.policy.promise else None,
            exploration_budget=self.policy.exploration_budget,
            surge=self.policy.surge.terms if self.policy.surge else None,
        )

    @property
    def model_inputs(self) -> tuple[domain.Field, ...]:
        """The fields a model may see, amount included."""
        fields = [f for f in self.case_schema.fields if f.role in (domain.Role.FEATURE, domain.Role.AMOUNT)]
        wanted = self.model.features
        return tuple(f for f in fields if not wanted or f.name in wanted)

    @property
    def feature_plan(self) -> FeaturePlan:
        """Which features the model sees of each case."""
        return plans.feature_plan(self)

    @property
    def training_plan(self) -> TrainingPlan:
        """How the model is trained."""
        return plans.training_plan(self)

    def training_plan_of(self, estimator: str) -> TrainingPlan:
        """How a model is trained with that estimator, the spec's own or a challenger's."""
        return plans.training_plan(self, estimator)

    @property
    def guard_terms(self) -> GuardTerms:
        """What forbids a training of the workflow's model."""
        return plans.guard_terms(self)

    @property
    def retrain_rule(self) -> RetrainRule:
        """When the model is trained again."""
        return plans.retrain_rule(self)

    @property
    def cluster_terms(self) -> ClusterTerms:
        """How the workflow's cases are clustered."""
        return cluster_terms(self)

    @property
    def review_terms(self) -> ReviewTerms:
        """By what rules people decide the workflow's cases."""
        return review_terms(self)

    @property
    def action_terms(self) -> ActionTerms:
        """What the workflow's actions are bound by; without `actions` no option leads to any."""
        return action_terms(self)

    @property
    def report_terms(self) -> ReportTerms:
        """What a night report says about the workflow."""
        return report_terms(self)


#: The keys of a spec that say how its cases are read (`WorkflowSpec.case_schema`).
_READING = (
    "fields", "nights", "missing", "id_from", "time_formats", "decimal", "thousands", "number_forms", "currency"
)  # fmt: skip


def read_schema(recorded: Mapping[str, Any]) -> domain.CaseSchema | None:
    """How an earlier spec read its cases; None where it was written in words that are no longer understood.

    Args:
        recorded: the spec as the ledger keeps it.
    """
    try:
        kinds: dict[str, Any] = {name: WorkflowSpec.model_fields[name].annotation for name in _READING}
        parts = {
            name: TypeAdapter(kind).validate_python(recorded[name]) for name, kind in kinds.items() if name in recorded
        }
        return WorkflowSpec.model_construct(**parts).case_schema
    except (AttributeError, ValidationError):
        return None


def _field(name: str, spec: FieldSpec) -> domain.Field:
    def bound(value: float | date | None) -> float | str | None:
        return value.isoformat() if isinstance(value, date) else value

    return domain.Field(
        name=name,
        type=spec.type,
        column=spec.parts.year if spec.parts else spec.column or name,
        parts=spec.parts.terms if spec.parts else None,
        role=spec.effective_role,
        required=spec.required,
        minimum=bound(spec.minimum),
        maximum=bound(spec.maximum),
        allowed=spec.allowed,
        max_length=spec.max_length,
        many=spec.many,
        separator=spec.separator,
        known_later=spec.known_later,
        pii=spec.pii,
    )
