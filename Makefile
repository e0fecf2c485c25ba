# The two commands of the README, `make demo` and `make test`, and what is handy besides.
# Meson builds; this file only saves typing.

BUILD := build

.PHONY: help deps build demo test vectors bench bench-layers bench-tries format clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo     install what is missing, build, run the example'
	@echo 'make test     install what is missing, run every check and test (some minutes)'
	@echo 'make vectors  run the own and the published test vectors (SOTTO_VECTORS: their folder)'
	@echo 'make bench    install the peers, compare with them (ten minutes; BENCH=--quick: two)'
	@echo 'make bench-layers  measure the primitives and each layer by itself (a minute)'
	@echo 'make bench-tries   measure what might be quicker next to what is in use (two minutes)'
	@echo 'make deps     only install what is missing (Debian 12)'
	@echo 'make build    only build, in $(BUILD)/'
	@echo 'make format   let clang-format lay out the sources'
	@echo 'make clean    remove everything that was built'

deps:
	@scripts/deps.sh

build:
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	@ninja -C $(BUILD)

demo:
	@scripts/deps.sh build
	@$(MAKE) --no-print-directory build
	@examples/demo.sh $(BUILD)/tools/sotto

test:
	@scripts/deps.sh test
	@scripts/test.sh

vectors:
	@scripts/vectors.sh $(BUILD)

# Peers that could not be built are left out.
bench:
	@scripts/deps.sh bench
	@$(MAKE) --no-print-directory build
	@meson setup --reconfigure $(BUILD) >/dev/null
	@ninja -C $(BUILD) bench_programs
	@bench/run.py --build $(BUILD) --out $(BUILD)/bench/results $(BENCH)

bench-layers:
	@scripts/deps.sh build
	@$(MAKE) --no-print-directory build
	@ninja -C $(BUILD) bench/bench_crypto bench/bench_layers
	@$(BUILD)/bench/bench_crypto
	@$(BUILD)/bench/bench_layers

bench-tries:
	@scripts/deps.sh bench
	@$(MAKE) --no-print-directory build
	@meson setup --reconfigure $(BUILD) >/dev/null
	@ninja -C $(BUILD) bench/bench_tries
	@$(BUILD)/bench/bench_tries

format:
	@scripts/check-format.sh --fix

clean:
	rm -rf $(BUILD) build-test
