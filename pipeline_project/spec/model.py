"""The workflow spec: one kind of case and everything declared about it."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, PrivateAttr, StringConstraints, field_validator, model_validator

from pipeline_project.domain import schema as domain
from pipeline_project.domain.costs import CostMatrix, PolicyTerms
from pipeline_project.domain.expressions import names_in
from pipeline_project.spec.base import Part, Share, Slug
from pipeline_project.spec.source import ColumnOutcome, OutcomeFeed, Source

RIGHT_AND_WRONG = {"right", "wrong"}


class FieldSpec(Part):
    """One field of a case."""

    type: domain.FieldType = Field(description="number, category, text, image, time or identifier.")
    role: domain.Role | None = Field(
        None,
        description="id, time, amount, subject (the customer), feature or ignore. Without it numbers, categories, "
        "texts and images are features, times and identifiers are ignored.",
    )
    column: str | None = Field(None, description="The column in the source, when it has another name.")
    required: bool = Field(True, description="A row without a value goes to quarantine.")
    minimum: float | date | None = Field(None, description="Smallest number or earliest day allowed.")
    maximum: float | date | None = Field(None, description="Largest number or latest day allowed.")
    allowed: tuple[str, ...] = Field((), description="The only values a category may take.")
    max_length: int | None = Field(None, gt=0, description="Longest text allowed, in characters.")
    many: bool = Field(False, description="An image field that holds several paths.")
    separator: str = Field(";", min_length=1, description="Between several paths.")
    known_later: bool = Field(
        False, description="The value is known only after the decision; such a field is refused as a feature."
    )
    pii: bool = Field(False, description="Names or describes a person; masked wherever it is shown.")

    @property
    def effective_role(self) -> domain.Role:
        if self.role is not None:
            return self.role
        ignored = {domain.FieldType.TIME, domain.FieldType.IDENTIFIER}
        return domain.Role.IGNORE if self.type in ignored or self.known_later else domain.Role.FEATURE


class Nights(Part):
    """Which nights there are, and when they run."""

    time_zone: str = Field(description="IANA name; a night is a day in this zone.")
    first: date = Field(description="The first night there is.")
    decide_from: date = Field(description="The first night that is decided; earlier ones only warm up the models.")
    schedule: Annotated[str, StringConstraints(pattern=r"^(\S+ ){4}\S+$")] = Field(
        "30 2 * * *", description="Cron, in the time zone: when the night before is run."
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone; write for instance Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Nights:
        if self.decide_from < self.first:
            raise ValueError("`decide_from` must not come before `first`")
        return self

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
        description="Expressions over fields that must be true of every row, for instance `price >= discount`.",
    )


class TextSpec(Part):
    """How texts become vectors."""

    encoder: str = Field(
        "all-minilm-l6-v2",
        description="`all-minilm-l6-v2` (comes with the package), a folder, or `hf:owner/name@revision`.",
    )
    tokens_per_batch: int = Field(2048, ge=64, description="Token budget of a batch, padding included.")
    max_tokens: int = Field(256, ge=8, le=512, description="Longer texts are cut here.")


class ImageSpec(Part):
    """How photos become vectors."""

    encoder: str = Field(
        "photo-statistics-v1",
        description="`photo-statistics-v1` (colour, texture and layout; needs no weights), a folder, or "
        "`hf:owner/name@revision`.",
    )
    batch: int = Field(32, ge=1, description="Photos in a batch.")
    max_pixels: int = Field(50_000_000, gt=0, description="A larger photo is refused unopened.")


class ClustersSpec(Part):
    """Which cases are alike, over a window of nights."""

    window_nights: int = Field(14, ge=1, description="Nights looked back, this one included.")
    minimum_size: int = Field(8, ge=2, description="Fewest members of a cluster.")
    dimensions: int = Field(50, ge=2, description="Vectors are reduced to this many before clustering.")
    fit_limit: int = Field(50_000, ge=100, description="Above it the clusters are fitted on a sample.")


class HistorySpec(Part):
    """What is known of an entity's past at the time of a case: how often, with which outcomes, at what amounts."""

    by: str = Field(description="A field: the customer, the item, the shop.")
    nights: int | None = Field(None, ge=1, description="Look back this many nights; without it, all of them.")


class RetrainSpec(Part):
    """When a new challenger is trained."""

    every: Literal["never", "week", "month"] = Field("month", description="The calendar rhythm.")
    after_outcomes: int | None = Field(None, ge=1, description="Also when this many new outcomes are known.")
    minimum_outcomes: int = Field(200, ge=20, description="With fewer, nothing is trained and people decide.")
    minimum_per_label: int = Field(10, ge=1, description="With fewer of one label, nothing is trained.")


class ModelSpec(Part):
    """How a case is scored."""

    estimator: Literal["boosting", "logistic"] = Field(
        "boosting",
        description="boosting: fields, reduced vectors, clusters and history; logistic: on the text's vectors.",
    )
    features: tuple[str, ...] = Field((), description="Only these fields; empty means every feature.")
    history: tuple[HistorySpec, ...] = Field((), description="Entities whose past counts.")
    basket: tuple[tuple[str, ...], ...] = Field(
        (), description="Groups of fields that make one basket within a night, for instance [customer, time]."
    )
    text_dimensions: int = Field(24, ge=0, description="The text's vectors are reduced to this many features.")
    image_dimensions: int = Field(16, ge=0, description="The same for photos.")
    training_nights: int | None = Field(None, ge=1, description="Nights looked back in training; all if not given.")
    calibration_share: Share = Field(0.25, description="The latest share of the outcomes, kept for calibration.")
    seed: int = 7
    retrain: RetrainSpec = Field(default_factory=lambda: RetrainSpec(), description="When to train again.")


class OptionSpec(Part):
    """One thing the workflow can do with a case."""

    title: str = Field(description="In words, for people.")
    costs: dict[str, float | str] = Field(
        description="Label -> cost in the workflow's currency: a number, or an expression over the case's fields "
        "(`0.5 * price`). `right` and `wrong` stand for one label and all others when the option is named after a label."
    )
    denies: bool = Field(False, description="Refuses a customer something; only a person may choose it.")
    action: Slug | None = Field(None, description="The action that carries it out.")


class ReviewSpec(Part):
    """What it costs to ask a person, and how much of it there is."""

    cost: float = Field(ge=0, description="Of one answer, in the workflow's currency.")
    capacity: int | Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d+)?%$")] = Field(
        description="Answers per night: a number, or a share of the night such as 20%."
    )
    exploration: Share = Field(
        0.0,
        description="Share of cases sent to people at random, so that outcomes are not censored by the policy.",
    )


class Alternatives(Part):
    """Options made from the labels: one per label, right or wrong."""

    title: str = Field("Route to {label}", description="With {label}.")
    right: float | str = Field(0, description="Cost when the label is the true one.")
    wrong: float | str = Field(description="Cost when it is not.")


class WorkflowSpec(Part):
    """One kind of case and everything declared about it: one YAML file."""

    workflow: Slug = Field(description="The name: lower case, digits and underscores.")
    title: str = Field(description="In words, for people.")
    description: str = Field("", description="What a case is and what is decided.")
    owners: tuple[str, ...] = Field(min_length=1, description="E-mail addresses, or team:name.")
    currency: str = Field("EUR", min_length=3, max_length=3, description="ISO 4217.")
    nights: Nights = Field(description="Which nights there are.")
    source: Source = Field(description="Where cases come from: kind files, table or sql.")
    missing: tuple[str, ...] = Field((), description="Strings that mean no value, beside the empty one.")
    decimal: Literal[".", ","] = Field(".", description="The decimal mark of numbers.")
    time_formats: tuple[str, ...] = Field((), description="strptime patterns, tried after ISO 8601.")
    id_from: tuple[str, ...] = Field((), description="Columns hashed into the id when there is no id field.")
    fields: dict[Slug, FieldSpec] = Field(min_length=1, description="The fields of a case, by name.")
    contract: ContractSpec = Field(default_factory=lambda: ContractSpec(), description="What rows must meet.")
    text: TextSpec | None = Field(None, description="Only for workflows with text fields.")
    image: ImageSpec | None = Field(None, description="Only for workflows with image fields.")
    clusters: ClustersSpec | None = Field(None, description="Only where there are vectors.")
    labels: tuple[Slug, ...] = Field(min_length=2, description="What can turn out to be true of a case.")
    outcome: OutcomeFeed = Field(description="Where the truth comes from: kind column or files.")
    model: ModelSpec = Field(default_factory=lambda: ModelSpec(), description="How a case is scored.")
    options: dict[Slug, OptionSpec] | Alternatives = Field(
        description="What can be done: options by name, or one per label (title, right, wrong)."
    )
    review: ReviewSpec = Field(description="Asking a person.")

    _folder: Path | None = PrivateAttr(None)

    # -- what must hold between the parts ---------------------------------------------------------------

    @model_validator(mode="after")
    def _roles_are_unique(self) -> WorkflowSpec:
        for role in (domain.Role.ID, domain.Role.TIME, domain.Role.AMOUNT, domain.Role.SUBJECT):
            holders = [name for name, field in self.fields.items() if field.role == role]
            if len(holders) > 1:
                raise ValueError(f"fields: {' and '.join(holders)} both have the role {role.value}; keep one")
        if not self.id_from and self.case_schema.by_role(domain.Role.ID) is None:
            raise ValueError("fields: give one field `role: id`, or name the columns of `id_from`")
        for name in self.fields:
            if name in domain.reserved_names():
                raise ValueError(f"fields: {name} is a name the tables use themselves; rename it and set `column`")
        return self

    @model_validator(mode="after")
    def _nothing_known_early(self) -> WorkflowSpec:
        for name, field in self.fields.items():
            if field.known_later and (field.effective_role == domain.Role.FEATURE or name in self.model.features):
                raise ValueError(
                    f"fields: {name} is known_later, so no model may use it: on the night of the decision it has no "
                    "value yet, and in the past it gives the outcome away. Set `role: ignore` and take it out of "
                    "model.features"
                )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> WorkflowSpec:
        self._check_names("model.features", self.model.features)
        self._check_names("model.history", [h.by for h in self.model.history])
        for group in (*self.model.basket, *self.contract.unique):
            self._check_names("model.basket or contract.unique", group)
        for rule in self.contract.compare:
            self._check_names(f"contract.compare `{rule}`", names_in(rule))
        if isinstance(self.outcome, ColumnOutcome):
            times = [name for name, field in self.fields.items() if field.type == domain.FieldType.TIME]
            for known in self.outcome.known_at:
                if known.field not in (*times, domain.NIGHT):
                    raise ValueError(
                        f"outcome.known_at: {known.field} is neither `night` nor a field of type time; there are {', '.join(times) or 'none'}"
                    )
        return self

    @model_validator(mode="after")
    def _costs_are_complete(self) -> WorkflowSpec:
        labels = set(self.labels)
        for name, option in self.option_specs.items():
            given = set(option.costs)
            if given == RIGHT_AND_WRONG and name in labels:
                given = labels
            if given != labels:
                missing, extra = sorted(labels - given), sorted(given - labels)
                parts = [f"no cost for {', '.join(missing)}"] * bool(missing)
                parts += [f"{', '.join(extra)} is no label"] * bool(extra)
                raise ValueError(f"options.{name}.costs: {'; '.join(parts)}; every label needs one cost")
            for cell in option.costs.values():
                if isinstance(cell, str):
                    self._check_names(f"options.{name}.costs `{cell}`", names_in(cell), numbers=True)
        if all(option.denies for option in self.option_specs.values()):
            raise ValueError("options: every option denies; at least one must be open to the policy")
        return self

    @model_validator(mode="after")
    def _vectors_match_fields(self) -> WorkflowSpec:
        has_text = bool(self.case_schema.of_type(domain.FieldType.TEXT))
        has_image = bool(self.case_schema.of_type(domain.FieldType.IMAGE))
        if self.text and not has_text:
            raise ValueError("text: there is no field of type text; remove `text` or add the field")
        if self.image and not has_image:
            raise ValueError("image: there is no field of type image; remove `image` or add the field")
        if self.clusters and not (self.text or self.image):
            raise ValueError("clusters: there is nothing to cluster without `text` or `image`")
        if self.model.estimator == "logistic" and not self.text:
            raise ValueError("model.estimator: logistic works on the text's vectors and needs `text`")
        return self

    def _check_names(self, where: str, names: Any, numbers: bool = False) -> None:
        for name in names:
            if name not in self.fields:
                raise ValueError(f"{where}: {name} is no field; there are {', '.join(self.fields)}")
            if numbers and self.fields[name].type != domain.FieldType.NUMBER:
                raise ValueError(f"{where}: {name} is no number, so it has no place in a cost")
            if numbers and self.fields[name].known_later:
                raise ValueError(f"{where}: {name} is known_later, so a decision cannot rest on it")

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
        )

    @property
    def option_specs(self) -> dict[str, OptionSpec]:
        """The options by name, also when they are made from the labels."""
        if not isinstance(self.options, Alternatives):
            return dict(self.options)
        made = self.options
        costs: dict[str, float | str] = {"right": made.right, "wrong": made.wrong}
        return {label: OptionSpec(title=made.title.format(label=label), costs=costs) for label in self.labels}

    @property
    def cost_matrix(self) -> CostMatrix:
        cells = {
            name: {
                label: option.costs[label]
                if label in option.costs
                else option.costs["right" if label == name else "wrong"]
                for label in self.labels
            }
            for name, option in self.option_specs.items()
        }
        return CostMatrix(
            labels=self.labels,
            options=tuple(cells),
            cells=tuple(tuple(row[label] for label in self.labels) for row in cells.values()),
        )

    @property
    def policy_terms(self) -> PolicyTerms:
        return PolicyTerms(
            denies=tuple(option.denies for option in self.option_specs.values()),
            review_cost=self.review.cost,
            capacity=self.review.capacity,
            exploration=self.review.exploration,
            seed=self.workflow,
        )

    @property
    def model_inputs(self) -> tuple[domain.Field, ...]:
        """The fields a model may see, amount included."""
        fields = [f for f in self.case_schema.fields if f.role in (domain.Role.FEATURE, domain.Role.AMOUNT)]
        wanted = self.model.features
        return tuple(f for f in fields if not wanted or f.name in wanted)


def _field(name: str, spec: FieldSpec) -> domain.Field:
    def bound(value: float | date | None) -> float | str | None:
        return value.isoformat() if isinstance(value, date) else value

    return domain.Field(
        name=name,
        type=spec.type,
        column=spec.column or name,
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
