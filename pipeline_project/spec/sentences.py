"""pydantic's errors about a spec, as findings in our words and at the place in the file they speak of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from pipeline_project.spec.base import FINDINGS, SpecFinding, Where, keys_of
from pipeline_project.spec.draft import any_of, closest
from pipeline_project.spec.words import WantedValue, in_words, wanted
from pipeline_project.spec.workflow import WorkflowSpec

_TOP = WantedValue(WorkflowSpec)
#: pydantic's names for a key that a part does not have, of models and of dataclasses.
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")

#: So many mistakes of one kind in one part are told one by one; whoever has more has another file than a workflow.
MOST_OF_A_KIND = 20
#: And so many of one kind in all parts together.
MOST_OF_A_TYPE = 500


def findings_from(errors: Iterable[ErrorDetails]) -> list[SpecFinding]:
    """One finding for each mistake, however many members of a union complain about it; of very many that are alike the
    first ones, and how many more there are."""
    findings: dict[tuple[Where, str], SpecFinding] = {}
    counts: Counter[tuple[str, Where | None]] = Counter()
    untold: dict[tuple[str, Where | None], Where] = {}
    for error in errors:
        name, part = error["type"], error["loc"][:-1]
        kinds: list[tuple[tuple[str, Where | None], int]] = [
            ((name, part), MOST_OF_A_KIND),
            ((name, None), MOST_OF_A_TYPE),
        ]
        for kind, most in kinds:
            counts[kind] += 1
            if counts[kind] > most:
                # To look for a name that is like each of them would take minutes.
                untold[kind] = untold[kind] if kind in untold else _follow(error["loc"])[0]
                break
        else:
            for finding in _findings(error):
                findings.setdefault((finding.where, finding.sentence), finding)
    for kind, where in untold.items():
        more = counts[kind] - (MOST_OF_A_TYPE if kind[1] is None else MOST_OF_A_KIND)
        findings[where, kind[0]] = SpecFinding(
            where, f"from here on {more:,} more are wrong in the same way as those above"
        )
    return list(findings.values())


def _findings(error: ErrorDetails) -> Iterator[SpecFinding]:
    kind = error["type"]
    where, want, parent = _follow(error["loc"])
    if kind == FINDINGS:
        for finding in error["ctx"]["findings"]:
            yield SpecFinding((*where, *finding.where), finding.sentence)
    elif kind == "missing":
        described = keys_of(parent.kind)[str(where[-1])].description if parent and parent.is_part else ""
        yield SpecFinding(where, f"`{where[-1]}` is missing: {_lower(described or in_words(want))}")
    elif kind in _UNKNOWN_KEY:
        keys = list(keys_of(parent.kind)) if parent and parent.is_part else []
        near = closest(str(where[-1]), keys)
        yield SpecFinding(
            where, f"there is no key {shown(where[-1])} here{near or '; the keys are ' + ', '.join(keys)}"
        )
    elif kind == "union_tag_not_found":
        yield SpecFinding((*where, "kind"), f"`kind` is missing: {any_of(want.tagged)}")
    elif kind == "union_tag_invalid":
        given = error["input"].get("kind") if isinstance(error["input"], Mapping) else None
        yield SpecFinding((*where, "kind"), f"must be {any_of(want.tagged)}, not {shown(given)}")
    elif kind == "too_short":
        # pydantic does not count entries that are wrong themselves; those have their own sentence.
        if len(error["input"]) < error["ctx"]["min_length"]:
            yield SpecFinding(where, f"must be {in_words(want)}, and has {len(error['input']) or 'none'}")
    elif kind == "too_long":
        yield SpecFinding(
            where, f"has {error['ctx']['actual_length']:,} entries; there may be {error['ctx']['max_length']:,}"
        )
    elif kind == "value_error":
        yield SpecFinding(where, str(error["ctx"]["error"]))
    elif "[key]" in error["loc"]:
        yield SpecFinding(where, f"the name must be {in_words(wanted(_key_type(parent)))}{_slug(where[-1])}")
    else:
        yield SpecFinding(where, _must_be(want, error["input"]))


def _must_be(want: WantedValue, given: Any) -> str:
    expected = in_words(want)
    if given is None:
        return f"has no value; write {expected}, or take the key out"
    hint = ""
    if expected.startswith("one of ") and isinstance(given, str):
        hint = closest(given, expected.removeprefix("one of ").split(", "))
    elif expected.startswith("a name of"):
        hint = _slug(given)
    elif isinstance(given, int | float) and (expected == "text" or expected.startswith("a name")):
        hint = f'; put it in quotes: "{str(given).lower() if isinstance(given, bool) else given}"'
    elif isinstance(given, str) and expected.startswith("a list"):
        hint = f"; write [{given[:40]}]"
    return f"must be {expected}, not {shown(given)}{hint}"


def shown(value: Any) -> str:
    """A value, short enough for a sentence."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a group of keys"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"


def _follow(loc: tuple[int | str, ...]) -> tuple[Where, WantedValue, WantedValue | None]:
    """Where an error stands in the file, what is wanted there, and the part that it belongs to.

    pydantic mixes the tags and members of unions into its locations; they are no keys of the file.
    """
    where: Where = ()
    want: WantedValue = _TOP
    parent: WantedValue | None = None
    for step in loc:
        if step in want.tagged:
            want = want.tagged[str(step)]
            continue
        branches = want.branches
        if step == "[key]" or len(branches) > 1:
            break
        only = branches[0]
        if only.is_part:
            parent, field = only, keys_of(only.kind).get(str(step))
            want = wanted(field) if field is not None else WantedValue(str)
        elif only.entry is not None:
            parent, want = only, only.entry
        else:
            break
        where = (*where, step)
    return where, want, parent


def _key_type(parent: WantedValue | None) -> Any:
    arguments = getattr(parent.kind, "__args__", ()) if parent else ()
    return arguments[0] if arguments else str


def _slug(given: Any) -> str:
    letters = "".join(c if c.isascii() and c.isalnum() else "_" for c in str(given).lower()).strip("_")
    suggestion = letters.lstrip("0123456789_")[:48]
    return f"; write for instance {suggestion}" if suggestion else ""


def _lower(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
