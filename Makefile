# Seawall. `make demo` and `make test` each work alone in a fresh clone; the rest is for daily work.
#
#   make demo    charge a day of orders through an unreliable city, bare and with Seawall   (FAST=1, INPUT=file)
#   make test    every test, vector, type check and lint, ending with one table             (SUITES="vectors node")
#   make fuzz    random policies and scripts on all four runners, which must agree   (SCRIPTS=20000 SEED=7 SAVE=folder)
#   make bench   calls beside their peers in all three languages: bench-rust, bench-python, bench-node   (ROUNDS=201 ONLY=breaker)
#   make bench-letters   dead letters beside the disk's own speed and the peers; a million of them: make bench-million   (LETTERS=1000000)
#   make build   both native modules, into the checkout
#   make lint    the formatters and linters alone
#   make loom    the models of the engine's protocols, explored further than by make test   (LOOM_MAX_PREEMPTIONS=8)
#   make kills   a thousand kill -9 of a process that writes dead letters, and of one that redrives them   (KILLS=1000)
#   make tsan    the engine's tests on real threads under ThreadSanitizer
#   make mutants mutate the engine and tell what no test saw; takes hours                  (FOLDER=policy/retry)
#   make clean   remove everything that was built here

SHELL  := /bin/bash
PYTHON ?= python3

# rustup's folder is not on every shell's path.
export PATH := $(PATH):$(HOME)/.cargo/bin
# One target folder and one interpreter for cargo, maturin and napi: otherwise each compiles the dependencies again.
CARGO_BUILD_TARGET ?= $(shell PATH="$(PATH)" rustc -vV 2>/dev/null | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET := $(CARGO_BUILD_TARGET)
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python
# Temporary files stay in the checkout too.
export TMPDIR := $(CURDIR)/target/tmp
# What the demo reads.
export FAST INPUT INPUT_ID INPUT_TIME INPUT_AMOUNT

CORE := Cargo.toml Cargo.lock $(shell find core -name '*.rs' -o -name Cargo.toml)
PYTHON_MODULE := $(CORE) bindings-python/Cargo.toml $(shell find bindings-python/src -type f)
NODE_MODULE := $(CORE) package.json bindings-node/Cargo.toml $(shell find bindings-node/src bindings-node/lib bindings-node/scripts -type f)

.DEFAULT_GOAL := build
.PHONY: build test demo fuzz kills bench bench-rust bench-python bench-node bench-letters bench-million lint loom tsan mutants clean tools

# A stamp lies in the folder that it speaks of, so that removing the folder removes the stamp.
build: .venv/.native node_modules/.native

test: build tests/node/runners/node_modules/.ready tests/node/versions/node_modules/.ready bindings-node/examples/node_modules/.ready
	@tests/ci/check_tools.sh lint
	@.venv/bin/python tests/ci/test.py $(SUITES)

demo: build
	@.venv/bin/python tests/demo/run.py

SCRIPTS ?= 2000
SEED ?= 1
SAVE ?= target/fuzz

fuzz: build
	@cargo run --quiet --profile ci --locked -p seawall-testkit --bin fuzz -- --scripts $(SCRIPTS) --seed $(SEED) --save $(SAVE)

lint: build
	@tests/ci/check_tools.sh lint
	@.venv/bin/python tests/ci/test.py format clippy drift arrows

bench: bench-rust bench-python bench-node

# A lock file and a target folder of its own: peers enter neither of ours.
bench-rust:
	@cd tests/bench && CARGO_TARGET_DIR=$(CURDIR)/target/bench cargo run --quiet --release --locked

loom:
	@LOOM_MAX_PREEMPTIONS=$${LOOM_MAX_PREEMPTIONS:-5} $(PYTHON) tests/ci/loom.py

kills:
	@SEAWALL_KILLS=$${KILLS:-1000} cargo test --quiet --profile ci --locked -p seawall-store-sqlite --test kill --test jobs -- --nocapture

# The sanitizer is not stable yet, hence the bootstrap switch; the standard library stays as it came, without it.
tsan:
	@RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" CARGO_TARGET_DIR=target/tsan \
		TSAN_OPTIONS="suppressions=$(CURDIR)/tests/ci/tsan.txt" \
		cargo test --profile ci --locked -p seawall-engine --test contention --test ports -- --test-threads 1

mutants: tools
	@$(PYTHON) tests/ci/mutants.py $(FOLDER)

ROUNDS ?= 200
ONLY ?=

# The wheel as it is shipped, in an environment of its own.
.bench/python/.ready: tests/bench/python/requirements.txt | tools
	@echo "== Peers of the bench in .bench/python"
	@$(PYTHON) -m venv .bench/python
	@.bench/python/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/python/requirements.txt
	@touch $@

bench-python: .bench/python/.ready .venv/.ready
	@rm -rf .bench/wheels && .venv/bin/maturin build --quiet --release --out .bench/wheels
	@.bench/python/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps .bench/wheels/seawall-*.whl
	@.bench/python/bin/python tests/bench/python/run.py --rounds $(ROUNDS) --only "$(ONLY)"

BENCH_NODE := tests/bench/node
BENCH_LETTERS := .bench/letters
LETTERS ?= 1000000
# Packages are measured as they are shipped; PROFILE=ci spares the linking where that is no matter.
PROFILE ?= release

# The same modules that the tests use, and the peers in folders of their own.
$(BENCH_LETTERS)/.ready: tests/bench/letters/requirements.txt tests/bench/letters/package.json | tools
	@$(PYTHON) -m venv $(BENCH_LETTERS)/python
	@$(BENCH_LETTERS)/python/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/letters/requirements.txt
	@cp tests/bench/letters/package.json $(BENCH_LETTERS)/ && cd $(BENCH_LETTERS) && npm install --silent --no-audit --no-fund --no-package-lock
	@ln -sfn $(CURDIR) $(BENCH_LETTERS)/node_modules/seawall
	@touch $@

bench-letters: build $(BENCH_LETTERS)/.ready
	@cargo build --quiet --locked --profile $(PROFILE) -p seawall-store-sqlite --example letters
	@cp tests/bench/letters/peers.mjs $(BENCH_LETTERS)/
	@PYTHONPATH=bindings-python/python $(PYTHON) tests/bench/letters/run.py --python $(BENCH_LETTERS)/python/bin/python --node $(BENCH_LETTERS) \
		--rust target/$(CARGO_BUILD_TARGET)/$(PROFILE)/examples/letters

bench-million:
	@cargo build --quiet --locked --profile $(PROFILE) -p seawall-store-sqlite --example letters
	@rm -rf target/million && mkdir -m 700 -p target/million
	@target/$(CARGO_BUILD_TARGET)/$(PROFILE)/examples/letters many target/million $(LETTERS); du -sh target/million; rm -rf target/million

# Fat LTO, as packages have it, then the module that the tests use again.
bench-node: build
	@cd $(BENCH_NODE) && npm install --silent --no-audit --no-fund --no-package-lock
	@SEAWALL_PROFILE=release npm run --silent build:native
	@node $(BENCH_NODE)/bench.mjs; touch bindings-node/Cargo.toml

clean:
	rm -rf target .venv .bench node_modules tests/node/{runners,versions}/node_modules bindings-node/examples/{node_modules,dist} demo-out bindings-node/dist bindings-node/native bindings-python/python/seawall/*.so

tools:
	@PYTHON=$(PYTHON) tests/ci/check_tools.sh
	@mkdir -p $(TMPDIR)

.venv/.ready: tests/ci/requirements.txt | tools
	@echo "== Python environment in .venv"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/ci/requirements.txt
	@touch $@

.venv/.native: .venv/.ready pyproject.toml $(PYTHON_MODULE)
	@echo "== Native module for Python (profile ci)"
	@.venv/bin/maturin develop --profile ci
	@touch $@

node_modules/.ready: package.json package-lock.json | tools
	@echo "== Node packages in node_modules"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Large, and no use on other platforms: what cannot be fetched is skipped by its tests, by name.
tests/node/versions/node_modules/.ready: tests/node/versions/package.json tests/node/versions/package-lock.json | tools
	@echo "== Other runtimes in $(@D)"
	@cd tests/node/versions && npm ci --no-audit --no-fund --loglevel=error || echo "not every runtime could be fetched"
	@mkdir -p $(@D) && touch $@

# Packages of other folders, which the package itself never needs.
%/node_modules/.ready: %/package.json %/package-lock.json | tools
	@echo "== Node packages in $*/node_modules"
	@cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

node_modules/.native: node_modules/.ready $(NODE_MODULE)
	@echo "== Native module for Node (profile ci) and TypeScript"
	@npm run --silent build
	@touch $@
