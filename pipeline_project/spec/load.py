"""Reads workflow files, and says everything that is wrong with one at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.spec.base import FINDINGS, SpecFinding, Where, dotted
from pipeline_project.spec.draft import Draft
from pipeline_project.spec.fields import FieldSpec
from pipeline_project.spec.rules import findings
from pipeline_project.spec.tree import NotYaml, Tree, decoded, read_tree
from pipeline_project.spec.workflow import WorkflowSpec

#: The workflows that come with the package.
SHIPPED = Path(__file__).parent.parent / "workflows"


@dataclass(frozen=True, order=True)
class Mistake:
    """Something in a workflow file that must be written differently.

    Attributes:
        line, column: where, counted from 1; of the part above when something is missing.
        where: keys from the top, as in `model.history[0].by`; empty for the whole file.
        sentence: what is wrong and what to write instead.
    """

    file: Path
    line: int
    column: int
    where: str
    sentence: str

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}:{self.column}: {where}{self.sentence}"


class InvalidSpec(PipelineError):
    """A workflow file that cannot be used; its text lists every mistake."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)

    @property
    def file(self) -> Path:
        return self.mistakes[0].file


@dataclass(frozen=True)
class Loaded:
    """Workflows by name, and the files that could not be used."""

    specs: dict[str, WorkflowSpec] = field(default_factory=dict)
    broken: list[InvalidSpec] = field(default_factory=list)


def load_spec(path: Path) -> WorkflowSpec:
    """The workflow in a file, with relative paths starting at the file's folder.

    Raises:
        InvalidSpec: with every mistake of the file.
    """
    spec, mistakes = _examine(path)
    if spec is None:
        raise InvalidSpec(mistakes)
    return spec.placed_in(path.absolute().parent)


def check_file(path: Path) -> list[Mistake]:
    """Every mistake of a workflow file, in the order of its lines; none when it can be used."""
    return _examine(path)[1]


def load_all(folders: Sequence[Path] = (), tenant: str = "") -> Loaded:
    """The shipped workflows and those in the given folders, each file on its own; of a tenant its own ones alone.

    A file that cannot be used, a folder that cannot be read, and the second of two files with one name are reported
    in `broken`; nothing of that keeps the other workflows from being loaded.
    """
    loaded = Loaded()
    files: dict[str, Path] = {}
    seen: set[Path] = set()
    for folder in _searched(folders, tenant):
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        if not folder.is_dir():
            sentence = "there is no such folder; make it, or take it out of PIPELINE_WORKFLOWS"
            loaded.broken.append(InvalidSpec([Mistake(folder, 1, 1, "", sentence)]))
            continue
        for path in _files_of(folder):
            _add(loaded, files, path)
    for name, spec in [*loaded.specs.items()]:
        spec.owned_by(tenant)
        if tenant and (outside := encoder_outside(files[name], spec, tenant)):
            del loaded.specs[name]
            loaded.broken.append(InvalidSpec([outside]))
    return loaded


def encoder_outside(path: Path, spec: WorkflowSpec, tenant: str) -> Mistake | None:
    """That a tenant's spec names an encoder outside the folder of its own file, links followed; None where it does
    not."""
    own = spec.folder.resolve()
    for modality, terms in spec.encoders.items():
        given: str | tuple[str, ...] = vars(terms)["encoder"]
        for encoder in (given,) if isinstance(given, str) else given:
            if not (own / encoder).resolve().is_relative_to(own):
                where: Where = (modality, "encoder")
                sentence = f"lies outside the folder of {tenant}'s specs; put the encoder's folder below it"
                return Mistake(path, *read_tree(decoded(path.read_bytes())).place(where), dotted(where), sentence)
    return None


def workflow_files(folders: Sequence[Path] = (), tenant: str = "") -> list[Path]:
    """The files that `load_all` reads, each once."""
    places = _searched(folders, tenant)
    paths = (path.resolve() for folder in places if folder.is_dir() for path in _files_of(folder))
    return list(dict.fromkeys(paths))


def _searched(folders: Sequence[Path], tenant: str) -> tuple[Path, ...]:
    return (*folders,) if tenant else (SHIPPED, *folders)


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())


def _add(loaded: Loaded, files: dict[str, Path], path: Path) -> None:
    try:
        spec = load_spec(path)
    except InvalidSpec as error:
        loaded.broken.append(error)
        return
    if spec.name in loaded.specs:
        sentence = f"{files[spec.name]} is called {spec.name} as well and was read first; rename one of the two"
        loaded.broken.append(InvalidSpec([Mistake(path, _line_of_name(path), 1, "workflow", sentence)]))
        return
    loaded.specs[spec.name], files[spec.name] = spec, path


def _line_of_name(path: Path) -> int:
    return read_tree(decoded(path.read_bytes())).place(("workflow",))[0]


def _examine(path: Path) -> tuple[WorkflowSpec | None, list[Mistake]]:
    try:
        tree = read_tree(decoded(path.read_bytes()))
    except OSError as error:
        return None, [Mistake(path, 1, 1, "", f"cannot be read: {error.strerror or type(error).__name__}")]
    except NotYaml as error:
        return None, [Mistake(path, error.line, error.column, "", str(error))]
    if not isinstance(tree.data, dict):
        sentence = "a workflow begins with keys such as `workflow: a_name`, not with a list or a single value"
        return None, [Mistake(path, *tree.place(()), "", sentence)]
    spec, spec_findings = _judge(tree.data)
    mistakes = [_mistake(path, tree, finding) for finding in spec_findings]
    mistakes += [Mistake(path, line, column, dotted(f.where), f.sentence) for f, line, column in tree.findings]
    return (None, sorted(mistakes)) if mistakes else (spec, [])


def _mistake(path: Path, tree: Tree, finding: SpecFinding) -> Mistake:
    line, column = tree.place(finding.where)
    return Mistake(path, line, column, dotted(finding.where), finding.sentence)


def _judge(data: Mapping[str, Any]) -> tuple[WorkflowSpec | None, list[SpecFinding]]:
    try:
        return WorkflowSpec.model_validate(data), []
    except ValidationError as error:
        # The words for a mistake are worked out from the models, which is not worth doing for a sound file.
        from pipeline_project.spec.sentences import findings_from

        errors = error.errors(include_url=False)
    spec_findings = findings_from(errors)
    if not any(error["type"] == FINDINGS for error in errors):
        spec_findings += findings(_draft(data, [finding.where for finding in spec_findings]))
    return None, spec_findings


def _draft(data: Mapping[str, Any], broken: Sequence[Where]) -> Draft:
    """The parts of a broken spec that are sound on their own, so that the rules can judge those too."""
    broken_parts = {where[0] for where in broken if where}
    parts: dict[str, Any] = {}
    for name, info in WorkflowSpec.model_fields.items():
        if name in broken_parts:
            continue
        if name in data:
            parts[name] = TypeAdapter(info.rebuild_annotation()).validate_python(data[name])
        else:
            parts[name] = info.get_default(call_default_factory=True)
    lost: list[str] = []
    if "fields" in broken_parts and isinstance(data.get("fields"), dict):
        parts["fields"] = {}
        for name, value in data["fields"].items():
            try:
                parts["fields"][name] = FieldSpec.model_validate(value)
            except ValidationError:
                lost.append(name)
    return Draft(parts, lost)
