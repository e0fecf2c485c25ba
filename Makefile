# The two commands of the README, `make demo` and `make test`, and what is handy besides.
# Meson builds; this file only saves typing.

BUILD := build

.PHONY: help deps build demo test vectors bench format clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo     install what is missing, build, run the example'
	@echo 'make test     install what is missing, run every check and test (some minutes)'
	@echo 'make vectors  run the own and the published test vectors (SOTTO_VECTORS: their folder)'
	@echo 'make bench    measure the primitives (half a minute; on a quiet machine)'
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

bench:
	@scripts/deps.sh build
	@$(MAKE) --no-print-directory build
	@ninja -C $(BUILD) bench/bench_crypto
	@$(BUILD)/bench/bench_crypto

format:
	@scripts/check-format.sh --fix

clean:
	rm -rf $(BUILD) build-test
