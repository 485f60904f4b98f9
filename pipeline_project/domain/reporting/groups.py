"""Clusters as a report shows them: who is in them tonight, what their texts share, which photos stand for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import CASE_ID, CaseSchema, FieldType, Role
from pipeline_project.domain.privacy.masking import names_in_identifiers, words_of

KEYWORDS = 6
PHOTOS = 4
EXAMPLES = 2
#: A word that fewer people used could name one of them.
FEWEST_PEOPLE = 3
#: A keyword is this much more common inside its cluster than in the rest of the night.
LIFT = 0.15
CLOSE_TWIN = 0.95


@dataclass(frozen=True)
class ClusterLine:
    """One cluster with cases of tonight.

    Attributes:
        tonight: cases of this night.
        size, customers: cases and distinct subjects in the window.
        by_policy, to_people: how tonight's cases were decided.
        keywords: words that at least three people's texts share, most telling first.
        examples: case ids.
        photos: (case id, path), at most four, of different cases.
    """

    cluster: str
    tonight: int
    size: int
    born: str
    is_new: bool
    customers: int
    by_policy: int
    to_people: int
    keywords: tuple[str, ...]
    examples: tuple[str, ...]
    photos: tuple[tuple[str, str], ...]

    @property
    def growth(self) -> float:
        """Tonight's cases as a share of the window's."""
        return self.tonight / self.size if self.size else 0.0


@dataclass(frozen=True)
class Groups:
    """All clusters of a night.

    Attributes:
        lines: those shown, largest tonight first.
        clusters: how many have cases tonight.
        clustered, alone: tonight's cases in one, and in none.
        shared_photos: cases with a photo that another customer has used too.
        twins: cases nearly equal, in words and photos, to a case of another customer.
    """

    lines: tuple[ClusterLine, ...]
    clusters: int
    clustered: int
    alone: int
    shared_photos: int
    twins: int

    def with_masked_ids(self, mask: str) -> Groups:
        """The same groups where a case's id may not be shown."""
        lines = tuple(
            replace(
                line,
                examples=tuple(mask for _ in line.examples),
                photos=tuple((mask, path) for _, path in line.photos),
            )
            for line in self.lines
        )
        return replace(self, lines=lines)


def groups(
    clusters: pa.Table, cases: pa.Table, schema: CaseSchema, options: Mapping[str, str], night: str, most: int
) -> Groups:
    """The clusters of a night, at most `most` of them in full.

    Args:
        options: the standing decision by case id.
    """
    frame = clusters.select(
        ["case_id", "cluster", "cluster_size", "cluster_born", "cluster_customers", "twin_similarity", "shared_photo"]
    ).to_pandas()
    frame = frame.sort_values("case_id", kind="stable")
    inside = frame[frame["cluster"].notna()]
    vocabulary = _vocabulary_by_case(cases, schema)
    photos = _photos_by_case(cases, schema)
    people = _subject_by_case(cases, schema)
    names = names_in_identifiers(schema, cases)
    order = sorted(inside.groupby("cluster").size().items(), key=lambda item: (-item[1], str(item[0])))
    lines = []
    for cluster, _ in order[:most]:
        members = inside[inside["cluster"] == cluster]
        lines.append(
            _line(str(cluster), members, options, night, _keywords(members, vocabulary, people, names), photos)
        )
    return Groups(
        lines=tuple(lines),
        clusters=len(order),
        clustered=len(inside),
        alone=len(frame) - len(inside),
        shared_photos=int(frame["shared_photo"].fillna(False).astype(bool).sum()),
        twins=int((frame["twin_similarity"].fillna(0.0) >= CLOSE_TWIN).sum()),
    )


def _line(
    cluster: str,
    members: pd.DataFrame,
    options: Mapping[str, str],
    night: str,
    keywords: tuple[str, ...],
    photos: Mapping[str, str],
) -> ClusterLine:
    ids = members["case_id"].tolist()
    first = members.iloc[0]
    decided = [options[case] for case in ids if case in options]
    asked = sum(option == ASK_PERSON for option in decided)
    with_photo = [(case, photos[case]) for case in ids if case in photos]
    born = str(first["cluster_born"] or "")
    return ClusterLine(
        cluster=cluster,
        tonight=len(ids),
        size=int(first["cluster_size"]),
        born=born,
        is_new=born == night,
        customers=int(first["cluster_customers"]),
        by_policy=len(decided) - asked,
        to_people=asked,
        keywords=keywords,
        examples=tuple(ids[:EXAMPLES]),
        photos=tuple(with_photo[:PHOTOS]),
    )


def _keywords(
    members: pd.DataFrame, vocabulary: Mapping[str, frozenset[str]], people: Mapping[str, str], names: frozenset[str]
) -> tuple[str, ...]:
    """Words that many of a cluster's people use and few others do."""
    inside = [case for case in members["case_id"] if vocabulary.get(case)]
    if len({people.get(case, case) for case in inside}) < FEWEST_PEOPLE:
        return ()
    users: dict[str, set[str]] = {}
    for case in inside:
        for word in vocabulary[case] - names:
            users.setdefault(word, set()).add(people.get(case, case))
    within = Counter(word for case in inside for word in vocabulary[case])
    members_set = set(inside)
    outside = [case_words for case, case_words in vocabulary.items() if case not in members_set]
    elsewhere = Counter(word for case_words in outside for word in case_words if word in users)
    telling = []
    for word, by in users.items():
        lift = within[word] / len(inside) - (elsewhere[word] / len(outside) if outside else 0.0)
        if len(by) >= FEWEST_PEOPLE and within[word] >= 0.25 * len(inside) and lift >= LIFT:
            telling.append((-lift, word))
    return tuple(word for _, word in sorted(telling)[:KEYWORDS])


def _vocabulary_by_case(cases: pa.Table, schema: CaseSchema) -> dict[str, frozenset[str]]:
    vocabulary: dict[str, frozenset[str]] = {}
    for field in schema.of_type(FieldType.TEXT):
        if field.name in cases.column_names:
            for case, text in zip(cases[CASE_ID].to_pylist(), cases[field.name].to_pylist(), strict=True):
                vocabulary[case] = vocabulary.get(case, frozenset()) | words_of(text or "")
    return vocabulary


def _photos_by_case(cases: pa.Table, schema: CaseSchema) -> dict[str, str]:
    """The first photo of every case that has one."""
    photos: dict[str, str] = {}
    for field in schema.of_type(FieldType.IMAGE):
        if field.name in cases.column_names:
            for case, paths in zip(cases[CASE_ID].to_pylist(), cases[field.name].to_pylist(), strict=True):
                if paths and case not in photos:
                    photos[case] = paths[0]
    return photos


def _subject_by_case(cases: pa.Table, schema: CaseSchema) -> dict[str, str]:
    field = schema.by_role(Role.SUBJECT)
    if field is None or field.name not in cases.column_names:
        return {}
    pairs = zip(cases[CASE_ID].to_pylist(), cases[field.name].to_pylist(), strict=True)
    return {case: str(subject) for case, subject in pairs if subject is not None}
