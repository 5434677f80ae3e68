# SPDX-License-Identifier: Apache-2.0
# make demo and make test are all that a newcomer needs; each installs what is missing.
JOBS ?= $(shell nproc)
BUILD ?= build
# The system's own: it has the ACME library of certbot.
PYTHON ?= /usr/bin/python3
FUZZ_SECONDS ?= 60
export CARGO_TERM_QUIET = true

.PHONY: demo test build deps unit e2e h2spec pebble test-faults sim campaign model bugs proof bench fuzz format lint clean

demo: build
	@./$(BUILD)/evercert demo

build: deps
	@test -f $(BUILD)/build.ninja || cmake -S . -B $(BUILD) -G Ninja > /dev/null
	@nice ninja -C $(BUILD) -j $(JOBS)

deps:
	@scripts/install_dependencies.sh

test: build lint unit e2e
	@echo "all tests passed"

unit: build
	@cd $(BUILD) && ctest --output-on-failure -j $(JOBS)

# E2E=NAME... runs some of them, E2E=long those that are too long for each change.
e2e: build
	@$(PYTHON) tests/e2e/run.py $(BUILD)/evercert $(E2E)

# All cases of h2spec against an edge; tests/h2spec names the exceptions.
h2spec: build
	@scripts/install_dependencies.sh h2spec
	@cd tests/h2spec && go build -o $(abspath $(BUILD))/h2spec github.com/summerwind/h2spec/cmd/h2spec
	@$(PYTHON) tests/h2spec/h2spec_test.py $(BUILD)/evercert $(BUILD)/h2spec

# Edges and a foreign ACME directory: Let's Encrypt's test server.
pebble: build
	@scripts/install_dependencies.sh pebble
	@cd tests/pebble && go build -o $(abspath $(BUILD))/pebble github.com/letsencrypt/pebble/v2/cmd/pebble
	@$(PYTHON) tests/pebble/pebble_test.py $(BUILD)/evercert $(BUILD)/pebble

# FAULTS=NAME... runs some of them; tests/faults/faults_test.py --list names them.
test-faults: build
	@scripts/install_dependencies.sh faults
	@$(PYTHON) tests/faults/faults_test.py $(BUILD)/evercert $(FAULTS)

sim: build
	@./$(BUILD)/evercert sim --seeds 5000

# 20,000 short runs of any layout, and 20,000 long ones of the standard one: more than 1,000 simulated hours; and how
# long nobody writes when a region dies.
campaign: build
	@mkdir -p $(BUILD)/proof
	@nice ./$(BUILD)/evercert sim --seeds 20000 --json $(BUILD)/proof/swarm.json
	@nice ./$(BUILD)/evercert sim --scenario tests/scenarios/standard.yaml --seeds 20000 --json $(BUILD)/proof/standard.json
	@nice ./$(BUILD)/evercert sim --scenario tests/scenarios/region_loss.yaml --seeds 1000 --json $(BUILD)/proof/loss.json
	@nice ./$(BUILD)/evercert sim --scenario tests/scenarios/region_loss_local.yaml --seeds 1000 --json $(BUILD)/proof/loss_local.json

# The lease rule in every order of events.
model: build
	@mkdir -p $(BUILD)/proof
	@nice ./$(BUILD)/evercert sim --model --json $(BUILD)/proof/model.json

bugs: build
	@mkdir -p $(BUILD)/proof
	@nice ./$(BUILD)/evercert sim --bug all --seeds 2000 --json $(BUILD)/proof/bugs.json

# Hours of a core.
proof: campaign model bugs
	@scripts/proof.py --campaigns $(BUILD)/proof/swarm.json $(BUILD)/proof/standard.json \
	  $(BUILD)/proof/loss.json $(BUILD)/proof/loss_local.json --bugs $(BUILD)/proof/bugs.json \
	  --model $(BUILD)/proof/model.json > docs/proof.md

bench: build
	@bench/run.sh $(BUILD)/evercert

fuzz: deps
	@fuzz/run.sh $(FUZZ_SECONDS)

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

lint:
	@python3 scripts/check_arrows.py .
	@python3 scripts/lint.py .

clean:
	@rm -rf $(BUILD)
