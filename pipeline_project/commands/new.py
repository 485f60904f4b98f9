"""`pipeline new`: a first workflow file out of a table, from five questions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, facts, say
from pipeline_project.commands.shared.options import command_app, day, day_option, example

if TYPE_CHECKING:
    from pipeline_project.domain.intake.table_profile import ColumnProfile, TableProfile
    from pipeline_project.operations.starting import UndescribedTable
    from pipeline_project.spec.starter import StarterAnswers

#: What is typed where a table has no such column.
NONE = "none"

app = command_app()


@app.command(
    epilog=example(
        "pipeline new orders.csv",
        "pipeline new orders.csv --yes --truth returned --wrong 20 --ask 2",
        "pipeline check orders.yaml --data",
    ),
)
def new(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="A table: CSV, JSON, Parquet or Excel, packed or not.")],
    id_column: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="What tells one case from another, or `none`.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="COLUMN", help="When a case came up, or `none`.")
    ] = None,
    truth: Annotated[
        str | None, typer.Option("--truth", metavar="COLUMN", help="What turned out to be true of a case.")
    ] = None,
    wrong: Annotated[float | None, typer.Option(min=0, metavar="MONEY", help="What a wrong answer costs.")] = None,
    ask: Annotated[float | None, typer.Option(min=0, metavar="MONEY", help="What asking a person costs.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the workflow; else the file's.")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here; else NAME.yaml.")] = None,
    owner: Annotated[str, typer.Option(metavar="OWNER", help="team:NAME, or an e-mail address.")] = "team:data",
    zone: Annotated[str, typer.Option(metavar="ZONE", help="The time zone in which a night begins.")] = "UTC",
    first: Annotated[
        datetime | None, day_option("The first night of a table without times; else sixty days ago.", "--first")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; what is not given is guessed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Writes a first workflow file for a table that nobody has described yet, and checks it.

    Types, marks, times and labels are read from the table; five questions remain, each with a guess. The file has
    comments where somebody who knows the cases has to look again. No file is overwritten.
    """
    starting = Starting(
        table=table,
        name=name or name_of(table),
        place=to or Path(f"{name or name_of(table)}.yaml"),
        given={"id": id_column, "time": time, "truth": truth},
        costs={"wrong": wrong, "ask": ask},
        owner=owner,
        zone=zone,
        first=day(first),
        silent=yes or as_json,
    )
    raise typer.Exit(run_new(starting, as_json))


@dataclass(frozen=True)
class Starting:
    """What was asked for; `silent` where nobody is to be asked for the rest.

    Attributes:
        given, costs: by purpose the column, and the money, that was given; None where it is to be asked or guessed.
    """

    table: Path
    name: str
    place: Path
    given: Mapping[str, str | None]
    costs: Mapping[str, float | None]
    owner: str
    zone: str
    first: date | None
    silent: bool

    def column(self, what: str, question: str, guesses: Sequence[str], columns: Sequence[str]) -> str | None:
        """The column for a purpose: as given, else asked for with a guess; None for `none`."""
        answer, choices = self.given[what], (*columns, NONE)
        if answer is not None and answer not in choices:
            raise typer.BadParameter(f"no column is called {answer!r}; {_there_are(columns)}", param_hint=f"--{what}")
        while answer is None:
            guess = guesses[0] if guesses else NONE
            asked = guess if self.silent else typer.prompt(question, default=guess)
            if asked in choices:
                answer = asked
            else:
                complain(f"no column is called that; {_there_are(columns)}")
        return None if answer == NONE else answer

    def cost(self, what: str, question: str, guess: float) -> float:
        """A cost: as given, else asked for with a guess."""
        cost = self.costs[what]
        while cost is None:
            asked = guess if self.silent else float(typer.prompt(question, default=guess, type=float))
            if asked >= 0:
                cost = asked
            else:
                complain("a cost is no less than 0")
        return cost


def run_new(starting: Starting, as_json: bool) -> int:
    """Reads the table, asks, writes the file and says what `pipeline check` finds."""
    from pipeline_project.domain.intake.table_profile import profile_table
    from pipeline_project.operations.starting import nights_of, read_table
    from pipeline_project.spec.load import check_file
    from pipeline_project.spec.starter import SPREAD_NIGHTS, StarterFile, nights_without_time, starter
    from resources.files.small_files import write_whole

    if starting.place.exists():
        complain(f"{starting.place} is there already; name another file with --to, or move it away")
        return Exit.WRONG_CALL
    table = read_table(starting.table)
    profile = profile_table(table.cells)
    if not starting.silent:
        _tell(table, profile)
    try:
        answers = _answers(starting, table, profile)
    except typer.Abort:
        complain("Nothing was written. Answer on a terminal, or take the guesses with --yes.")
        return Exit.WRONG_CALL
    if answers.time_column is None:
        first = starting.first or datetime.now(UTC).date() - timedelta(days=SPREAD_NIGHTS)
        nights = nights_without_time(first, profile.rows)
    else:
        try:
            nights = nights_of(table, profile, answers.time_column, answers.zone)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--time") from error
    text = starter(profile, answers, nights, StarterFile(_path(starting), table.how))
    write_whole(starting.place, text.encode())
    mistakes = check_file(starting.place)
    for mistake in mistakes:
        complain(str(mistake))
    if as_json:
        emit(
            {
                "file": str(starting.place),
                "rows": profile.rows,
                "broken": table.broken,
                "columns": [asdict(column) for column in profile.columns],
                "mistakes": [asdict(mistake) for mistake in mistakes],
            }
        )
    else:
        say(f"Wrote {starting.place}.")
        facts(
            [
                (f"pipeline check {starting.place} --data", "what the table does not bear out"),
                (f"PIPELINE_WORKFLOWS={starting.place.parent} pipeline nights {answers.workflow}", "runs its nights"),
            ]
        )
    return Exit.SPEC_MISTAKE if mistakes else Exit.DONE


def name_of(table: Path) -> str:
    """A workflow's name out of a file's: what stands before its first dot."""
    from pipeline_project.domain.intake.table_profile import field_names

    return next(iter(field_names([table.name.partition(".")[0]]).values()))


def _answers(starting: Starting, table: UndescribedTable, profile: TableProfile) -> StarterAnswers:
    """The five answers.

    Raises:
        typer.Abort: whoever was asked did not answer.
    """
    from pipeline_project.domain.intake.table_profile import MOST_LABELS, label_names
    from pipeline_project.spec.starter import StarterAnswers

    columns = [column.column for column in profile.columns]
    case_id = starting.column("id", "Which column tells one case from another?", profile.ids, columns)
    time = starting.column("time", "Which column says when a case came up?", profile.times, columns)
    truth = starting.column("truth", "Which column says what turned out to be true?", profile.truths, columns)
    if truth is None:
        raise typer.BadParameter(
            "without a column of what turned out to be true nothing can be learned; name one of "
            f"{', '.join(columns)}. Outcomes in files of their own: docs/workflows.md, `outcome`",
            param_hint="--truth",
        )
    values = {value.strip() for value in table.cells[truth] if value} - {"", *profile.missing}
    if not 2 <= len(values) <= min(MOST_LABELS, profile.rows // 2):
        raise typer.BadParameter(
            f"{truth} has {len(values):,} different values in {profile.rows:,} rows; labels are 2 to {MOST_LABELS}, of "
            "several rows each. Name another column, or put its values into classes first",
            param_hint="--truth",
        )
    amounts = [column for column in profile.amounts if column not in (truth, case_id)]
    return StarterAnswers(
        workflow=starting.name,
        owner=starting.owner,
        id_column=case_id,
        time_column=time,
        truth_column=truth,
        labels=label_names(truth, values),
        amount_column=amounts[0] if amounts else None,
        wrong=starting.cost("wrong", "What does a wrong answer cost?", 10.0),
        ask=starting.cost("ask", "What does asking a person cost?", 1.0),
        zone=starting.zone,
    )


def _path(starting: Starting) -> str:
    """The table's path as the YAML file says it: from its own folder where it lies beside or below it."""
    return os.path.relpath(starting.table.absolute(), starting.place.absolute().parent)


def _tell(table: UndescribedTable, profile: TableProfile) -> None:
    say(f"{profile.rows:,} rows, {len(profile.columns)} columns:")
    facts([(column.column, _seen(column)) for column in profile.columns])
    if table.broken:
        say(f"{table.broken:,} lines cannot be split into these columns; as arrivals they would go to quarantine.")


def _seen(column: ColumnProfile) -> str:
    empty = f", {column.empty:,} empty" if column.empty else ""
    return f"{column.type.value}, {column.distinct:,} different{empty}"


def _there_are(columns: Sequence[str]) -> str:
    return f"there are {', '.join(columns)}, or `{NONE}`"
