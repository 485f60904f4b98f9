"""`pipeline shop`: a fake shop that takes the sample's actions."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pipeline_project.commands.shared.app_context import settings, usable
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit
from pipeline_project.commands.shared.options import (
    command_app,
    example,
    port_option,
)

SHOP_SECRET = "PIPELINE_SHOP_SECRET"

app = command_app()


@app.command(
    epilog=example("pipeline shop", "pipeline shop --port 3106"),
)
def shop(port: Annotated[int, port_option("The shop's.")] = 3006, as_json: AsJson = False) -> None:
    """Serves a small fake shop that takes the sample's actions; its book is at http://127.0.0.1:3006."""
    raise typer.Exit(run_shop(port, as_json))


def run_shop(port: int, as_json: bool) -> int:
    """Serves the fake shop until Ctrl-C; its book lies in PIPELINE_HOME/shop."""
    from pipeline_project.sample.shop import serve
    from resources.keys.action_secrets import signing_secret

    chosen = settings()
    usable(chosen.home)
    secret = signing_secret(chosen.keys, os.environ, SHOP_SECRET, made_here=True)
    address = f"http://127.0.0.1:{port}"
    if as_json:
        emit({"shop": address})
    else:
        complain(f"A fake shop is open at {address}; Ctrl-C closes it.")
    serve(chosen.home / "shop" / "book.jsonl", secret, port)
    return Exit.DONE
