"""What one language encrypted, the other opens, today's letters and those of earlier builds."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import seawall

ROOT = Path(__file__).resolve().parents[2]
KEY = "may:" + base64.b64encode(bytes(range(32))).decode()
# Written by the Python package under that key. Never written anew: it stands for what lies in stores already.
EARLIER = Path(__file__).with_name("sealed.jsonl")

READ = """
const { DeadLetterQueue } = require('./');
const queue = new DeadLetterQueue('orders', { store: process.argv[1], encrypt: () => process.argv[2] });
(async () => {
  const seen = [];
  await queue.redrive(async (letter) => void seen.push({ args: letter.args, message: letter.error.message, key: letter.encrypted }));
  console.log(JSON.stringify(seen));
})();
"""

WRITE = """
const { policy, deadLetter } = require('./');
const [, store, keys] = process.argv;
const charge = policy('node-sealed', deadLetter('orders', { store, encrypt: () => keys }))(async (order) => { throw new Error('declined by the bank'); });
charge({ id: 'order-2', note: 'Grüße, 世界' }).then(() => process.exit(3), () => undefined);
"""


def node(script: str, store: str) -> str:
    done = subprocess.run(["node", "-e", script, "--", store, KEY], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_python_encrypts_and_node_decrypts(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/letters"

    @seawall.policy("python-sealed", seawall.dead_letter("orders", store=store, encrypt=lambda: KEY))
    def charge(order: dict[str, Any]) -> None:
        raise ConnectionError("declined by the bank")

    order = {"id": "order-1", "note": "Grüße, 世界"}
    with pytest.raises(ConnectionError):
        charge(order)
    assert json.loads(node(READ, store)) == [{"args": [order], "message": "declined by the bank", "key": "may"}]


def test_node_encrypts_and_python_decrypts(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/letters"
    node(WRITE, store)
    (letter,) = seawall.DeadLetterQueue("orders", store=store, encrypt=lambda: KEY).peek()
    assert (letter.args, letter.encrypted) == ([{"id": "order-2", "note": "Grüße, 世界"}], "may")
    assert letter.error and letter.error.message == "declined by the bank"


def test_both_open_a_letter_of_an_earlier_build(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/letters"
    command = [str(ROOT / ".venv/bin/python"), "-m", "seawall", "dlq", "--store", store, "import", "orders", str(EARLIER)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    order = {"id": "order-1", "cents": 990, "note": "Grüße, 世界"}
    (letter,) = seawall.DeadLetterQueue("orders", store=store, encrypt=lambda: KEY).peek()
    assert letter.args == [order]
    assert json.loads(node(READ, store)) == [{"args": [order], "message": "declined by the bank", "key": "may"}]
