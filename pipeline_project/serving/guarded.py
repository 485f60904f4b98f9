"""`python -m pipeline_project.serving.guarded dagster|mlflow|reports ...`: servers without a sign-in, guarded.

The guard lies within the server's own process: there is no unguarded port behind it, and websockets go through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pipeline_project.domain.core.errors import FileMissing, FilesRefused, FilesUnavailable, SettingInvalid
from pipeline_project.domain.core.locations import is_url
from pipeline_project.serving.health import Healthy
from pipeline_project.serving.same_origin import HERE, SameOrigin
from pipeline_project.serving.signed_in import before, sign_in_wanted
from pipeline_project.settings import Settings

#: Tells MLflow's server, a process of its own, whether it is reached from this machine alone.
_BOUND = "PIPELINE_BOUND_TO"
LOOPBACK = HERE[0]
#: The page by which each says, without its guards, that it is well; none of them asks a database.
_ASKED = {"dagster": "/server_info", "mlflow": "/health", "reports": "/"}
#: The exit code of a wrong call, as for the commands.
WRONG_CALL = 2
_INDEX, _NO_REPORT = "index.html", "No night has a report yet."


def hosts(chosen: Settings) -> tuple[str, ...]:
    """The names under which the pages may be opened: this machine's own, and those that the settings add."""
    return (*HERE, *chosen.hosts)


def guarded(app: ASGIApp, what: str, chosen: Settings, host: str = LOOPBACK) -> ASGIApp:
    """An application behind the guard against other pages and, where it is wanted, the desk's sign-in.

    `/healthz` alone stands before both: it says `ok`, or not.

    Raises:
        SettingInvalid: it is bound to where others reach it, and was told not to ask for a sign-in.
    """
    behind = before(app, what, chosen) if sign_in_wanted(chosen, host) else app
    return Healthy(SameOrigin(behind, hosts(chosen)), app, _ASKED[what])


def reports_app(place: str, chosen: Settings, host: str = LOOPBACK) -> ASGIApp:
    """The pages of a folder, or of an object store."""
    routes = _of_store(place) if is_url(place) else _of_folder(place)
    return guarded(Starlette(routes=routes), "reports", chosen, host)


def _of_folder(folder: str) -> list[BaseRoute]:
    async def first(_: Request) -> Response:
        index = Path(folder) / _INDEX
        return FileResponse(index) if index.is_file() else PlainTextResponse(_NO_REPORT)

    return [Route("/", first), Mount("/", StaticFiles(directory=folder, html=True))]


def _of_store(url: str) -> list[BaseRoute]:
    from resources.files import files_at

    files = files_at(url)

    # no coroutine, so that a store that takes its time keeps nobody else waiting
    def page(request: Request) -> Response:
        name = request.path_params.get("name") or _INDEX
        try:
            content = files.read(name)
        except FileMissing:
            return PlainTextResponse(_NO_REPORT if name == _INDEX else "Not Found", 200 if name == _INDEX else 404)
        except (FilesUnavailable, FilesRefused):
            return PlainTextResponse("the reports cannot be read now; try again later\n", 503)
        except ValueError:
            return PlainTextResponse("Not Found", 404)
        return Response(content, media_type=guess_type(name)[0] or "application/octet-stream")

    return [Route("/", page), Route("/{name:path}", page)]


def guard_dagster(chosen: Settings, host: str = LOOPBACK) -> None:
    """From now on Dagster's server of this process stands behind the guard."""
    from dagster_webserver import cli

    build = vars(cli)["create_app_from_workspace_process_context"]

    def built(*given: Any, **named: Any) -> Any:
        return guarded(build(*given, **named), "dagster", chosen, host)

    vars(cli)["create_app_from_workspace_process_context"] = built


def mlflow_app() -> ASGIApp:
    """MLflow's application behind the guard, in the process that MLflow starts for it."""
    from mlflow.server.fastapi_app import app

    return guarded(app, "mlflow", Settings.from_environ(os.environ), os.environ.get(_BOUND, LOOPBACK))


def guard_mlflow() -> None:
    """From now on the server that MLflow starts serves `mlflow_app`."""
    from mlflow import server

    build = vars(server)["_build_uvicorn_command"]

    def built(*given: Any, **named: Any) -> list[str]:
        *command, _ = build(*given, **named)
        return [*command, "--factory", f"{__spec__.name if __spec__ else __name__}:mlflow_app"]

    vars(server)["_build_uvicorn_command"] = built


def _dagster(arguments: Sequence[str], chosen: Settings) -> None:
    from dagster_webserver import cli

    prefix = "DAGSTER_WEBSERVER"
    # read as Dagster itself will read them, from options and variables
    given = cli.cli.make_context("dagster-webserver", [*arguments], auto_envvar_prefix=prefix).params
    host = given.get("host") or LOOPBACK
    sign_in_wanted(chosen, host)
    guard_dagster(chosen, host)
    cli.cli(args=[*arguments], auto_envvar_prefix=prefix)


def _mlflow(arguments: Sequence[str], chosen: Settings) -> None:
    from mlflow import cli

    given = cli.server.make_context("server", [*arguments]).params
    other = [name for name in ("gunicorn_opts", "waitress_opts", "app_name", "uvicorn_opts", "dev") if given.get(name)]
    if other:
        raise SettingInvalid(f"MLflow is guarded in the server it starts by itself: leave out {', '.join(other)}")
    sign_in_wanted(chosen, given["host"])
    os.environ[_BOUND] = given["host"]
    guard_mlflow()
    cli.cli(args=["server", *arguments, "--allowed-hosts", allowed_hosts(chosen)])


def allowed_hosts(chosen: Settings) -> str:
    """The same names for MLflow's own guard, which would answer every private address otherwise."""
    # it reads them as patterns, in which a bracket opens a choice of characters
    patterns = (f"[[]{name}]" if ":" in name else name for name in hosts(chosen))
    return ",".join(pattern for name in patterns for pattern in (name, f"{name}:*"))


def _reports(arguments: Sequence[str], chosen: Settings) -> None:
    import uvicorn

    place, port, *bound = arguments
    host = bound[0] if bound else LOOPBACK
    sign_in_wanted(chosen, host)
    if not is_url(place):
        # the first report may come after this server
        Path(place).mkdir(parents=True, exist_ok=True)
    uvicorn.run(reports_app(place, chosen, host), host=host, port=int(port), log_level="warning")


def main(arguments: Sequence[str]) -> None:
    """Serves one of the three."""
    what, *rest = arguments
    serve = {"dagster": _dagster, "mlflow": _mlflow, "reports": _reports}[what]
    try:
        serve(rest, Settings.from_environ(os.environ))
    except SettingInvalid as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(WRONG_CALL)


if __name__ == "__main__":
    main(sys.argv[1:])
