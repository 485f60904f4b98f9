"""`PostgresPromotions`: challengers that ask to decide, a person's signature, and the champion's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import PromotionRefused
from pipeline_project.domain.core.model_terms import RolloutTerms
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.lifecycle.proposing import ModelProposal, plain
from pipeline_project.domain.lifecycle.signing import ChampionEntry, StandingProposal
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact
from resources.ledger.nights.statements import champion_history, insert_model
from resources.ledger.rollout.rollouts import SignedChallenger, begin_rollout, lock_rollouts, open_rollout
from resources.ledger.rows import value, values
from resources.ledger.tables import nights as tables
from resources.ledger.tables.models import model_proposals, model_signatures
from resources.ledger.unit_of_work import LedgerStore

_OWN_RULES = {"ck_model_signatures_four_eyes", "fk_model_signatures_proposal", "ck_model_signatures_only_what_passed"}


@dataclass(frozen=True)
class PostgresPromotions(LedgerStore):
    """Every method raises DatabaseUnreachable when the database does not answer."""

    def propose(self, proposals: Sequence[tuple[ModelProposal, ModelVersion]]) -> list[int]:
        """Keeps proposals with their models and audit rows, all or none; the same one twice is one row.

        A night whose model stands in the ledger counts as trained, so a model gets there together with its proposal.

        Returns:
            Their numbers.
        """
        columns, numbers, facts = model_proposals.c, [], []
        with self._transaction() as connection:
            for proposal, model in proposals:
                facts += insert_model(connection, model)
                row = {**plain(asdict(proposal)), "hash": proposal.hash}
                new = insert(model_proposals).values(row).on_conflict_do_nothing().returning(columns.id)
                made = connection.execute(new).scalar()
                if made is None:
                    here = (columns.workflow == proposal.workflow, columns.hash == proposal.hash)
                    made = connection.execute(select(columns.id).where(*here)).scalar_one()
                else:
                    facts.append(Fact("model_proposals", row))
                numbers.append(int(made))
            for workflow in dict.fromkeys(fact.values["workflow"] for fact in facts):
                append(
                    connection,
                    "model_proposals",
                    workflow,
                    [fact for fact in facts if fact.values["workflow"] == workflow],
                )
        return numbers

    def proposals(self, workflow: str | None = None, limit: int = 50) -> list[StandingProposal]:
        """Proposals with what was said to them, newest first; `verdict` is None while nobody has."""
        query = _with_signature().order_by(model_proposals.c.id.desc()).limit(limit)
        if workflow is not None:
            query = query.where(model_proposals.c.workflow == workflow)
        with self._transaction() as connection:
            return values(connection, StandingProposal, query)

    def proposal(self, number: int) -> StandingProposal | None:
        """One proposal with what was said to it, or None."""
        with self._transaction() as connection:
            return value(connection, StandingProposal, _with_signature().where(model_proposals.c.id == number))

    def awaiting(self) -> list[StandingProposal]:
        """Proposals that passed, were answered by nobody, and were compared with the model that still decides."""
        with self._transaction() as connection:
            query = _with_signature().where(model_proposals.c.passed, model_signatures.c.proposal_id.is_(None))
            open_ones = values(connection, StandingProposal, query.order_by(model_proposals.c.id))
            return [proposal for proposal in open_ones if _stale(connection, proposal) is None]

    def champions(self, workflow: str) -> list[ChampionEntry]:
        """Who decided from which night on, newest first."""
        with self._transaction() as connection:
            return values(connection, ChampionEntry, champion_history(workflow))

    def sign(self, number: int, shown_hash: str, person: str, terms: RolloutTerms, note: str | None = None) -> str:
        """A model approver's yes: from the next night on the challenger is rolled out by the spec's schedule.

        Signature, rollout and audit row stand together or not at all. Two people who sign two challengers at the same
        moment are taken in turn, and the second one is told to look again.

        Returns:
            The first night of the rollout.

        Raises:
            PromotionRefused: unknown, answered already, changed since it was shown, compared with a model that decides
                no more, did not pass, or trained by the same person.
        """
        with self._transaction() as connection:
            proposal = _to_answer(connection, number, shown_hash)
            stale = _stale(connection, proposal)
            if stale:
                raise PromotionRefused(f"proposal {number}: {stale}")
            row = self._answer(connection, proposal, person, "sign", note)
            night = _next_night(connection, proposal.workflow)
            challenger = SignedChallenger(proposal.workflow, proposal.version, proposal.promised_error, number, person)
            begin_rollout(connection, challenger, night, terms)
            append(connection, "model_signatures", proposal.workflow, [Fact("model_signatures", row)])
            return night

    def refuse(self, number: int, shown_hash: str, person: str, note: str) -> None:
        """A model approver's no, with the reason.

        Raises:
            PromotionRefused: unknown, answered already, changed since it was shown, or without a reason.
        """
        if not note.strip():
            raise PromotionRefused("say why, so that whoever trains the next one knows")
        with self._transaction() as connection:
            proposal = _to_answer(connection, number, shown_hash)
            row = self._answer(connection, proposal, person, "refuse", note)
            append(connection, "model_signatures", proposal.workflow, [Fact("model_signatures", row)])

    def _answer(
        self, connection: Connection, proposal: StandingProposal, person: str, verdict: str, note: str | None
    ) -> Mapping[str, Any]:
        row = {
            "proposal_id": proposal.id, "proposal_hash": proposal.hash, "trained_by": proposal.trained_by,
            "passed": proposal.passed, "person": person, "verdict": verdict, "note": note,
        }  # fmt: skip
        try:
            with connection.begin_nested():
                connection.execute(insert(model_signatures).values(row))
        except IntegrityError as error:
            rule = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
            if rule not in _OWN_RULES:
                raise
            refusals = {
                "ck_model_signatures_four_eyes": "you trained this model, so somebody else must sign it",
                "ck_model_signatures_only_what_passed": "a gate refused it; only what passed every gate can be signed",
            }
            raise PromotionRefused(
                f"proposal {proposal.id}: {refusals.get(str(rule), 'it is not what you were shown')}"
            ) from None
        return row


def _with_signature() -> Select[Any]:
    signatures = model_signatures.c
    return select(
        model_proposals, signatures.person, signatures.verdict, signatures.note, signatures.signed_at
    ).join_from(model_proposals, model_signatures, model_proposals.c.id == signatures.proposal_id, isouter=True)


def _to_answer(connection: Connection, number: int, shown_hash: str) -> StandingProposal:
    """The proposal, with its workflow's promotions locked until the transaction ends.

    Raises:
        PromotionRefused: unknown, answered already, or not what was shown.
    """
    workflow = connection.scalar(select(model_proposals.c.workflow).where(model_proposals.c.id == number))
    if workflow is None:
        raise PromotionRefused(f"there is no proposal {number}; `pipeline models WORKFLOW` lists them")
    # a statement of its own, so that what comes after it sees what the one before has committed
    lock_rollouts(connection, workflow)
    (proposal,) = values(connection, StandingProposal, _with_signature().where(model_proposals.c.id == number))
    if proposal.verdict is not None:
        raise PromotionRefused(f"proposal {number} was answered by {proposal.person}: {proposal.verdict}")
    if proposal.hash != shown_hash:
        raise PromotionRefused(f"proposal {number} is not what you were shown; look at it again")
    return proposal


def _stale(connection: Connection, proposal: StandingProposal) -> str | None:
    """Why a proposal can no longer be signed, or None."""
    workflow = proposal.workflow
    champion = connection.execute(champion_history(workflow).limit(1)).first()
    running = open_rollout(connection, workflow)
    if running is not None:
        return f"version {running.version} is being rolled out; wait for its end, then train and compare again"
    if champion is None or champion.version != proposal.base_version:
        now = "no model" if champion is None else f"version {champion.version}"
        return f"it was compared with version {proposal.base_version}, and {now} decides now; train and compare again"
    if proposal.night < champion.night:
        return f"it was trained on {proposal.night}, before the champion ({champion.night}); train a newer one"
    return None


def _next_night(connection: Connection, workflow: str) -> str:
    """The night after the last one that was decided."""
    attempts = tables.attempts.c
    query = select(func.max(attempts.night)).where(attempts.workflow == workflow, attempts.decided_at.is_not(None))
    last = connection.scalar(query)
    if last is None:
        raise PromotionRefused(f"no night of {workflow} was decided yet, so there is nothing to roll out on")
    return shifted(str(last), 1)
