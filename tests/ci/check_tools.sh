#!/usr/bin/env bash
# Names every tool that is missing or too old, with its remedy, and fails if there is one.
# `check_tools.sh lint` also asks for what only the tests use.
set -euo pipefail

python=${PYTHON:-python3}
problems=0

problem() {
    echo "seawall: $1" >&2
    echo "         $2" >&2
    problems=$((problems + 1))
}

# at_least HAVE NEED: true if version HAVE is NEED or newer.
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# tool NAME COMMAND NEED REMEDY: COMMAND prints a version, the first number with a dot in its output counts.
tool() {
    local name=$1 command=$2 need=$3 remedy=$4 have
    if ! have=$($command --version 2>/dev/null); then
        problem "$name is missing, $need or newer is needed" "$remedy"
        return
    fi
    have=$(grep -oE '[0-9]+(\.[0-9]+)+' <<<"$have" | head -n 1)
    at_least "$have" "$need" || problem "$name is $have, $need or newer is needed" "$remedy"
}

tool cargo cargo 1.89 "install Rust with https://rustup.rs, or: rustup update stable"
tool python "$python" 3.10 "apt-get install python3 python3-venv, or point PYTHON= at a newer one"
tool node node 20.0 "install Node 20 or newer from https://nodejs.org"
tool npm npm 9.0 "npm comes with Node: install it from https://nodejs.org"

command -v cc >/dev/null || problem "a C compiler (cc) is missing: SQLite is compiled here" "apt-get install build-essential"
if command -v "$python" >/dev/null && ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    problem "this Python cannot make virtual environments" "apt-get install python3-venv"
fi

if [ "${1:-}" = lint ]; then
    cargo clippy --version >/dev/null 2>&1 || problem "cargo clippy is missing" "rustup component add clippy"
    cargo fmt --version >/dev/null 2>&1 || problem "cargo fmt is missing" "rustup component add rustfmt"
fi

[ "$problems" -eq 0 ]
