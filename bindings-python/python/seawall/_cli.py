"""The command `seawall`. What it says is the native side's; a redrive's handler is Python's."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from seawall import _asyncness, _native, _plan
from seawall._dead_letters import DeadLetterQueue
from seawall._errors import SeawallError, StoreError


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command; gives the code to exit with."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        _import_code(words)
    except (SeawallError, ImportError) as error:
        print(f"seawall: {error}", file=sys.stderr)
        return 2
    code, request = _native.cli(words)
    if request is None:
        return code
    try:
        return _redrive(request)
    except (SeawallError, LookupError, ImportError, ValueError) as error:
        print(f"seawall: {error}", file=sys.stderr)
        # A store that fails is a finding; all else is a command that is wrong.
        return 1 if isinstance(error, StoreError) else 2


def _import_code(words: Sequence[str]) -> None:
    """Imports what `explain --import` names, so that the policies are there which it defines."""
    if words[:1] != ["explain"]:
        return
    for place, word in enumerate(words):
        name, equals, given = word.partition("=")
        if name == "--import":
            module = given if equals else "".join(words[place + 1 : place + 2])
            # As `python -m` finds it: from the current directory too.
            sys.path.insert(0, os.getcwd())
            importlib.import_module(module)
            _plan.resolve_all()


def _redrive(request: str) -> int:
    asked: dict[str, Any] = json.loads(request)
    handler, options = _handler(asked["handler"]), asked["options"]
    queue = DeadLetterQueue(asked["queue"], store=asked["store"], encrypt=asked["keys"])
    given = {**options.pop("filter"), **options, "concurrency": asked["concurrency"]}
    given.pop("dry_run")
    handler = _counted(request, handler)
    if _asyncness.is_async(handler):
        report = asyncio.run(queue.aredrive(handler, **given))
    else:
        report = queue.redrive(handler, **given)
    told: dict[str, Any] = {"ok": report.ok, "failed": report.failed, "skipped": report.skipped, "remaining": report.remaining}
    told |= {"stopped": report.stopped, "job": report.job, "arrived": report.arrived}
    return _native.cli_report(request, json.dumps(told))


def _counted(request: str, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The handler, with a progress bar."""
    ended = {True: 0, False: 0}

    def count(is_good: bool) -> None:
        ended[is_good] += 1
        _native.cli_progress(request, ended[True], ended[False])

    def deliver(letter: Any) -> None:
        try:
            handler(letter)
        except Exception:
            count(False)
            raise
        count(True)

    async def adeliver(letter: Any) -> None:
        try:
            await handler(letter)
        except Exception:
            count(False)
            raise
        count(True)

    return adeliver if _asyncness.is_async(handler) else deliver


def _handler(place: str) -> Callable[[Any], Any]:
    module, colon, name = place.partition(":")
    if not colon or not module or not name:
        raise ValueError(f"--to {place}: 'package.module:function' would be right")
    # As `python -m` finds it: from the current directory too.
    sys.path.insert(0, os.getcwd())
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise LookupError(f"--to {place}: there is no '{name}' in {module}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"--to {place}: it cannot be called")
    return found  # type: ignore[no-any-return]
