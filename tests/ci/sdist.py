"""Builds a wheel from the source distribution alone, installs it in an empty environment and imports it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "sdist-check"


def main() -> int:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    # The same target folder and profile as everything else, so that the dependencies are compiled once.
    scratch = WORK / "tmp"
    scratch.mkdir()
    env = {**os.environ, "TMPDIR": str(scratch), "CARGO_TARGET_DIR": str(ROOT / "target"), "MATURIN_PEP517_ARGS": "--profile ci"}
    env["PATH"] = f"{ROOT / '.venv/bin'}{os.pathsep}{env['PATH']}"
    run([str(ROOT / ".venv/bin/maturin"), "sdist", "--out", str(WORK)], env)
    sdist = next(WORK.glob("seawall-*.tar.gz"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # Without the cache: pip would keep the wheel under the name of the sdist and give the old one back the next time.
    run([*pip, "wheel", "--quiet", "--no-deps", "--no-cache-dir", "--no-build-isolation", "--wheel-dir", str(WORK), str(sdist)], env)
    wheel = next(WORK.glob("seawall-*.whl"))
    run([sys.executable, "-m", "venv", str(WORK / "venv")], env)
    fresh = str(WORK / "venv/bin/python")
    run([fresh, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", str(wheel)], env)
    probe = "import seawall; assert seawall.policy().call(lambda: 42) == 42; print(seawall.__file__)"
    # From another folder, so that the package comes from the wheel and not from the checkout.
    run([fresh, "-c", probe], env, cwd=WORK)
    print("1 passed, 0 failed")
    shutil.rmtree(WORK)
    return 0


def run(command: list[str], env: dict[str, str], cwd: Path = ROOT) -> None:
    print("$", " ".join(command), flush=True)
    subprocess.run(command, env=env, cwd=cwd, check=True)


if __name__ == "__main__":
    sys.exit(main())
