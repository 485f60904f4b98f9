"""Who may do what in the ledger: one table of roles and verbs; `granting` has the statements that make it so.

A service connects as the database's user and takes its role at once (`postgres.databases.url_as`): what a role lacks
is refused by PostgreSQL, whatever the program tries. Migrations and commands of the owner run without a role. Nobody
may change, delete or truncate facts; that the owner cannot by mistake either is the triggers' work. What changes at all
is named column by column: who sends actions cannot change what they say, or whom they pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NIGHTS, DESK, DISPATCHER, AUDITOR = "pipeline_nights", "pipeline_desk", "pipeline_dispatcher", "pipeline_auditor"
#: The Dagster side; the desk with its web door; the dispatcher; who only reads.
ROLES = (NIGHTS, DESK, DISPATCHER, AUDITOR)

VERBS: Mapping[str, str] = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}


@dataclass(frozen=True)
class Grants:
    """What each role may do with a table, as the verbs' first letters."""

    nights: str = ""
    desk: str = ""
    dispatcher: str = ""
    auditor: str = ""

    def of(self, role: str) -> str:
        return str(getattr(self, role.removeprefix("pipeline_")))


@dataclass(frozen=True)
class Changes:
    """The columns that each role may update, as words; a table's `U` in `GRANTS` is for these alone."""

    nights: str = ""
    desk: str = ""
    dispatcher: str = ""
    auditor: str = ""

    def of(self, role: str) -> frozenset[str]:
        return frozenset(str(getattr(self, role.removeprefix("pipeline_"))).split())


#: Table by table. A fact is S and I at most. The auditor reads what explains a decision, and no secret of a person.
GRANTS: Mapping[str, Grants] = {
    # workflows, nights and models
    "workflow_versions": Grants("SI", "S", "S", "S"),
    "source_readers": Grants("SI", "", "", "S"),
    "model_versions": Grants("SI", "S", "", "S"),
    "champions": Grants("SI", "SI", "", "S"),
    "model_proposals": Grants("SI", "S", "", "S"),
    "model_signatures": Grants("S", "SI", "", "S"),
    "rollouts": Grants("S", "SI", "", "S"),
    "rollout_ends": Grants("SI", "SI", "", "S"),
    "policy_states": Grants("SI", "SI", "", "S"),
    "live_checks": Grants("SI", "S", "", "S"),
    "live_breaches": Grants("SI", "S", "", "S"),
    "recalls": Grants("S", "S", "", "S"),
    "recalls_again": Grants("S", "S", "", "S"),
    "recalled_decisions": Grants("S", "S", "", "S"),
    "candidate_replays": Grants("SI", "S", "", "S"),
    "attempts": Grants("SIU", "S", "", "S"),
    "night_verdicts": Grants("SI", "S", "", "S"),
    "night_clearances": Grants("SI", "S", "", "S"),
    "decisions": Grants("SI", "SI", "S", "S"),
    "outcomes": Grants("SI", "SI", "", "S"),
    "alerts": Grants("SIU", "SIU", "SIU", "S"),
    # quality
    "night_sketches": Grants("SIU", "S", "", "S"),
    "quality_signals": Grants("SI", "S", "S", "S"),
    "training_requests": Grants("SI", "S", "", "S"),
    # actions
    "releases": Grants("SI", "S", "S", "S"),
    "actions": Grants("SIU", "SIU", "SU", "S"),
    "action_events": Grants("SI", "SI", "SI", "S"),
    "night_spending": Grants("SIU", "SIU", "S", "S"),
    "switches": Grants("S", "SIU", "S", "S"),
    "breakers": Grants("S", "S", "SIU", "S"),
    "replays": Grants("S", "SI", "S", "S"),
    "replay_approvals": Grants("S", "SI", "S", "S"),
    # review
    "review_tasks": Grants("SIU", "SIU", "", "S"),
    "task_events": Grants("SI", "SI", "", "S"),
    "review_proposals": Grants("S", "SI", "", "S"),
    "review_approvals": Grants("S", "SI", "", "S"),
    "review_answers": Grants("S", "SI", "", "S"),
    "review_notices": Grants("SI", "S", "", "S"),
    "reveals": Grants("", "SI", "", "S"),
    "cluster_reviews": Grants("SIU", "SIU", "", "S"),
    "cluster_members": Grants("SI", "SI", "", "S"),
    "cluster_verdicts": Grants("S", "SI", "", "S"),
    "repeats": Grants("SI", "SI", "", "S"),
    "repeat_answers": Grants("S", "SI", "", "S"),
    # what other systems posted
    "inbound_events": Grants("S", "SI", "", "S"),
    "inbound_chained": Grants("SI", "SI", "", "S"),
    "inbound_refusals": Grants("S", "SIU", "", "S"),
    # people
    "people": Grants("S", "SIU", "", ""),
    "person_roles": Grants("S", "SI", "", "S"),
    "person_skills": Grants("S", "SI", "", "S"),
    "sessions": Grants("", "SIU", "", ""),
    "sign_ins": Grants("", "SI", "", "S"),
    # privacy: who makes cases and who answers seals; only the owner forgets, holds and turns keys
    "subject_keys": Grants("SI", "SI", "", ""),
    "legal_holds": Grants("S", "S", "", "S"),
    "forgettings": Grants("S", "S", "", "S"),
    # the chain: whoever makes facts appends to it
    "audit_batches": Grants("SI", "SI", "SI", "S"),
    "audit_rows": Grants("SI", "SI", "SI", "S"),
}


_ALERTS = "kind message owner next_command raised_at closed_at"
#: How far a task has come, who holds it, where it stands in the queue; never what it is about.
_TASKS = (
    "kind state version claim_token claimed_by claimed_at lease_until assigned_to excluded priority due_level note "
    "held_by proposal_id escalated_at closed_at reminded stayed_at"
)
_CLUSTERS = "state disagreements bound spread_to version closed_at"

#: Table by table, what may change, and by whom.
CHANGES: Mapping[str, Changes] = {
    "attempts": Changes(nights="attempt run_id begun_at decided_at"),
    "alerts": Changes(_ALERTS, _ALERTS, _ALERTS),
    "night_sketches": Changes(nights="model_version cases sketch sketched_at"),
    "actions": Changes(
        nights="state held_reason next_at owner settled_at",
        desk="state held_reason next_at owner settled_at attempts uncertain first_sent_at receipt",
        dispatcher="state next_at attempts uncertain first_sent_at claim_token lease_until error_class error owner "
        "receipt settled_at",
    ),
    "night_spending": Changes(nights="reserved", desk="reserved cap"),
    "switches": Changes(desk="stopped reason changed_by changed_at"),
    "breakers": Changes(
        dispatcher="state failures opened retry_at first_tries retries saved saved_at changed_at",
    ),
    "review_tasks": Changes(_TASKS, _TASKS),
    "cluster_reviews": Changes(_CLUSTERS, _CLUSTERS),
    "inbound_refusals": Changes(desk="count last_at"),
    "people": Changes(desk="password_hash active issuer subject"),
    "sessions": Changes(desk="seen_at revoked_at"),
}
