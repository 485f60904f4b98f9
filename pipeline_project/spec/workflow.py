"""The workflow spec: one kind of case and everything declared about it."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from pipeline_project.domain.clusters.terms import ClusterTerms
from pipeline_project.domain.core import schema as domain
from pipeline_project.domain.core.compute import ComputeTerms
from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.core.model_terms import DriftTerms, GateTerms, PolicyBounds, RolloutTerms
from pipeline_project.domain.core.names import FreeText, Slug
from pipeline_project.domain.core.nights import cadence_of, valid_night
from pipeline_project.domain.core.number_forms import NumberForm, ThousandsMark
from pipeline_project.domain.core.tenants import in_dagster
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.features.building import FeaturePlan
from pipeline_project.domain.intake.duplicates import OutcomeCell
from pipeline_project.domain.intake.lookups.terms import LookupTerms
from pipeline_project.domain.lifecycle.retraining_due import RetrainRule
from pipeline_project.domain.measures.machine_time import MachinePrices
from pipeline_project.domain.models.training import TrainingPlan
from pipeline_project.domain.models.training_guards import GuardTerms
from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.review.new_tasks import ReviewRules, ReviewTerms
from pipeline_project.domain.vectors.modalities import MODALITIES, EncoderTerms, file_modalities
from pipeline_project.spec import plans
from pipeline_project.spec.actions import ActionsSpec
from pipeline_project.spec.base import Part, refusal
from pipeline_project.spec.cases import ContractSpec, NearDuplicatesSpec
from pipeline_project.spec.draft import Draft
from pipeline_project.spec.features import AggregationLine, SeriesSpec
from pipeline_project.spec.fields import FieldSpec
from pipeline_project.spec.lookups import Lookup, lookup_terms
from pipeline_project.spec.model import ModelSpec
from pipeline_project.spec.nights import NightsSpec
from pipeline_project.spec.options import Options, OptionSpec, cost_matrix, named_options
from pipeline_project.spec.outcome import ColumnOutcome, OutcomeFeed
from pipeline_project.spec.retention import RetentionSpec
from pipeline_project.spec.rules import findings
from pipeline_project.spec.source import Source, TimeFormat
from pipeline_project.spec.terms import action_terms, cluster_terms, report_terms, review_terms

Owner = Annotated[
    str,
    StringConstraints(pattern=r"^(team:[A-Za-z0-9_][A-Za-z0-9_.-]*|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"),
]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class _CaseSpec(Part):
    """What a case is, and where it comes from."""

    workflow: Slug = Field(description="The name: lower case, digits and underscores.")
    title: FreeText = Field(description="In words, for people.")
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
    lookups: dict[Slug, Lookup] = Field(
        {},
        exclude_if=operator.not_,
        description="Reference tables, by name: vendors, products, prices. Fields take columns of them (`lookup`).",
    )
    twins: NearDuplicatesSpec = Field(
        default_factory=NearDuplicatesSpec, description="What is meant by cases that say the same under other ids."
    )
    contract: ContractSpec = Field(default_factory=ContractSpec, description="What rows must meet.")

    @field_validator("renamed_from", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @property
    def case_schema(self) -> domain.CaseSchema:
        return domain.CaseSchema(
            fields=tuple(field.named(name) for name, field in self.fields.items()),
            time_zone=self.nights.time_zone,
            missing=frozenset({"", *self.missing}),
            id_from=self.id_from,
            time_formats=self.time_formats,
            decimal=self.decimal,
            thousands=(self.thousands,) if isinstance(self.thousands, str) else self.thousands,
            number_forms=self.number_forms,
            currency=self.currency,
        )


if TYPE_CHECKING:
    _EncodedSpec = _CaseSpec
else:
    _EncodedSpec = create_model(
        "_EncodedSpec",
        __base__=_CaseSpec,
        **{
            name: (modality.terms | None, Field(None, description=modality.about))
            for name, modality in MODALITIES.items()
        },
    )


class WorkflowSpec(_EncodedSpec):
    """One kind of case and everything declared about it: one YAML file."""

    clusters: ClusterTerms | None = Field(None, description="Only where there are vectors.")
    labels: tuple[Slug, ...] = Field(
        min_length=2, max_length=1000, description="What can turn out to be true of a case."
    )
    outcome: OutcomeFeed = Field(description="Where the truth comes from: kind column, files or sql.")
    model: ModelSpec = Field(default_factory=ModelSpec, description="How a case is scored.")
    features: dict[Slug, AggregationLine] = Field(
        {},
        exclude_if=operator.not_,
        description="What was known of a case's customer, article, address when it was decided, a line for each: "
        "`claims_30d: count by customer over 30 days`.",
    )
    series: dict[Slug, SeriesSpec] = Field(
        {}, exclude_if=operator.not_, description="Several rows a case, as of sensors, by name."
    )
    options: Options = Field(
        description="What can be done: options by name, or one per label (`title`, `right`, `wrong`)."
    )
    review: ReviewRules = Field(description="Asking a person.")
    policy: PolicyBounds = Field(default_factory=PolicyBounds, description="What else bounds the policy.")
    gates: GateTerms = Field(default_factory=GateTerms, description="What a challenger must show before it is signed.")
    rollout: RolloutTerms = Field(
        default_factory=RolloutTerms, description="How a signed challenger comes to decide, and goes back."
    )
    drift: DriftTerms = Field(default_factory=DriftTerms, description="When a night is no longer like before.")
    actions: ActionsSpec | None = Field(None, description="What is done outside about a decision.")
    retention: RetentionSpec = Field(default_factory=RetentionSpec, description="How long personal data is kept.")
    prices: MachinePrices = Field(
        default_factory=MachinePrices, description="What the machine's time costs, for the night's report."
    )

    compute: ComputeTerms = Field(
        default_factory=ComputeTerms,
        exclude=True,
        description="Where the heavy work is done. It changes no decision, so it is no part of the spec's hash.",
    )

    _folder: Path | None = PrivateAttr(None)
    _tenant: str = PrivateAttr("")
    _spec_hash: str | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _holds_together(self) -> WorkflowSpec:
        mistakes = findings(Draft({name: getattr(self, name) for name in type(self).model_fields}))
        if mistakes:
            raise refusal(mistakes)
        # Frozen for everyone else; what a content needs by default becomes part of the spec and its hash.
        features = {field.holds for field in self.case_schema.fields if field.role == domain.Role.FEATURE}
        for name, modality in MODALITIES.items():
            if getattr(self, name) is None and modality.field_type in features:
                object.__setattr__(self, name, modality.terms())
        return self

    # -- what the other rooms read ----------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.workflow

    @property
    def tenant(self) -> str:
        """Whose workflow it is; "" where it is the house's."""
        return self._tenant

    @property
    def dagster_name(self) -> str:
        """What it is called where tenants share the names: in Dagster's asset keys, jobs and tags."""
        return in_dagster(self.workflow, self._tenant)

    @property
    def folder(self) -> Path:
        """Where relative paths start: the folder of the YAML file."""
        return self._folder or Path.cwd()

    def placed_in(self, folder: Path) -> WorkflowSpec:
        """The same spec, with relative paths starting at `folder`."""
        self._folder = folder
        return self

    def owned_by(self, tenant: str) -> WorkflowSpec:
        """The same spec, as a tenant's; whose it is changes no decision, so it is no part of the hash."""
        self._tenant = tenant
        return self

    @property
    def spec_hash(self) -> str:
        """sha256 over the spec's content; it does not depend on the order of keys or on comments."""
        if self._spec_hash is None:
            canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
            self._spec_hash = hashlib.sha256(canonical.encode()).hexdigest()
        return self._spec_hash

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; another content has another hash."""
        copied = super().model_copy(update=update, deep=deep)
        copied._spec_hash = None
        return copied

    @property
    def lookup_terms(self) -> tuple[LookupTerms, ...]:
        """The reference tables that cases are looked up in, in the order in which that is done."""
        return tuple(lookup_terms(name, table, self.case_schema) for name, table in self.lookups.items())

    @property
    def joins(self) -> bool:
        """Whether rows come again and again to tables that cases are joined with."""
        return any(terms.adds for terms in self.lookup_terms)

    @property
    def outcome_cell(self) -> OutcomeCell | None:
        """Where the truth stands in the rows themselves; None where it comes in rows of its own."""
        outcome = self.outcome
        return (
            OutcomeCell(outcome.column, outcome.values, self.case_schema.missing)
            if isinstance(outcome, ColumnOutcome)
            else None
        )

    @property
    def encoders(self) -> dict[str, EncoderTerms]:
        """By modality that the cases have, how its contents become vectors."""
        return {name: terms for name in MODALITIES if (terms := getattr(self, name)) is not None}

    @property
    def encodes(self) -> bool:
        """Whether cases have vectors."""
        return bool(self.encoders)

    @property
    def reads_files(self) -> bool:
        """Whether cases name files whose contents have vectors."""
        return any(modality.name in self.encoders for modality in file_modalities())

    def warms_up(self, night: str) -> bool:
        """Whether a night (a partition key) comes before the first one that is decided."""
        return valid_night(night) < self.nights.first_decided

    def has_night(self, night: str) -> bool:
        """Whether a night (a partition key) is one of the workflow's, also by its cadence."""
        if cadence_of(night) is not self.nights.every:
            return False
        last = self.nights.last_night
        return night >= self.nights.first_night and (last is None or night <= last)

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
            **vars(self.policy),
        )

    @property
    def model_inputs(self) -> tuple[domain.Field, ...]:
        """The fields a model may see, amount included."""
        fields = [f for f in self.case_schema.fields if f.role in (domain.Role.FEATURE, domain.Role.AMOUNT)]
        wanted = self.model.features
        return tuple(f for f in fields if not wanted or f.name in wanted)

    @property
    def aggregates(self) -> bool:
        """Whether cases have features that are made of other rows, a table of their own each night."""
        return bool(self.features or self.series)

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
        kinds: dict[str, Any] = {name: _CaseSpec.model_fields[name].annotation for name in _READING}
        parts = {
            name: TypeAdapter(kind).validate_python(recorded[name]) for name, kind in kinds.items() if name in recorded
        }
        return _CaseSpec.model_construct(**parts).case_schema
    except (AttributeError, ValidationError):
        return None
