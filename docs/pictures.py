"""The README's pictures, taken from the running thing: `make pictures`, after `make run`.

Chromium is the system's own (`chromium` in PATH); playwright drives it. The database is left as it was found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_project.commands.shared.app_context import AppContext, prepare, settings, workflow
from pipeline_project.commands.shared.console import Exit, complain, say
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.serving.ports import Ports
from pipeline_project.serving.processes import services
from pipeline_project.settings import ROOT
from resources.postgres.databases import embedded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TARGET = Path(__file__).parent / "pictures"
WIDTH = 1400
REPORT_HEIGHT = 1750
MOST_BYTES = 400_000
START_SECONDS, STOP_SECONDS = 120, 30
DRAWN_MILLISECONDS = 90_000

#: Without these Chromium looks for its maker's servers at every start.
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: How Dagster remembers that the graph runs downwards, where nodes have room for their facts, and the menu is folded.
REMEMBERED = """
localStorage.setItem('asset-graph-direction', '"vertical"');
localStorage.setItem('dagster-nav-collapsed', 'true');
"""
#: Wide enough for Dagster to show whole nodes and not their names alone; high enough for any workflow, because it
#: draws only the nodes that lie within the window.
GRAPH_WIDTH, GRAPH_HEIGHT = 2200, 6000
MARGIN = 16

#: The boxes of the nodes as text once every one is drawn, has its facts and has stood still for a second; else null.
SETTLED = """nouns => {
    const nodes = [...document.querySelectorAll('foreignObject')];
    const all = nouns.every(noun => nodes.some(node => (node.textContent || '').startsWith(noun)));
    const loading = nodes.some(node => /Loading/.test(node.textContent || ''));
    if (!all || loading) { window.__boxes = null; return null; }
    const places = nodes.map(node => node.getBoundingClientRect());
    const boxes = JSON.stringify(places.map(box => [box.x, box.y, box.right, box.bottom]));
    if (boxes !== window.__boxes) { window.__boxes = boxes; window.__since = performance.now(); return null; }
    return performance.now() - window.__since > 1000 ? JSON.parse(boxes) : null;
}"""


class PictureMissing(PipelineError):
    """A picture cannot be taken; the message says what to do first."""


def main() -> None:
    """Takes both pictures; exit code 4 when chromium, playwright or a report is missing."""
    arguments = argparse.ArgumentParser(prog="python -m docs.pictures", description=__doc__)
    arguments.add_argument("--workflow", default="returns")
    arguments.add_argument("--night", help="the night whose report is shown; the last one with a report if not given")
    given = arguments.parse_args()
    try:
        page = report_page(settings().home / "reports" / given.workflow, given.night)
        with browser() as chromium:
            kept(night_report(chromium, page), TARGET / "night_report.png")
            with prepared_home() as prepared, webserver(prepared) as address:
                kept(graph(chromium, address, given.workflow), TARGET / "graph.png")
    except PipelineError as error:
        complain(str(error))
        sys.exit(Exit.ENVIRONMENT_MISSING)


def report_page(folder: Path, night: str | None) -> Path:
    """The page of a night, or of the last night that has one.

    Raises:
        PictureMissing: there is none.
    """
    pages = sorted(folder.glob(f"{night or '*'}.html"))
    if not pages:
        wanted = f"of {night} " if night else ""
        raise PictureMissing(
            f"there is no night report {wanted}in {folder}; run `make run` (or `pipeline nights`) first"
        )
    return pages[-1]


@contextmanager
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless.

    Raises:
        PictureMissing: it, or playwright, is not installed.
    """
    program = shutil.which("chromium")
    if program is None:
        raise PictureMissing("there is no `chromium` in PATH; install it (Debian: apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise PictureMissing("playwright is not installed; pip install -r requirements.lock") from error
    # Chromium's own sandbox refuses to run as root.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags)
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def prepared_home() -> Iterator[AppContext]:
    """A prepared home; an embedded database that was not running before is stopped again."""
    chosen = settings()
    ours = chosen.postgres_url is None and not embedded(chosen).is_running()
    try:
        yield prepare()
    finally:
        if ours:
            embedded(chosen).stop()


@contextmanager
def webserver(prepared: AppContext) -> Iterator[str]:
    """Dagster's webserver as `pipeline up` starts it, on a free port; yields its address once it answers.

    Raises:
        PictureMissing: it does not start; the message names its log.
    """
    log = prepared.settings.home / "logs" / "pictures.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    every = services(prepared.settings, Ports(_free_port(), 0, 0))
    server = next(service for service in every if service.name == "dagster-webserver")
    with log.open("wb") as output:
        # on this machine alone, for as long as the picture takes
        environ = {**os.environ, "PIPELINE_REQUIRE_SIGN_IN": "0"}
        process = subprocess.Popen(server.command, cwd=ROOT, env=environ, stdout=output, stderr=output)
    try:
        _wait_for(f"{server.address}/server_info", process, log)
        yield str(server.address)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def graph(chromium: Browser, address: str, name: str) -> bytes:
    """The lineage of a workflow's asset group, top to bottom, every node with its facts."""
    import warnings

    from pipeline_project.workflow import build_assets

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assets = build_assets(workflow(name))
    # what lies in a group of its own, as the replays do, is drawn on another page
    asset_names = [key.path[-1] for asset in assets for key, group in asset.group_names_by_key.items() if group == name]
    page = chromium.new_page(viewport={"width": GRAPH_WIDTH, "height": GRAPH_HEIGHT})
    page.add_init_script(REMEMBERED)
    page.goto(f"{address}/locations/__repository__@pipeline_project/asset-groups/{name}/lineage")
    left, top, right, bottom = zip(*_settled(page, asset_names), strict=True)
    x, y = min(left) - MARGIN, min(top) - MARGIN
    return page.screenshot(clip={"x": x, "y": y, "width": max(right) + MARGIN - x, "height": max(bottom) + MARGIN - y})


def night_report(chromium: Browser, page: Path) -> bytes:
    """The upper part of a night's page."""
    view = chromium.new_page(viewport={"width": WIDTH, "height": REPORT_HEIGHT})
    view.goto(page.as_uri(), wait_until="load")
    return view.screenshot()


def kept(picture: bytes, target: Path) -> None:
    """Writes a picture as small as it gets; one that is too large loses colours.

    Raises:
        PictureMissing: that was not enough.
    """
    import io

    from PIL import Image

    target.parent.mkdir(exist_ok=True)
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.save(target, optimize=True)
    if target.stat().st_size > MOST_BYTES:
        image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(target, optimize=True)
    size = target.stat().st_size
    if size > MOST_BYTES:
        raise PictureMissing(f"{target} has {size:,} bytes, more than {MOST_BYTES:,}; choose another night (--night)")
    say(f"{target.relative_to(ROOT)}: {image.width} x {image.height}, {size:,} bytes")


def _settled(page: Page, asset_names: list[str]) -> list[list[float]]:
    """The boxes of the nodes in CSS pixels, as [left, top, right, bottom], once nothing moves any more."""
    from playwright.sync_api import TimeoutError as NeverSettled

    try:
        handle: Any = page.wait_for_function(SETTLED, arg=asset_names, timeout=DRAWN_MILLISECONDS, polling=200)
    except NeverSettled:
        raise PictureMissing(
            f"{page.url} was not drawn within {DRAWN_MILLISECONDS // 1000} seconds; open it in a browser to see why"
        ) from None
    boxes: list[list[float]] = handle.json_value()
    return boxes


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise PictureMissing(f"Dagster's webserver did not start within {START_SECONDS} seconds; read {log}")


if __name__ == "__main__":
    main()
