"""Which columns of the ledger the chain vouches for, and why the others need none: one line for every column there is.

A test compares `MATRIX` and `APART` with the tables: a new column without a line fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kept:
    """What the chain holds of the rows of one table.

    Attributes:
        fixed: columns that never change once the row is there: every fact that names one must agree with the row.
        latest: columns that may change, each time with a fact of its own: the newest fact that names one must agree.
        digested: those of both that stand in the chain as a digest: long, free text of people, or a secret.
        apart: columns that the chain does not hold, with the reason.
        rows: which rows must stand in the chain (SQL), None for all.
    """

    fixed: str
    latest: str = ""
    digested: str = ""
    apart: Mapping[str, str] = field(default_factory=dict)
    rows: str | None = None

    @property
    def fixed_columns(self) -> frozenset[str]:
        return frozenset(self.fixed.split())

    @property
    def latest_columns(self) -> frozenset[str]:
        return frozenset(self.latest.split())

    @property
    def digested_columns(self) -> frozenset[str]:
        return frozenset(self.digested.split())

    @property
    def columns(self) -> frozenset[str]:
        """Every column that the chain holds."""
        return self.fixed_columns | self.latest_columns


_MOVES = "how far the row has come: what it came to has a fact of its own, and nothing is paid or decided by this alone"
_FENCE = "keeps overlapping runs apart while they last, and means nothing afterwards"
_CLAIM = "who holds the row for some minutes, by a token and a lease; without effect once the lease has ended"
_QUEUE = "the order in which tasks are handed out; who decides what is in the answers"
_TRIES = "how patiently a destination is tried: a change delays an action or tries it sooner, under the same key"

_ACTION = "id workflow night case_id epoch kind destination step key fingerprint payload money final live undo undoes"

#: Table by table, what the chain holds.
MATRIX: Mapping[str, Kept] = {
    # workflows, models and nights
    "workflow_versions": Kept("workflow spec_hash spec in_order first_seen", digested="spec in_order"),
    "source_readers": Kept("workflow place first_read"),
    "model_versions": Kept(
        "workflow version night digest run_id metrics recorded_at knows_until trained_by", digested="metrics"
    ),
    "champions": Kept("id workflow version from_night reason recorded_at"),
    "model_proposals": Kept(
        "id workflow version night digest base_version spec_hash trained_by passed promised_error gates replay card "
        "hash proposed_at",
        digested="gates replay card",
    ),
    "model_signatures": Kept(
        "proposal_id proposal_hash trained_by passed person verdict note signed_at", digested="note"
    ),
    "rollouts": Kept(
        "id workflow version from_night base_version promised_error proposal terms begun_by begun_at",
    ),
    "rollout_ends": Kept("rollout workflow version kind at_night reason by ended_at"),
    "policy_states": Kept("id workflow from_night state reason by recorded_at"),
    "live_checks": Kept(
        "id workflow night version kind seen errors promised_error e_value low high breached checked_at",
    ),
    "live_breaches": Kept("workflow version since_night night answer held breached_at"),
    "recalls": Kept("id workflow kind named reason by data recalled_at"),
    "recalled_decisions": Kept(
        "workflow case_id epoch recall round was would_be cancelled compensated for_good recalled_at"
    ),
    "night_verdicts": Kept(  # one that let something through joins the chain with what it let through
        "id workflow night check_name passed words judged run_id recorded_at", rows="NOT passed"
    ),
    "night_clearances": Kept("id workflow night step attempt run_id judged checks cleared_at"),
    "recalls_again": Kept("id recall round workflow reason by data recalled_at"),
    "attempts": Kept(
        "workflow night decided_at",
        apart={"attempt": _FENCE, "run_id": _FENCE, "begun_at": _FENCE},
        rows="decided_at IS NOT NULL",
    ),
    "decisions": Kept(
        "id workflow case_id epoch night option reason spec_hash model_version data_versions contract cluster reasons "
        "probabilities expected_costs option_order amount propensity attempt run_id made_by decided_at",
    ),
    "outcomes": Kept(
        "id workflow case_id label true_at known_at source",
        apart={"recorded_at": "when a row was read; what counts is when it became known"},
    ),
    "training_requests": Kept("id workflow night why cooldown_nights run_id asked_at"),
    # actions
    "releases": Kept("workflow night attempt run_id released_at"),
    "actions": Kept(
        _ACTION + " created_at",
        latest="state",
        digested="payload",
        apart={
            "held_reason": "in words why it is held; that it is held is in `state`",
            "attempts": _TRIES,
            "uncertain": "whether a try may have had its effect: a change sends the same key again or asks for it",
            "first_sent_at": _TRIES,
            "next_at": _TRIES,
            "claim_token": _CLAIM,
            "lease_until": _CLAIM,
            "error_class": "what a destination said; for people to read",
            "error": "what a destination said; for people to read",
            "owner": "who looks after a dead letter; for people to read",
            "receipt": "what a destination gave in return; the destination has its own book",
            "settled_at": "when the state was reached; the batch of its fact has the time",
        },
    ),
    "night_spending": Kept(
        "workflow night",
        latest="cap",
        apart={"reserved": "the sum of the night's money in `actions`, which is covered, kept under `cap` by a rule"},
    ),
    "switches": Kept("workflow", latest="stopped reason changed_by changed_at", digested="reason"),
    "replays": Kept("id action_id content money asked_by reason asked_at", digested="reason"),
    "replay_approvals": Kept("replay_id asked_by content approved_by approved_at"),
    # review
    "review_tasks": Kept(
        "id workflow night case_id epoch why amount subject cluster currency content opened_at",
        latest="kind",  # a case that is drawn as a sample of its cluster
        digested="content",
        apart={
            **dict.fromkeys(("state", "version", "closed_at", "escalated_at", "proposal_id", "held_by"), _MOVES),
            **dict.fromkeys(("claim_token", "claimed_by", "claimed_at", "lease_until", "lease_minutes"), _CLAIM),
            **dict.fromkeys(
                (
                    "assigned_to",
                    "excluded",
                    "skill",
                    "benefit",
                    "information",
                    "priority",
                    "due_level",
                    "note",
                    "not_before",
                    "due_at",
                ),
                _QUEUE,
            ),
            **dict.fromkeys(("reminded", "stayed_at"), "repeat a notice, which is a fact of its own"),
        },
    ),
    "review_proposals": Kept(
        "id task_id workflow case_id proposer option label reason note amount total subject claim hash proposed_at",
        digested="note",
    ),
    "review_approvals": Kept("proposal_id proposal_hash proposer approver verdict note approved_at", digested="note"),
    "review_answers": Kept(
        "id task_id workflow case_id decided_epoch person option label reason note amount subject proposal_id "
        "proposal_verdict hash answered_at",
        digested="note",
    ),
    "review_notices": Kept("task_id kind level workflow at"),
    "reveals": Kept("id task_id workflow case_id person field at"),
    "cluster_reviews": Kept(
        "id workflow cluster night position follows decided_by option label reason members members_hash sample_size "
        "allowed_disagreements alpha share_limit ceiling opened_at",
        latest="state disagreements bound spread_to",
        apart={"version": _FENCE, "closed_at": "when the state was reached; the batch of its fact has the time"},
    ),
    "cluster_members": Kept("review_id task_id workflow case_id sampled"),
    "cluster_verdicts": Kept("review_id task_id answered_by verdict recorded_at"),
    "repeats": Kept("task_id first_task_id workflow case_id first_by first_option first_label asked_at"),
    "repeat_answers": Kept("task_id answered_by second_option second_label answered_at"),
    # what other systems posted
    "inbound_events": Kept(
        "id workflow event_id kind night rows sealed sealed_sha256 body_digest occurred_at received_at",
        digested="sealed",
        rows="id IN (SELECT event FROM inbound_chained)",
    ),
    # people
    "people": Kept(
        "name created_by created_at",
        latest="shown email password_hash issuer subject active",
        digested="shown email password_hash subject",
    ),
    "person_roles": Kept("id person role granted granted_by at"),
    "person_skills": Kept("person skill"),
    # privacy
    "legal_holds": Kept(
        "id workflow pseudonym reason placed_by placed_at", latest="lifted_by lifted_at", digested="reason"
    ),
    "forgettings": Kept("pseudonym workflow forgotten_by reason at", digested="reason"),
    "subject_keys": Kept(  # a key that stands opens what it sealed, or AES-GCM tells that it does not; the end counts
        "pseudonym",
        latest="wrapped_key sealed_id forgotten_at forgotten_by",
        digested="wrapped_key sealed_id",
        apart={"created_at": "of no effect", "master": "which master key wraps it, or nothing opens"},
        rows="forgotten_at IS NOT NULL",
    ),
}

#: Tables of which the chain holds nothing, with the reason.
APART: Mapping[str, str] = {
    "alerts": "tell people what to look at; they are raised again from what stands, and nothing acts on them",
    "action_events": "the steps of actions, for people to read; what each came to is in the chain as a delivery",
    "task_events": "the steps of tasks, for people to read; answers, proposals and notices are in the chain",
    "breakers": _TRIES,
    "night_sketches": "made again from the lake by running the night again",
    "quality_signals": "made again from the lake by running the night again; a training they ask for is in the chain",
    "candidate_replays": "what a replay showed; what a person signs is the proposal, which holds it and is covered",
    "inbound_chained": "which events stand in the chain: one that is missing here is added to the chain once more",
    "inbound_refusals": "counts what was turned away; nothing acts on it",
    "sessions": "last some hours and are made at each sign-in; what is done in one is in the chain with its person",
    "sign_ins": "count failed attempts for some minutes, by the hash of a name",
    "audit_batches": "the chain itself",
    "audit_rows": "the chain itself",
}

#: Tables whose rows stood in a chain from before there was this matrix. Such rows are taken in again with all of their
#: columns; a row that the chain does not hold is not, because that would hide that it was inserted; see `adopt`.
BEFORE = frozenset(
    {
        "actions", "champions", "cluster_members", "cluster_reviews", "cluster_verdicts", "decisions", "forgettings",
        "inbound_events",
        "live_breaches", "live_checks", "model_proposals", "model_signatures", "policy_states", "recalled_decisions",
        "recalls", "releases", "repeat_answers", "repeats", "replay_approvals", "replays", "reveals",
        "review_answers", "review_approvals", "review_notices", "review_proposals", "rollout_ends", "rollouts",
        "training_requests",
    }
)  # fmt: skip

#: States of an action in which it is on its way; all others are ends, or wait for a person, and have a fact each.
MOVING = "moving"
_ON_ITS_WAY = frozenset({"waiting", "ready", "sending", "unknown"})


def state_of_action(state: str, live: bool) -> str:
    """A state as the chain keeps it: those on the way are one, as is what was only rehearsed."""
    return MOVING if state in _ON_ITS_WAY or (state == "rehearsed" and not live) else state
