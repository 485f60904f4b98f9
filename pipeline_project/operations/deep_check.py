"""Reads all that the lake, the registry and the reports keep, and says what is damaged and how each can be mended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_project.domain.core.errors import LakeUnavailable, ModelLetGo, ModelUnavailable, PipelineError
from resources.lake.delta import DeltaStore, checked, digest_of, verified
from resources.lake.tables import tables_of

if TYPE_CHECKING:
    from pipeline_project.domain.core.model_version import ModelVersion
    from pipeline_project.ports.files import Files
    from pipeline_project.ports.registry import Registry

VECTORS = "_vectors"
#: How a night of each table is made again; what is not named here cannot be.
MENDED = {
    "arrivals": "from its source, as long as that still has what landed",
    "cases": "from the night's arrivals",
    "quarantine": "from the night's arrivals",
    "lookups": "from its reference tables as they lie there now, which may be others than those of that night",
    "reopened": "from the night's reference tables and the nights before",
    "embeddings": "from the night's cases; what the store of vectors has is not encoded again",
    "clusters": "from the embeddings of its window; names are inherited from the nights before",
    "cluster_members": "with the clusters",
    "cluster_events": "from the clusters",
    "aggregates": "from the cases of its spans, and the sources of its series",
    "scores": "from cases, embeddings and the models of that night",
    "shadow_scores": "from cases, embeddings and the models of that night",
    "decisions": "from the ledger, where they stand; nothing is decided anew",
    "decision_bounds": "with the decisions",
    "night_report": "with the page, which then shows how long the steps of that run took",
}


@dataclass(frozen=True)
class Damage:
    """One thing that is not what was written.

    Attributes:
        what: a table and night, a model version, a page.
        why: what was seen.
        cure: whether it can be made again and with which command; a backup always helps.
    """

    what: str
    why: str
    cure: str


@dataclass
class DeepCheckResult:
    """What was read.

    Attributes:
        files: of the lake, compared whole with the digest in their names.
        let_go: of the model versions, those whose files retention took away.
        undigested: of the lake, without a digest: older ones, and those that `tidy` merged. Their pages were read.
    """

    files: int = 0
    undigested: int = 0
    models: int = 0
    let_go: int = 0
    pages: int = 0
    damaged: list[Damage] = field(default_factory=list)


def look_deep(store: DeltaStore, registry: Registry, models: Iterable[ModelVersion], reports: Files) -> DeepCheckResult:
    """Reads every file of the newest version of every table, every model version and every line of the index."""
    looked = DeepCheckResult()
    for names in _tables(store):
        looked.damaged += _table(store, names, looked)
    for model in models:
        looked.models += 1
        try:
            registry.load(model)
        except ModelLetGo:
            looked.let_go += 1
        except ModelUnavailable as error:
            what = f"model {model.version} of {model.workflow}"
            looked.damaged.append(Damage(what, str(error), "put its files back, or train and sign another"))
    for line in reports.matching("*/*.json"):
        looked.pages += 1
        looked.damaged += _page(reports, line)
    return looked


def _tables(store: DeltaStore) -> Iterator[tuple[str, str]]:
    """Workflow and asset of each table below the lake's folder, in order."""
    for workflow in tables_of(store, ""):
        for asset in tables_of(store, workflow):
            if not asset.startswith("_"):
                yield workflow, asset


def _table(store: DeltaStore, names: tuple[str, str], looked: DeepCheckResult) -> Iterator[Damage]:
    try:
        table = store.open(store.uri(*names))
        parts = [] if table is None else list(table.to_pyarrow_dataset().get_fragments())
    except (LakeUnavailable, OSError, ValueError) as error:
        cure = "put its _delta_log back from a backup; without it no night of the table can be found"
        yield Damage("/".join(names), f"its log cannot be read ({_first_line(error)})", cure)
        return
    for part in sorted(parts, key=lambda part: str(part.path)):
        looked.files += 1
        what = f"{'/'.join(names)}/{part.path}"
        try:
            verified(part)
            if digest_of(part.path) is None:
                looked.undigested += 1
                part.to_table(fragment_scan_options=checked())
        except LakeUnavailable as error:
            yield Damage(what, _first_line(error), _cure(names, part.path))
        except (OSError, ValueError) as error:
            yield Damage(
                f"{'/'.join(names)}/{part.path}", f"cannot be read ({_first_line(error)})", _cure(names, part.path)
            )


def _cure(names: tuple[str, str], path: str) -> str:
    workflow, asset = names
    if workflow == VECTORS:
        return "delete the table's folder: its vectors are encoded again when they are next needed"
    night = path.partition("night=")[2].partition("/")[0]
    made = MENDED.get(asset)
    again = f"`pipeline nights {workflow} --from {night} --to {night} --again`"
    return f"{again} makes it {made}" if made else "put it back from a backup"


def _page(reports: Files, line: str) -> Iterator[Damage]:
    """A night's line of the index and the page it belongs to."""
    workflow, _, night = line.removesuffix(".json").rpartition("/")
    again = f"`pipeline nights {workflow} --from {night} --to {night} --again` writes it again"
    try:
        held: Any = json.loads(reports.read(line))
        if not isinstance(held, Mapping) or "row" not in held:
            raise ValueError("it is no line of the index")
    except (PipelineError, ValueError) as error:
        yield Damage(line, _first_line(error), again)
    page = f"{workflow}/{night}.html"
    try:
        if not reports.read(page).rstrip().endswith(b"</html>"):
            yield Damage(page, "the page is cut off", again)
    except PipelineError as error:
        yield Damage(page, _first_line(error), again)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
