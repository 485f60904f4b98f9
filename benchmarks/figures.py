"""`python -m benchmarks.figures [--tree FOLDER]`: how large the house is and how well its rooms are kept apart.

The names of what counts against a goal follow on request (`--names`): they are where the next change pays.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import grimp

from benchmarks.tables import table

PRODUCTION = ("pipeline_project", "assets", "resources")
DOMAIN = "pipeline_project.domain"
ROOMS = (DOMAIN, "resources")
MOST_LINES, MOST_PARAMETERS = 60, 6
UNTYPED = "dict[str, Any]"


@dataclass(frozen=True)
class Module:
    """One file of production code; `path` as from the tree's root."""

    path: str
    text: str
    tree: ast.Module

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))


@dataclass(frozen=True)
class Figure:
    """`names` are what was counted, where each counts against the goal."""

    title: str
    goal: str
    value: int
    names: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__)
    parser.add_argument("--tree", type=Path, default=Path.cwd(), help="a checkout (default: the one you stand in)")
    parser.add_argument("--names", action="store_true", help="also name what counts against each goal")
    given = parser.parse_args()
    figures = measured(given.tree.resolve())
    rows = [(figure.title, figure.goal, figure.value) for figure in figures]
    print(table("The house", ["", "goal", "measured"], rows))
    for figure in figures if given.names else ():
        print("\n".join([f"{figure.title}:", *(f"- {name}" for name in figure.names), ""]))


def measured(tree: Path) -> list[Figure]:
    modules = production(tree)
    top = [path.name for path in (tree / Path(*DOMAIN.split("."))).glob("*.py") if path.name != "__init__.py"]
    untyped = [f"{module.path}: {count}" for module in modules if (count := module.text.count(UNTYPED))]
    return [
        Figure("lines of production code", "<= 42,000", sum(len(module.text.splitlines()) for module in modules)),
        _listed("files at the top of `domain/`", "0", sorted(top)),
        _listed("pairs of packages that import each other", "0", mutual_pairs(tree)),
        Figure(f"`{UNTYPED}`", "<= 60", sum(module.text.count(UNTYPED) for module in modules), tuple(untyped)),
        _listed(f"functions over {MOST_LINES} lines", "0", long_functions(modules)),
        _listed(f"functions with more than {MOST_PARAMETERS} parameters", "<= 10", wide_functions(modules)),
        _listed("class names that occur twice", "0", shared_class_names(modules)),
    ]


def _listed(title: str, goal: str, names: list[str]) -> Figure:
    return Figure(title, goal, len(names), tuple(names))


def production(tree: Path) -> list[Module]:
    """Every module of the three packages, by path."""
    paths = sorted(path for package in PRODUCTION for path in (tree / package).rglob("*.py"))
    return [Module(str(path.relative_to(tree)), text := path.read_text(), ast.parse(text)) for path in paths]


def mutual_pairs(tree: Path) -> list[str]:
    """Packages of `domain` and of `resources` of which each imports something of the other.

    A module belongs to the package whose folder it lies in, so a module at a room's top counts for the room itself.
    grimp takes the packages that Python would import: of another tree only where none of them is imported yet.
    """
    sys.path.insert(0, str(tree))
    try:
        graph = grimp.build_graph(*PRODUCTION, cache_dir=None)
    finally:
        sys.path.remove(str(tree))
    imported: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            imported[_package(graph, module)].add(_package(graph, other))
    pairs = [(one, other) for one, other in combinations(sorted(imported), 2) if _in_one_room(one, other)]
    return [f"{one} and {other}" for one, other in pairs if other in imported[one] and one in imported[other]]


def _package(graph: grimp.ImportGraph, module: str) -> str:
    return module if graph.find_children(module) else module.rpartition(".")[0] or module


def _in_one_room(*packages: str) -> bool:
    return any(all(f"{package}.".startswith(f"{room}.") for package in packages) for room in ROOMS)


def long_functions(modules: list[Module]) -> list[str]:
    return [
        f"{module.path}:{function.lineno} {function.name}: {lines}"
        for module in modules
        for function in module.functions()
        if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > MOST_LINES
    ]


def wide_functions(modules: list[Module]) -> list[str]:
    """Functions and methods by what a caller has to give: `self` and `cls` do not count."""
    return [
        f"{module.path}:{function.lineno} {function.name}: {count}"
        for module in modules
        for function in module.functions()
        if (count := _parameters(function)) > MOST_PARAMETERS
    ]


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in given)


def shared_class_names(modules: list[Module]) -> list[str]:
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        for name in {node.name for node in module.classes()}:
            places[name].append(module.path)
    return [f"{name}: {', '.join(paths)}" for name, paths in sorted(places.items()) if len(paths) > 1]


if __name__ == "__main__":
    main()
