"""Metrics are the same text from both languages, and what Prometheus reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser

ROOT = Path(__file__).resolve().parents[2]

# The same calls in both languages, in virtual time: every way that a call can end, and names that need escaping.
PYTHON = r'''
import sys
import seawall
import seawall.testing

def work(how):
    if how == "fail":
        raise ConnectionError("down")
    if how == "odd":
        raise TypeError("a bug")
    return how

def main(clock):
    breaker = seawall.policy('breaker "one"\\\n', seawall.circuit_breaker(consecutive_failures=2))
    guarded = breaker(work)
    for how in ["ok"] * 500 + ["odd", "fail", "fail", "ok", "ok"]:
        try:
            guarded(how)
        except Exception:
            pass
    retry = seawall.policy("retry", seawall.fallback("instead"), seawall.dead_letter("orders", store="memory:"),
                           seawall.retry(max_attempts=3, base_delay="100ms", jitter="none"), seawall.bulkhead(max_concurrent=4, max_queue=2))
    retry(work)("fail")
    def slow():
        clock.advance("3s")
        return 1
    seawall.policy("slow", seawall.retry())(slow)()

with seawall.testing.clock(auto_advance=True, seed=7) as clock:
    main(clock)
    sys.stdout.write(seawall.metrics(open_metrics=len(sys.argv) > 1))
'''

NODE = r'''
import * as seawall from 'seawall';
import { clock as virtual } from 'seawall/testing';

const down = () => Object.assign(new Error('down'), { code: 'ECONNRESET' });
const work = async (how) => {
  if (how === 'fail') throw down();
  if (how === 'odd') throw new ReferenceError('a bug');
  return how;
};
const clock = virtual({ autoAdvance: true, seed: 7 });
const breaker = seawall.policy('breaker "one"\\\n', seawall.circuitBreaker({ consecutiveFailures: 2 }));
for (const how of [...Array(500).fill('ok'), 'odd', 'fail', 'fail', 'ok', 'ok']) await breaker.run(() => work(how)).catch(() => undefined);
const retry = seawall.policy(
  'retry', seawall.fallback('instead'), seawall.deadLetter('orders', { store: 'memory:' }),
  seawall.retry({ maxAttempts: 3, baseDelay: '100ms', jitter: 'none' }), seawall.bulkhead({ maxConcurrent: 4, maxQueue: 2 }),
);
await retry(work)('fail');
await seawall.policy('slow', seawall.retry()).run(async () => { await clock.advance('3s'); return 1; });
process.stdout.write(seawall.metrics({ openMetrics: process.argv.length > 1 }));
'''


def told(language: str, *args: str) -> str:
    command = {"python": [sys.executable, "-c", PYTHON], "node": ["node", "--input-type=module", "-e", NODE]}[language]
    done = subprocess.run([*command, *args], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def unlike_a_clock(text: str) -> list[str]:
    """The lines without what only one process knows: the instant of the letter, the real time of its store, and what runs it."""
    names = ("seawall_dlq_oldest_letter_timestamp_seconds{", "seawall_dlq_store_duration_seconds", "seawall_build_info{")
    return [line for line in text.splitlines() if not line.startswith(names)]


def test_the_text_is_the_same_in_both_languages_but_for_their_names() -> None:
    python, node = told("python"), told("node")
    assert unlike_a_clock(python.replace('lang="python"', 'lang="node"')) == unlike_a_clock(node)
    assert r'seawall_calls_total{policy="breaker \"one\"\\\n",lang="node",outcome="rejected",reason="breaker_open"} 2' in node
    assert 'seawall_dlq_letters{lang="node",queue="orders",status="ready"} 1' in node
    assert 'seawall_dlq_written_total{policy="retry",lang="node",queue="orders",reason="attempts_exhausted"} 1' in node


@pytest.mark.parametrize("language", ["python", "node"])
def test_prometheus_reads_both_formats(language: str) -> None:
    plain = {sample for family in parser.text_string_to_metric_families(told(language)) for sample in names(family)}
    # The strict parser: buckets that grow, counters that end in _total, units in names, and the end of the text.
    strict = {sample for family in open_parser.text_string_to_metric_families(told(language, "open")) for sample in names(family)}
    assert plain == strict
    assert ('breaker "one"\\\n', "success") in {(dict(labels).get("policy"), dict(labels).get("outcome")) for _, labels in plain}


def names(family: object) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    return [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]  # type: ignore[attr-defined]


def test_the_command_tells_the_metrics_of_a_store(tmp_path: Path) -> None:
    import seawall

    store = f"sqlite:///{tmp_path}/letters"
    queue = seawall.DeadLetterQueue("orders", store=store)
    queue.put({"order": 1}, error=ConnectionError("down"))
    programs = {"python": [sys.executable, "-m", "seawall"], "node": ["node", str(ROOT / "bindings-node/dist/cli.js")]}
    said = {}
    for language, program in programs.items():
        done = subprocess.run([*program, "metrics", "--store", store], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        said[language] = unlike_a_clock(done.stdout.replace(f'lang="{language}"', ""))
        found = subprocess.run([*program, "metrics", "--store", store, "--json"], capture_output=True, text=True, timeout=60)
        letters = next(family for family in json.loads(found.stdout) if family["name"] == "seawall_dlq_letters")
        assert ["", {"lang": language, "queue": "orders", "status": "ready"}, 1] in letters["samples"]
    assert said["python"] == said["node"]
