"""Files that nearly have the name that was declared: nothing is read from them, and so somebody has to be told."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import combinations

from pipeline_project.domain.core.nights import Cadence, is_night, on_day

#: Stands for the night in a path; no file can hold it in its name.
_NIGHT = "\0"
_ISO = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<name>{'|'.join(_MONTHS)})[a-z]*"
_SEPARATOR = r"[-_. /]?"
#: How else a day is written, the likeliest first.
_SPELLINGS = tuple(
    re.compile(rf"(?<!\d){pattern}(?!\d)", re.I)
    for pattern in (
        rf"(?P<y>\d{{4}}){_SEPARATOR}(?P<m>\d{{2}}){_SEPARATOR}(?P<d>\d{{2}})",
        r"(?P<y>\d{4})[-_. /](?P<m>\d{1,2})[-_. /](?P<d>\d{1,2})",
        r"(?P<d>\d{1,2})[-_. ](?P<m>\d{1,2})[-_. ](?P<y>\d{4})",
        r"(?P<m>\d{1,2})[-_. ](?P<d>\d{1,2})[-_. ](?P<y>\d{4})",
        r"(?P<d>\d{2})(?P<m>\d{2})(?P<y>\d{4})",
        r"(?P<m>\d{2})(?P<d>\d{2})(?P<y>\d{4})",
        rf"(?P<d>\d{{1,2}}){_SEPARATOR}{_MONTH}{_SEPARATOR}(?P<y>\d{{4}})",
        rf"(?P<y>\d{{4}}){_SEPARATOR}{_MONTH}{_SEPARATOR}(?P<d>\d{{1,2}})",
        rf"{_MONTH}{_SEPARATOR}(?P<d>\d{{1,2}})[, _.-]*(?P<y>\d{{4}})",
        r"(?P<d>\d{2})[-_.](?P<m>\d{2})[-_.](?P<y>\d{2})",
        r"(?P<y>\d{2})[-_.]?(?P<m>\d{2})[-_.]?(?P<d>\d{2})",
    )
)
_COPY = re.compile(r"\s*(\(\d+\)|\[\d+\]|[-_ ]+(copy|kopie|copie)(\s*\(?\d+\)?)?)(?=\.|$)", re.I)
_UNFINISHED = (".part", ".tmp", ".temp", ".crdownload", ".filepart", ".download", ".partial")
_TABLES = (".csv", ".tsv", ".txt", ".dat", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".xlsx", ".xls", ".ods")
_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".tar")
_ALIKE = 0.8
_OTHERWISE = "it is called otherwise"
_YEARS = (1990, 2100)
#: A week, however much of its key is there, and an hour right behind its day; and the key of that.
_JOINED = {
    Cadence.WEEK: (
        re.compile(r"(?<!\d)(?P<year>\d{4})[-_]?W(?P<week>\d{2})(-[1-7])?(?!\d)", re.I),
        "{year}-W{week}-1",
    ),
    Cadence.HOUR: (
        re.compile(rf"(?<!\d)(?P<y>\d{{4}}){_SEPARATOR}(?P<m>\d{{2}}){_SEPARATOR}(?P<d>\d{{2}})(?P<h>\d{{2}})(?!\d)"),
        "{y}-{m}-{d}T{h}Z",
    ),
}
#: The hour behind a day: `T14`, `_14h`, `-14-00`.
_HOUR = re.compile(r"[T_\-. ]?(?P<hour>[01]\d|2[0-3])(?:[-:_.h]?00)?(?:Z|h|(?!\d))", re.I)


@dataclass(frozen=True)
class NearMiss:
    """A file that is not read.

    Attributes:
        path: below the folder of the source.
        night: for which it may be meant, its key; None where its name says no night.
        hint: what about its name is not as declared.
        sure: whether it is worth telling also where other files were read for the night.
    """

    path: str
    night: str | None
    hint: str
    sure: bool = True

    def sentence(self, pattern: str) -> str:
        """For the person who has to rename it, or to mend the spec."""
        return f"{self.path} is not read: {self.hint}, and the pattern is {pattern}; rename it, or correct the pattern"


def near_misses(
    paths: Iterable[str], pattern: str, is_read: Callable[[str], bool], every: Cadence = Cadence.DAY
) -> Iterator[NearMiss]:
    """The files among `paths` that look as if they were meant for a pattern, in their order; one whose name can be
    read as several nights, once for each.

    Args:
        paths: below the folder, with slashes.
        pattern: with `{night}`, as declared.
        is_read: whether a path is one that is read, by this pattern or another one of the workflow.
        every: the cadence of the nights; an hour is looked for behind a day.
    """
    wanted = re.sub(r"\{night(:[^{}]*)?\}", _NIGHT, pattern)
    for path in paths:
        if _may_be_one(path, wanted) and not is_read(path):
            yield from _near(path, wanted, every)


def _may_be_one(path: str, wanted: str) -> bool:
    """Whether a file may be meant at all, by its ending alone: photos lie beside the tables by the thousand."""
    end, due = _end(path).strip().lower(), _end(wanted).lower()
    return not end or not due or end == due or end in (*_TABLES, *_PACKED, *_UNFINISHED)


def _near(path: str, wanted: str, every: Cadence) -> Iterator[NearMiss]:
    nights = list(_nights_in(path, every))
    reported = set()
    for night, written, spelled in nights:
        other = [] if spelled == night else [f"it writes the night as {spelled}"]
        hints, sure = _hints(written, wanted), True
        if hints is None and _end(written).lower() in _TABLES and _end(written).lower() == _end(wanted).lower():
            hints, sure = [_OTHERWISE], _alike(written, wanted)
        if hints is not None and (other or hints) and night not in reported:
            reported.add(night)
            yield NearMiss(path, night, " and ".join([*other, *hints]), sure)
    parts, names = path.split("/"), wanted.split("/")
    nightless = not nights and _NIGHT not in names[-1] and len(parts) <= len(names)
    if nightless and _hints(parts[-1], names[-1]) is not None:
        yield NearMiss(path, None, "nothing in its path says a night")


def _nights_in(path: str, every: Cadence) -> Iterator[tuple[str, str, str]]:
    """(night, path with the night replaced, how it is written) for every night that a path may name."""
    if (joined := _JOINED.get(every)) is not None:
        for match in joined[0].finditer(path):
            if is_night(key := joined[1].format(**match.groupdict())):
                yield key, path.replace(match[0], _NIGHT), match[0]
    seen = set()
    for pattern in (_ISO, *_SPELLINGS):
        for match in pattern.finditer(path):
            day = _day(match) if pattern is not _ISO else match[0]
            night, spelled = _night_at(day, match[0], path[match.end() :], every) if day else (None, "")
            if night is None or (night, match.span()) in seen:
                continue
            seen.add((night, match.span()))
            # the same night in two places of a path is the same one
            yield night, path.replace(spelled, _NIGHT), spelled


def _night_at(day: str, spelled: str, rest: str, every: Cadence) -> tuple[str | None, str]:
    """The night that a day and what stands behind it name, with all of its spelling; of hours None where none follows.

    A file of a week may be named after any of its days.
    """
    if every is Cadence.DAY:
        return day, spelled
    if not is_night(day):
        return None, ""
    if every is Cadence.WEEK:
        return on_day(date.fromisoformat(day), "UTC", every), spelled
    hour = _HOUR.match(rest)
    return (f"{day}T{hour['hour']}Z", spelled + hour[0]) if hour else (None, "")


def _day(match: re.Match[str]) -> str | None:
    parts = match.groupdict()
    year, number = int(parts["y"]) + 2000 * (len(parts["y"]) == 2), int(parts["d"])
    month = int(parts["m"]) if parts.get("m") else _MONTHS.index(parts["name"].lower()) + 1
    try:
        return date(year, month, number).isoformat() if _YEARS[0] <= year <= _YEARS[1] else None
    except ValueError:
        return None


def _hints(path: str, wanted: str) -> list[str] | None:
    """What has to be forgiven for a path to follow a pattern; None where it is another file altogether."""
    for count in range(len(_FORGIVEN) + 1):
        for chosen in combinations(_FORGIVEN, count):
            given, pattern, hints = path, wanted, []
            for forgive in chosen:
                given, pattern, hint = forgive(given, pattern)
                hints += [hint] if hint else []
            if len(hints) == count and _follows(given, pattern):
                return hints
    return None


def _alike(path: str, wanted: str) -> bool:
    plain = [re.sub(r"[*?]+", "", text).casefold() for text in (path, wanted)]
    return path.count("/") == wanted.count("/") and SequenceMatcher(None, plain[0], plain[1]).ratio() >= _ALIKE


def _follows(path: str, wanted: str) -> bool:
    return _compiled(wanted).fullmatch(path) is not None


@lru_cache(maxsize=256)
def _compiled(wanted: str) -> re.Pattern[str]:
    signs = {"*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in wanted))


def _unicode(path: str, wanted: str) -> tuple[str, str, str]:
    one, two = unicodedata.normalize("NFKC", path), unicodedata.normalize("NFKC", wanted)
    return one, two, "its letters are written in another Unicode form" if (one, two) != (path, wanted) else ""


def _case(path: str, wanted: str) -> tuple[str, str, str]:
    hint = "capital and small letters differ" if (path, wanted) != (path.casefold(), wanted.casefold()) else ""
    return path.casefold(), wanted.casefold(), hint


def _blanks(path: str, wanted: str) -> tuple[str, str, str]:
    plain = "/".join(re.sub(r"\s+(?=\.[^.]*$)", "", part.strip()) for part in path.split("/"))
    return plain, wanted, "there are blanks in its name" if plain != path else ""


def _copy(path: str, wanted: str) -> tuple[str, str, str]:
    folder, slash, name = path.rpartition("/")
    plain = _COPY.sub("", name)
    return folder + slash + plain, wanted, "its name has the mark of a second copy" if plain != name else ""


def _hidden(path: str, wanted: str) -> tuple[str, str, str]:
    folder, slash, name = path.rpartition("/")
    hidden = name.startswith((".", "~$")) and not wanted.rpartition("/")[2].startswith(".")
    plain = name.lstrip(".~$") if hidden else name
    return folder + slash + plain, wanted, "it is hidden, as files are that are still being written" if hidden else ""


def _unfinished(path: str, wanted: str) -> tuple[str, str, str]:
    end = _end(path)
    if end.lower() not in _UNFINISHED:
        return path, wanted, ""
    return path[: -len(end)], wanted, f"it ends in {end}, as files do that are still being written"


def _ending(path: str, wanted: str) -> tuple[str, str, str]:
    """Another kind of table than the one declared, also packed, or with one ending too many."""
    end, due = _end(path), _end(wanted)
    if end.lower() in _PACKED and due != end:
        return path[: -len(end)], wanted, f"it is packed ({end})"
    if end.lower() in _TABLES and due.lower() in _TABLES and end.lower() != due.lower():
        bare = path[: -len(end)]
        return (bare if bare.lower().endswith(due.lower()) else bare + due), wanted, f"it ends in {end}, not in {due}"
    if not end and due.lower() in _TABLES:
        return path + due, wanted, f"it does not end in {due}"
    return path, wanted, ""


def _depth(path: str, wanted: str) -> tuple[str, str, str]:
    """A folder more or less than declared, above the file."""
    given, due = path.split("/"), wanted.split("/")
    if len(given) > len(due):
        for start in range(len(given) - 1):
            for stop in range(start + 1, len(given)):
                rest = given[:start] + given[stop:]
                if len(rest) == len(due) and _follows("/".join(rest).casefold(), wanted.casefold()):
                    return "/".join(rest), wanted, "it lies a folder deeper"
        return "/".join(given[len(given) - len(due) :]), wanted, "it lies a folder deeper"
    if len(given) < len(due) and all(_NIGHT not in part for part in due[: len(due) - len(given)]):
        return path, "/".join(due[len(due) - len(given) :]), "it lies a folder higher"
    return path, wanted, ""


def _end(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, end = name.rpartition(".")
    return f".{end}" if dot and stem.strip(".") and re.fullmatch(r"[A-Za-z0-9]{1,12}\s*", end) else ""


# Taken off in this order, so that `.csv.part` and `(1).csv` are seen behind what stands around them.
_FORGIVEN: tuple[Callable[[str, str], tuple[str, str, str]], ...] = (
    _unfinished, _unicode, _blanks, _hidden, _ending, _copy, _case, _depth
)  # fmt: skip
