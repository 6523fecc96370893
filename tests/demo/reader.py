"""Reads an input of one's own, CSV or JSON Lines. Every refusal names the line and the column, before anything is started."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from orders import Order

# Header names that are understood, compared in lower case with spaces and hyphens as underscores. docs/guide/demo.md lists them.
NAMES = {
    "id": ("id", "order_id", "order", "order_number", "trip_id", "ride_id", "transaction_id", "payment_id", "invoice_id"),
    "time": (
        *("time", "timestamp", "datetime", "date", "created_at", "ordered_at", "paid_at", "order_time", "order_date"),
        *("pickup_time", "pickup_datetime", "tpep_pickup_datetime", "lpep_pickup_datetime", "trip_start_timestamp"),
    ),
    "amount": ("amount", "total", "total_amount", "order_total", "fare", "fare_amount", "trip_total", "price", "charge"),
}
CHOSEN_BY = {"id": "INPUT_ID", "time": "INPUT_TIME", "amount": "INPUT_AMOUNT"}
PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:\.([0-9]+))?")
CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?")
INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.([0-9]{1,9}))?)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
MAX_CENTS = 10**13


class InputError(ValueError):
    """The input cannot be used; the message says where and what would be right."""


@dataclass(frozen=True)
class Row:
    """`head` is the line that names the columns: the header of a CSV, the row itself in JSON Lines."""

    line: int
    head: int
    fields: Mapping[str, Any]


def read(path: str, choice: Mapping[str, str]) -> list[Order]:
    """The orders of a file, in order of time. `choice` maps id, time and amount to the column that the user named, if any."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); INPUT takes the path of a CSV or JSON Lines file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: is not UTF-8 text") from None
    try:
        return _orders(text, choice)
    except InputError as error:
        raise InputError(f"{path}, {error}") from None


def _orders(text: str, choice: Mapping[str, str]) -> list[Order]:
    orders: list[Order] = []
    lines_of: dict[str, int] = {}
    first: tuple[str, int] | None = None
    columns: dict[str, str | None] = {}
    known: tuple[str, ...] | None = None
    for number, row in enumerate(_rows(text), 1):
        names = tuple(row.fields)
        if names != known:
            known, columns = names, _columns(row, choice, first_row=number == 1, before=columns)
        identity = str(number) if columns["id"] is None else _identity(row, columns["id"])
        if identity in lines_of:
            raise InputError(
                f"line {row.line}, column {columns['id']!r}: id {identity!r} was already used in line {lines_of[identity]}; ids must be unique"
            )
        lines_of[identity] = row.line
        kind, seconds, shown = _time(row, str(columns["time"]))
        first = first or (kind, row.line)
        if kind != first[0]:
            raise InputError(
                f"line {row.line}, column {columns['time']!r}: {shown!r} is {kind}, but line {first[1]} has {first[0]}; write all times alike"
            )
        orders.append(Order(identity, shown, seconds, _cents(row, str(columns["amount"]))))
    if not orders:
        raise InputError("line 1: no orders; a header line and at least one row, or one JSON object per line, are needed")
    return sorted(orders, key=lambda order: order.seconds)


# Rows


def _rows(text: str) -> Iterator[Row]:
    return _json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text)


def _json_rows(text: str) -> Iterator[Row]:
    for line, source in enumerate(text.split("\n"), 1):
        if not source.strip():
            continue

        def unique(pairs: list[tuple[str, Any]], line: int = line) -> dict[str, Any]:
            row = dict(pairs)
            if len(row) < len(pairs):
                twice = next(name for n, (name, _) in enumerate(pairs) if name in dict(pairs[:n]))
                raise InputError(f"line {line}, column {twice!r}: the name stands twice")
            return row

        try:
            # Numbers stay as written: 12.30 must not pass through binary floating point.
            row = json.loads(source, parse_float=str, parse_int=str, object_pairs_hook=unique)
        except (json.JSONDecodeError, RecursionError) as error:
            column = f", character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise InputError(f"line {line}{column}: is not JSON; JSON Lines has one object per line") from None
        if not isinstance(row, dict):
            raise InputError(f"line {line}: is not an object; JSON Lines has one object per line")
        yield Row(line, line, row)


def _csv_rows(text: str) -> Iterator[Row]:
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    line = head = 1
    try:
        for values in reader:
            if any(value.strip() for value in values):
                if names is None:
                    names = [name.strip() for name in values]
                    head = line
                    _refuse_doubled(names, line)
                elif len(values) != len(names):
                    raise InputError(f"line {line}: has {len(values)} columns, but the header has {len(names)}")
                else:
                    yield Row(line, head, dict(zip(names, values, strict=True)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"line {line}: is not CSV ({error})") from None


def _refuse_doubled(names: list[str], line: int) -> None:
    for index, name in enumerate(names):
        if name and name in names[:index]:
            raise InputError(f"line {line}, column {index + 1}: the header has {name!r} twice; rename one of them")


# Columns


def _columns(row: Row, choice: Mapping[str, str], *, first_row: bool, before: Mapping[str, str | None]) -> dict[str, str | None]:
    """Which column holds what. Only the id may be missing, and then in every row."""
    found = {what: _column(row, what, choice.get(what) or "") for what in NAMES}
    if not first_row and (found["id"] is None) != (before["id"] is None):
        name = found["id"] or before["id"]
        raise InputError(f"line {row.line}, column {name!r}: some lines have an id and others none; give all of them one, or none")
    return found


def _column(row: Row, what: str, chosen: str) -> str | None:
    if chosen:
        if chosen in row.fields:
            return chosen
        raise InputError(f"line {row.head}: no column {chosen!r}, which {CHOSEN_BY[what]} names; there are {_listed(row.fields)}")
    candidates = [name for name in row.fields if re.sub(r"[ -]+", "_", name.strip().lower()) in NAMES[what]]
    if len(candidates) > 1:
        raise InputError(
            f"line {row.head}, columns {_listed(candidates)}: each could be the {what}; choose one with {CHOSEN_BY[what]}=name"
        )
    if not candidates and what != "id":
        raise InputError(
            f"line {row.head}: no column for the {what} among {_listed(row.fields)}; name it {what!r}, or choose one with {CHOSEN_BY[what]}=name"
        )
    return candidates[0] if candidates else None


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"


# Values


def _text(row: Row, column: str, what: str) -> str:
    value = row.fields[column]
    if not isinstance(value, str):
        raise InputError(f"line {row.line}, column {column!r}: {json.dumps(value)[:40]} is no {what}")
    return value.strip()


def _identity(row: Row, column: str) -> str:
    value = _text(row, column, "id")
    if not value or len(value) > 200 or not value.isprintable():
        raise InputError(f"line {row.line}, column {column!r}: an id is 1 to 200 printable characters")
    return value


def _cents(row: Row, column: str) -> int:
    value = _text(row, column, "amount")
    place = f"line {row.line}, column {column!r}: {value[:40]!r}"
    match = PLAIN_NUMBER.fullmatch(value)
    if match is None:
        raise InputError(f"{place} is not a number; write an amount as 12, 12.5 or 12.50")
    if len(match[1] or "") > 2:
        raise InputError(f"{place} has more than two decimals; an amount is exact to the cent")
    if value.startswith("-"):
        raise InputError(f"{place} is negative; only charges can be replayed, not refunds")
    whole, _, decimals = value.partition(".")
    cents = int(whole[:20]) * 100 + int(decimals.ljust(2, "0"))
    if cents >= MAX_CENTS or len(whole) > 20:
        raise InputError(f"{place} is too large; amounts are below 100 billion")
    return cents


def _time(row: Row, column: str) -> tuple[str, float, str]:
    """What kind of time it is, its seconds on that kind's scale, and the text itself."""
    value = _text(row, column, "time")
    try:
        kind, seconds = _parse_time(value)
    except (ValueError, OverflowError):
        raise InputError(
            f"line {row.line}, column {column!r}: {value[:40]!r} is not a time; write 2026-03-13T17:05:00 (with or without Z or +01:00), 17:05:00, or Unix seconds"
        ) from None
    return kind, seconds, value


def _parse_time(value: str) -> tuple[str, float]:
    if clock := CLOCK.fullmatch(value):
        hour, minute, second = (int(part or 0) for part in clock.groups())
        if hour > 23 or minute > 59 or second > 59:
            raise ValueError(value)
        return "a time of day", hour * 3600.0 + minute * 60 + second
    if re.fullmatch(r"[0-9]{9,13}(?:\.[0-9]+)?", value):
        number = float(value)
        return "a Unix time", number / 1000 if number >= 1e11 else number
    match = INSTANT.fullmatch(value)
    if match is None:
        raise ValueError(value)
    date, minutes, seconds, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z") else f"{zone[:3]}:{zone[-2:]}"
    moment = datetime.fromisoformat(f"{date}T{minutes or '00:00'}{seconds or ':00'}{zone}")
    offset = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()
    return "a time with a zone" if match[5] else "a time without a zone", offset + float(f"0.{fraction or 0}")
