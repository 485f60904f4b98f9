"""The night report as a page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline_project.domain.measures.maturity import Immature
from pipeline_project.domain.reporting.facts import Alert
from pipeline_project.domain.reporting.index import WorkflowIndex, index_row
from pipeline_project.domain.reporting.page import MOST_PHOTOS, night_markdown, render_index, render_night
from pipeline_project.domain.reporting.summary import summarize
from pipeline_project.domain.reporting.thumbnails import SIZE, thumbnail
from tests.domain.reporting.report_nights import CANARIES, TERMS, facts, matured_of, png

VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Notes what a page is made of, and that every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name == tag]


def page_of(**changes: object) -> str:
    return render_night(summarize(TERMS, facts(**changes)), lambda path: png())


def index_of(href: str = "nights/a.html") -> str:
    row = index_row(summarize(TERMS, facts()), href)
    return render_index([WorkflowIndex("returns", "Return <claims>", "EUR", (row,))])


@pytest.mark.parametrize("page", [page_of(), index_of(), page_of(blocked="x", decisions=None), page_of(matured=None)])
def test_a_page_asks_for_nothing_from_outside(page: str) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page.replace("http://www.w3.org/2000/svg", ""))
    outline = Outline(page)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in outline.seen}
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in outline.all("img"))
    policy = next(m["content"] for m in outline.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy


def test_what_came_in_is_text_and_never_markup() -> None:
    page = page_of(alerts=(Alert("note", "<script>alert(2)</script>"),), blocked=None)
    assert "<script" not in page and "<b>often" not in page and "<i>odd" not in page
    assert "&lt;b&gt;often&lt;/b&gt;" in page and "g&lt;2&gt;" in page
    assert "&lt;claims&gt;" in index_of()
    assert 'href="&#34;onclick=' in index_of('"onclick="x')


def test_nothing_personal_is_on_the_page_or_in_the_metadata() -> None:
    report = summarize(TERMS, facts())
    for shown in (render_night(report, lambda path: png()), night_markdown(report)):
        assert not [canary for canary in CANARIES if canary.casefold() in shown.casefold()]
        assert "K770" not in shown and "photos/" not in shown


def test_the_same_night_gives_the_same_bytes() -> None:
    assert page_of() == page_of()
    assert page_of() != page_of(duplicates=2)


def test_numbers_on_the_page_are_the_reports() -> None:
    page = page_of()
    for words in (
        "14 cases came in; 11 admitted, 2 refused, 1 was a repeat.",
        "this policy 23.40 EUR, 60.60 EUR (72.1 %) less.",
        "price: “…” is not a number",
        "pipeline why returns C-006",
        "pipeline quarantine returns --night 2025-04-17",
        "minilm@1",
    ):
        assert words in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blocked": "45 % refused", "decisions": None}, "This night is blocked"),
        ({"night": "2025-02-11", "decisions": None}, "Warm-up night"),
        ({"decisions": None}, "not decided yet"),
        ({"matured": None}, "Fewer than 20 earlier decisions"),
    ],
)
def test_states_are_told_on_the_page(changes: dict, words: str) -> None:
    assert words in page_of(**changes)


def test_charts_and_photos_have_words_and_tables_have_captions() -> None:
    outline = Outline(page_of())
    for svg in outline.all("svg"):
        assert svg.get("aria-hidden") == "true" or (svg.get("role") == "img" and svg.get("aria-label"))
    assert all(image.get("alt") for image in outline.all("img"))
    assert len(outline.all("table")) == len(outline.all("caption")) >= 7
    assert outline.all("html")[0]["lang"] == "en"
    ids = [attrs["id"] for _, attrs in outline.seen if "id" in attrs]
    named = [attrs["aria-labelledby"] for _, attrs in outline.seen if "aria-labelledby" in attrs]
    assert len(ids) == len(set(ids)) and set(named) <= set(ids)


def test_at_most_so_many_photos_are_asked_for_and_a_broken_one_is_no_failure() -> None:
    asked: list[str] = []

    def photo(path: str) -> bytes | None:
        asked.append(path)
        return None if len(asked) == 1 else b"not a photo"

    page = render_night(summarize(TERMS, facts()), photo)
    assert 0 < len(asked) <= MOST_PHOTOS
    assert page.count("no photo to show") == len(asked) and "<img" not in page


def test_thumbnails_are_small_and_refuse_what_is_no_photo() -> None:
    import base64
    import io

    from PIL import Image

    uri = thumbnail(png((4000, 1000)))
    assert uri is not None
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as small:
        assert max(small.size) == SIZE and small.format == "JPEG"
    assert thumbnail(b"") is None and thumbnail(png()[:60]) is None


def test_a_photo_that_would_unpack_to_gigabytes_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_project.domain.intake.photo_opener.MOST_PIXELS", 100)
    assert thumbnail(png((20, 20))) is None


def test_markdown_tells_the_night_in_short_and_escapes_its_signs() -> None:
    text = night_markdown(summarize(TERMS, facts(alerts=(Alert("warning", "a|b `c` <img src=x>"),))))
    assert "14 cases came in" in text and "| Put it back | 5 | 200.00 EUR |" in text
    assert "a\\|b \\`c\\` &lt;img src=x>" in text
    assert len(text) < 2500


def test_colours_of_text_keep_their_contrast() -> None:
    import pipeline_project.domain.reporting as report

    style = (Path(report.__file__).parent / "templates" / "style.css").read_text()
    light, dark = re.findall(r"--paper: (?:.|\n)*?(?=\})", style)[:2]
    for theme in (light, dark):
        colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", theme))
        pairs = [(ink, back) for ink in ("ink", "soft", "policy") for back in ("paper", "raised")]
        pairs += [(kind, f"{kind}-back") for kind in ("stop", "warn", "note")]
        assert all(contrast(colour[a], colour[b]) >= 4.5 for a, b in pairs), pairs
        assert all(contrast(colour[a], colour["paper"]) >= 3 for a in ("policy", "people", "refused", "repeat"))


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_costs_of_the_test_night_are_as_declared() -> None:
    past = matured_of()
    assert past.cost.shape == (len(past.decisions), 3, 2)
    assert past.cost[0].tolist() == [[0, 30], [12, 0], [60, 60]]


def test_page_and_summary_say_that_nights_are_immature_beside_the_figures() -> None:
    past = replace(matured_of(), immature=Immature(cases=120, known=400, nights=5, mature_share=0.9))
    page, report = page_of(matured=past), summarize(TERMS, facts(matured=past))
    assert page.count("120 lie in 5 immature nights") == 2, "beside the calibration and beside the money"
    assert "120 lie in 5 immature nights" in night_markdown(report)
    assert "immature" not in page_of()
