"""The real desk over a real ledger, with a night of tasks, people of every role, and browsers that sign in."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from benchmarks.passed import passed
from pipeline_project.desk.app import build_app
from pipeline_project.desk.backend import Desk, DeskPorts, Frame
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.people import NewAccount, PersonRole
from pipeline_project.domain.deciding.recorded import NewDecision
from pipeline_project.domain.delivery.planning import plan_actions
from pipeline_project.domain.review.new_tasks import NewTask, ReviewTerms, SpreadTerms
from pipeline_project.domain.review.night_work import NightWork
from resources.ledger.audit.trail import AuditTrail, Sought
from resources.ledger.models.proposals import PostgresPromotions
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.nights.story import PostgresStories
from resources.ledger.outbox.overview import PostgresOutbox
from resources.ledger.people.accounts import PostgresPeople
from resources.ledger.people.sessions import PostgresSessions
from resources.ledger.privacy.keyring import PostgresKeyring
from resources.ledger.review.answers import ReviewAnswers
from resources.ledger.review.clusters import PostgresClusters
from resources.ledger.review.repeats import PostgresRepeats
from resources.ledger.review.tasks import ReviewTasks
from resources.ledger.roles import DESK
from resources.postgres.databases import engine_of, pooled_engine, url_as
from tests.domain.review.review_terms import FLOW, TERMS
from tests.resources.ledger.review.tasks_desk import ACTING

NIGHT = "2026-03-04"
PASSWORD = "a long enough password"
URL = "http://testserver"
REVIEW: ReviewTerms = replace(TERMS, clusters=SpreadTerms(0.3, 0.2, None, 6))
#: What is personal of each case; none of it may stand on a page before it was revealed.
SECRET = "secret-of"


@dataclass
class DeskHouse:
    """Everything around one desk."""

    ledger: PostgresLedger
    keys: Path
    url: str = URL
    frame: Frame = field(init=False)
    ports: DeskPorts = field(init=False)
    app: FastAPI = field(init=False)
    tasks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # the desk's own role: what it lacks shows here
        url = url_as(self.ledger.url, DESK)
        self.owner_keyring = PostgresKeyring(engine_of(self.ledger.url), self.keys)
        self.people = PostgresPeople(self.ledger.url)
        self.frame = Frame(self.url, "a secret of this test")
        self.ports = DeskPorts(
            people=PostgresPeople(url),
            sessions=PostgresSessions(url),
            tasks=ReviewTasks(url),
            answers=ReviewAnswers(url),
            clusters=PostgresClusters(url),
            repeats=PostgresRepeats(url),
            outbox=PostgresOutbox(url, engine_of),
            stories=PostgresStories(url),
            nights=PostgresLedger(url),
            trail=AuditTrail(url),
            keyring=PostgresKeyring(engine_of(url), self.keys),
            models=PostgresPromotions(url),
            desks={FLOW: Desk(REVIEW, ACTING, RolloutTerms())},
            photos=lambda _: Photos(),
            sought=Sought,
            alive=lambda: None,
        )
        self.app = build_app(self.ports, self.frame)

    def close(self) -> None:
        pooled_engine(url_as(self.ledger.url, DESK), 8).dispose()

    def ask(self, *cases: str, amount: float = 40.0, cluster: str | None = None, **changed: Any) -> None:
        """Decides that people are asked about these cases; one more case is paid by the policy."""
        self.ledger.record_workflow(FLOW, "spec", {"name": FLOW})
        attempt = self.ledger.begin_attempt(FLOW, NIGHT, "run")
        common: dict[str, Any] = {
            "spec_hash": "spec",
            "data_versions": {"cases": 1},
            "propensity": 0.0,
            "amount": amount,
        }
        rows = [NewDecision(case, "ask_person", "doubt", **common) for case in cases]
        rows.append(NewDecision("PAID", "refund", "cheapest", **common))
        tasks = {case: replace(self._task(case, amount, cluster), **changed) for case in cases}
        actions = {"PAID": plan_actions(ACTING, NIGHT, "PAID", 1, "refund", {"price": amount})}
        self.ledger.record_decisions(
            FLOW,
            NIGHT,
            attempt,
            rows,
            NightWork(REVIEW, ACTING, tasks, actions),
            basis=passed(self.ledger, FLOW, NIGHT),
        )
        self.ledger.release(FLOW, NIGHT, "run", basis=passed(self.ledger, FLOW, NIGHT, "release"))
        found = self.rows("SELECT id, case_id FROM review_tasks")
        self.tasks = {row["case_id"]: row["id"] for row in found}

    def _task(self, case: str, amount: float, cluster: str | None) -> NewTask:
        (subject,) = self.owner_keyring.pseudonyms([f"customer of {case}"])
        (sealed,) = self.owner_keyring.seal([subject], "message", [f"{SECRET}-{case}"])
        return NewTask(case, "doubt", 3.0, amount, 0.4, subject, cluster, content_of(amount, sealed))

    def add(self, name: str, *roles: PersonRole) -> str:
        self.people.add(NewAccount(name, name.title(), roles, PASSWORD), "test")
        return name

    def client(self, name: str | None = None) -> Client:
        """A browser, signed in as somebody or as nobody."""
        client = Client(self.app)
        if name:
            assert client.sign_in(name).status_code == 303
        return client

    def rows(self, question: str, **given: Any) -> list[Mapping[str, Any]]:
        from sqlalchemy import text

        with engine_of(self.ledger.url).connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(question), given)]

    def write(self, statement: str, **given: Any) -> None:
        from sqlalchemy import text

        with engine_of(self.ledger.url).begin() as connection:
            connection.execute(text(statement), given)


def content_of(amount: float, sealed: str | None) -> dict[str, Any]:
    """What a task's page shows, every part of it there."""
    return {
        "fields": {"price": amount, "kind": "<b>glass</b>"},
        "masked": ["message"],
        "sealed": {"message": sealed},
        "text": [{"name": "message", "value": None}, {"name": "remark", "value": "<script>alert(1)</script>"}],
        "photos": ["good.png"],
        "labels": {"fine": {"probability": 0.3, "best": "refund"}, "defective": {"probability": 0.7, "best": "refund"}},
        "options": {
            "refund": {"expected": 3.0, "if_true": {"defective": 0.0, "fine": 10.0}},
            "reject": {"expected": 9.0, "if_true": {"defective": 50.0, "fine": 0.0}},
        },
        "cheapest": "refund",
        "reasons": ["price is high (+0.3 towards defective)"],
        "similar": [
            {"case_id": "OLD-1", "night": "2026-03-01", "similarity": 0.91, "label": "fine", "option": "refund"}
        ],
        "history": {
            "cases": 1,
            "by_label": {"fine": 1},
            "recent": [{"case_id": "OLD-1", "night": "2026-03-01", "amount": 5.0, "label": "fine", "option": None}],
        },
        "model_version": "7",
        "problem": None,
    }


class Photos:
    """A photo source with one photo and one file that is none."""

    def read(self, path: str) -> bytes:
        return photo_of_a_shop() if path == "good.png" else b"%PDF-1.7"

    def stamp(self, paths: Iterable[str]) -> str:
        return repr(sorted(set(paths)))


def photo_of_a_shop() -> bytes:
    """A photo that says where it was taken."""
    exif, made = Image.Exif(), io.BytesIO()
    exif[0x010E] = "Erika Mustermann, Hauptstr. 1"
    Image.new("RGB", (40, 30), "red").save(made, "PNG", exif=exif)
    return made.getvalue()


class Client(TestClient):
    """A browser that follows nothing by itself and sends the forms' tokens along."""

    def __init__(self, app: FastAPI, url: str = URL) -> None:
        super().__init__(app, base_url=url, follow_redirects=False, raise_server_exceptions=True)
        self.csrf = ""

    def sign_in(self, name: str, password: str = PASSWORD, wanted: str = "/") -> Any:
        form = re.search(r'name="form" value="([^"]+)"', self.get("/sign-in").text)
        token = form[1] if form else ""
        answer = self.post("/sign-in", data={"name": name, "password": password, "form": token, "next": wanted})
        if answer.status_code == 303:
            found = re.search(r'name="csrf" value="([^"]+)"', self.get("/me").text)
            self.csrf = found[1] if found else ""
        return answer

    def submit(self, path: str, **data: Any) -> Any:
        """Posts a form of this session."""
        return self.post(path, data={"csrf": self.csrf, **data})

    def take(self, task: int) -> dict[str, str]:
        """Takes a task; the hidden parts of its form."""
        where = self.submit(f"/tasks/{task}/claim").headers["location"]
        return self.form(where)

    def form(self, where: str) -> dict[str, str]:
        page = self.get(where).text
        return dict(re.findall(r'<input type="hidden" name="(version|claim)" value="([^"]+)">', page))
