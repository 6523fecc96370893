"""What is read from a dead-letter queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from seawall._late import base64
from seawall._typing import Any, Literal

LetterState = Literal["ready", "leased", "parked", "archived"]


@dataclass(frozen=True)
class LetterError:
    """An error as it was recorded: plain text, from whatever language."""

    type: str
    message: str
    code: str | None
    stack: str | None
    causes: tuple[LetterError, ...]

    @classmethod
    def _of(cls, found: dict[str, Any] | None) -> LetterError | None:
        if found is None:
            return None
        causes = tuple(each for each in map(cls._of, found.get("causes") or ()) if each is not None)
        return cls(found.get("type") or "", found.get("message") or "", found.get("code"), found.get("stack"), causes)


@dataclass(frozen=True)
class LetterAttempt:
    """One attempt as it was recorded."""

    number: int
    time: datetime | None
    outcome: str | None
    error_type: str | None
    message: str | None

    @classmethod
    def _of(cls, found: dict[str, Any]) -> LetterAttempt:
        return cls(found["number"], _instant(found.get("time")), found.get("outcome"), found.get("error_type"), found.get("message"))


@dataclass(frozen=True)
class LetterTimes:
    """When it first and last failed, when it was written, and when it may be forgotten."""

    first_failure: datetime | None
    last_failure: datetime | None
    dead_lettered: datetime | None
    expires: datetime | None

    @classmethod
    def _of(cls, found: dict[str, Any]) -> LetterTimes:
        names = ("first_failure", "last_failure", "dead_lettered", "expires")
        return cls(*(_instant(found.get(name)) for name in names))


@dataclass(frozen=True)
class DeadLetter:
    """A call that failed for good.

    `args` and `kwargs` are those of a captured call, None for a letter with another payload. `redrives` counts the
    deliveries begun, this one included. `group` is the fingerprint that letters which failed alike share. `encrypted` is the id of the key that
    it is encrypted under, if it is; `locked` says why it cannot be opened: then there is neither payload nor what the error said.
    """

    id: str
    queue: str
    payload: Any
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    error: LetterError | None
    attempts: tuple[LetterAttempt, ...]
    attempt_count: int
    correlation_id: str | None
    idempotency_key: str | None
    key: str | None
    headers: dict[str, str | list[str]]
    policy: str | None
    state: LetterState
    times: LetterTimes
    origin: dict[str, Any]
    redrives: int
    redrivable: bool
    group: str
    encrypted: str | None = None
    locked: str | None = None

    @classmethod
    def _of(cls, found: dict[str, Any]) -> DeadLetter:
        encoded = found.get("payload_base64")
        return cls(
            id=found["id"],
            queue=found["queue"],
            payload=found.get("payload") if encoded is None else base64.b64decode(encoded),
            args=found.get("args"),
            kwargs=found.get("kwargs"),
            error=LetterError._of(found.get("error")),
            attempts=tuple(map(LetterAttempt._of, found["attempts"])),
            attempt_count=found["attempt_count"],
            correlation_id=found.get("correlation_id"),
            idempotency_key=found.get("idempotency_key"),
            key=found.get("key"),
            headers=found.get("headers") or {},
            policy=found.get("policy"),
            state=found["state"],
            times=LetterTimes._of(found.get("times") or {}),
            origin=found.get("origin") or {},
            redrives=found["redrives"],
            redrivable=found["redrivable"],
            group=found["group"],
            encrypted=found.get("encrypted"),
            locked=found.get("locked"),
        )


@dataclass(frozen=True)
class Group:
    """Letters that failed alike. `sample` is the id of the newest."""

    group: str
    count: int
    first: datetime | None
    last: datetime | None
    sample: str
    error: LetterError | None

    @classmethod
    def _of(cls, found: dict[str, Any]) -> Group:
        error = LetterError._of(found.get("error"))
        return cls(found["group"], found["count"], _instant(found["first"]), _instant(found["last"]), found["sample"], error)


@dataclass(frozen=True)
class Stats:
    """Letters by state, the bytes of all, the time of the oldest ready one, those that this process failed to write, and those that it
    removed because of a limit."""

    ready: int
    leased: int
    parked: int
    archived: int
    bytes: int
    oldest: datetime | None
    lost: int
    dropped: int

    @classmethod
    def _of(cls, found: dict[str, Any]) -> Stats:
        return cls(**{**found, "oldest": _instant(found["oldest"])})


@dataclass(frozen=True)
class RedriveReport:
    """How a redrive went: handled, failed again, skipped (not redrivable, or taken by another), and not tried.

    `stopped` says what ended it while letters remained: "failures", "limit", "breaker" (the handler's circuit is open), "paused",
    "cancelled", or "taken_over" by another runner. `job` is the id of one on record, `arrived` the letters that came since its start.
    """

    ok: int
    failed: int
    skipped: int
    remaining: int
    stopped: str | None
    groups: tuple[Group, ...] = ()
    job: str | None = None
    arrived: int | None = None

    @classmethod
    def _of(cls, found: dict[str, Any]) -> RedriveReport:
        groups = tuple(map(Group._of, found.get("groups") or ()))
        counts = (found["ok"], found["failed"], found["skipped"], found["remaining"])
        return cls(*counts, found.get("stopped"), groups, found.get("job"), found.get("arrived"))


@dataclass(frozen=True)
class RedriveJob:
    """A redrive on record. `state` is "interrupted" where its runner is gone; `arrived` counts letters that came since its start."""

    id: str
    queue: str
    state: Literal["running", "interrupted", "paused", "stopped", "cancelled", "done"]
    total: int
    ok: int
    failed: int
    skipped: int
    remaining: int
    arrived: int
    started: datetime | None
    updated: datetime | None
    stopped: str | None
    pid: int
    options: dict[str, Any]

    @classmethod
    def _of(cls, found: dict[str, Any]) -> RedriveJob:
        return cls(**{**found, "started": _instant(found["started"]), "updated": _instant(found["updated"])})


def _instant(text: str | None) -> datetime | None:
    # Python before 3.11 does not read the Z.
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))
