"""Workflow files that are hostile, some of them valid: each is refused in words or loads, soon and in little memory.

What loads is put to use: its costs are evaluated over odd values. Every file is read in a process of its own, with a
limit to its memory and its time. `--without bounds` takes the limits out of the reader.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

from benchmarks.chaos.tally import Came, Given, Tally, run
from pipeline_project.domain.core import expressions
from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.spec import tree
from pipeline_project.spec.load import load_spec
from tests.integration import shop

SECONDS, BYTES = 20.0, 3 * 1024**3
#: What the reader's own limits are about; without them these are tried alone, and not waited for as long.
BOUNDED, IMPATIENT = ("many signs", "many brackets", "a long sum", "an alias bomb", "deep nesting", "many keys"), 4.0
#: How a process ends that read a file: well, with an error nobody should see, too late.
FINE, ESCAPED = 0, 3

Change = Callable[[dict[str, Any], Random], Any]


def _set(spec: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    *above, last = where.split(".")
    part = spec
    for name in above:
        part = part.setdefault(name, {})
    part[last] = value
    return spec


def _costs(text: Callable[[Random], str]) -> Change:
    return lambda spec, draw: _set(spec, "options.pay.costs", {"honest": 0, "fraud": text(draw)})


VALID: dict[str, Change] = {
    "many signs": _costs(lambda draw: "-" * draw.choice([50, 400, 5_000]) + "amount"),
    "many brackets": _costs(
        lambda draw: "(" * draw.choice([90, 300, 20_000]) + "amount" + ")" * draw.choice([90, 300, 20_000])
    ),
    "a long sum": _costs(lambda draw: "+".join(["amount"] * draw.choice([40, 70, 30_000]))),
    "towers of powers": _costs(lambda draw: "**".join(["9"] * draw.randrange(3, 9))),
    "a large product": _costs(lambda draw: "*".join(["1e15"] * draw.randrange(10, 60)) + "*amount"),
    "division by nothing": _costs(
        lambda draw: draw.choice(["amount / 0", "1 / (amount - amount)", "amount % 0", "sqrt(-1)"])
    ),
    "a call of anything": _costs(
        lambda draw: draw.choice(["__import__('os').system('id')", "amount.__class__", "open(1)", "where(1)"])
    ),
    "many fields": lambda spec, draw: (
        spec["fields"].update({f"f{n}": {"type": "number"} for n in range(draw.choice([300, 3_000]))}) or spec
    ),
    "many options": lambda spec, draw: (
        spec["options"].update(
            {f"o{n}": {"title": "x", "costs": {"honest": n, "fraud": "amount"}} for n in range(draw.choice([50, 500]))}
        )
        or spec
    ),
    "many labels": lambda spec, draw: _set(spec, "labels", [f"l{n}" for n in range(draw.choice([200, 4_000]))]),
    "words that mean something elsewhere": lambda spec, draw: _set(
        spec,
        "title",
        draw.choice(["<script>alert(1)</script>", "'; DROP TABLE decisions; --", "\u202egnp.exe", "x" * 90_000, "\0"]),
    ),
    "paths that lead out": lambda spec, draw: _set(
        spec,
        "source.pattern",
        draw.choice(
            ["../{night}.csv", "/etc/{night}", "{night}/../../x", "*" * 400 + "{night}", "{night}{night}{night}"]
        ),
    ),
    "variables": lambda spec, draw: _set(
        spec,
        "source.folder",
        draw.choice(["${PIPELINE_POSTGRES_URL}", "${A:-${B:-${C:-x}}}", "${" * 200, "${HOME}", "~root"]),
    ),
    "nights without end": lambda spec, draw: _set(
        spec,
        "nights",
        {
            "time_zone": draw.choice(["Africa/Cairo", "Pacific/Apia", "UTC", "Nowhere/Land"]),
            "first": draw.choice(["0001-01-01", "9999-12-31", "2025-03-01"]),
            "decide_from": "9999-12-31",
        },
    ),
    "money without end": lambda spec, draw: _set(spec, "review.cost", draw.choice([1e308, -1, 1e-308, 10**30])),
    "places without end": lambda spec, draw: _set(
        spec, "review.capacity", draw.choice([10**18, -5, 1e308, "1000000%"])
    ),
    "times of odd forms": lambda spec, draw: _set(
        spec, "time_formats", [draw.choice(["%Y" * 400, "%Q", "%", "%d" * 4_000])] * draw.choice([1, 900])
    ),
    "cells that mean nothing": lambda spec, draw: _set(
        spec, "missing", [str(n) for n in range(draw.choice([1_000, 60_000]))]
    ),
    "a schedule": lambda spec, draw: _set(
        spec, "nights.schedule", draw.choice(["* * * * * *", "99 99 * * *", "0 0 31 2 *", "*/0 * * * *"])
    ),
    "expectations of a rule": lambda spec, draw: _set(
        spec,
        "contract",
        {
            "compare": [{"left": "amount", "op": draw.choice(["<", ">=", "~"]), "right": "amount"}]
            * draw.choice([1, 2_000])
        },
    ),
}
RAW: dict[str, Callable[[Random], str]] = {
    "an alias bomb": lambda draw: (
        "a0: &a0 ["
        + "x," * 9
        + "x]\n"
        + "".join(f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 10) + "]\n" for n in range(1, draw.choice([6, 9, 12])))
    ),
    "an alias of itself": lambda draw: "a: &a [*a]\n",
    "deep nesting": lambda draw: "[" * draw.choice([50, 5_000, 400_000]),
    "deep keys": lambda draw: "".join(" " * n + "a:\n" for n in range(draw.choice([60, 900]))),
    "a long line": lambda draw: "title: " + "x" * draw.choice([900_000, 5_000_000]),
    "many keys": lambda draw: "".join(f"key{n}: 1\n" for n in range(draw.choice([20_000, 60_000]))),
    "a tag that builds things": lambda draw: draw.choice(
        ["!!python/object/apply:os.system ['id']\n", "a: !!binary x\n", "!!set {a, b}\n"]
    ),
    "no text": lambda draw: "\x00\x01\x02" * 50,
    "a number of many digits": lambda draw: "workflow: " + "9" * draw.choice([400, 90_000]),
    "merged keys": lambda draw: "a: &a {x: 1}\nb: {<<: *a, <<: *a}\n" * draw.choice([1, 2_000]),
}


def suite(given: Given) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        for seed in range(given.seed, given.seed + given.times):
            for kind in BOUNDED if given.without else [*VALID, *RAW]:
                draw = Random(f"{kind}/{seed}")
                path = Path(name) / "claims.yaml"
                if kind in RAW:
                    path.write_text(RAW[kind](draw), encoding="utf-8")
                else:
                    spec = VALID[kind](deepcopy(shop.spec("claims")), draw)
                    path.write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
                tally.note(kind, *judged(path, given.without))
    return tally


def judged(path: Path, without: str | None) -> tuple[Came, str]:
    """One file, in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=_use, args=(path, without))
    began = time.monotonic()
    process.start()
    process.join(IMPATIENT if without else SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return Came.SILENT, "not read in time"
    if process.exitcode != FINE:
        return (
            Came.LOST,
            f"an error that nobody should see, or too much memory (exit {process.exitcode})",
        )
    return Came.WELL, f"{time.monotonic() - began:.1f} s"


def _use(path: Path, without: str | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if without:
        tree.MAX_BYTES = tree.MAX_DEPTH = tree.MAX_VALUES = 10**12
        expressions.MAX_LENGTH = expressions.MAX_DEPTH = 10**9
    try:
        spec = load_spec(path)
        columns = {name: np.array([0.0, -1.0, np.nan, 1e300]) for name in ("amount",)}
        for option in spec.option_specs.values():
            for cost in option.costs.values():
                expressions.evaluate(cost, columns, 4)
    except (PipelineError, expressions.ExpressionError):
        os._exit(FINE)
    except BaseException:  # noqa: BLE001 - also what a limit of memory raises
        os._exit(ESCAPED)
    os._exit(FINE)


if __name__ == "__main__":
    raise SystemExit(run("specs", str(__doc__), ["bounds"], 4, suite))
