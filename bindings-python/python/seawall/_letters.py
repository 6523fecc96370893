"""Writing the dead letter of a call that failed for good."""

from __future__ import annotations

import os
from collections.abc import Callable

from seawall import _afterwards, _argument, _classify, _context, _encode, _events, _native, _queues
from seawall._errors import ConfigError, from_native
from seawall._late import base64, datetime, json, logger, traceback
from seawall._plan import label_of
from seawall._table import EventName
from seawall._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seawall._call import Session

CALL = "application/vnd.seawall.call+json"
# What the record keeps of a chain of causes, and of a stack.
_CAUSES, _FRAMES = 5, 32

_PACKAGE = os.path.dirname(__file__) + os.sep



def record(session: Session) -> bool:
    """Records the failed call, from any thread. Whether it is on record; `tell` then says so on the caller's.

    Never raises, for a lost letter must not hide the call's own error.
    """
    options = session.plan.parts.get("dead_letter") or {}
    queue = str(options.get("queue") or session.plan.label or "default")
    on_lost = session.plan.code.get("dead_letter", {}).get("on_lost")
    try:
        letter, is_redrivable = _letter(session, options)
        store = options.get("store")
        told = _afterwards.send(queue, store, json.dumps(letter), on_lost)
        _note_steps(session, queue, told)
        if told["unsealed"]:
            logger.error("dead letter %s could not be encrypted and was written without its payload: %s", told["id"], told["unsealed"])
            is_redrivable = False
        if told["lost"]:
            session.letter_id = None
            _note(session, "dlq.lost", queue=queue, error_type=told["cause"])
            session.letter_lost = (told["lost"], on_lost)
            return False
        session.letter_id = told["id"]
        if session.outer._letters is not None:
            session.outer._letters.append((queue, store, session.correlation_id, label_of(session.fn)))
    except Exception as error:
        kind = type(from_native(error) if isinstance(error, _native.NativeError) else error).__name__
        logger.debug("a letter could not be written", exc_info=True)
        _note(session, "dlq.lost", queue=queue, error_type=kind)
        return False
    kind = type(session.error).__name__
    if told["step"] != "memory":
        attempts = len(letter["attempts"])
        _note(session, "dlq.written", queue=queue, letter_id=session.letter_id, attempts=attempts, error_type=kind)
    if not is_redrivable:
        _note(session, "dlq.unredrivable", queue=queue, letter_id=session.letter_id)
    return True


def _note_steps(session: Session, queue: str, told: dict[str, Any]) -> None:
    aside, dropped = told["step"] in ("second", "memory"), told["dropped"] + told["expired"]
    if not aside and not dropped:
        return
    session.native.letter_went(aside, dropped)
    for count, reason in ((told["dropped"], "full"), (told["expired"], "age")):
        if count:
            _note(session, "dlq.dropped", queue=queue, letters=count, reason=reason)
    if aside:
        _note(session, "dlq.fallback", queue=queue, letter_id=told["id"], step=told["step"], cause=told["cause"])


def recover(letters: list[_context.Written]) -> None:
    """A retry succeeded after all: what was recorded of its earlier attempts needs no redrive. Never raises."""
    for queue, store, correlation_id, operation in dict.fromkeys(letters):
        try:
            _queues.open_queue(queue, store).archive(correlation_id, operation)
        except Exception:
            # The letter stays ready: its redrive is one too many, which idempotency keys are for.
            logger.warning("a letter of a call that succeeded after all could not be archived", exc_info=True)


def _note(session: Session, event: EventName, **fields: Any) -> None:
    session.letter_events.append((event, fields))


def tell(session: Session) -> None:
    """Tells of what became of the letter, on the calling thread."""
    for event, fields in session.letter_events:
        _events.emit_own(event, session.plan.label, session.key, session.correlation_id, **fields)
    session.letter_events.clear()
    if session.letter_lost is not None:
        _afterwards.lost(*session.letter_lost)
        session.letter_lost = None


def _letter(session: Session, options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    code = session.plan.code.get("dead_letter", {})
    content_type, payload, is_redrivable = _payload(session, code.get("capture"))
    report = session.report()
    letter: dict[str, Any] = {
        "payload": payload,
        "content_type": content_type,
        "redrivable": is_redrivable,
        "error": describe(session.error),
        "attempts": _attempts(report),
        "idempotency_key": session.idempotency_key,
        "correlation_id": session.correlation_id,
        "key": session.key,
        "policy": session.plan.label or None,
        "operation": label_of(session.fn),
        "language": "python",
        "chain": True,
        "write_timeout": _duration(options.get("write_timeout"), "250ms"),
        "durability": options.get("durability"),
        "await_durable": options.get("await_durable"),
        "second_store": options.get("second_store"),
        "limits": _limits(options),
        "id": _context.redriven_id(),
        "within_retry": True if session.outer._letters is not None else None,
    }
    redact = code.get("redact")
    if callable(redact):
        letter, is_redrivable = _redacted(redact, letter, is_redrivable)
    elif redact is not None:
        letter["redact"] = list(redact)
    # Last, so that no hook of the application turns it off.
    letter["encrypt"] = _keys(options.get("encrypt"), code.get("encrypt"))
    return {name: value for name, value in letter.items() if value is not None or name == "payload"}, is_redrivable


def keys_of(encrypt: str | Callable[[], str] | None) -> str | None:
    """The source of keys that an application named, or whose text its function gives."""
    return _native.hold_keys(encrypt()) if callable(encrypt) else encrypt


def _keys(named: object, function: Callable[[], str] | None) -> str | None:
    if isinstance(named, str):
        return named
    if function is None:
        return None
    try:
        return keys_of(function)
    except Exception:
        # Never its keys: they may stand in the error. The letter is written bare.
        logger.error("dead_letter.encrypt gave no keys")
        return "held:none"


def _redacted(redact: Any, letter: dict[str, Any], is_redrivable: bool) -> tuple[dict[str, Any], bool]:
    """The letter as the application wants it kept. A redaction that fails must not let anything through: the payload goes."""
    try:
        return dict(redact(dict(letter))), is_redrivable
    except Exception:
        logger.exception("dead_letter.redact raised; the letter is written without its payload")
        bare = {"payload": None, "content_type": "application/json", "redrivable": False, "headers": None}
        told = letter["error"] or {}
        error = {name: told[name] for name in ("type", "code", "frames") if name in told}
        return {**letter, **bare, "error": error}, False


def _payload(session: Session, capture: object) -> tuple[str, Any, bool]:
    try:
        if capture is not None:
            taken = _argument.read(capture, session.fn, session.args, session.kwargs, "dead_letter.capture")
            return "application/json", _encode.encode(taken), True
        return CALL, _encode.arguments(session.fn, session.args, session.kwargs), True
    except Exception:
        # The failure is on record all the same, with what can be said of the arguments.
        logger.debug("arguments could not be encoded", exc_info=True)
        return "application/json", {"not_encoded": [type(value).__name__ for value in session.args]}, False


def _duration(value: Any, default: str) -> str:
    if isinstance(value, (int, float)):
        return f"{round(value * 1000)}ms"
    return str(value) if value is not None else default


def _limits(options: dict[str, Any]) -> dict[str, Any] | None:
    names = ("max_letters", "max_bytes", "min_free", "when_full")
    found: dict[str, Any] = {name: options[name] for name in names if name in options}
    for name in ("max_age", "retention"):
        if name in options:
            found[name] = _duration(options[name], "")
    return found or None


_OUTCOMES = {"failure": "exception", "ignored": "exception"}


def _attempts(report: dict[str, Any]) -> list[dict[str, Any]]:
    now = datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000
    rows = report["attempts"]
    length = max((row["started_ms"] + (row.get("duration_ms") or 0) for row in rows), default=0)
    found = []
    for row in rows:
        attempt = {
            "number": row["number"],
            "time": round(now - length + row["started_ms"]),
            "outcome": _OUTCOMES.get(row["outcome"], row["outcome"]),
            "duration_ms": row.get("duration_ms"),
            "error_type": row.get("error_type"),
            "delay_ms": row.get("delay_ms"),
        }
        found.append({name: value for name, value in attempt.items() if value is not None})
    return found


def describe(error: BaseException | None) -> dict[str, Any] | None:
    """An error as a plain record: type, message, code, stack, causes, and the frames that decide its group."""
    if error is None:
        return None
    causes: list[dict[str, Any]] = []
    cause = _cause(error)
    while cause is not None and len(causes) < _CAUSES:
        causes.append(_brief(cause))
        cause = _cause(cause)
    found = {**_brief(error), "causes": causes, "frames": _frames(error), "stack": _stack(error)}
    if _classify.was_injected(error):
        found["injected"] = True
    return {name: value for name, value in found.items() if value is not None}


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _brief(error: BaseException) -> dict[str, Any]:
    try:
        message = str(error)
    except Exception:
        message = ""
    return {"type": type(error).__name__, "message": message, "code": _classify.code_of(error)}


def _frames(error: BaseException) -> list[dict[str, Any]]:
    walked = list(traceback.walk_tb(error.__traceback__))[::-1]
    frames = [(frame.f_globals.get("__name__", ""), frame.f_code.co_name) for frame, _ in walked]
    return [
        {"module": module, "function": function} for module, function in frames if not module.startswith("seawall.")
    ][:_FRAMES]


def _stack(error: BaseException) -> str | None:
    try:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if not frame.filename.startswith(_PACKAGE)]
        return "".join(traceback.format_list(own)) or None
    except Exception:
        return None


def by_hand(payload: object, error: BaseException | None, idempotency_key: str | None, headers: Any) -> dict[str, Any]:
    """A letter that the application writes itself. Raises `ConfigError` for a payload without a JSON form."""
    letter: dict[str, Any] = {"language": "python"}
    if isinstance(payload, (bytes, bytearray)):
        letter["payload_base64"] = base64.b64encode(payload).decode()
    else:
        try:
            letter["payload"] = _encode.encode(payload)
        except _encode.CannotEncode as why:
            raise ConfigError(str(why), path="put.payload") from None
    found = {
        "error": describe(error),
        "idempotency_key": idempotency_key,
        "headers": None if headers is None else dict(headers),
        "correlation_id": _context.correlation_id(),
    }
    return {**letter, **{name: value for name, value in found.items() if value is not None}}
