"""`pipeline desk`: the review desk with the webhook receiver, over what the container opens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.app_context import AppContext, prepare, workflows
from pipeline_project.commands.shared.console import Exit, complain
from pipeline_project.commands.shared.options import (
    command_app,
    example,
    port_option,
)
from pipeline_project.serving.ports import HERE, Ports

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipeline_project.desk.backend import Frame

#: How long requests in hand may take once it was asked to end.
DRAIN_SECONDS = 30

app = command_app()


@app.command(
    epilog=example("pipeline desk", "pipeline desk --port 3104", "pipeline desk --host 0.0.0.0 --proxy 10.0.0.0/8"),
)
def desk(
    port: Annotated[int, port_option("The desk's.")] = 3004,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens.")] = HERE,
    proxy: Annotated[
        list[str],
        typer.Option(metavar="ADDRESS", help="Proxies before it, or networks of them, that are believed."),
    ] = [HERE],  # noqa: B006 - Typer reads it as the default and copies it
) -> None:
    """Serves the review desk and the webhook receiver until Ctrl-C or SIGTERM, which let requests in hand end.

    Where it listens for others, a proxy with TLS stands before it, and PIPELINE_DESK_URL names that proxy's address.
    """
    raise typer.Exit(serve_desk(port, host, proxy))


def serve_desk(port: int, host: str = HERE, proxies: Sequence[str] = (HERE,)) -> int:
    """Serves the desk until Ctrl-C or SIGTERM; put a proxy with TLS before it for others.

    Args:
        proxies: addresses or networks that are believed when they say where a request comes from; sign-ins are counted
            by that.
    """
    import uvicorn

    app = open_desk(prepare(), port)
    complain(f"The desk is at http://{host}:{port}; Ctrl-C stops it.")
    uvicorn.run(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        proxy_headers=True, forwarded_allow_ips=[*proxies], timeout_graceful_shutdown=DRAIN_SECONDS,
    )  # fmt: skip
    return Exit.DONE


def open_desk(context: AppContext, port: int) -> FastAPI:
    """The desk of a home, with every guard and every room."""
    from pipeline_project.commands.hooks import open_hook_receiver
    from pipeline_project.container.desk import open_desk_ports
    from pipeline_project.desk.app import build_app
    from pipeline_project.desk.routes.hooks import PREFIX, build_hooks_router

    specs = workflows().specs
    app = build_app(open_desk_ports(context.stores, specs), frame_at(context, port), elsewhere=(PREFIX,))
    # after the desk's own rooms: the door's ticket is a signature, not a session
    app.include_router(build_hooks_router(open_hook_receiver()))
    return app


def frame_at(context: AppContext, port: int = Ports.desk) -> Frame:
    """How the desk is reached: at `PIPELINE_DESK_URL`, or on this machine."""
    from pipeline_project.container.desk import open_frame

    here = port != Ports.desk and not os.environ.get("PIPELINE_DESK_URL")
    url = f"http://127.0.0.1:{port}" if here else context.settings.desk_url
    return open_frame(context.settings, url, os.environ)
