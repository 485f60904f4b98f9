"""`python -m benchmarks.numerics`: photos, admission, scores and training beside what one would take instead.

Every figure is of a process of its own: nothing that was imported or cached before counts, nor its memory. The sides
of a row run in turn, as often as `--repeats` says; seconds and processor seconds are the middle ones, memory the most.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.home import ROOT, environ
from benchmarks.tables import machine, table

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline_project.domain.features.table import FeatureTable
    from pipeline_project.domain.models.boosting import BoostedTrees

MIB = 2**20
HOUSE = "the house"


@dataclass(frozen=True)
class Cost:
    """What one run took; `prepared` is the memory that its input took before it began."""

    seconds: float
    processor: float
    peak: int
    prepared: int


@dataclass(frozen=True)
class Subject:
    """What is measured, and against what.

    Attributes:
        sizes: those that are measured where none are asked for.
        prepare: from a size and the name of a side to what is to be timed.
        sides: the house's first; then those it is compared with.
        goals: of each of the house's sides against the first peer: the ratio, and whether the house is to be faster.
    """

    title: str
    sizes: tuple[int, ...]
    prepare: Callable[[int, str], Callable[[], object]]
    sides: tuple[str, ...]
    goals: dict[str, str]


# -- photos ---------------------------------------------------------------------------------------------------

#: Megapixels times ten -> width, height and how many of them.
PHOTOS = {120: (4000, 3000, 4), 10: (1152, 864, 24), 3: (640, 480, 48)}
BICUBIC, BOX = "Pillow, whole, resized", "Pillow, whole, resized by BOX"


def photos(size: int, side: str) -> Callable[[], object]:
    from PIL import Image

    from resources.encoders import PhotoStatisticsEncoder

    width, height, count = PHOTOS[size]
    made = [_photo(width, height, seed) for seed in range(count)]
    # what Pillow and the encoder set up with their first photo is not asked here
    PhotoStatisticsEncoder().encode(made[:1])
    if side == HOUSE:
        return partial(PhotoStatisticsEncoder().encode, made)
    how = Image.Resampling.BOX if side == BOX else None
    return lambda: [_resized(content, how) for content in made]


def _photo(width: int, height: int, seed: int) -> bytes:
    """Soft colours, some hard edges and a camera's grain, as JPEG."""
    from PIL import Image, ImageDraw

    random = np.random.default_rng(seed)
    ground = Image.fromarray(random.integers(0, 255, (24, 32, 3)).astype(np.uint8))
    picture = ground.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(40):
        x, y, half = random.integers(width), random.integers(height), width * random.uniform(0.01, 0.1)
        colour = tuple(int(part) for part in random.integers(0, 255, 3))
        pen.ellipse((int(x - half), int(y - half), int(x + half), int(y + half)), fill=colour)
    grain = np.asarray(picture, np.int16) + random.normal(0, 6, (height, width, 1)).astype(np.int16)
    kept = io.BytesIO()
    Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).save(kept, "JPEG", quality=88)
    return kept.getvalue()


def _resized(content: bytes, how: Any) -> object:
    from PIL import Image

    # the peer: a photo made here, not one of a stranger
    with Image.open(io.BytesIO(content)) as photo:  # noqa: TID251
        return photo.convert("RGB").resize((160, 160), how)


# -- admission ------------------------------------------------------------------------------------------------

SUITE = "the same suite, bare"
NIGHT = "2025-04-20"


def admission(size: int, side: str) -> Callable[[], object]:
    """Rows of `returns` from strings to cases: read as their types, 27 rules, sorted into cases and quarantine."""
    from pipeline_project.domain.intake.admission import admit
    from pipeline_project.domain.intake.typed_rows import read_rows
    from pipeline_project.partitions import window
    from pipeline_project.spec.load import load_spec
    from resources.contracts.arrivals import GxContract
    from resources.contracts.expectations import run

    spec = load_spec(ROOT / "pipeline_project" / "workflows" / "returns.yaml")
    contract, arrived = GxContract(spec), _claims(size)
    # what Great Expectations imports and sets up is not asked here
    contract.validate(read_rows(arrived.slice(0, 100), spec.case_schema))
    if side == HOUSE:

        def whole() -> object:
            typed = read_rows(arrived, spec.case_schema)
            return admit(typed, contract.validate(typed), None, window(spec, NIGHT))

        return whole
    frame = contract._prepared(read_rows(arrived, spec.case_schema).frame)
    described = {rule.name: (rule.column, rule.rule) for rule in contract.rules}
    return lambda: run(frame, {rule.name: contract._expectation(rule) for rule in contract.rules}, described)


def _claims(count: int) -> pa.Table:
    """Rows as they come in, one in fifty of them with something wrong."""
    from resources.sources.arrivals import arrivals
    from resources.sources.rows import SourceRow

    return arrivals(
        (SourceRow(line, cells) for line, cells in enumerate(_cells(count), 2)), NIGHT, "claims.csv", "0" * 64
    )


def _cells(count: int) -> Iterator[dict[str, str]]:
    random = np.random.default_rng(5)
    kinds = ["shoes", "dress", "jacket", "shirt", "jeans", "bag", "headphones", "lamp", "kettle", "toy"]
    text = "the zip broke after two days and I would like my money back please it does not fit"
    words = np.array(text.split())
    odd = random.random(count) < 0.02
    for number in range(count):
        minute = int(random.integers(60 * 24))
        yield {
            "claim_id": f"R-{number:08d}",
            "claimed_at": f"{NIGHT}T{minute // 60:02d}:{minute % 60:02d}:00",
            "customer_id": f"C{random.integers(count):07d}",
            "customer_email": f"c{random.integers(count)}@example.org" if number % 25 else "-",
            "order_id": f"O-{random.integers(10 * count)}",
            "item_id": f"I{random.integers(3000):05d}",
            "category": "boat" if odd[number] and number % 3 == 0 else kinds[number % len(kinds)],
            "brand": f"brand {random.integers(60)}",
            "price": "12 something" if odd[number] and number % 3 == 1 else f"{random.lognormal(3.8, 0.6):.2f}",
            "quantity": str(1 + number % 3),
            "ordered_at": f"2025-{1 + number % 3:02d}-{1 + number % 28:02d}",
            "days_since_delivery": str(number % 60) if not odd[number] or number % 3 < 2 else "500",
            "reason": "damaged" if number % 2 else "does_not_fit",
            "channel": "web",
            "payment": "card",
            "message": " ".join(random.choice(words, 40)) + ("  é" if number % 7 == 0 else "."),
            "photos": ";".join(f"claims/{NIGHT}/photos/R-{number:08d}-{place}.jpg" for place in range(number % 3)),
        }


# -- scores ---------------------------------------------------------------------------------------------------

WITH_REASONS, PREDICT = "the house, with reasons", "HistGradientBoosting, predict_proba"
_NUMBERS, _CATEGORIES, _LEARNED = 34, 6, 30_000


def scores(size: int, side: str) -> Callable[[], object]:
    """Two labels, 34 numbers and 6 categories; both models as they come, fitted on the same 30,000 rows."""
    learned, y = _features(_LEARNED, 1)
    cases, _ = _features(size, 2)
    if side == PREDICT:
        return partial(_histogram_boosting(learned, y).predict_proba, _plain(cases))
    model = _boosted(learned, y)
    if side == HOUSE:
        return partial(model.probabilities, cases)
    return lambda: model.reasons(cases, model.probabilities(cases), 3)


def _boosted(learned: FeatureTable, y: np.ndarray) -> BoostedTrees:
    from pipeline_project.domain.models.boosting import BoostedTrees
    from pipeline_project.domain.models.estimator import EstimatorSettings

    return BoostedTrees(EstimatorSettings(("kept", "returned"))).fit(learned, y)


def _features(count: int, seed: int) -> tuple[FeatureTable, np.ndarray]:
    from pipeline_project.domain.features.table import FeatureTable

    random = np.random.default_rng(seed)
    numbers, codes = random.normal(size=(count, _NUMBERS)), random.integers(0, 6, (count, _CATEGORIES))
    score = numbers[:, :8] @ np.array([1, 0.8, -0.7, 0.5, 0.4, -0.3, 0.2, 0.1]) + (codes[:, 0] == 2) * 1.2
    y = (score + numbers[:, 1] * numbers[:, 2] / 2 + random.logistic(size=count) > 0.5).astype(int)
    nights = np.array([f"2025-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in range(40)], dtype=object)
    features = FeatureTable(
        case_ids=np.array([f"case-{place}" for place in range(count)], dtype=object),
        nights=np.repeat(nights, -(-count // len(nights)))[:count],
        number_names=tuple(f"number_{place}" for place in range(_NUMBERS)),
        numbers=numbers,
        category_names=tuple(f"kind_{place}" for place in range(_CATEGORIES)),
        categories=np.array(list("abcdef"), dtype=object)[codes],
    )
    return features, y


def _plain(features: FeatureTable) -> np.ndarray:
    """The features as scikit-learn takes them: numbers, categories by code, vectors."""
    codes = [np.unique(column.astype(str), return_inverse=True)[1] for column in features.categories.T]
    return np.column_stack([features.numbers, *codes, *features.vectors.values()])


def _histogram_boosting(features: FeatureTable, y: np.ndarray) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    first = features.numbers.shape[1]
    coded = list(range(first, first + features.categories.shape[1]))
    return HistGradientBoostingClassifier(categorical_features=coded).fit(_plain(features), y)


# -- training -------------------------------------------------------------------------------------------------

ONCE, AS_OFTEN = "HistGradientBoosting, once", "HistGradientBoosting, as often as the house fits"


def training(size: int, side: str) -> Callable[[], object]:
    """The made-up cases of `benchmarks.lifecycle`: 3 labels, 5 numbers, 2 categories, a vector of 16."""
    from benchmarks.lifecycle.world import PLAN, make_cases
    from pipeline_project.domain.features.timeline import forward_steps, later_share
    from pipeline_project.domain.models.training import train

    made = make_cases(40, size // 40)
    if side == HOUSE:
        prepared = made.training()
        return lambda: train(prepared, PLAN)
    features, y = made.features, made.label
    step = forward_steps(features.nights, later_share(features.nights, PLAN.calibration_share), 3)
    parts = [step >= 0]
    if side == AS_OFTEN:
        # where to stop, then each stretch from those before it, then all
        early = step < 1
        stopping = np.flatnonzero(early)[~later_share(features.nights[early], 0.2)]
        parts = [np.isin(np.arange(len(y)), stopping), *(step < now for now in range(1, int(step.max()) + 1)), *parts]
    return lambda: [_histogram_boosting(features.select(rows), y[rows]) for rows in parts]


SUBJECTS = {
    "photos": Subject(
        "Photos, tenths of a megapixel", tuple(PHOTOS), photos, (HOUSE, BICUBIC, BOX),
        {HOUSE: "as fast as Pillow times 4, 2, 1"},
    ),
    "admission": Subject("Admission, rows", (100_000, 1_000_000), admission, (HOUSE, SUITE), {HOUSE: "at most 1.5x"}),
    "scores": Subject(
        "Scores, cases of 40 features", (100_000, 1_000_000), scores, (HOUSE, WITH_REASONS, PREDICT),
        {HOUSE: "twice as fast", WITH_REASONS: "half as fast"},
    ),
    "training": Subject(
        "Training, cases", (100_000, 1_000_000), training, (HOUSE, ONCE, AS_OFTEN), {HOUSE: "at most 1.5x"},
    ),
}  # fmt: skip


def main() -> None:
    given = _arguments()
    if given.one:
        return _child(given.one[0], int(given.one[1]), given.one[2])
    print(f"{machine()}.\n", flush=True)
    for name in given.only or SUBJECTS:
        subject = SUBJECTS[name]
        for size in given.sizes or subject.sizes:
            print(_table(name, size, given.repeats, given.threads), flush=True)
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numerics", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(SUBJECTS), help="one subject; may be given again")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], help="as 100000,1000000")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default: %(default)s)")
    parser.add_argument("--threads", help="OpenMP's and BLAS's, for both sides (default: as they take)")
    parser.add_argument("--one", nargs=3, metavar=("SUBJECT", "SIZE", "SIDE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _table(name: str, size: int, repeats: int, threads: str | None) -> str:
    subject = SUBJECTS[name]
    runs: dict[str, list[Cost]] = {side: [] for side in subject.sides}
    for _ in range(repeats):
        for side in subject.sides:
            runs[side].append(_measured(name, size, side, threads))
    rows = []
    peer = next(side for side in subject.sides if side not in subject.goals)
    for side, costs in runs.items():
        seconds, busy = _middle(costs, "seconds"), _middle(costs, "processor")
        faster = [_middle(runs[peer], kind) / of for kind, of in (("seconds", seconds), ("processor", busy))]
        peak, prepared = (round(max(getattr(cost, kind) for cost in costs) / MIB) for kind in ("peak", "prepared"))
        goal = subject.goals.get(side, "")
        rows.append((side, seconds, busy, *(f"{ratio:.2f}x" for ratio in faster), goal, peak, prepared))
    columns = [
        "",
        "seconds",
        "processor seconds",
        "as fast as the peer",
        "by processor",
        "goal",
        "peak, MiB",
        "input, MiB",
    ]
    return table(f"{subject.title}: {size:,}", columns, rows)


def _middle(costs: Sequence[Cost], kind: str) -> float:
    return statistics.median(getattr(cost, kind) for cost in costs)


def _measured(name: str, size: int, side: str, threads: str | None) -> Cost:
    """
    Raises:
        SystemExit: it failed; what it said last is the message.
    """
    words = [sys.executable, "-m", "benchmarks.numerics", "--one", name, str(size), side]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads) if threads else {}
    done = subprocess.run(words, env=environ() | limits, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}, {size:,} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _child(name: str, size: int, side: str) -> None:
    run = SUBJECTS[name].prepare(size, side)
    prepared = _memory()
    began, busy = time.perf_counter(), time.process_time()
    run()
    cost = Cost(time.perf_counter() - began, time.process_time() - busy, _memory(), prepared)
    print(json.dumps(asdict(cost)))


def _memory() -> int:
    # kilobytes on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
