"""Runs what the documentation shows: README.md and docs. Rust blocks are documentation tests of the crate instead (core/src/pages.rs).

A fenced block whose info string ends in `run` is executed: `python run` in .venv, `ts run` through a strict tsc and node,
`sh run` line by line, where `make` only says what it would do (the targets themselves run elsewhere). A block `text output`
right after it is what it must print; Python and TypeScript that is not marked so is a failure. Blocks run in a folder of their own under target/docs-check. Relative links of every page must lead somewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "docs-check"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?:\]\(|src=\"|href=\")([^)\s\"#]+)")
LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Snippet:
    """A runnable block: where it stands, its language, its text, and what it must print (None: anything)."""

    place: str
    language: str
    body: str
    expected: str | None
    folder: Path


def snippets(page: Path) -> list[Snippet]:
    text = page.read_text(encoding="utf-8")
    blocks = list(FENCE.finditer(text))
    found = []
    for index, block in enumerate(blocks):
        words = block["info"].split()
        if words[-1:] != ["run"]:
            continue
        follower = blocks[index + 1] if index + 1 < len(blocks) else None
        expected = follower["body"] if follower and follower["info"].split() == ["text", "output"] else None
        line = text.count("\n", 0, block.start()) + 1
        name = page.relative_to(ROOT)
        folder = WORK / f"{page.stem}-{line}"
        found.append(Snippet(f"{name}:{line}", words[0], block["body"], expected, folder))
    return found


def unmarked(page: Path) -> list[str]:
    """The Python and TypeScript on a page that would not be run."""
    infos = [block["info"].split() for block in FENCE.finditer(page.read_text(encoding="utf-8"))]
    return [" ".join(info) for info in infos if info[:1] in (["python"], ["ts"]) and info[1:] != ["run"]]


def compile_typescript(found: list[Snippet]) -> dict[str, str]:
    """Writes and compiles every TypeScript snippet at once; gives the compiler's complaints by folder name."""
    sources = []
    for snippet in found:
        if snippet.language == "ts":
            source = snippet.folder / "snippet.mts"
            source.write_text(snippet.body, encoding="utf-8")
            sources.append(str(source))
    if not sources:
        return {}
    options = ["--strict", "--module", "nodenext", "--target", "es2022", "--types", "node", "--skipLibCheck"]
    command = ["node", str(ROOT / "node_modules/typescript/bin/tsc"), *options, *sources]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    complaints: dict[str, str] = {}
    for line in result.stdout.splitlines():
        place = re.match(r"target/docs-check/([^/]+)/", line)
        folder = place[1] if place else "*"
        complaints[folder] = complaints.get(folder, "") + line + "\n"
    return complaints


def run(snippet: Snippet, complaints: dict[str, str]) -> str | None:
    """Executes one snippet; gives what is wrong with it, or None."""
    if snippet.language == "python":
        (snippet.folder / "snippet.py").write_text(snippet.body, encoding="utf-8")
        return execute([sys.executable, "snippet.py"], snippet, snippet.folder)
    if snippet.language == "ts":
        wrong = complaints.get(snippet.folder.name) or complaints.get("*")
        return wrong or execute(["node", "snippet.mjs"], snippet, snippet.folder)
    if snippet.language == "sh":
        script = re.sub(r"^make\b", "make --dry-run", snippet.body, flags=re.MULTILINE)
        return execute(["bash", "-euo", "pipefail", "-c", script], snippet, ROOT)
    return f"no way to run a block of {snippet.language!r}: python, ts and sh are known"


def execute(command: list[str], snippet: Snippet, folder: Path) -> str | None:
    env = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    # The make that runs this would otherwise pass its own flags on to the one that a snippet starts.
    env = {name: value for name, value in env.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    try:
        result = subprocess.run(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"cut after {LIMIT_SECONDS} s"
    if result.returncode != 0:
        return f"exit {result.returncode}\n{result.stdout}{result.stderr}"
    if snippet.expected is not None and result.stdout.strip() != snippet.expected.strip():
        return f"printed\n{result.stdout}but the page says\n{snippet.expected}"
    return None


def broken_links(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in LINK.findall(text) if "://" not in target and not target.startswith("mailto:")]
    return [target for target in targets if not (page.parent / target).exists()]


def main() -> int:
    shutil.rmtree(WORK, ignore_errors=True)
    found = [snippet for page in PAGES for snippet in snippets(page)]
    for snippet in found:
        snippet.folder.mkdir(parents=True)
    complaints = compile_typescript(found)
    passed = failed = 0
    for snippet in found:
        wrong = run(snippet, complaints)
        print(f"{snippet.place} {snippet.language}: {'ok' if wrong is None else 'FAILED'}", flush=True)
        if wrong is not None:
            print(wrong)
        passed, failed = passed + (wrong is None), failed + (wrong is not None)
    for page in PAGES:
        broken = broken_links(page)
        for target in broken:
            print(f"{page.relative_to(ROOT)}: the link {target} leads nowhere")
        bare = unmarked(page)
        for info in bare:
            print(f"{page.relative_to(ROOT)}: a block of {info} is not marked to be run")
        wrong_page = bool(broken or bare)
        passed, failed = passed + (not wrong_page), failed + wrong_page
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
