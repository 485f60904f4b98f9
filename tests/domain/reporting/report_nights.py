"""A small night of return claims for the tests of the report, with every table it can have."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from pipeline_project.domain.core.costs import CostMatrix, PolicyTerms, case_costs
from pipeline_project.domain.core.schema import QUARANTINE, CaseSchema, Field, FieldType, Role, cases_schema
from pipeline_project.domain.deciding.decisions import DECISIONS
from pipeline_project.domain.measures.machine_time import StepTime
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.reporting.facts import NightFacts, ReportTerms, Versions

NIGHT = "2025-04-17"
LABELS = ("resellable", "defective")
MATRIX = CostMatrix(LABELS, ("restock", "notify", "reject"), ((0, 30), (12, 0), ("20 + price", "20 + price")))
PRICE = 40.0
#: Must never turn up on a page: customer ids, addresses and the words of a case.
CANARIES = ("K77001", "canary@shop.example", "+49 171 5550123", "Zanarius", "4111 1111 1111 1111")

SCHEMA = CaseSchema(
    fields=(
        Field("claim_id", FieldType.IDENTIFIER, "claim_id", Role.ID),
        Field("customer", FieldType.IDENTIFIER, "cust", Role.SUBJECT, pii=True),
        Field("email", FieldType.IDENTIFIER, "email", Role.IGNORE, pii=True),
        Field("price", FieldType.NUMBER, "price", Role.AMOUNT),
        Field("message", FieldType.TEXT, "message", pii=True),
        Field("photos", FieldType.IMAGE, "photos", many=True),
    ),
    time_zone="Europe/Berlin",
)
TERMS = ReportTerms(
    workflow="returns",
    title="Return claims",
    owners=("team:returns",),
    currency="EUR",
    decide_from="2025-03-01",
    schema=SCHEMA,
    labels=LABELS,
    options={"restock": "Put it back", "notify": "Charge the supplier", "reject": "Reject the claim"},
    acts=frozenset({"restock", "notify", "reject"}),
    policy=PolicyTerms((False, False, True), review_cost=4.0, capacity=3, exploration=0.01, seed="returns"),
)
#: probability of `defective` and what was decided, case by case.
PLAN: list[tuple[float | None, str, str]] = [(0.0, "restock", "cheapest")] * 4
PLAN += [(0.9, "notify", "cheapest")] * 2 + [(0.3, "ask_person", "doubt")] * 2
PLAN += [(0.1, "ask_person", "random_share"), (0.3, "restock", "no_place_left"), (None, "ask_person", "failed_photo")]


def case_id(i: int) -> str:
    return f"C-{i:03d}"


def cases_table(count: int = len(PLAN)) -> pa.Table:
    message = "Zipper broke <script>alert('x')</script> says Zanarius, call +49 171 5550123, canary@shop.example"
    rows = [
        {
            "night": NIGHT,
            "case_id": case_id(i),
            "row_sha256": "x",
            "customer": f"K7700{i}",
            "email": "zanarius.canary@shop.example",
            "price": PRICE,
            "message": message,
            "photos": [f"photos/{i}.png"],
        }
        for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=cases_schema(SCHEMA))


def scores_table() -> pa.Table:
    rows = [
        {
            "night": NIGHT,
            "case_id": case_id(i),
            "probabilities": None if p is None else [1 - p, p],
            "confidence": None if p is None else max(p, 1 - p),
            "reasons": [],
            "problem": "failed_photo" if p is None else None,
        }
        for i, (p, _, _) in enumerate(PLAN)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def decisions_table(**changes: Any) -> pa.Table:
    rows = []
    for i, (p, option, reason) in enumerate(PLAN):
        expected = None if p is None else [30 * p, 12 * (1 - p), 20 + PRICE]
        cheapest = None if expected is None else min(expected[:2])
        rows.append(
            {
                "night": NIGHT,
                "case_id": case_id(i),
                "option": option,
                "reason": reason,
                "would_be": option,
                "amount": PRICE,
                "cheapest": None if expected is None else ("restock", "notify")[expected.index(min(expected[:2]))],
                "cheapest_cost": cheapest,
                "person_cost": None if p is None else 4.0,
                "benefit": None if cheapest is None else cheapest - 4.0,
                "expected_costs": expected,
                "probabilities": None if p is None else [1 - p, p],
                "reasons": [f"customer K7700{i} (canary@shop.example) came back <b>often</b>"],
                **changes,
            }
        )
    return pa.Table.from_pylist(rows, schema=DECISIONS)


def quarantine_table() -> pa.Table:
    raw = json.dumps({"cust": "K77099", "email": "canary@shop.example", "price": "abc"})
    reasons = [["price: 'abc' is not a number"], ["price: 'xyz' is not a number", "cust: K77099 is <i>odd</i>"]]
    rows = [
        {
            "night": NIGHT,
            "case_id": None,
            "file": "a.csv",
            "line": 9 - 2 * i,
            "row_sha256": "r",
            "reasons": r,
            "raw": raw,
        }
        for i, r in enumerate(reasons)
    ]
    return pa.Table.from_pylist(rows, schema=QUARANTINE)


def clusters_table() -> pa.Table:
    count = len(PLAN)
    return pa.table(
        {
            "night": [NIGHT] * count,
            "case_id": [case_id(i) for i in range(count)],
            "cluster": ["g1"] * 6 + ["g<2>"] * 3 + [None] * (count - 9),
            "cluster_size": pa.array([12] * 6 + [3] * 3 + [1] * (count - 9), pa.int64()),
            "cluster_born": ["2025-04-10"] * 6 + [NIGHT] * 3 + [None] * (count - 9),
            "cluster_customers": pa.array([7] * count, pa.int64()),
            "twin_similarity": [0.99] + [0.1] * (count - 1),
            "twin_case": [None] * count,
            "shared_photo": [True, True] + [False] * (count - 2),
        }
    )


def matured_of(count: int = 400) -> Matured:
    """Decisions of earlier nights that were perfectly calibrated, and their costs."""
    p = (np.arange(count) % 10 + 0.5) / 10
    true = (np.arange(count) // 10 % 20) < p * 20
    frame = pd.DataFrame(
        {
            "case_id": [f"M{i}" for i in range(count)],
            "night": ["2025-03-02" if i % 2 else "2025-03-03" for i in range(count)],
            "label": np.where(true, "defective", "resellable"),
            "option": np.where(p > 0.6, "notify", np.where(p > 0.4, "ask_person", "restock")),
            "probabilities": [[1 - x, x] for x in p],
        }
    )
    return matured(frame, case_costs(MATRIX, {"price": np.full(count, PRICE)}, count))


def matured(decisions: pd.DataFrame, cost: np.ndarray, **more: Any) -> Matured:
    """Each case another customer's."""
    return Matured(decisions, cost, np.arange(len(decisions)), **more)


def facts(**changes: Any) -> NightFacts:
    values: dict[str, Any] = {
        "night": NIGHT,
        "arrivals": len(PLAN) + 2 + 1,
        "cases": cases_table(),
        "quarantine": quarantine_table(),
        "duplicates": 1,
        "versions": Versions("0.1.0", "f" * 64, "3", "2025-04-01", {"returns/cases": 9}, {"text": "minilm@1"}),
        "clusters": clusters_table(),
        "scores": scores_table(),
        "decisions": decisions_table(),
        "shadow_price": 1.5,
        "matured": matured_of(),
        "timings": {"cases": StepTime(0.4), "embeddings": StepTime(7.2, processor=11.5)},
    }
    return NightFacts(**{**values, **changes})


def png(size: tuple[int, int] = (300, 200)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, "teal").save(content, "PNG")
    return content.getvalue()
