"""The Python package keeps to the oldest version that it declares, whatever version runs the tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bindings-python" / "python" / "seawall"
# What came after the oldest version and is likely to be reached for: names, and attributes of exceptions, tasks and modules.
NEWER = {"ExceptionGroup", "BaseExceptionGroup", "add_note", "uncancel", "cancelling", "TaskGroup", "Runner", "tomllib", "batched"}
# Within a module, these are newer: `asyncio.timeout` is, and an attribute `timeout` of anything else is ours.
NEWER_OF_MODULES = {("asyncio", "timeout"), ("asyncio", "timeout_at"), ("datetime", "UTC"), ("typing", "Self"), ("typing", "override")}


def oldest() -> tuple[int, int]:
    found = re.search(r'^requires-python = ">=3\.(\d+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return 3, int(found[1])


def is_guard(test: ast.expr) -> bool:
    """Whether a condition asks for the version, or whether there is such a thing."""
    asked = {ast.unparse(part) for part in ast.walk(test) if isinstance(part, (ast.Attribute, ast.Name))}
    return "sys.version_info" in asked or "hasattr" in asked


def is_newer(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in NEWER_OF_MODULES:
            return True
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in NEWER
        case ast.ImportFrom(module=module, names=names):
            return module in NEWER or any(each.name in NEWER or (module, each.name) in NEWER_OF_MODULES for each in names)
        case ast.Import(names=names):
            return any(each.name in NEWER for each in names)
    return False


def unguarded(node: ast.AST, guarded: bool = False) -> Iterator[int]:
    """The lines of what is newer, where no condition asks for the version."""
    if is_newer(node) and not guarded:
        yield getattr(node, "lineno", 0)
    inside = guarded or (isinstance(node, (ast.If, ast.IfExp)) and is_guard(node.test))
    for child in ast.iter_child_nodes(node):
        yield from unguarded(child, inside)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_there_are_modules() -> None:
    assert PACKAGE / "__init__.py" in modules()


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.name)
def test_a_module_keeps_to_the_oldest_version(path: Path) -> None:
    tree = ast.parse(path.read_text(), filename=str(path), feature_version=oldest())
    compile(tree, str(path), "exec")
    assert list(unguarded(tree)) == []


@pytest.mark.parametrize(
    "text",
    ["error.add_note('x')", "raise ExceptionGroup('x', [])", "import tomllib", "from typing import Self", "asyncio.timeout(1)", "task.uncancel()"],
)
def test_what_is_newer_is_seen_unless_it_is_guarded(text: str) -> None:
    assert list(unguarded(ast.parse(text))) == [1]
    assert list(unguarded(ast.parse(f"if sys.version_info >= (3, 11):\n    {text}"))) == []
    assert list(unguarded(ast.parse("policy.timeout(1)"))) == []


def test_newer_syntax_is_seen() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("try: ...\nexcept* OSError: ...", feature_version=oldest())
