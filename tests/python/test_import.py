"""What `import seawall` loads, told by names: each of these modules takes longer to import than the package itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="before Python 3.11 a class of asyncio is a base of one of ours")

# Modules of the standard library that come with none of the interpreters' own starts.
HEAVY = {
    "asyncio", "ast", "base64", "concurrent.futures", "dataclasses", "decimal", "email", "enum", "inspect", "json", "logging", "queue", "random",
    "re", "selectors", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "traceback", "typing", "unittest", "urllib", "uuid",
}  # fmt: skip
SYNC = """
@seawall.retry(max_attempts=2, base_delay="1ms")
@seawall.policy("p", seawall.circuit_breaker(), seawall.bulkhead(), seawall.timeout(total="5s"))
def double(x):
    return 2 * x
"""


def loaded(program: str) -> set[str]:
    """What a program loads above what a bare interpreter of this environment has loaded."""
    asked = "\nimport sys; names = sorted(sys.modules); import json; print(json.dumps(names))"

    def modules(text: str) -> set[str]:
        run = subprocess.run([sys.executable, "-c", text + asked], capture_output=True, text=True, check=True)
        return set(json.loads(run.stdout))

    return modules(program) - modules("")


def test_the_import_loads_nothing_heavy() -> None:
    found = loaded("import seawall")
    assert "seawall._native" in found
    assert found & HEAVY == set()
    assert {"seawall._async", "seawall._dead_letters", "seawall.testing", "seawall._json_formatter"} & found == set()


def test_nothing_outside_of_the_standard_library_is_loaded() -> None:
    names = {name.partition(".")[0] for name in loaded("import seawall")}
    assert names - set(sys.stdlib_module_names) == {"seawall"}


def test_decorating_sync_functions_loads_nothing_heavy() -> None:
    # The options of a part cross the boundary as JSON.
    assert loaded(f"import seawall\n{SYNC}") & HEAVY <= {"enum", "json", "re"}


def test_a_sync_call_loads_neither_asyncio_nor_logging() -> None:
    found = loaded(f"import seawall\n{SYNC}\nassert double(2) == 4")
    assert found & {"asyncio", "inspect", "logging", "socket", "ssl", "typing"} == set()


def test_an_async_function_needs_asyncio_only_when_it_runs() -> None:
    program = "import seawall\n@seawall.retry(max_attempts=2)\nasync def f(): ..."
    assert "asyncio" not in loaded(program)


@pytest.mark.parametrize("name", ["DeadLetter", "DeadLetterQueue", "JsonFormatter", "RedriveReport", "load", "testing"])
def test_what_loads_on_demand_is_there(name: str) -> None:
    program = f"import seawall\nassert {name!r} in dir(seawall)\nassert seawall.{name} is getattr(seawall, {name!r})"
    assert "seawall" in loaded(program)
    assert "seawall" in loaded(f"from seawall import {name}")


def test_every_public_name_is_there_and_no_other_is() -> None:
    program = "import seawall\nfor name in seawall.__all__: getattr(seawall, name)\nassert set(seawall.__all__) <= set(dir(seawall))"
    assert "seawall" in loaded(program)
    assert "seawall" in loaded("import seawall\ntry: seawall.nothing\nexcept AttributeError as error: assert 'nothing' in str(error)\nelse: 1/0")
