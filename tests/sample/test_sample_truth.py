"""What the sample is like as a whole: mix, drift, rings, no leaks, and a signal that is there but not plain."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta

import numpy as np
import pytest

from pipeline_project.sample import seasons
from pipeline_project.sample.claims import LABELS, Claim, claims_of, clock_goes_back, clock_goes_forward
from pipeline_project.sample.items import FIRST
from pipeline_project.sample.shots import photo_name, photos_of
from pipeline_project.sample.truth import findings_of
from pipeline_project.sample.words import write_message

NIGHTS = [FIRST + timedelta(days=offset) for offset in range(70)]


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    return [claim for night in NIGHTS for claim in claims_of(7, 150, night)]


@pytest.fixture(scope="module")
def messages(claims: list[Claim]) -> list[str]:
    return [write_message(claim) for claim in claims]


def auc(values: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, values))


def test_labels_are_mixed_as_in_a_shop(claims: list[Claim]) -> None:
    share = {label: count / len(claims) for label, count in Counter(claim.label for claim in claims).items()}
    assert share["resellable"] == pytest.approx(0.72, abs=0.03)
    assert share["defective"] == pytest.approx(0.16, abs=0.02)
    assert share["worn"] == pytest.approx(0.07, abs=0.015)
    assert share["fraud"] == pytest.approx(0.05, abs=0.015)
    assert {claim.kind for claim in claims} >= {"wardrobing", "empty_box", "swapped_item", "ring"}


def test_about_as_many_claims_as_asked_and_more_on_mondays(claims: list[Claim]) -> None:
    assert len(claims) / len(NIGHTS) == pytest.approx(150, rel=0.08)
    by_day = Counter(claim.night.weekday() for claim in claims)
    assert by_day.most_common(1)[0][0] == 0


def test_a_night_is_in_order_of_the_clock(claims: list[Claim]) -> None:
    stamps = [(claim.night.isoformat(), claim.claimed_at[:19]) for claim in claims]
    assert stamps == sorted(stamps)
    assert all(stamp.startswith(night) for night, stamp in stamps)


def test_ids_are_unique(claims: list[Claim]) -> None:
    assert len({claim.claim_id for claim in claims}) == len(claims)
    names = [photo_name(claim, number) for claim in claims for number in range(claim.photos)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("label", LABELS)
def test_ids_names_and_order_give_nothing_away(claims: list[Claim], label: str) -> None:
    truth = np.array([claim.label == label for claim in claims])
    apparent = {
        "claim id": [claim.claim_id[8:] for claim in claims],
        "order id": [claim.order_id for claim in claims],
        "place in the file": [claim.number for claim in claims],
        "time of day": [claim.claimed_at[11:] for claim in claims],
        "e-mail": [claim.customer.email for claim in claims],
    }
    for name, values in apparent.items():
        ranks = np.unique(np.array(values), return_inverse=True)[1]
        assert auc(ranks, truth) == pytest.approx(0.5, abs=0.07), name
    named = [(claim, photo_name(claim, 0)) for claim in claims if claim.photos]
    for look in (len, lambda name: name[-6:], lambda name: name[:3]):
        ranks = np.unique(np.array([look(name) for _, name in named]), return_inverse=True)[1]
        assert auc(ranks, np.array([claim.label == label for claim, _ in named])) == pytest.approx(0.5, abs=0.05)


def test_customer_ids_do_not_tell_the_fraudsters() -> None:
    from pipeline_project.sample.customers import make_customers

    customers = make_customers(3, 8000)
    ids = np.array([int(customer.customer_id[1:]) for customer in customers])
    places = np.arange(len(ids))
    for temper in ("serial", "fraudster"):
        truth = np.array([customer.temper == temper for customer in customers])
        assert auc(ids, truth) == pytest.approx(0.5, abs=0.05)
        assert auc(places, truth) == pytest.approx(0.5, abs=0.05)


def test_sizes_of_photos_give_nothing_away(claims: list[Claim]) -> None:
    chosen = [claim for claim in claims if claim.photos and not claim.ring][:700]
    sizes = np.array([len(photos_of(claim)[0][1]) for claim in chosen])
    bad = np.array([claim.label in ("worn", "fraud") for claim in chosen])
    assert auc(sizes, bad) == pytest.approx(0.5, abs=0.12)


def test_a_ring_reuses_photos_and_text_across_accounts(claims: list[Claim]) -> None:
    from difflib import SequenceMatcher

    rings: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.ring:
            rings[claim.ring.name].append(claim)
    assert len(rings) >= 2
    for members in rings.values():
        assert 8 <= len({claim.customer.customer_id for claim in members}) <= 20
        assert (members[-1].night - members[0].night).days <= 14
        owners: dict[bytes, set[str]] = defaultdict(set)
        for claim in members:
            for _, photo in photos_of(claim):
                owners[photo].add(claim.customer.customer_id)
        assert max(len(accounts) for accounts in owners.values()) >= 4
        first, *others = [write_message(claim) for claim in members]
        similarities = [SequenceMatcher(None, first, other, autojunk=False).ratio() for other in others]
        assert np.median(similarities) > 0.85


def test_after_the_drift_other_things_are_sold_and_paid_otherwise() -> None:
    before = [c for offset in range(10, 20) for c in claims_of(7, 200, seasons.DRIFT_FROM - timedelta(days=offset))]
    after = [c for offset in range(10, 20) for c in claims_of(7, 200, seasons.DRIFT_FROM + timedelta(days=offset))]

    def share(some: list[Claim], **wanted: str) -> float:
        return sum(all(_value(claim, name) == value for name, value in wanted.items()) for claim in some) / len(some)

    assert share(after, category="headphones") > 1.4 * share(before, category="headphones")
    assert share(after, payment="invoice") < 0.6 * share(before, payment="invoice")
    new = "I hope this message finds you well"
    assert not any(new in write_message(claim) for claim in before)
    assert any(new in write_message(claim) for claim in after)
    assert {claim.ring.style for claim in before + after if claim.ring} <= {"copies", "paraphrase"}


def _value(claim: Claim, name: str) -> str:
    return claim.item.category if name == "category" else str(getattr(claim, name))


def test_rings_of_the_new_style_come_only_after_the_drift() -> None:
    nights = [FIRST + timedelta(days=offset) for offset in range(180)]
    styles = {
        (claim.ring.style, seasons.drifted(night))
        for night in nights
        for claim in claims_of(7, 100, night)
        if claim.ring
    }
    assert styles == {("copies", False), ("paraphrase", True)}


def test_messages_are_short_to_long_and_mostly_different(messages: list[str]) -> None:
    lengths = [len(message.split()) for message in messages]
    assert max(lengths) <= 80 and min(lengths) >= 1
    assert np.percentile(lengths, 5) <= 6 and np.percentile(lengths, 95) >= 40
    assert len(set(messages)) > 0.85 * len(messages)
    assert 0.005 < sum(any(ord(letter) > 0x2FFF for letter in message) for message in messages) / len(messages) < 0.15


def test_a_few_findings_are_corrected_and_some_never_come(claims: list[Claim]) -> None:
    found = [(claim, findings_of(claim)) for claim in claims]
    assert 0.03 < sum(not findings for _, findings in found) / len(found) < 0.07
    corrected = [(claim, findings) for claim, findings in found if len(findings) == 2]
    assert 0.015 < len(corrected) / len(found) < 0.035
    for claim, (first, second) in corrected:
        assert first.finding != claim.label == second.finding
        assert first.inspected_at < second.inspected_at
    assert all(findings[0].finding == claim.label for claim, findings in found if len(findings) == 1)


def test_the_hour_that_occurs_twice_is_claimed_in_and_the_missing_one_is_not() -> None:
    back, forward = date(2025, 10, 26), date(2025, 3, 30)
    assert clock_goes_back(back) and clock_goes_forward(forward)
    twice = [c.claimed_at for seed in range(8) for c in claims_of(seed, 100, back) if c.claimed_at[11:13] == "02"]
    assert {stamp[19:] for stamp in twice} == {"", "+01:00", "+02:00"}
    assert not [c for seed in range(8) for c in claims_of(seed, 100, forward) if c.claimed_at[11:13] == "02"]


def test_the_label_can_be_learnt_but_not_simply_read(claims: list[Claim], messages: list[str]) -> None:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    claims, messages = claims[::2], messages[::2]
    words = TfidfVectorizer(min_df=4, sublinear_tf=True).fit_transform(messages)
    told = OneHotEncoder().fit_transform([[c.item.category, c.reason, c.payment] for c in claims])
    kept = [[np.log(c.price), np.log1p(c.days_since_delivery), c.photos] for c in claims]
    features = hstack([words, told, csr_matrix(StandardScaler().fit_transform(kept))]).tocsr()
    labels = np.array([claim.label for claim in claims])
    train = len(claims) * 2 // 3
    model = LogisticRegression(max_iter=300).fit(features[:train], labels[:train])
    chances = model.predict_proba(features[train:])
    bad = chances[:, [list(model.classes_).index(label) for label in ("worn", "fraud")]].sum(axis=1)
    assert 0.78 < auc(bad, np.isin(labels[train:], ("worn", "fraud"))) < 0.92
    right = (model.classes_[chances.argmax(axis=1)] == labels[train:]).mean()
    assert 0.80 < right < 0.92
    assert right > (labels[train:] == "resellable").mean() + 0.06
