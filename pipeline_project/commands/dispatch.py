"""`pipeline dispatch`: sends what is ready, until it is told to stop or nothing is left. `pipeline shop`: a fake shop."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType

from pipeline_project.commands.console import Exit, complain, emit, say
from pipeline_project.commands.ground import prepare, settings, usable
from pipeline_project.spec.load import load_all

SHOP_SECRET = "PIPELINE_SHOP_SECRET"


def run_dispatcher(workers: int, drain: bool, as_json: bool) -> int:
    """Sends actions of every workflow; SIGTERM and Ctrl-C let what is in hand end first."""
    from resources.actions.destinations import destinations
    from resources.actions.dispatcher import Dispatcher, run_workers
    from resources.postgres import pooled_engine

    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    ground = prepare()
    specs = load_all(ground.settings.workflow_folders).specs
    known = {}
    for name, spec in specs.items():
        for place, destination in destinations(spec, ground.settings, os.environ).items():
            known[(name, place)] = destination
    owners = {name: spec.owners[0] for name, spec in specs.items()}
    engine = pooled_engine(ground.databases.ledger_url, workers + 1)
    here = f"{socket.gethostname()}/{os.getpid()}"
    dispatchers = [Dispatcher(engine, known, owners, f"{here}/{number}") for number in range(workers)]
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    if not drain:
        complain(f"Dispatching with {workers} workers; Ctrl-C stops.")
    sent = run_workers(dispatchers, stopping, drain)
    if as_json:
        emit({"claimed": sent})
    elif drain:
        say(f"{sent} tries; nothing more is due.")
    return Exit.DONE


def run_shop(port: int) -> int:
    """Serves the fake shop until Ctrl-C; its book lies in PIPELINE_HOME/shop."""
    import uvicorn

    from pipeline_project.sample.shop import Book, build_shop
    from resources.actions.secrets import signing_secret

    chosen = settings()
    usable(chosen.home)
    secret = signing_secret(chosen.keys, os.environ, SHOP_SECRET, made_here=True)
    app = build_shop(Book(chosen.home / "shop" / "book.jsonl"), secret)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    return Exit.DONE
