"""Clusters decided once: what is open, deciding one, and what its blind sample has shown so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from pipeline_project.desk.access import needs
from pipeline_project.desk.backend import DeskPorts
from pipeline_project.desk.dependencies import DoneQuery, PortsDep, SessionDep, desk_of
from pipeline_project.desk.show import page
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.review.cluster_reviews import ClusterAnswer
from pipeline_project.domain.review.content import in_order
from pipeline_project.domain.review.tasks import Task

router = APIRouter()

REVIEWS = needs(PersonRole.REVIEWER)
#: Members shown of each sort.
SHOWN = 6


class ClusterForm(BaseModel, frozen=True):
    """What a person decides of a cluster."""

    label: str = Field(max_length=48)
    option: str = Field(max_length=48)
    reason: str = Field(max_length=48)


@router.get("/clusters", dependencies=[REVIEWS])
def clusters(request: Request, ports: PortsDep, workflow: str = "", done: DoneQuery = "") -> Response:
    """The clusters that one answer could decide, by workflow, and those decided lately."""
    wanted = {name: desk for name, desk in ports.desks.items() if desk.review.clusters and workflow in ("", name)}
    return page(
        request,
        "clusters.html",
        found={name: ports.clusters.open_clusters(name, desk.review) for name, desk in wanted.items()},
        decided={name: ports.clusters.reviews(name)[:20] for name in wanted},
        desks=ports.desks,
        said="Decided. Some of its members come back as ordinary tasks." if done else None,
    )


@router.get("/clusters/{workflow}/{cluster}", dependencies=[REVIEWS])
def show(request: Request, ports: PortsDep, workflow: str, cluster: str) -> Response:
    """One cluster: its most typical and its most different open members."""
    desk = desk_of(ports, workflow)
    open_cluster = ports.clusters.open_cluster(workflow, cluster, desk.review)
    return page(
        request,
        "cluster.html",
        workflow=workflow,
        found=open_cluster,
        terms=desk.review,
        currency=desk.review.currency,
        typical=_members(ports, open_cluster.typical),
        different=_members(ports, open_cluster.different),
        options={name: title for name, title in desk.review.options.items() if name not in desk.review.denies},
    )


@router.post("/clusters/{workflow}/{cluster}", dependencies=[REVIEWS])
def decide(
    ports: PortsDep,
    session: SessionDep,
    workflow: str,
    cluster: str,
    form: Annotated[ClusterForm, Form()],
) -> Response:
    """Decides the cluster; it spreads only if the blind sample proves that it may."""
    desk = desk_of(ports, workflow)
    rules = desk.rules(ports.people.reviewers())
    chosen = ClusterAnswer(form.option, form.label, form.reason)
    ports.clusters.decide_cluster(workflow, cluster, session.person.name, chosen, rules)
    return RedirectResponse("/clusters?said=decided", 303)


def _members(ports: DeskPorts, ids: Sequence[int]) -> list[Task]:
    tasks = [ports.tasks.task(task_id) for task_id in ids[:SHOWN]]
    return [replace(task, content=in_order(task.content)) for task in tasks if task is not None]
