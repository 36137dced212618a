"""Payloads run inside somebody else's Python: old syntax, the standard library, and nothing imported beside it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchprobes

FILES = sorted((Path(torchprobes.__file__).parent / "payloads").glob("*.py"))


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


def test_the_payloads_were_found() -> None:
    assert {"kit.py", "compile.py", "cudagraph.py"} <= {file.name for file in FILES}
