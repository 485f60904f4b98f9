"""Photos of returned items: a silhouette with texture, shade and noise, and on it what is wrong with it."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline_project.domain.intake.photo_opener import open_photo
from pipeline_project.sample.items import CATEGORIES, COLORS
from pipeline_project.sample.shapes import SHAPES, Polygon
from pipeline_project.sample.textures import MATERIALS, SIDE, tiles

WIDTH, HEIGHT = 160, 120
ROOMS = {
    "wood": (150, 112, 76),
    "cloth": (188, 182, 172),
    "soft": (206, 204, 200),
    "patches": (120, 116, 118),
    "plastic": (232, 230, 226),
    "plush": (142, 148, 160),
}
CARDBOARD, PAPER = (168, 128, 86), (232, 230, 224)
BROWN, SCUFF = (86, 66, 44), (206, 202, 196)


@dataclass(frozen=True)
class Shot:
    """What a photo shows; the same shot always gives the same bytes.

    Attributes:
        subject: a category, or open_box, parcel, slip.
        color: of the item.
        fault: tear, seam, stain, crack, broken, sole, or None.
        used: 0 as new, 1 clearly used: pilling, creases, dirt.
        tag: the price tag still hangs on it.
    """

    seed: int
    subject: str
    color: str
    fault: str | None = None
    used: float = 0.0
    tag: bool = False


def draw(shot: Shot) -> bytes:
    """A JPEG of 160 x 120 pixels."""
    rng = Random(shot.seed)
    place = _Placement.draw(rng)
    parts = SHAPES[shot.subject]
    mask, tone = _outline(parts, place, shot.fault in ("broken", "sole"), rng)
    base = {"slip": PAPER, "open_box": CARDBOARD, "parcel": CARDBOARD}.get(shot.subject, COLORS[shot.color])
    item = _surface(_rgb(base) * rng.uniform(0.85, 1.12), MATERIALS[shot.subject], rng) * tone
    if shot.used > 0:
        item = _worn(item, mask, shot, rng)
    if shot.fault:
        item = _damaged(item, mask, shot, rng)
    room = _room(mask, rng)
    picture = room + (item - room) * mask
    if shot.tag:
        picture = _tagged(picture, place, rng)
    return _developed(picture, rng)


@lru_cache(maxsize=256)
def draw_again(shot: Shot) -> bytes:
    """The same as `draw`, remembered: for photos that a ring uses again."""
    return draw(shot)


def recut(photo: bytes, rng: Random) -> bytes:
    """The photo slightly cropped, maybe a little lighter, and encoded again."""
    image = open_photo(photo, WIDTH * HEIGHT, (WIDTH, HEIGHT))
    left, top = rng.randrange(1, 8), rng.randrange(1, 6)
    right, bottom = WIDTH - rng.randrange(1, 8), HEIGHT - rng.randrange(1, 6)
    image = image.crop((left, top, right, bottom)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    lighter = rng.uniform(0.94, 1.06)
    return _encoded(image.point(lambda value: min(255, int(value * lighter))), rng.randrange(70, 93))


@dataclass(frozen=True)
class _Placement:
    """Where the item lies in the photo, in pixels of twice the size."""

    cos: float
    sin: float
    size: float
    x: float
    y: float
    mirrored: bool

    @classmethod
    def draw(cls, rng: Random) -> _Placement:
        turn = math.radians(rng.gauss(0, 9))
        size = rng.uniform(0.8, 1.08) * HEIGHT * 2
        x, y = WIDTH + rng.gauss(0, 16), HEIGHT + rng.gauss(0, 9)
        return cls(math.cos(turn), math.sin(turn), size, x, y, rng.random() < 0.5)

    def of(self, x: float, y: float) -> tuple[float, float]:
        across, down = (0.5 - x if self.mirrored else x - 0.5) * self.size, (y - 0.5) * self.size
        return self.x + across * self.cos - down * self.sin, self.y + across * self.sin + down * self.cos


def _outline(parts: tuple[Polygon, ...], place: _Placement, loose: bool, rng: Random) -> tuple[np.ndarray, np.ndarray]:
    """The item's mask in 0..1 and its tone, both of shape (120, 160)."""
    mask, tone = Image.new("L", (WIDTH * 2, HEIGHT * 2)), Image.new("L", (WIDTH * 2, HEIGHT * 2), 128)
    on_mask, on_tone = ImageDraw.Draw(mask), ImageDraw.Draw(tone)
    slip = (rng.uniform(0.07, 0.18) * rng.choice((-1, 1)), rng.uniform(-0.1, 0.1))
    for part in parts:
        points = part.points
        if loose and part.loose:
            points = tuple((x + slip[0] + 0.35 * (y - 0.5), y + slip[1] - 0.3 * (x - 0.5)) for x, y in points)
        placed = [place.of(x, y) for x, y in points]
        on_mask.polygon(placed, fill=255)
        on_tone.polygon(placed, fill=min(int(part.tone * 128), 255))
    small = np.asarray(mask.reduce(2), np.float32) / 255
    round_ = np.asarray(mask.reduce(2).filter(ImageFilter.BoxBlur(7)), np.float32) / 255
    toned = np.asarray(tone.reduce(2), np.float32) / 128
    return small, toned * (0.62 + 0.42 * round_)


def _window(name: str, rng: Random) -> np.ndarray:
    top, left = rng.randrange(SIDE - HEIGHT), rng.randrange(SIDE - WIDTH)
    return tiles()[name][top : top + HEIGHT, left : left + WIDTH]


def _rgb(color: tuple[float, float, float]) -> np.ndarray:
    """Of shape (3, 1, 1): pictures are kept as three planes, which numpy adds and multiplies faster."""
    return np.array(color, np.float32).reshape(3, 1, 1)


def _surface(color: np.ndarray, material: str, rng: Random) -> np.ndarray:
    """A picture of shape (3, 120, 160)."""
    return np.asarray(color + _window(material, rng) * rng.uniform(5, 9))


def _room(mask: np.ndarray, rng: Random) -> np.ndarray:
    """The background, with the item's shadow on it."""
    name = rng.choice(list(ROOMS))
    room = _surface(_rgb(ROOMS[name]) * rng.uniform(0.7, 1.1), name, rng)
    blurred = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(4))
    shadow = np.roll(np.asarray(blurred, np.float32) / 255, (rng.randrange(1, 5), rng.randrange(-5, 6)), (0, 1))
    return np.asarray(room * (1 - 0.45 * shadow))


def _spot(mask: np.ndarray, rng: Random) -> tuple[int, int]:
    """A point well inside the item, in pixels."""
    for _ in range(30):
        x, y = rng.randrange(20, WIDTH - 20), rng.randrange(14, HEIGHT - 14)
        if mask[y, x] > 0.9 and mask[y - 5, x] > 0.5 and mask[y, x - 5] > 0.5 and mask[y, x + 5] > 0.5:
            return x, y
    return WIDTH // 2, HEIGHT // 2


def _damaged(item: np.ndarray, mask: np.ndarray, shot: Shot, rng: Random) -> np.ndarray:
    x, y = _spot(mask, rng)
    if shot.fault == "stain":
        return _stained(item, x, y, rng)
    dark, light = Image.new("L", (WIDTH * 2, HEIGHT * 2)), Image.new("L", (WIDTH * 2, HEIGHT * 2))
    draws = {"tear": _tear, "seam": _seam, "crack": _crack}
    draws.get(shot.fault or "", _crack)(ImageDraw.Draw(dark), ImageDraw.Draw(light), x * 2, y * 2, rng)
    shade = np.asarray(dark.reduce(2), np.float32) / 255
    shine = np.asarray(light.reduce(2), np.float32) / 255
    return item * (1 - 0.9 * shade) + (235 - item) * shine * 0.8


def _tear(dark: ImageDraw.ImageDraw, light: ImageDraw.ImageDraw, x: int, y: int, rng: Random) -> None:
    """A jagged slit with frayed, lighter edges."""
    turn, long, wide = rng.uniform(0, math.pi), rng.uniform(18, 46), rng.uniform(4, 11)
    along, across = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
    steps = [step / 7 for step in range(-7, 8)]

    def edge(side: int) -> list[tuple[float, float]]:
        widths = [side * wide * (1 - step * step) * rng.uniform(0.5, 1.2) for step in steps]
        return [
            (x + along[0] * long * s + across[0] * w, y + along[1] * long * s + across[1] * w)
            for s, w in zip(steps, widths, strict=True)
        ]

    upper, lower = edge(1), edge(-1)
    dark.polygon([*upper, *reversed(lower)], fill=255)
    for px, py in (*upper[1:-1], *lower[1:-1]):
        light.line([(px, py), (px + rng.gauss(0, 4), py + rng.gauss(0, 4))], fill=220, width=1)
    light.line(upper, fill=150, width=2)


def _seam(dark: ImageDraw.ImageDraw, light: ImageDraw.ImageDraw, x: int, y: int, rng: Random) -> None:
    """An open seam: a straight gap with stitches across and threads hanging out."""
    turn, long = rng.choice((0.0, math.pi / 2)) + rng.gauss(0, 0.2), rng.uniform(24, 48)
    dx, dy = math.cos(turn), math.sin(turn)
    dark.line([(x - dx * long, y - dy * long), (x + dx * long, y + dy * long)], fill=235, width=rng.choice((4, 5, 6)))
    for step in range(-5, 6):
        px, py = x + dx * long * step / 5, y + dy * long * step / 5
        light.line([(px - dy * 7, py + dx * 7), (px + dy * 7, py - dx * 7)], fill=190, width=2)
    for _ in range(3):
        curl = [(x + rng.gauss(0, 8) + 5 * step, y + rng.gauss(0, 4) + 5 * step) for step in range(4)]
        light.line(curl, fill=230, width=1)


def _crack(dark: ImageDraw.ImageDraw, light: ImageDraw.ImageDraw, x: int, y: int, rng: Random) -> None:
    """Thin dark lines that branch, with a bright edge where they catch the light."""
    for _ in range(rng.choice((2, 3, 4))):
        turn, px, py = rng.uniform(0, 2 * math.pi), float(x), float(y)
        line = [(px, py)]
        for _ in range(rng.randrange(4, 8)):
            turn += rng.gauss(0, 0.5)
            px, py = px + math.cos(turn) * rng.uniform(5, 11), py + math.sin(turn) * rng.uniform(5, 11)
            line.append((px, py))
        light.line([(a + 2, b + 2) for a, b in line], fill=150, width=2)
        dark.line(line, fill=255, width=rng.choice((2, 3)))


def _stained(item: np.ndarray, x: int, y: int, rng: Random) -> np.ndarray:
    blot = Image.new("L", (WIDTH, HEIGHT))
    on_blot = ImageDraw.Draw(blot)
    for _ in range(rng.randrange(4, 9)):
        px, py, r = x + rng.gauss(0, 6), y + rng.gauss(0, 5), rng.uniform(3, 10)
        on_blot.ellipse((px - r, py - r * 0.8, px + r, py + r * 0.8), fill=rng.randrange(150, 256))
    strength = np.asarray(blot.filter(ImageFilter.BoxBlur(1.5)), np.float32) / 255 * rng.uniform(0.5, 0.8)
    tint = _rgb(rng.choice(((70, 44, 20), (40, 36, 34), (120, 30, 40), (190, 180, 120))))
    return item * (1 - strength) + tint * strength


def _worn(item: np.ndarray, mask: np.ndarray, shot: Shot, rng: Random) -> np.ndarray:
    """Pilling on cloth, scuffs on hard things, dirt toward the lower edge, creases."""
    grain, patches = _window("grain", rng), _window("patches", rng)
    pills = ((grain > 1.55) & (patches > 0.1)).astype(np.float32) * 0.55 * shot.used
    item = item + (_rgb(SCUFF) - item) * pills
    rows = np.linspace(-0.9, 1.0, HEIGHT, dtype=np.float32)[:, None]
    dirt = np.clip((_window("soft", rng) * 0.5 + rows) * 0.75, 0, 0.75) * shot.used
    if shot.subject == "shoes" or rng.random() < 0.5:
        item = item + (_rgb(BROWN) - item) * dirt
    if shot.subject in CATEGORIES and CATEGORIES[shot.subject].textile:
        folds = Image.new("L", (WIDTH, HEIGHT), 128)
        on_folds = ImageDraw.Draw(folds)
        for _ in range(rng.randrange(5, 10)):
            x, y = _spot(mask, rng)
            dx, dy = rng.gauss(0, 16), rng.gauss(0, 11)
            on_folds.line([(x, y), (x + dx, y + dy)], fill=70, width=2)
            on_folds.line([(x + 2, y + 2), (x + dx + 2, y + dy + 2)], fill=190, width=1)
        item = item * (1 + (np.asarray(folds, np.float32) / 128 - 1) * 0.8 * shot.used)
    return item


def _tagged(picture: np.ndarray, place: _Placement, rng: Random) -> np.ndarray:
    """A white price tag on a string."""
    image = _image(picture)
    on_image = ImageDraw.Draw(image)
    x, y = (value / 2 for value in place.of(rng.uniform(0.4, 0.6), rng.uniform(0.25, 0.45)))
    tx, ty = x + rng.uniform(8, 15), y + rng.uniform(8, 16)
    on_image.line([(x, y), (tx, ty)], fill=(70, 60, 50), width=1)
    on_image.polygon([(tx - 6, ty), (tx + 6, ty + 2), (tx + 4, ty + 18), (tx - 8, ty + 16)], fill=(246, 245, 240))
    for row in (5, 8, 11):
        on_image.line([(tx - 5, ty + row), (tx + 3, ty + row + 1)], fill=(60, 60, 64), width=1)
    return np.moveaxis(np.asarray(image, np.float32), -1, 0)


def _developed(picture: np.ndarray, rng: Random) -> bytes:
    """Uneven light, the camera's noise, focus and JPEG quality."""
    across = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :] * rng.gauss(0, 0.10)
    down = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None] * rng.gauss(0, 0.10)
    light = rng.uniform(0.86, 1.1) + across + down
    warmth = _rgb((rng.uniform(0.97, 1.04), 1, rng.uniform(0.93, 1.04)))
    image = _image(picture * light * warmth + _window("grain", rng) * rng.uniform(2, 7))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.9)))
    return _encoded(image, rng.randrange(66, 94))


def _image(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(np.clip(picture, 0, 255).astype(np.uint8), 0, -1)))


def _encoded(image: Image.Image, quality: int) -> bytes:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality)
    return written.getvalue()
