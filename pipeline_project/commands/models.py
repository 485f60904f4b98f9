"""`pipeline models`: who decides, which challengers ask to, what the gates said; and a model approver's signature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.alerts import alerts_of, report_alerts
from pipeline_project.commands.shared.app_context import prepare, workflow
from pipeline_project.commands.shared.console import AsJson, Exit, emit, paragraph, say, table
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
)
from pipeline_project.commands.shared.signing_in import signed_in
from pipeline_project.domain.core.errors import PromotionRefused
from pipeline_project.domain.core.people import PersonRole

if TYPE_CHECKING:
    from pipeline_project.container.owner import OwnerStores
    from pipeline_project.domain.lifecycle.signing import StandingProposal

app = command_app()


@app.command(
    epilog=example(
        "pipeline models returns",
        "pipeline models returns --proposal 3",
        "pipeline models returns --sign 3 --as cleo",
    ),
)
def models(
    workflow: Workflow,
    proposal: Annotated[int | None, typer.Option(metavar="NUMBER", help="Everything about one proposal.")] = None,
    sign: Annotated[int | None, typer.Option(metavar="NUMBER", help="Sign this proposal.")] = None,
    refuse: Annotated[int | None, typer.Option(metavar="NUMBER", help="Refuse it; --note says why.")] = None,
    person: Annotated[str, typer.Option("--as", metavar="NAME", help="The model approver who signs.")] = "",
    note: Annotated[str, typer.Option(metavar="WORDS", help="A note, or the reason of a refusal.")] = "",
    shown_hash: Annotated[
        str | None, typer.Option("--hash", metavar="HASH", help="Sign only if this is still what is proposed.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the password; else it is asked.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lists who decided from which night on and the challengers that were compared; signs or refuses one.

    A signature needs the account of a model approver who did not train the model, and is bound to what was shown.
    """
    if sum(value is not None for value in (proposal, sign, refuse)) > 1:
        raise typer.BadParameter("--proposal, --sign and --refuse exclude each other")
    if sign is not None or refuse is not None:
        if not person:
            raise typer.BadParameter("--as NAME says who signs")
        number = sign if sign is not None else refuse
        assert number is not None
        code = answer(workflow, number, sign is not None, person, note, shown_hash, password_file, as_json)
    elif proposal is not None:
        code = show_proposal(workflow, proposal, as_json)
    else:
        code = show_models(workflow, as_json)
    raise typer.Exit(code)


def show_models(name: str, as_json: bool) -> int:
    """The champion's history, and what was proposed."""
    workflow(name)
    context = prepare()
    promotions, alerts = context.stores.promotions, alerts_of(context.ledger, name)
    champions, proposals = promotions.champions(name), promotions.proposals(name)
    waiting = {proposal.id for proposal in promotions.awaiting()}
    if as_json:
        emit({"champions": champions, "proposals": proposals, "awaiting": sorted(waiting), "alerts": alerts})
        return Exit.DONE
    if champions:
        rows = [(c.version, c.from_night, c.night, c.reason) for c in champions]
        table("Who decides, the newest first", ("version", "from night", "trained on", "because"), rows)
    else:
        say(f"No model of {name} decides yet; every case goes to a person.")
    if proposals:
        lines = [(str(p.id), p.version, p.base_version, _money(p), _state(p, p.id in waiting)) for p in proposals]
        table(
            "Challengers",
            ("proposal", "version", "against", "money per case", "state"),
            lines,
            right=("money per case",),
        )
    else:
        say("No challenger was compared yet; a training after the first decided nights makes one.")
    report_alerts(alerts)
    return Exit.DONE


def show_proposal(name: str, number: int, as_json: bool) -> int:
    """Everything that a signature would be about.

    Raises:
        PromotionRefused: the workflow has no such proposal.
    """
    workflow(name)
    proposal = _proposal(prepare().stores, name, number)
    if as_json:
        emit(proposal)
        return Exit.DONE
    say(f"Proposal {number}: version {proposal.version} of {name} instead of version {proposal.base_version}.")
    say(f"Trained on {proposal.night} by {proposal.trained_by}; hash {proposal.hash}.")
    for gate in proposal.gates:
        paragraph(f"{'passed    ' if gate['passed'] else 'NOT PASSED'} {gate['name']}: {gate['detail']}", indent="  ")
    if proposal.verdict:
        say(f"{proposal.verdict} by {proposal.person}: {proposal.note or 'without a note'}")
    elif proposal.passed:
        say(f"A model approver signs it with pipeline models {name} --sign {number} --as NAME.")
    return Exit.DONE


def answer(
    name: str, number: int, sign: bool, person: str, note: str, shown_hash: str | None, password_file: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """A model approver's yes or no, with the password of the account.

    Raises:
        PromotionRefused: no such proposal, no such right, or a rule stands against it.
        SignInRefused: name or password is wrong.
    """
    spec, context = workflow(name), prepare()
    promotions = context.stores.promotions
    proposal = _proposal(context.stores, name, number)
    signer = signed_in(context, person, password_file, PersonRole.MODEL_APPROVER, PromotionRefused)
    if sign:
        night = promotions.sign(number, shown_hash or proposal.hash, signer.name, spec.rollout, note or None)
        done = {"proposal": number, "signed_by": signer.name, "from_night": night}
        sentence = f"Signed by {signer.name}: version {proposal.version} is rolled out from {night} on."
    else:
        promotions.refuse(number, shown_hash or proposal.hash, signer.name, note)
        done = {"proposal": number, "refused_by": signer.name}
        sentence = f"Refused by {signer.name}."
    if as_json:
        emit(done)
    else:
        say(sentence)
    return Exit.DONE


def _proposal(stores: OwnerStores, name: str, number: int) -> StandingProposal:
    proposal = stores.promotions.proposal(number)
    if proposal is None or proposal.workflow != name:
        raise PromotionRefused(f"{name} has no proposal {number}; `pipeline models {name}` lists them")
    return proposal


def _money(proposal: StandingProposal) -> str:
    money = (proposal.replay or {}).get("money")
    return f"{money['value']:+.4f} ({money['low']:+.4f} to {money['high']:+.4f})" if money else "unknown"


def _state(proposal: StandingProposal, waits: bool) -> str:
    if proposal.verdict:
        return f"{'signed' if proposal.verdict == 'sign' else 'refused'} by {proposal.person}"
    if not proposal.passed:
        return "stopped by " + ", ".join(gate["name"] for gate in proposal.gates if not gate["passed"])
    return "waits for a signature" if waits else "no longer open"
