"""The demo's orders: the generated day, the arrivals, and what the reader of an input accepts and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from orders import DAY_ORDERS, MAX_PER_SECOND, Order, arrivals, generate, run_seconds
from reader import InputError, read

NONE = {"id": "", "time": "", "amount": ""}


def test_the_generated_day_is_the_same_everywhere() -> None:
    day = generate()
    assert (len(day), len({order.id for order in day}), sum(order.cents for order in day)) == (DAY_ORDERS, DAY_ORDERS, 13151863)
    assert day[0] == Order("ride-0001", "2026-03-13 00:00:06", 6.0, 1284)
    assert generate(1500) == day[:1500]


def test_the_day_has_a_trough_before_dawn_and_a_peak_in_the_evening() -> None:
    per_hour = [sum(1 for order in generate() if int(order.seconds) // 3600 == hour) for hour in range(24)]
    assert min(per_hour) == min(per_hour[3:6])
    assert max(per_hour) == max(per_hour[17:21])


@pytest.mark.parametrize(("count", "wanted"), [(4577, 45.0), (1500, 15.0), (1, 15.0), (7, 45.0)])
def test_arrivals_keep_their_order_and_the_rate(count: int, wanted: float) -> None:
    times = arrivals(generate(count), run_seconds(count, wanted))
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= wanted
    for start in times:
        assert sum(1 for time in times if start <= time < start + 1) <= MAX_PER_SECOND


def test_a_long_input_stretches_the_run_and_a_burst_is_spread() -> None:
    burst = [Order(str(n), "12:00", 43200.0, 100) for n in range(6000)]
    seconds = run_seconds(len(burst), 45.0)
    assert seconds == 50.0
    times = arrivals(burst, seconds)
    assert times[0] == 0 and times[-1] < 50
    assert all(later - earlier == pytest.approx(1 / MAX_PER_SECOND) for earlier, later in zip(times, times[1:]))


def test_the_idempotency_key_is_safe_in_a_header_whatever_the_id() -> None:
    assert Order("Größe\u4e16", "", 0.0, 1).idempotency_key.isascii()
    assert Order("a", "", 0.0, 1).idempotency_key == Order("a", "x", 5.0, 9).idempotency_key


def orders_of(folder: Path, text: str, name: str = "input.csv", **choice: str) -> list[Order]:
    path = folder / name
    path.write_bytes(text.encode())
    return read(str(path), {**NONE, **choice})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,time,amount\nb,17:05:30,12.5\na,09:00,7\n", [("a", 32400.0, 700), ("b", 61530.0, 1250)]),
        ("\ufeffOrder ID;Created-At;Total\r\n1;2026-01-01;0.01\r\n", [("1", 1767225600.0, 1)]),
        ("time\tamount\n1767225600\t1.00\n1767225601000\t2.00\n", [("1", 1767225600.0, 100), ("2", 1767225601.0, 200)]),
        ('id,time,amount\n"a,b",2026-01-01T00:00:00.5Z,3\n\n"c\nd",2026-01-01T01:00:00+01:00,4\n', None),
        (
            '{"id": 7, "time": "10:00", "amount": 12.30}\n{"id": 8, "time": "11:00", "amount": "0.99"}\n',
            [("7", 36000.0, 1230), ("8", 39600.0, 99)],
        ),
    ],
)
def test_what_is_read(tmp_path: Path, text: str, expected: list[tuple[str, float, int]] | None) -> None:
    if expected is None:
        with pytest.raises(InputError, match=r"line 4, column 'id': an id is"):
            orders_of(tmp_path, text)
    else:
        assert [(order.id, order.seconds, order.cents) for order in orders_of(tmp_path, text)] == expected


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    text = "ride,start,stop,fare,total\nr1,10:00,10:20,9.00,12.00\n"
    (order,) = orders_of(tmp_path, text, id="ride", time="start", amount="total")
    assert (order.id, order.time, order.cents) == ("r1", "10:00", 1200)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no orders"),
        ("id,time,amount\n", "line 1: no orders"),
        (
            "id,time,fare,total\n1,10:00,1,2\n",
            "line 1, columns 'fare', 'total': each could be the amount; choose one with INPUT_AMOUNT=name",
        ),
        ("id,time,time\n1,10:00,1\n", "line 1, column 3: the header has 'time' twice"),
        ("id,time\n1,10:00\n", "line 1: no column for the amount among 'id', 'time'; name it 'amount'"),
        ("id,time,amount\n1,10:00,1\n2,10:01,2\n1,10:02,3\n", "line 4, column 'id': id '1' was already used in line 2"),
        ("id,time,amount\n1,10:00,1.005\n", "line 2, column 'amount': '1.005' has more than two decimals"),
        ("id,time,amount\n1,10:00,twelve\n", "line 2, column 'amount': 'twelve' is not a number"),
        ("id,time,amount\n1,10:00,1e2\n", "line 2, column 'amount': '1e2' is not a number"),
        ("id,time,amount\n1,10:00,\n", "line 2, column 'amount': '' is not a number"),
        ("id,time,amount\n1,10:00,-5\n", "line 2, column 'amount': '-5' is negative"),
        ("id,time,amount\n1,10:00," + "9" * 30 + "\n", "line 2, column 'amount'"),
        ("id,time,amount\n,10:00,5\n", "line 2, column 'id': an id is 1 to 200"),
        ("id,time,amount\n1,25:00,5\n", "line 2, column 'time': '25:00' is not a time"),
        ("id,time,amount\n1,2026-02-30,5\n", "line 2, column 'time': '2026-02-30' is not a time"),
        (
            "id,time,amount\n1,10:00,5\n2,2026-01-01T10:00Z,5\n",
            "line 3, column 'time': '2026-01-01T10:00Z' is a time with a zone, but line 2 has a time of day",
        ),
        ("id,time,amount\n1,10:00\n", "line 2: has 2 columns, but the header has 3"),
        ('id,time,amount\n1,10:00,"5\n', "line 2: is not CSV"),
        (
            '{"id": 1, "time": "10:00", "amount": 1}\n{"time": "10:00", "amount": 1}\n',
            "line 2, column 'id': some lines have an id and others none",
        ),
        ('{"id": 1, "id": 2, "time": "10:00", "amount": 1}\n', "line 1, column 'id': the name stands twice"),
        ('{"id": 1, "time": "10:00", "amount": true}\n', "line 1, column 'amount': true is no amount"),
        ('{"id": 1, "time": "10:00", "amount": 1.005}\n', "line 1, column 'amount': '1.005' has more than two decimals"),
        ('{"id": 1, "time": "10:00", "amount": NaN}\n', "line 1, column 'amount': NaN is no amount"),
        ('{"id": 1,\n', "line 1, character 10: is not JSON"),
        ('[{"id": 1}]\n', "line 1: is not an object; JSON Lines has one object per line"),
        ('{"id": "\\ud800", "time": "10:00", "amount": 1}\n', "line 1, column 'id': an id is"),
    ],
)
def test_what_is_refused_and_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        orders_of(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "input.csv") in str(caught.value)


def test_a_chosen_column_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: no column 'fee', which INPUT_AMOUNT names; there are 'id', 'time', 'amount'"):
        orders_of(tmp_path, "id,time,amount\n1,10:00,5\n", amount="fee")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.csv: cannot be read"):
        read(str(tmp_path / "none.csv"), NONE)
    (tmp_path / "latin.csv").write_bytes(b"id,time,amount\n\xe4,10:00,5\n")
    with pytest.raises(InputError, match="latin.csv, line 2: is not UTF-8"):
        read(str(tmp_path / "latin.csv"), NONE)
