"""What both Python runners share: reading vectors, building their policies, and writing the lines of a transcript.

Everything is built and read through the public surface, as an application would; see tests/vectors/README.md for the format.
"""

from __future__ import annotations

import difflib
import json
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import seawall
from seawall import _fast

FOLDER = Path(__file__).resolve().parents[2] / "vectors"
_VECTOR_KEYS = {"title", "config", "seed", "steps", "transcript", "cooperative", "abandons", "stream"}
_STEP_KEYS = {
    "start": {"key"},
    "end": {"attempt", "value", "error", "status", "retry_after", "programming"},
    "item": {"attempt", "hold"},
    "ask": set(),
    "stop": set(),
    "cancel": set(),
    "advance": set(),
    "admin": {"key", "reason", "expires_in", "mode"},
    "reload": set(),
}
_QUIET = "closed total=0 failures=0 consecutive=0 rejected=0"

# What a stream's callee is told when it is to yield an item.
ITEM = object()

Vector = dict[str, Any]
Step = dict[str, Any]


class CalleeError(Exception):
    """An error of the callee, as a vector describes it."""

    def __init__(self, code: str, status: int | None = None, retry_after: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        if status is not None:
            self.status = status
        if retry_after is not None:
            self.retry_after = retry_after if retry_after == "never" else milliseconds(retry_after) / 1000


def milliseconds(text: str) -> int:
    """A duration of a vector, such as "1m30s"."""
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
    total, digits, unit = 0, "", ""
    for character in text + "0":
        if character.isdigit() and unit:
            total += int(digits) * units[unit]
            digits, unit = character, ""
        elif character.isdigit():
            digits += character
        else:
            unit += character
    return total


def read(path: Path) -> list[Vector]:
    """The vectors of a file. An unknown key is an error."""
    found = json.loads(path.read_text())
    if isinstance(found, dict) and "cases" in found:
        if set(found) != {"cases"}:
            raise ValueError(f"{path}: `cases` must be the only key")
        found = found["cases"]
    return checked(found if isinstance(found, list) else [found], str(path))


def checked(cases: list[Vector], where: str) -> list[Vector]:
    """The vectors, if they are in format 1."""
    for case in cases:
        if unknown := set(case) - _VECTOR_KEYS:
            raise ValueError(f"{where}: unknown keys {sorted(unknown)}")
        for step in case["steps"]:
            (kind,) = set(step) & set(_STEP_KEYS)
            if unknown := set(step) - {kind} - _STEP_KEYS[kind]:
                raise ValueError(f"{where}: unknown keys {sorted(unknown)} in a step `{kind}`")
    return cases


def build(vector: Vector, keys: dict[str, str], thread: bool, behaves: Callable[[str, int], None]) -> seawall.Policy[Any]:
    """The policy of a vector. `keys` maps the payload of a call to its key; `behaves` is told of each behaviour of chaos."""
    config = dict(vector["config"])
    name = config.pop("name", None)
    mode = config.pop("mode", None)
    key = (lambda payload: keys[payload]) if config.pop("key", False) else None
    if thread:
        config["timeout"] = {**config.get("timeout", {}), "thread": True}
    is_stream = vector.get("stream", False)
    if "behavior" in config.get("chaos", {}):
        config["chaos"] = {**config["chaos"], "behavior": _behavior(config["chaos"]["behavior"], behaves)}
    parts = [_part(strategy, dict(options), name, is_stream) for strategy, options in config.items()]
    return seawall.policy(name, *parts, key=key, mode=mode)


def _part(strategy: str, options: dict[str, Any], name: str | None, is_stream: bool) -> seawall.Policy[Any]:
    rejected = options.pop("on_result", None)
    if rejected is not None:
        options["on_result"] = lambda result: result in rejected
    if "stale_key" in options:
        keys = options.pop("stale_key")
        options["stale_key"] = lambda payload: keys.get(payload, payload)
    if strategy == "chaos" and "outcome" in options:
        options["outcome"] = [(_outcome([one["value"]] if is_stream else one["value"]), one.get("weight", 1)) for one in options["outcome"]]
    if strategy == "fallback" and "steps" in options:
        steps = [_fallback_step(step, is_stream) for step in options.pop("steps")]
        return seawall.fallback(*steps, **options)
    if strategy == "fallback" and is_stream and "value" in options:
        options["value"] = [options["value"]]
    if strategy == "dead_letter":
        return seawall.dead_letter(name or "vectors", store="memory:", **options)
    if isinstance(options.get("fault"), str):
        fault = options["fault"]
        options["fault"] = lambda: CalleeError(fault)
    make: Callable[..., seawall.Policy[Any]] = getattr(seawall, strategy)
    return make(**options)


def _behavior(error: object, behaves: Callable[[str, int], None]) -> Callable[[], None]:
    def behave() -> None:
        current = seawall.current()
        behaves(str(current.correlation_id), current.attempt)
        if isinstance(error, str):
            raise CalleeError(error)

    return behave


def named(vector: Vector, name: str) -> AbstractContextManager[object]:
    """Inside, calls carry their name to where no argument does: a behaviour of chaos."""
    return seawall.correlate(name) if "behavior" in vector["config"].get("chaos", {}) else nullcontext()


def _outcome(value: Any) -> Callable[[], Any]:
    return lambda: value


def _fallback_step(step: dict[str, Any], is_stream: bool) -> Callable[[str], Any]:
    def answer(payload: str) -> Any:
        if "error" in step:
            raise CalleeError(step["error"])
        return [step["value"]] if is_stream else step["value"]

    return answer


def outcome_of(step: Step) -> Callable[[], Any]:
    """What the callee does when a step ends it: gives a value or raises."""

    def act() -> Any:
        if step.get("programming"):
            raise TypeError("a programming error")
        if "error" in step:
            raise CalleeError(step["error"], step.get("status"), step.get("retry_after"))
        return step.get("value")

    return act


def kind_of(step: Step) -> str:
    """What kind of step it is: the one key that names it."""
    return next(kind for kind in _STEP_KEYS if kind in step)


def name_of(error: BaseException) -> str:
    """The name of an error in a line: its code."""
    return "programming" if isinstance(error, TypeError) else str(getattr(error, "code", type(error).__name__))


class Transcript:
    """The lines of one vector, in an order that does not depend on who ran first. Thread-safe."""

    def __init__(self, vector: Vector, policy: seawall.Policy[Any], clock: seawall.testing.Clock) -> None:
        self.lines: list[str] = []
        self._policy = policy
        self._config = vector["config"]
        self._clock = clock
        self._places: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._keys: set[str] = set()
        self._breakers: dict[str | None, str] = {}
        self._step: list[tuple[int, list[str]]] = []
        self._slept = 0
        self._lock = threading.Lock()
        self._queue = None
        self._letters: set[str] = set()
        if "dead_letter" in self._config:
            self._queue = seawall.DeadLetterQueue(self._config.get("name") or "vectors", store="memory:")
            self._queue.purge(all=True)

    def begins(self, name: str, key: str | None) -> None:
        """A call begins, perhaps again; lines are sorted by who began first."""
        self._places.setdefault(name, len(self._places))
        self.concerns(key)

    def concerns(self, key: str | None) -> None:
        """A key whose breaker is written from now on."""
        if key is not None:
            self._keys.add(key)

    def entered(self, name: str, attempt: int) -> None:
        """The callee was entered."""
        self._line(name, f"attempt {attempt}")

    def behaved(self, name: str, attempt: int) -> None:
        """A behaviour of chaos ran."""
        self._line(name, f"behavior {attempt}")

    def got(self, name: str) -> None:
        """The consumer of a stream got an item."""
        self._items[name] = self._items.get(name, 0) + 1
        self._line(name, f"item {self._items[name]}")

    def stopped(self, name: str) -> None:
        """The consumer of a stream stopped."""
        self._line(name, "stopped")

    def returned(self, name: str, value: Any) -> None:
        """The call returned."""
        self._line(name, f"returns {json.dumps(value, separators=(',', ':'), sort_keys=True, ensure_ascii=False)}")

    def raised(self, name: str, error: BaseException) -> None:
        """The call raised."""
        self._line(name, " ".join(["raises", name_of(error), *self._fields(error)]))

    def cancelled(self, name: str) -> None:
        """The call was cancelled."""
        self._line(name, "cancelled")

    def _fields(self, error: BaseException) -> Iterator[str]:
        if isinstance(error, seawall.SeawallError):
            if error.retry_after is not None:
                yield f"retry_after={round(error.retry_after * 1000)}"
            if error.__cause__ is not None:
                yield f"cause={name_of(error.__cause__)}"
        found = seawall.failure(error)
        if "retry" in self._config and found is not None and found.attempts:
            if found.reason is not None:
                yield f"reason={found.reason}"
            yield f"attempts={len(found.attempts)}"
            if found.delays:
                yield f"delays=[{','.join(str(round(delay * 1000)) for delay in found.delays)}]"

    def _line(self, name: str, text: str) -> None:
        with self._lock:
            at = round(self._clock.now * 1000)
            self._step.append((self._places[name], [*self._waits(), f"@{at} {name} {text}"]))

    def _waits(self) -> list[str]:
        new = self._clock.sleeps[self._slept :]
        self._slept += len(new)
        return [f"wait {round(seconds * 1000)}" for seconds in new]

    def rests(self) -> None:
        """Everything is at rest: sorts what came since."""
        with self._lock:
            self._step.sort(key=lambda entry: entry[0])
            self.lines.extend(line for _, lines in self._step for line in lines)
            self.lines.extend(self._waits())
            self._step = []

    def step_ends(self) -> None:
        """Writes the breakers that changed and the letters that came."""
        if "circuit_breaker" in self._config:
            for key in sorted(self._keys) if self._config.get("key") else [None]:
                self._breaker(key)
        if self._queue is not None:
            new = [letter for letter in self._queue.peek(1000) if letter.id not in self._letters]
            for letter in reversed(new):
                self._letters.add(letter.id)
                error = letter.error
                name = "" if error is None else error.code or ("programming" if error.type == "TypeError" else error.type)
                self.lines.append(f"letter {name} attempts={letter.attempt_count} state={letter.state}")

    def _breaker(self, key: str | None) -> None:
        breaker = (self._policy if key is None else self._policy.using(key=key)).breaker
        counts = breaker.counts
        line = (
            f"{breaker.state} total={counts.total} failures={counts.failures} "
            f"consecutive={counts.consecutive_failures} rejected={counts.rejected}"
            f"{f' slow={counts.slow}' if counts.slow else ''}"
        )
        if self._breakers.get(key, _QUIET) != line:
            self.lines.append(f"breaker{'' if key is None else f'[{key}]'} {line}")
            self._breakers[key] = line


def reload(vector: Vector, step: Step) -> None:
    """A step that loads a policy file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vector.json")
        path.write_text(json.dumps({"policy": {vector["config"]["name"]: step["reload"]}}))
        seawall.load(path)


def administer(policy: seawall.Policy[Any], step: Step) -> None:
    """A step on the breaker, or on the mode."""
    if step["admin"] == "mode":
        policy.set_mode(step["mode"], reason=step.get("reason", "none"), expires_in=step.get("expires_in"))
        return
    breaker = policy.using(key=step.get("key")).breaker
    if step["admin"] == "reset":
        breaker.reset()
        return
    verb = breaker.isolate if step["admin"] == "isolate" else breaker.disable
    verb(reason=step.get("reason", ""), expires_in=step.get("expires_in"))


class Fast:
    """Counts which calls took the fast path."""

    def __init__(self) -> None:
        self.begun = self.passed = self.handed_over = self.cut_off = 0

    def count(self, policy: seawall.Policy[Any], vector: Vector) -> None:
        """Counts the calls of a vector, before its policy forgets them."""
        self.begun += sum("start" in step for step in vector["steps"])
        self.passed += policy._written.plan(None).native.quick_calls()
        self.handed_over, _fast.handed_over = self.handed_over + _fast.handed_over, 0
        self.cut_off, _fast.cut_off = self.cut_off + _fast.cut_off, 0

    def __str__(self) -> str:
        return (
            f"fast path: of {self.begun} calls {self.passed} took it to their end and {self.handed_over} to the end of their first attempt, "
            f"{self.cut_off} of these past a limit of time"
        )


FAST = Fast()


def main(play: Callable[[Vector], list[str]], play_fast: Callable[[Vector], list[str]] | None, arguments: list[str]) -> int:
    """Plays the files named, or all, and tells what differs. What `play_fast` cannot play, `play` has."""
    files = [Path(argument) for argument in arguments] or sorted(FOLDER.glob("*/*.json"))
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for path in files:
        for vector in read(path):
            for one in (play, play_fast):
                word, told = ("skipped", []) if one is None else _judge(one, vector)
                if one is play or word != "skipped":
                    counts[word] += 1
                    if told:
                        way = " (decorated)" if one is play_fast else ""
                        print(f"{word}: {path.name}: {vector['title']}{way}", *told, sep="\n    ")
    if play_fast is not None:
        print(FAST)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


def _judge(play: Callable[[Vector], list[str]], vector: Vector) -> tuple[str, list[str]]:
    try:
        lines = play(vector)
    except DoesNotApply as why:
        return "skipped", [str(why)]
    except Exception:
        return "failed", traceback.format_exc().splitlines()
    if lines == vector["transcript"]:
        return "passed", []
    return "failed", list(difflib.unified_diff(vector["transcript"], lines, "vector", "here", lineterm=""))


class DoesNotApply(Exception):
    """The vector shows something that cannot happen with this driver."""


def serve(play: Callable[[Vector], list[str]], play_fast: Callable[[Vector], list[str]] | None) -> None:
    """Answers each vector, one line of JSON, with what came of it, one line of JSON, until the input ends."""
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            (vector,) = checked([json.loads(line)], "stdin")
            answer = {"transcript": play(vector)}
            if play_fast is not None:
                answer = _agreed(answer, play_fast, vector)
        except DoesNotApply as why:
            answer = {"skipped": str(why)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


def _agreed(answer: dict[str, Any], play_fast: Callable[[Vector], list[str]], vector: Vector) -> dict[str, Any]:
    """The answer, if a decorated function gives the same."""
    try:
        quickly = play_fast(vector)
    except DoesNotApply:
        return answer
    if quickly == answer["transcript"]:
        return answer
    return {"error": "\n".join(difflib.unified_diff(answer["transcript"], quickly, "the drivers", "decorated", lineterm=""))}


def reach(play: Callable[[Vector], list[str]]) -> None:
    """Plays all vectors, and prints the events that hooks saw, and the codes and reasons that errors and events carried."""
    seen: dict[str, set[str]] = {"event": set(), "code": set(), "reason": set()}

    def hook(event: Mapping[str, Any]) -> None:
        seen["event"].add(event["event"])
        for field in ("code", "reason"):
            seen[field].update([event[field]] if isinstance(event.get(field), str) else [])

    seawall.on_event(hook)
    for path in sorted(FOLDER.glob("*/*.json")):
        for vector in read(path):
            try:
                lines = play(vector)
            except DoesNotApply:
                continue
            raised = [line.split(" raises ")[1].split() for line in lines if " raises " in line]
            seen["code"].update(words[0] for words in raised)
            seen["code"].update(line.split()[1] for line in lines if line.startswith("letter "))
            seen["reason"].update(word.removeprefix("reason=") for words in raised for word in words if word.startswith("reason="))
    print(json.dumps({kind: sorted(names) for kind, names in seen.items()}))


def run(play: Callable[[Vector], list[str]], play_fast: Callable[[Vector], list[str]] | None = None) -> None:
    """The whole program."""
    if sys.argv[1:] == ["--reach"]:
        return reach(play)
    if sys.argv[1:] == ["--stdin"]:
        serve(play, play_fast)
    else:
        sys.exit(main(play, play_fast, sys.argv[1:]))
