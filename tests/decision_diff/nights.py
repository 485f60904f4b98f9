"""Nights made by code alone, decided by the code of this tree: the cases by seed, the model from files kept beside.

The workflow is small and has a bit of everything that a decision rests on: fields, words and photos as vectors,
clusters, histories of entities, a calibration and one of a segment, costs with expressions, a denial, few places, a
random share, and cases that fail in every way there is.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.clusters.clustering import night_groups
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import ARRIVALS, Role
from pipeline_project.domain.deciding.decisions import Decision, NightDecisions, NightPolicy, decide_night, unscored
from pipeline_project.domain.features.building import Past, build_features
from pipeline_project.domain.intake.admission import admit
from pipeline_project.domain.intake.typed_rows import read_rows
from pipeline_project.domain.models.calibration import Calibration
from pipeline_project.domain.models.scoring import score_features
from pipeline_project.domain.models.segments import SegmentMaps
from pipeline_project.domain.models.trained import TrainedModel
from pipeline_project.domain.models.training import train, training_table
from pipeline_project.domain.vectors.modalities import EMBEDDINGS
from pipeline_project.domain.vectors.stored import pack, unit
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.plans import training_plan

FOLDER = Path(__file__).parent
MODEL = FOLDER / "model.json"

SEED, PER_NIGHT, WIDTH = 20250301, 40, 8
FIRST, GATHERED, DECIDED = date(2025, 2, 1), 20, 5
LABELS = ("kept", "worn", "fraud")
KINDS = ("shoes", "lamp", "bag", "kettle")
#: What each kind of case writes and shows: one direction for each label, and one that tells nothing.
THEMES = (*LABELS, "chat")

WORKFLOW: dict[str, Any] = {
    "workflow": "diff",
    "title": "Nights to compare decisions on",
    "owners": ["team:diff"],
    "nights": {
        "time_zone": "Europe/Berlin",
        "first": "2025-02-01",
        "decide_from": "2025-02-21",
        "schedule": "0 2 * * *",
    },
    "source": {"kind": "files", "folder": "in", "pattern": "{night}/*.csv"},
    "fields": {
        "case": {"type": "identifier", "role": "id"},
        "asked_at": {"type": "time", "role": "time"},
        "customer": {"type": "identifier", "role": "subject"},
        "item": {"type": "identifier"},
        "kind": {"type": "category"},
        "price": {"type": "number", "role": "amount", "minimum": 0, "required": False},
        "days": {"type": "number", "minimum": 0},
        "words": {"type": "text", "required": False},
        "photos": {"type": "image", "many": True, "required": False},
    },
    "clusters": {"minimum_size": 6},
    "labels": list(LABELS),
    "outcome": {
        "kind": "files",
        "folder": "in",
        "pattern": "outcomes/{night}.csv",
        "case_column": "case",
        "label_column": "finding",
        "known_at_column": "seen_at",
    },
    "model": {
        "estimator": "boosting",
        "history": [{"by": "customer"}, {"by": "item", "nights": 10}],
        "text_dimensions": 4,
        "image_dimensions": 3,
        "retrain": {"every": "never", "minimum_outcomes": 100, "minimum_per_label": 5},
    },
    "options": {
        "refund": {"title": "Refund", "costs": {"kept": 0, "worn": "0.6 * price", "fraud": "price"}},
        "voucher": {
            "title": "A voucher",
            "costs": {"kept": "0.2 * price + 3", "worn": "0.3 * price", "fraud": "0.7 * price"},
        },
        "reject": {
            "title": "Reject",
            "denies": True,
            "costs": {"kept": "20 + price", "worn": "0.1 * price", "fraud": 0},
        },
    },
    "review": {"cost": 4.5, "capacity": "25%", "exploration": 0.03},
}


@dataclass(frozen=True)
class Told:
    """One case as it was decided.

    Attributes:
        cost: expected, of the option chosen or of asking a person; None where it is unknown.
    """

    night: str
    option: str
    reason: str
    cost: float | None


@dataclass(frozen=True)
class Made:
    """A night's tables, and the truth about its cases."""

    night: str
    cases: pa.Table
    embeddings: pa.Table
    truth: pd.DataFrame


def spec() -> WorkflowSpec:
    return WorkflowSpec.model_validate(json.loads(json.dumps(WORKFLOW)))


def decided() -> dict[str, Told]:
    """Every case of the decided nights, by id, as this tree decides it. The first night has no model yet."""
    workflow, model = spec(), load_model()
    version = ModelVersion(workflow.name, "1", "2025-02-21", "sha", "run", {})
    nights = [made(workflow, day) for day in range(GATHERED + DECIDED)]
    clusters = clustered(workflow, nights)
    found: dict[str, Told] = {}
    for at in range(GATHERED, len(nights)):
        tonight = nights[at]
        window = window_of(tonight.night, workflow.nights.time_zone)
        if at == GATHERED:
            scores = unscored(tonight.night, tonight.cases["case_id"].to_pylist(), "no_model")
        else:
            features = build_features(
                tonight.cases,
                workflow.feature_plan,
                past(nights[:at], window.start),
                {tonight.night: window.start},
                tonight.embeddings,
                pa.concat_tables(clusters[: at + 1]),
            )
            scores = score_features(tonight.night, features, tonight.embeddings, model, version)
        amount = workflow.case_schema.by_role(Role.AMOUNT)
        result = decide_night(
            tonight.cases,
            scores,
            clusters[at],
            NightPolicy(workflow.cost_matrix, workflow.policy_terms, amount.name if amount else None),
        )
        found |= told(result, workflow.cost_matrix.options)
    return found


def told(result: NightDecisions, options: tuple[str, ...]) -> dict[str, Told]:
    """Costs to the cent: the last digits of a float differ from machine to machine."""
    return {each.case_id: Told(each.night, each.option, each.reason, _cost(each, options)) for each in result.cases}


def _cost(decision: Decision, options: tuple[str, ...]) -> float | None:
    if decision.option == ASK_PERSON:
        return None if decision.person_cost is None else round(decision.person_cost, 2)
    return round((decision.expected_costs or [])[options.index(decision.option)], 2)


# -- the nights -----------------------------------------------------------------------------------------------


def made(workflow: WorkflowSpec, day: int) -> Made:
    """One night by its seed; python's generator gives the same numbers everywhere."""
    night = (FIRST + timedelta(days=day)).isoformat()
    rng = Random(f"{SEED}/{night}")
    rows = [case(rng, night, number) for number in range(PER_NIGHT)]
    window = window_of(night, workflow.nights.time_zone)
    cases = admit(read_rows(arrivals(night, rows), workflow.case_schema), [], None, window).cases
    by_id = {row["case"]: row for row in rows}
    ids = cases["case_id"].to_pylist()
    known = window.start + timedelta(days=3)
    truth = pd.DataFrame({"case_id": ids, "label": [by_id[c]["truth"] for c in ids], "known_at": known})
    return Made(night, cases, embeddings(rng, night, [by_id[case] for case in ids]), truth)


def case(rng: Random, night: str, number: int) -> dict[str, Any]:
    """One case; who asks, what for and how, all depend on the truth, none of them gives it away."""
    truth = rng.choices(LABELS, (70, 20, 10))[0]
    pool = {"kept": 60, "worn": 30, "fraud": 12}[truth]
    decided_night = night >= "2025-02-21"
    return {
        "case": f"D{night[5:7]}{night[8:]}-{number:02d}",
        "asked_at": f"{night}T{rng.randrange(6, 22):02d}:{rng.randrange(60):02d}:00+00:00",
        "customer": f"{truth[0]}{rng.randrange(pool)}" if rng.random() < 0.6 else f"x{rng.randrange(80)}",
        "item": f"i{rng.randrange(25)}",
        "kind": rng.choice(KINDS),
        "price": "" if decided_night and number in (5, 6) else f"{rng.uniform(10, 400):.2f}",
        "days": "900"
        if decided_night and number == 4
        else str(rng.randrange(1, 12) if truth == "kept" else rng.randrange(6, 40)),
        "truth": truth,
        "theme": truth if rng.random() < 0.65 else "chat",
        "photo_fails": decided_night and number == 8,
    }


def arrivals(night: str, rows: list[dict[str, Any]]) -> pa.Table:
    hidden = ("truth", "theme", "photo_fails")
    raws = [json.dumps({k: v for k, v in row.items() if k not in hidden} | {"words": "", "photos": ""}) for row in rows]
    return pa.Table.from_pylist(
        [
            {
                "night": night,
                "file": "a.csv",
                "file_sha256": "f",
                "line": line,
                "row_sha256": f"{night}/{line}",
                "raw": raw,
            }
            for line, raw in enumerate(raws, start=2)
        ],
        schema=ARRIVALS,
    )


def embeddings(rng: Random, night: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Vectors near their theme's direction, tight enough that no rounding moves a case to another cluster."""
    count = len(rows)
    columns = {
        "night": [night] * count,
        "case_id": [row["case"] for row in rows],
        "text_vector": pack(near(rng, [THEMES.index(row["theme"]) for row in rows])),
        "image_vector": pack(near(rng, [(THEMES.index(row["theme"]) + 4) for row in rows])),
        "image_problem": pa.array(
            ["photo 1: cannot be read" if row["photo_fails"] else None for row in rows], pa.string()
        ),
        "photo_keys": pa.array([[f"{row['case']}.jpg"] for row in rows], pa.list_(pa.string())),
        "text_key": pa.array([row["case"] for row in rows], pa.string()),
    }
    return pa.table(columns, schema=EMBEDDINGS)


def near(rng: Random, directions: list[int]) -> np.ndarray:
    vectors = np.array([[rng.gauss(0, 0.04) for _ in range(WIDTH)] for _ in directions], dtype=np.float32)
    vectors[np.arange(len(directions)), directions] += 1.0
    return unit(vectors)


def clustered(workflow: WorkflowSpec, nights: list[Made]) -> list[pa.Table]:
    subjects: dict[str, str | None] = {}
    found: list[pa.Table] = []
    for at, tonight in enumerate(nights):
        subjects |= dict(zip(*(tonight.cases[name].to_pylist() for name in ("case_id", "customer")), strict=True))
        vectors = pa.concat_tables([each.embeddings for each in nights[: at + 1]])
        earlier = pa.concat_tables(found) if found else None
        found.append(night_groups(tonight.night, vectors, subjects, earlier, workflow.cluster_terms).clusters)
    return found


def past(nights: list[Made], start: Any) -> Past:
    outcomes = pd.concat([night.truth for night in nights])
    return Past(pa.concat_tables([night.cases for night in nights]), outcomes[outcomes["known_at"] < start])


# -- the model ------------------------------------------------------------------------------------------------


def load_model() -> TrainedModel:
    """The model kept beside: what is compared is the code around it, whatever a machine would train."""
    held = json.loads(MODEL.read_text(encoding="utf-8"))
    return TrainedModel.from_files({name: zlib.decompress(base64.b64decode(content)) for name, content in held.items()})


def keep_model() -> None:
    """Trains the model again and keeps it; every decision may change with it."""
    workflow = spec()
    nights = [made(workflow, day) for day in range(GATHERED)]
    start = window_of("2025-02-21", workflow.nights.time_zone).start
    read = {
        "cases": pa.concat_tables([night.cases for night in nights]),
        "embeddings": pa.concat_tables([night.embeddings for night in nights]),
        "clusters": pa.concat_tables(clustered(workflow, nights)),
    }
    table = training_table(read, workflow.feature_plan, past(nights, start), workflow.nights.time_zone)
    plan = replace(training_plan(workflow), choices=(("max_depth", 3.0), ("eta", 0.1)))
    # a calibration that does something, which six hundred cases would hardly ask for
    common = Calibration("vector", {"scale": [0.8, 0.9, 1.1], "shift": [0.0, 0.15, -0.1]})
    bags = Calibration("temperature", {"scale": [0.6], "shift": [0.0]})
    model = replace(train(table, plan), calibration=common, segments=SegmentMaps({"kind": {"bag": bags}}))
    files = {
        name: base64.b64encode(zlib.compress(content, 9)).decode() for name, content in sorted(model.files().items())
    }
    MODEL.write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")
