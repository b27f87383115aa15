# Thin: each target calls a tool. CI runs these same targets.
#
#   make run        sets everything up, builds, and runs the whole mesh at http://localhost:3000
#   make mesh       the same with each server as a process of its own; REPLICAS=2: two of each
#   make test       sets everything up and passes the tests
#   make lint       what CI checks besides: formatting, clippy, contracts, generated code
#   make generate   regenerates code after a change under proto/ or crates/payment/proto/
#
# What takes longer than a test run should, and is in it with smaller counts:
#
#   make chaos      kills at every failpoint, half an hour of faults, 10,000 callers who hang up
#   make model      the model of the saga over SEEDS seeds
#   make bench      measures the mesh against its own ceilings and writes docs/performance.md; ARGS=--quick: a minute
#   make fuzz       every fuzz target for FUZZ_SECONDS under libFuzzer; needs nightly and cargo-fuzz
#
# What needs Go once, to build lnd and btcd (seven minutes on two cores):
#
#   make test-lightning   the tests on a private Lightning network of two real lnd nodes
#
# What needs more than Rust:
#
#   make wasm       the verifier as an npm package in clients/wasm/pkg, tested; needs Node.js
#   make interop    other people's verifiers on our artefacts; needs Python and Go

# The linter of the contracts, an npm package that carries its binary.
BUF := npx --yes @bufbuild/buf@1.75.0
CARGO := cargo
# Processes of each server in `make mesh`, 1 to 3.
REPLICAS ?= 1
# Seeds of `make model`: 12 to 16 seconds each.
SEEDS ?= 100
# Seconds a target, and the targets, of `make fuzz`.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(wildcard tests/fuzz/corpus/*))
FUZZ := $(CARGO) +nightly fuzz
FUZZ_FLAGS := --fuzz-dir tests/fuzz/engine --target-dir target/fuzz -s none any

.PHONY: run mesh compose test build setup lint fmt generate buf deny baseline chaos model fuzz bench test-lightning wasm interop

run: setup
	@echo "Building (the first time takes a few minutes: it compiles about 350 packages) ..."
	@$(CARGO) build -p poa-mesh -p poa-cli
	@exec target/debug/poa-mesh

mesh: setup build
	@exec target/debug/poa-mesh processes --replicas $(REPLICAS)

test: setup build
	$(CARGO) test --workspace

# The journeys run the real binaries.
build:
	@echo "Building every server and the command line ..."
	$(CARGO) build --workspace --exclude poa-generate --bins

setup:
	@ops/setup.sh

chaos: setup build
	POA_CHAOS=full $(CARGO) test -p poa-chaos --test kills --test faults -- --nocapture

model: setup
	POA_MODEL_SEEDS=$(SEEDS) $(CARGO) test -p poa-chaos --test model the_saga -- --nocapture

bench: setup
	$(CARGO) build --profile bench -p poa-mesh -p poa-auth -p poa-task -p poa-escrow -p poa-attestation -p poa-gateway -p poa-bench
	target/release/poa-bench $(ARGS)

test-lightning: setup
	@ops/lightning/build.sh >/dev/null
	$(CARGO) build -p poa-mesh
	$(CARGO) test -p poa-lightning -- --ignored

wasm:
	@ops/wasm/build.sh
	@ops/wasm/test.sh

interop:
	@tests/interop/run.sh

fuzz:
	$(FUZZ) build $(FUZZ_FLAGS)
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p target/fuzz-corpus/$$target; echo "== $$target"; \
	    POA_FUZZ_TARGET=$$target $(FUZZ) run $(FUZZ_FLAGS) target/fuzz-corpus/$$target tests/fuzz/corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=20 || exit 1; \
	done

lint: buf compose
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	ops/check-generated.sh

fmt:
	$(CARGO) fmt --all

generate:
	$(CARGO) run -q -p poa-generate

buf:
	$(BUF) lint
	$(BUF) build -o - | $(BUF) breaking - --against proto/baseline.binpb

# compose.yaml and the Dockerfile, without containers. What is not built or cannot be had is named and skipped.
compose:
	ops/check-compose.sh

# The contracts that callers rely on: `make buf` refuses what breaks them. Moved with each release.
baseline:
	$(BUF) build --exclude-source-info -o proto/baseline.binpb

# Advisories need their database; without a network the rest is still checked.
deny:
	$(CARGO) deny --offline check bans licenses sources
	@if $(CARGO) deny fetch db 2>/dev/null; then $(CARGO) deny check advisories; \
	else echo "The advisory database cannot be fetched here: advisories SKIPPED"; fi
