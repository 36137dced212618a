"""Payloads run inside somebody else's Python: old syntax, the standard library, and nothing imported beside it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchprobes
from torchprobes.runner.order import SHARED

HOME = Path(torchprobes.__file__).parent
FILES = sorted((HOME / "payloads").glob("*.py"))


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_payload_parses_on_python_3_8_and_needs_only_the_standard_library(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
    roots = {name.partition(".")[0] for name in top_level_imports(tree)}
    foreign = {root for root in roots if root not in sys.stdlib_module_names and not root.startswith("torchdoctor_")}
    assert foreign == set()


def shared_imports(tree: ast.Module) -> Iterator[str]:
    """The files of torchprobes that a payload imports as `torchdoctor_shared.…`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torchdoctor_shared"):
            folder = "/".join((node.module or "").split(".")[1:])
            yield from (f"{folder}/{alias.name}.py".lstrip("/") for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_what_a_payload_shares_with_the_console_travels_with_it(file: Path) -> None:
    assert set(shared_imports(ast.parse(file.read_text(encoding="utf-8")))) <= set(SHARED)


@pytest.mark.parametrize("name", SHARED)
def test_what_travels_parses_on_python_3_8_and_needs_only_itself(name: str) -> None:
    tree = ast.parse((HOME / name).read_text(encoding="utf-8"), feature_version=(3, 8))
    relative = {
        f"{Path(name).parent}/{n.module}.py" for n in tree.body if isinstance(n, ast.ImportFrom) and n.level == 1
    }
    assert relative <= set(SHARED)
    absolute = {n.partition(".")[0] for n in top_level_imports(tree)} - {Path(r).stem for r in relative}
    assert absolute <= set(sys.stdlib_module_names)


def test_the_payloads_were_found() -> None:
    assert {"kit.py", "compile.py", "cudagraph.py"} <= {file.name for file in FILES}
