"""Every command that a page shows is carried out here on a small house, or stands in a list that says why it is not.

The house is a home of its own with a server of its own, because the pages speak of `returns`, of its nights and of
the whole ledger. One night of the sample is decided in it; the commands follow each other as somebody would give them.
"""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from resources.postgres.embedded import EmbeddedServer
from tests.docs.test_commands import examples, shown
from tests.docs.test_documents import ROOT
from tests.integration.house import House
from tests.places import memory

NIGHT = "2025-03-05"


@dataclass(frozen=True)
class Ends:
    """How a command ends: its exit code, and a pattern of what it says."""

    code: int
    says: str


#: The sample's first claim of that night: the pages name it, and a fresh demo has it.
CASE = "R250305-SUVRVTF"
NO_MODEL, NO_FILE = "the registry has no version", "does not exist|is no file"

#: Given in this order; each as a page or a help text shows it.
CARRIED_OUT: dict[str, Ends] = {
    # the ground, before anything ran
    "pipeline check": Ends(0, "returns: no mistakes"),
    "pipeline check my_workflows/claims.yaml": Ends(0, "claims.yaml: no mistakes"),
    "pipeline check my_workflow.yaml --data": Ends(3, "claims.csv"),
    "pipeline new orders.csv --yes --truth returned --wrong 20 --ask 2": Ends(0, "Wrote orders.yaml"),
    "pipeline check orders.yaml --data": Ends(0, "orders.yaml: no mistakes"),
    "pipeline nights --help": Ends(0, "--again"),
    "pipeline drift returns": Ends(5, "no signals of returns"),
    "pipeline results returns": Ends(5, "nothing of returns is decided yet"),
    "pipeline results returns --against-truth": Ends(5, "no outcome of a decided case of returns"),
    # a night, and what can be asked of it
    f"pipeline nights returns --from {NIGHT} --to {NIGHT}": Ends(0, r"1 night, 1 done"),
    "pipeline status": Ends(0, rf"returns +1 +{NIGHT} +\d+"),
    "pipeline status returns": Ends(0, "refused +1 rows"),
    "pipeline status --json": Ends(0, '"workflow": "returns",\n *"nights_decided": 1'),
    "pipeline doctor": Ends(0, "ok +database"),
    "pipeline setup": Ends(0, "The databases are ready"),
    "pipeline setup --bucket": Ends(0, "The databases are ready"),
    "pipeline doctor --deep": Ends(0, "ok +"),
    f"pipeline why returns {CASE}": Ends(0, f"returns {CASE}: ask a person"),
    f"pipeline audit search --case {CASE}": Ends(0, f"decisions +returns +{CASE}"),
    "pipeline results order_returns": Ends(5, "run `pipeline nights order_returns`"),
    "pipeline results support_tickets": Ends(5, "run `pipeline nights support_tickets`"),
    "pipeline results vehicle_claims": Ends(5, "run `pipeline nights vehicle_claims`"),
    "pipeline outcomes returns": Ends(0, f"{NIGHT} .* immature"),
    "pipeline outcomes returns --last 60 --json": Ends(0, f'"night": "{NIGHT}"'),
    "pipeline clusters returns": Ends(5, "no history of clusters"),
    "pipeline clusters returns --night 2025-03-27": Ends(5, "no history of clusters"),
    "pipeline clusters returns --cluster c-b98ffa": Ends(5, "no history of clusters"),
    "pipeline drift returns --night 2025-03-01 --json": Ends(5, '"signals": \\[\\]'),
    "pipeline drift returns --follow 0": Ends(0, "^$"),
    # counting again, while no repair waits for its night
    "pipeline reconcile": Ends(0, r"cases ↔ decisions +(\d+) +\1 +adds up"),
    f"pipeline reconcile returns --from {NIGHT} --to 2025-03-07": Ends(0, r"cases ↔ decisions +(\d+) +\1 +adds up"),
    "pipeline reconcile returns --from 2025-03-01 --to 2025-03-31": Ends(0, r"cases ↔ decisions +(\d+) +\1 +adds"),
    # its refused row
    "pipeline quarantine returns": Ends(0, "returns: 1 row refused"),
    f"pipeline quarantine returns --night {NIGHT} --export to_repair.csv": Ends(0, "1 rows in to_repair.csv"),
    f"pipeline quarantine returns --night {NIGHT} --repair to_repair.csv": Ends(0, f"pipeline nights .*{NIGHT}"),
    # people
    "pipeline people add ada --role reviewer --role approver": Ends(0, "Password, shown this once: "),
    "pipeline people add ada --role reviewer": Ends(1, "has an account already"),
    "pipeline people grant ada approver": Ends(0, "ada has the role approver"),
    "pipeline people link ada": Ends(0, "^http://127.0.0.1:3004/"),
    "pipeline people list": Ends(0, "ada +approver, reviewer"),
    "pipeline people revoke ada approver": Ends(0, "no longer has the role"),
    "pipeline people password ada": Ends(0, "Password, shown this once: "),
    "pipeline people remove ada": Ends(0, "can no longer sign in"),
    # actions
    "pipeline actions returns --state dead": Ends(0, "has no actions yet"),
    'pipeline actions returns --stop "supplier recall"': Ends(0, "returns is stopped"),
    'pipeline actions returns --redeliver KEY --reason "it is back" --dry-run': Ends(1, "is no key"),
    "pipeline dispatch --drain": Ends(0, "nothing is left to send"),
    # models: none has learned enough, which each of these says instead of failing
    "pipeline models returns": Ends(0, "No model of returns decides yet"),
    "pipeline models returns --proposal 3": Ends(1, "has no proposal 3"),
    "pipeline models returns --sign 3 --as cleo": Ends(1, "has no proposal 3"),
    "pipeline replay returns --from 2025-04-01 --to 2025-04-14 --model 2": Ends(1, NO_MODEL),
    "pipeline replay returns --from 2025-04-01 --to 2025-04-14 --policy dearer.yaml": Ends(2, NO_FILE),
    "pipeline replay returns --from 2025-03-01 --policy cheap_warning.yaml": Ends(2, NO_FILE),
    "pipeline replay returns --model 7": Ends(1, NO_MODEL),
    'pipeline rollback returns --reason "harms lamps"': Ends(1, "no champion to go back from"),
    'pipeline rollback returns --reason "complaints since Monday"': Ends(1, "no champion to go back from"),
    'pipeline rollback returns --review-all --reason "recall of a supplier"': Ends(0, "people decide everything"),
    'pipeline rollback returns --open --reason "the new model was signed"': Ends(0, "people decide everything"),
    "pipeline recall returns --model 2 --dry-run": Ends(1, "made by model 2; nothing was changed"),
    "pipeline recall returns --model 7": Ends(1, "made by model 7; nothing was changed"),
    'pipeline recall returns --model 7 --apply --reason "bad data"': Ends(1, "nothing was changed"),
    f"pipeline recall returns --night {NIGHT} --data repaired": Ends(1, "no model of returns decides now"),
    "pipeline recall returns --night 2025-03-01 --data repaired": Ends(1, "2025-03-01|no model of returns decides now"),
    # the chain
    "pipeline audit verify": Ends(0, r"decisions \(\d+\)"),
    "pipeline audit verify --json": Ends(0, '"intact": true'),
    "pipeline audit checkpoint": Ends(0, "Signed the chain up to batch"),
    "pipeline audit accept-break --dry-run": Ends(1, "there is no break to accept"),
    "pipeline audit search --case C-1042": Ends(0, "^batch +row"),
    "pipeline audit search --person anna --kind answers --from 2026-03-01": Ends(0, "^batch +row"),
    "pipeline audit proof 17 3": Ends(5, "no row 3 in batch 17"),
    "pipeline audit proof 17 3 --json": Ends(5, "no row 3 in batch 17"),
    # personal data
    "pipeline hold add --subject C-1042 --reason 'case 12 O 34/26'": Ends(1, "nothing is sealed for that subject"),
    "pipeline hold add --workflow returns --reason 'audit 2026'": Ends(0, "Hold 1 stands on returns"),
    "pipeline hold list": Ends(0, "audit 2026"),
    "pipeline hold list --json": Ends(0, '"reason": "audit 2026"'),
    "pipeline hold lift 3": Ends(1, "no hold 3 stands"),
    "pipeline retention --dry-run": Ends(0, "Nothing was changed"),
    "pipeline retention --workflow returns": Ends(0, "held|Nothing|erased"),
    "pipeline forget CUSTOMER --workflow returns": Ends(5, "nothing is sealed for that subject"),
    "pipeline forget C-1042 --workflow returns": Ends(5, "nothing is sealed for that subject"),
    "pipeline keys hashes returns": Ends(0, "Nothing was left to do"),
    "pipeline keys rotate": Ends(0, "Master key 2 wraps"),
    "pipeline keys rotate --destroy-old": Ends(0, "Master key 3 wraps"),
    # the webhook receiver
    "pipeline hooks secret returns": Ends(0, "PIPELINE_HOOK_SECRET_RETURNS='whsec_"),
    "pipeline hooks list": Ends(0, "returns +0 +0"),
    "pipeline hooks list --json": Ends(0, '"workflow": "returns"'),
    "pipeline hooks send returns claims.csv": Ends(2, NO_FILE),
    f"pipeline hooks send returns claims.csv --night {NIGHT}": Ends(2, NO_FILE),
    "pipeline hooks send returns truth.csv --kind outcomes": Ends(2, NO_FILE),
    # another place is what tests/integration/test_moving.py has
    "pipeline backup backups/monday --keys vault/monday": Ends(0, r"lake +\d+ tables"),
    "pipeline restore backups/monday --keys vault/monday": Ends(2, "is not empty; name another place"),
    "pipeline down": Ends(0, "Stopped the embedded database"),
}

MINUTES = "takes minutes: nights by the dozen, or a training"
SERVES = "serves until it is stopped; tests/commands/test_up.py and tests/integration/test_up.py start it"
SHELL = "the reader's shell or editor"
ROOT_ONLY = "changes the machine as root"
DAGSTER = "Dagster's own command: tests/test_definitions.py checks and loads, tests/integration/test_up.py launches"

#: What is shown and not carried out here, and why.
ONLY_READ: dict[str, str] = {
    **dict.fromkeys(("make run", "make chaos", "make test", "make lint"), "CI runs them, or somebody by hand"),
    **dict.fromkeys(("make decision-diff", "make decision-diff ACCEPT=1"), "tests/decision_diff does what it does"),
    "python -m pytest tests/domain": "this very suite",
    **dict.fromkeys(
        (
            "python -m benchmarks --only night --sizes 70,2000",
            "python -m benchmarks --only growth --last 50",
            "python -m benchmarks --only ui",
            "python -m benchmarks --only commands",
            "python -m benchmarks.engines --texts 300 --rounds 3 --arrow 0",
            "python -m benchmarks.numerics --only photos --only admission",
            'python -m benchmarks.photos --photos "$PIPELINE_REAL_DATA/product_photos/clothing.tar"',
            'python -m benchmarks.telemetry --telemetry "$PIPELINE_REAL_DATA/engine_telemetry"',
            'python -m benchmarks.unseen --tickets "$PIPELINE_REAL_DATA/support_tickets"',
            "python -m benchmarks.many",
            "python -m benchmarks.clusters --sizes 10000,50000 --seeds 0 --pairs 10000",
            "python -m benchmarks.lifecycle sizes",
            "python -m benchmarks.lifecycle costs",
            "python -m benchmarks.lifecycle retraining",
            "python -m benchmarks.lifecycle returns",
            "python -m benchmarks.lifecycle returns --workflow vehicle_claims",
            "python -m benchmarks.lifecycle bad-models",
            "python -m benchmarks.drift_electricity",
            "python -m benchmarks.sizes --nights 40 --per-night 100",
            "python -m benchmarks.costs --sizes 100,500,2000 --requests --write",
            "python -m benchmarks.queueing --check 8 --cases 60",
            "python -m benchmarks.desk --tasks 1000000 --people 2 --each 100",
            "python -m benchmarks.ledger --sizes 100000,500000",
            "python -m benchmarks.layouts --sizes 200000,1000000",
            "python -m benchmarks.chaos --quick",
            "python -m benchmarks.chaos --only kills",
            "pipeline nights order_returns --from 2012-04-01 --to 2012-12-31",
            "pipeline nights support_tickets --from 2025-05-01 --to 2025-06-14",
            "pipeline nights vehicle_claims --from 1994-01-01 --to 1995-12-31",
            "pipeline nights claims --from 2025-01-01 --to 2025-03-31",
            "pipeline nights returns",
            "pipeline nights returns --from 2025-03-01 --to 2025-03-31",
            "pipeline demo",
            "pipeline demo --nights 10 --per-night 100",
            "pipeline sample --from 2025-03-01 --to 2025-03-31 --per-night 200",
        ),
        MINUTES,
    ),
    "pipeline new orders.csv": "asks five questions; tests/commands/test_new_command.py answers them",
    f"pipeline nights returns --night {NIGHT} --again": "tests/integration/test_returns.py runs a night of it again",
    **dict.fromkeys(
        (
            "python -m pip uninstall --yes torch xgboost-cpu",
            "python -m pip install --constraint requirements.lock torch",
            "python -m pip install --constraint requirements.lock ray",
            "python -m pip install --no-deps xgboost-cu13==3.2.0",
        ),
        "would change what the tests run with",
    ),
    "dagster instance concurrency set gpu 2": "Dagster's own; tests/resources/dagster_storage/test_pools.py sets one",
    "python -m benchmarks --only import": "tests/test_benchmarks.py runs it",
    "python -m benchmarks.gpu": "tests/benchmarks/test_gpu.py runs it as far as there is no GPU",
    "python -m benchmarks.capacity": "tests/benchmarks/test_capacity.py computes it",
    "python -m benchmarks.queueing": "tests/benchmarks/test_simulation.py simulates nights",
    "python -m benchmarks.tidied": "tests/resources/ledger/test_ledger_upkeep.py looks at what it shows",
    **dict.fromkeys(
        (
            "make up",
            "pipeline up",
            "pipeline up --port 3100 --mlflow-port 5100 --reports-port 3102",
            "pipeline desk",
            "pipeline desk --port 3104",
            "pipeline desk --host 0.0.0.0 --proxy 10.0.0.0/8",
            "pipeline shop",
            "pipeline shop --port 3106",
            "pipeline dispatch",
            "pipeline worker",
            "pipeline worker --slots 1 --grace 600",
            "pipeline worker --health 127.0.0.1:3009",
            "pipeline dispatch --health 127.0.0.1:3008",
            "pipeline hooks serve --port 3008",
        ),
        SERVES,
    ),
    **dict.fromkeys(
        (
            "pipeline audit accept-break --as olga --reason 'disk lost on 3 March, copy of 2 March'",
            'pipeline audit accept-break --as olga --reason "disk lost"',
        ),
        "asks for a password; tests/commands/test_audit_commands.py gives one",
    ),
    "pipeline audit checkpoint --anew": "asks for a yes; tests/resources/audit goes on after a restored ledger",
    "pipeline audit verify --public-key ~/vault/checkpoints.pub.pem": "needs the reader's key; tests/commands has one",
    **dict.fromkeys(("dagster dev", "dg check defs", f"dg launch --job returns_nightly --partition {NIGHT}"), DAGSTER),
    **dict.fromkeys(
        (
            "pipeline tenants add acme",
            "pipeline tenants add acme --password-file acme.pw",
            "pipeline tenants list",
            "pipeline tenants list --json",
        ),
        "this house has no tenants; tests/tenants/test_tenants_command.py gives them in one that has",
    ),
    **dict.fromkeys(
        (
            "source .venv/bin/activate",
            'eval "$(pipeline env)"',
            "export PIPELINE_WORKFLOWS=$PWD/my_workflows",
            "export PIPELINE_COMPUTE=ray",
            "export PIPELINE_TENANTS=/etc/pipeline/tenants",
            "export PIPELINE_RAY_ADDRESS=auto",
            "export PIPELINE_REAL_DATA=...",
            "$EDITOR to_repair.csv",
            "mkdir -p deploy/tenants/specs/acme",
        ),
        SHELL,
    ),
    "python deploy/tenants.py deploy/tenants": "tests/deploy/test_tenants_compose.py writes into another folder",
    **dict.fromkeys(
        (
            "docker compose -f deploy/compose.yaml up --build --detach",
            "docker compose -f deploy/compose.yaml -f deploy/tenants/compose.yaml up --build --wait",
            "docker compose -f deploy/compose.yaml exec desk deploy/with-env pipeline people add ada --role admin "
            "--role reviewer",
            "docker buildx build --sbom=true --provenance=mode=max --target cpu -t registry.example.org/pipeline:0.1.0 "
            "-f deploy/Dockerfile .",
            "helm dependency build deploy/chart",
            "helm install pipeline deploy/chart --values my-values.yaml",
        ),
        "needs a container engine, a cluster or a network; tests/deploy checks what they are given",
    ),
    **dict.fromkeys(
        (
            "useradd --system --home-dir /var/lib/pipeline --shell /usr/sbin/nologin pipeline",
            "git clone <this repository> /opt/pipeline",
            "make -C /opt/pipeline .venv/.installed",
            "install -d -m 0750 -g pipeline /etc/pipeline",
            "install -m 0640 -g pipeline /opt/pipeline/deploy/pipeline.env.example /etc/pipeline/pipeline.env",
            "$EDITOR /etc/pipeline/pipeline.env",
            "psql -v ON_ERROR_STOP=1 -v password=… -v reader_password=… -f /opt/pipeline/deploy/roles.sql",
            "install -m 0644 /opt/pipeline/deploy/systemd/*.service /etc/systemd/system/",
            "systemctl daemon-reload",
            "systemctl enable --now pipeline-webserver pipeline-daemon pipeline-worker pipeline-mlflow "
            "pipeline-reports pipeline-desk pipeline-dispatcher",
            "sudo -u pipeline bash -c 'set -a; . /etc/pipeline/pipeline.env; "
            "/opt/pipeline/deploy/with-env pipeline doctor'",
        ),
        ROOT_ONLY,
    ),
}


def _written(line: str) -> str:
    """A command in one way of writing it."""
    return shlex.join(shlex.split(line))


def _shown() -> set[str]:
    """Each command that a page or the help of a command shows."""
    return {shlex.join(words) for _, words in shown()} | {_written(line) for _, line in examples()}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One sampled night, not yet run, and the workflow of docs/workflows.md beside it."""
    home = Path(tempfile.mkdtemp(prefix="pipeline-pages-", dir=memory()))
    try:
        house = House("returns", home, None)
        house.folder.mkdir()
        (home / "my_workflows").symlink_to(house.folder)
        page = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
        example = re.search(r"```yaml\n(workflow:.*?)```", page, re.DOTALL)
        assert example is not None
        for path in (house.folder / "claims.yaml", home / "my_workflow.yaml"):
            path.write_text(example[1], encoding="utf-8")
        orders = "".join(f"o{row},2025-01-{row % 28 + 1:02},{row}.50,{row % 2}\n" for row in range(60))
        (home / "orders.csv").write_text(f"order_id,ordered,price,returned\n{orders}", encoding="utf-8")
        assert house.command("sample", "--from", NIGHT, "--to", NIGHT).returncode == 0
        _fewer(home / "sample" / "returns" / "claims" / NIGHT / "claims.csv")
        yield house
    finally:
        EmbeddedServer(home / "postgres").stop()
        shutil.rmtree(home)


def _fewer(file: Path, kept: int = 12) -> None:
    """The first rows, and the one whose price the contract refuses."""
    with file.open(newline="", encoding="utf-8") as content:
        rows = list(csv.DictReader(content, delimiter=";"))
    dearest = max(range(len(rows)), key=lambda number: float(rows[number]["price"] or 0))
    with file.open("w", newline="", encoding="utf-8") as content:
        writer = csv.DictWriter(content, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows[number] for number in sorted({*range(kept), dearest}))


def test_a_command_that_is_shown_is_carried_out_or_says_why_not() -> None:
    out, read = ({_written(line) for line in each} for each in (CARRIED_OUT, ONLY_READ))
    assert _shown() - out - read == set(), "new: carry it out here, or say why not"
    assert (out | read) - _shown() == set(), "no page shows it any more"
    assert out & read == set()


def test_the_commands_that_pages_show_do_what_is_expected(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one test: each builds on those before it, and all of them on one house."""
    monkeypatch.chdir(house.home)
    wrong = []
    for line, ends in CARRIED_OUT.items():
        done = house.command(*shlex.split(line)[1:])
        told = done.stdout + done.stderr
        if done.returncode != ends.code or not re.search(ends.says, told, re.MULTILINE) or "Traceback" in told:
            wrong.append(f"{line} ended with {done.returncode} and said {told[-400:]}")
    assert not wrong, "\n".join(wrong)
