"""A worker in each language: one policy called `pay`, which does as it is told on its standard input and answers in JSON, a line each."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"python": [sys.executable, "-m", "seawall"], "node": ["node", str(ROOT / "bindings-node/dist/cli.js")]}
PATIENCE = 30.0

PYTHON = """
import json, sys, seawall
pay = seawall.policy("pay", seawall.retry(max_attempts=1), seawall.circuit_breaker(failure_ratio=1.0, minimum_throughput=1000))
events = []
seawall.on_event(lambda event: events.append(event) if event["event"] != "chaos.injected" else None)

def struck(count):
    found = []
    for number in range(count):
        try:
            pay.call(int)
        except seawall.InjectedFaultError as error:
            assert seawall.failure(error).injected
            found.append(number)
    return found

pay.call(int)
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    word, _, count = line.partition(" ")
    told = {"chaos": lambda: pay.snapshot()["chaos"], "state": lambda: pay.breaker.state, "events": lambda: events, "calls": lambda: struck(int(count))}
    print(json.dumps(told[word.strip()]()), flush=True)
"""

NODE = """
import { createInterface } from 'node:readline';
import * as seawall from 'seawall';
const pay = seawall.policy('pay', seawall.retry({ maxAttempts: 1 }), seawall.circuitBreaker({ failureRatio: 1, minimumThroughput: 1000 }));
const events = [];
seawall.onEvent((event) => event.event !== 'chaos.injected' && events.push(event));
const nothing = async () => 0;

async function struck(count) {
  const found = [];
  for (let number = 0; number < count; number += 1) {
    try {
      await pay.run(nothing);
    } catch (error) {
      if (!(error instanceof seawall.InjectedFaultError) || !seawall.failure(error).injected) throw error;
      found.push(number);
    }
  }
  return found;
}

await pay.run(nothing);
console.log(JSON.stringify('ready'));
for await (const line of createInterface({ input: process.stdin })) {
  const [word, count] = line.split(' ');
  const told = { chaos: () => pay.snapshot().chaos, state: () => pay.breaker.state, events: () => events, calls: () => struck(Number(count)) };
  console.log(JSON.stringify((await told[word]()) ?? null));
}
"""


class Worker:
    """One process."""

    def __init__(self, language: str, environment: dict[str, str]) -> None:
        command = [sys.executable, "-c", PYTHON] if language == "python" else ["node", "--input-type=module", "-e", NODE]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert self._answer() == "ready"

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, words: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        return self._answer()

    def until(self, words: str, is_so: Callable[[Any], bool]) -> Any:
        """Asks until the answer is as it should be."""
        deadline = time.monotonic() + PATIENCE
        while not is_so(answer := self.ask(words)):
            assert time.monotonic() < deadline, answer
            time.sleep(0.02)
        return answer

    def until_told(self, event: str) -> dict[str, Any]:
        """Asks until this event has come; gives the last of it."""
        told = self.until("events", lambda events: any(each["event"] == event for each in events))
        return [each for each in told if each["event"] == event][-1]

    def end(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()
