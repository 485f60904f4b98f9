"""`python -m benchmarks.photos --photos FOLDER`: what each encoder of photos lets an estimator tell about them.

The folder holds photos in folders by kind, or is a tar archive of such. Every photo is told by a model that has not
seen it, in five splits into five parts; an estimator is given vectors and nothing else, as a workflow with one photo
field and no others would. Intervals come from drawing the photos anew, 2,000 times, for differences in pairs.
"""

from __future__ import annotations

import argparse
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from benchmarks.tables import head, line, machine, table
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models import ESTIMATORS, EstimatorSettings
from resources.encoders import image_encoder

ENCODERS: Mapping[str, tuple[str, ...]] = {
    "statistics": ("photo-statistics-v1",),
    "Lite0": ("efficientnet-lite0",),
    "both": ("photo-statistics-v1", "efficientnet-lite0"),
}
REPEATS, PARTS, DRAWS = 5, 5, 2_000
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
COLUMNS = ["encoder", "estimator", "accuracy", "95 % interval", "macro F1", "over statistics, points", "95 % interval"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photos", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="a folder or tar archive, one folder a kind")
    parser.add_argument("--estimators", default=",".join(ESTIMATORS), help="separated by commas (%(default)s)")
    given = parser.parse_args()
    kinds, contents = zip(*photos_in(given.photos), strict=True)
    labels, y = np.unique(kinds, return_inverse=True)
    print(f"{machine()}. {len(y)} photos of {len(labels)} kinds, {PARTS} parts, {REPEATS} times.\n")
    vectors = {name: encoded(encoder, contents) for name, encoder in ENCODERS.items()}
    print(table("What a photo takes", ["encoder", "values", "processor ms a photo"], costs(vectors)))
    print(head("What is told rightly", COLUMNS), flush=True)
    for estimator in given.estimators.split(","):
        right: dict[str, np.ndarray] = {}
        for name, (made, _) in vectors.items():
            told = out_of_sample(estimator, made, y, tuple(labels))
            right[name] = (told == y).mean(axis=0)
            f1 = float(np.mean([f1_score(y, of, average="macro") for of in told]))
            more = right[name] - right["statistics"]
            apart = ["", ""] if name == "statistics" else [f"{100 * more.mean():+.1f}", interval(100 * more, "{:+.1f}")]
            print(line([name, estimator, right[name].mean(), interval(right[name], "{:.3f}"), f1, *apart]), flush=True)


def photos_in(place: Path) -> Iterator[tuple[str, bytes]]:
    """Kind and content of each photo, in the order of their names."""
    if place.is_dir():
        for file in sorted(file for file in place.rglob("*") if file.suffix.lower() in ENDINGS):
            yield file.parent.name, file.read_bytes()
        return
    with tarfile.open(place) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            name, content = PurePosixPath(member.name), archive.extractfile(member)
            if content is not None and name.suffix.lower() in ENDINGS:
                yield name.parent.name, content.read()


def encoded(encoder: Sequence[str], contents: Sequence[bytes]) -> tuple[np.ndarray, float]:
    """Vectors of the photos, shape (photos, dimension), and processor seconds a photo; a problem ends the program."""
    made = image_encoder(encoder)
    made.encode(contents[:1])  # imports and weights, once
    start = time.process_time()
    vectors, problems = made.encode(contents)
    seconds = time.process_time() - start
    if any(problems):
        raise SystemExit(f"{sum(map(bool, problems))} photos cannot be read: {next(filter(None, problems))}")
    return vectors, seconds / len(contents)


def costs(vectors: Mapping[str, tuple[np.ndarray, float]]) -> Iterator[tuple[str, int, float]]:
    for name, (made, seconds) in vectors.items():
        yield name, made.shape[1], 1000 * seconds


def out_of_sample(estimator: str, vectors: np.ndarray, y: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """The label that each photo is given by a model of the other parts, shape (repeats, photos)."""
    told = np.zeros((REPEATS, len(y)), np.int64)
    # estimators look for their strength on later nights; photos have none, so they come in any order
    nights = np.array([f"2025-03-{1 + day:02d}" for day in np.random.default_rng(0).integers(0, 20, len(y))])
    everything = FeatureTable(
        np.arange(len(y)).astype(str), nights, (), np.zeros((len(y), 0)), (), np.zeros((len(y), 0), object),
        {"image": vectors},
    )  # fmt: skip
    for repeat in range(REPEATS):
        split = StratifiedKFold(PARTS, shuffle=True, random_state=repeat)
        for learn, tell in split.split(vectors, y):
            model = ESTIMATORS[estimator](EstimatorSettings(labels)).fit(everything.select(learn), y[learn])
            told[repeat, tell] = model.probabilities(everything.select(tell)).argmax(axis=1)
    return told


def interval(values: np.ndarray, form: str) -> str:
    """Of the mean of one value a photo, at 95 %."""
    draws = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    return f"{form.format(low)} to {form.format(high)}"


if __name__ == "__main__":
    main()
