"""`python -m pipeline_project.commands.guarded dagster|reports ...`: Dagster's server and the reports' pages, guarded.

The guard lies within the server's own process: there is no unguarded port behind it, and websockets go through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pipeline_project.commands.same_origin import HERE, SameOrigin

HOSTS = "PIPELINE_HOSTS"


def hosts(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names under which the pages may be opened: this machine's own, and those that the variable adds."""
    return (*HERE, *(name.strip() for name in environ.get(HOSTS, "").split(",") if name.strip()))


def reports_app(folder: str, environ: Mapping[str, str]) -> ASGIApp:
    """The pages of a folder."""

    async def first(_: Request) -> Response:
        index = Path(folder) / "index.html"
        return FileResponse(index) if index.is_file() else PlainTextResponse("No night has a report yet.")

    pages = Mount("/", StaticFiles(directory=folder, html=True))
    return SameOrigin(Starlette(routes=[Route("/", first), pages]), hosts(environ))


def guard_dagster(environ: Mapping[str, str]) -> None:
    """From now on Dagster's server of this process stands behind the guard."""
    from dagster_webserver import cli

    build = vars(cli)["create_app_from_workspace_process_context"]

    def built(*given: Any, **named: Any) -> Any:
        return SameOrigin(build(*given, **named), hosts(environ))

    vars(cli)["create_app_from_workspace_process_context"] = built


def main(words: Sequence[str]) -> None:
    """Serves one of the two."""
    what, *rest = words
    if what == "dagster":
        from dagster_webserver import cli

        guard_dagster(os.environ)
        cli.cli(args=rest, auto_envvar_prefix="DAGSTER_WEBSERVER")
    else:
        import uvicorn

        folder, port = rest
        uvicorn.run(reports_app(folder, os.environ), host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1:])
