# The front door. Each target sets up what it needs and is missing, so that all
# of them work on a Debian 12 that has only git, make and a network. The work
# itself is CMake's, ctest's and the scripts' in tools/.

# Debian's own tools, whatever else this machine has put in front of them.
export PATH := /usr/bin:/bin:$(PATH)

JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
SOAK_ROUNDS ?= 20
# More arguments for ctest and pytest, e.g. make test CTEST_ARGS='-R ops'
CTEST_ARGS ?=
PYTEST_ARGS ?=
# Test programs that `make tsan` builds and runs; cpp_tests are all of them.
TSAN_TESTS ?= cpp_tests
# More arguments for bench/methods_table.py.
TABLE_ARGS ?=
# Files to look at by `make check`; empty means all.
CHECK_ARGS ?=

VENV := .venv
PYTHON := $(VENV)/bin/python
CTEST = ctest --output-on-failure --no-tests=error -j $(JOBS) $(CTEST_ARGS)

# Sanitizers stop at the first finding. Where memory was allocated is kept with
# six callers only: all 30 of them took a third of the time. Thread addresses
# must not be randomized further than GCC 12's run time expects; a container may
# refuse to say so.
ASAN_ENV := \
  ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1:allow_addr2line=1:malloc_context_size=6 \
  UBSAN_OPTIONS=print_stacktrace=1
TSAN_ENV := TSAN_OPTIONS=suppressions=$(CURDIR)/tools/tsan.supp
space := $(subst ,, )
NO_ASLR := $(shell setarch -R true 2>/dev/null && echo setarch -R)

.DEFAULT_GOAL := help
.PHONY: help setup build demo example-mcu test test-cpp test-python bench bench-mcu bench-planner bench-adapters parity-mcu kernel-sizes check asan tsan \
        fuzz faults soak bits table results clean
.DELETE_ON_ERROR:

help:
	@echo 'fieldtune: fine-tune a model on the device that uses it'
	@echo
	@echo '  make demo     set up, build and show it at work; needs no data'
	@echo '  make example-mcu  firmware that learns a word, on an emulated board'
	@echo '  make test     set up, build, run every C++ and Python test'
	@echo '  make build    build/release/fieldtune and everything else'
	@echo '  make bench    speed and memory against the peers, in one session'
	@echo '  make bench-mcu  instructions and memory on emulated microcontrollers'
	@echo '  make bench-planner  memory plans against their lower bounds'
	@echo '  make bench-adapters  swaps, deltas, the store, inference beside training'
	@echo '  make parity-mcu fifty training steps on every processor: the same bytes?'
	@echo '  make kernel-sizes  after a kernel changed: targets/kernel_sizes.txt anew'
	@echo '  make table    every method on every task (TABLE_ARGS=--quick: one seed)'
	@echo '  make results  rewrite the pages of docs/results from fresh runs'
	@echo '  make check    format, clang-tidy, layers, sizes (CHECK_ARGS=--changed)'
	@echo '  make asan     the C++ tests under AddressSanitizer and UBSan'
	@echo '  make tsan     the C++ tests under ThreadSanitizer'
	@echo '  make fuzz     each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS) of processor time'
	@echo '  make bits     one training by GCC, Clang, -O0, -O3 and on AArch64'
	@echo '  make faults   power cuts and failing calls at every write of all subjects'
	@echo '  make soak     the tests SOAK_ROUNDS=$(SOAK_ROUNDS) times over, then long fuzzing'
	@echo '  make setup    only install what is missing'
	@echo '  make clean    remove build/ and .venv/'

# --- Set-up: stamps, renewed when the list of packages changes -----------

build/.setup-%: tools/debian-packages.txt tools/install_packages.sh
	tools/install_packages.sh $*
	@mkdir -p build && touch $@

$(VENV)/.setup: build/.setup-build build/.setup-test tools/make_venv.sh \
                $(wildcard tests/python/requirements*.txt)
	tools/make_venv.sh $(VENV)
	@touch $@

setup: build/.setup-build build/.setup-test build/.setup-check \
       build/.setup-mcu $(VENV)/.setup

# --- Build: one folder per preset; CMake re-runs itself from there on -----

build/%/build.ninja: CMakePresets.json | build/.setup-build
	cmake --preset $*
	@touch $@
build/fuzz/build.ninja build/asan-ubsan/build.ninja: | build/.setup-check

build: build/release/build.ninja
	cmake --build build/release --parallel $(JOBS)

demo: build/release/build.ninja
	cmake --build build/release --parallel $(JOBS) --target fieldtune
	build/release/fieldtune demo

# Firmware that learns a word, on an emulated board.
example-mcu: build $(VENV)/.setup build/.setup-mcu
	$(PYTHON) examples/mcu_kws/run.py

# --- Tests ------------------------------------------------------------------

test: test-cpp test-python

test-cpp: build
	$(CTEST) --test-dir build/release

# The Python tests drive the programs of build/release, and emulated boards.
test-python: build $(VENV)/.setup build/.setup-mcu
	$(PYTHON) -m pytest tests/python -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

asan: build/asan-ubsan/build.ninja
	cmake --build build/asan-ubsan --parallel $(JOBS) --target cpp_tests
	$(ASAN_ENV) $(CTEST) --test-dir build/asan-ubsan

tsan: build/tsan/build.ninja
	cmake --build build/tsan --parallel $(JOBS) --target $(TSAN_TESTS)
	$(TSAN_ENV) $(NO_ASLR) $(CTEST) --test-dir build/tsan \
	  $(if $(filter cpp_tests,$(TSAN_TESTS)),,-R '^($(subst $(space),|,$(TSAN_TESTS)))$$')

fuzz: build build/fuzz/build.ninja $(VENV)/.setup
	cmake -DFT_FUZZ_SECONDS=$(FUZZ_SECONDS) build/fuzz
	cmake --build build/fuzz --parallel $(JOBS) --target fuzzers
	$(CTEST) --test-dir build/fuzz -L fuzz; status=$$?; \
	  $(PYTHON) bench/fuzz_page.py docs/results && exit $$status
	$(PYTHON) bench/adapter_hostile.py
	$(PYTHON) bench/adapters_page.py docs/results

FAULT_FIGURES := $(CURDIR)/build/release/faults.jsonl
faults: build $(VENV)/.setup
	rm -f $(FAULT_FIGURES)
	FT_EXHAUSTIVE=1 FT_FAULT_FIGURES=$(FAULT_FIGURES) \
	  $(CTEST) --test-dir build/release -R _faults_test
	$(PYTHON) bench/adapter_faults.py $(FAULT_FIGURES)
	$(PYTHON) bench/adapters_page.py docs/results

soak: build $(VENV)/.setup
	FT_EXHAUSTIVE=1 $(CTEST) --test-dir build/release
	$(CTEST) --test-dir build/release --repeat until-fail:$(SOAK_ROUNDS)
	$(MAKE) tsan
	$(MAKE) check
	$(MAKE) fuzz FUZZ_SECONDS=$$(( $(SOAK_ROUNDS) * 60 ))

check: build/.setup-build build/.setup-check build/dev/build.ninja
	cmake --build build/dev --target ft_tflite_schema  # clang-tidy reads it
	JOBS=$(JOBS) tools/check $(CHECK_ARGS)

# --- Figures ------------------------------------------------------------------

bench: build $(VENV)/.setup
	$(PYTHON) bench/run.py

# Code and stack of every kernel on every device, for promises made without
# a compiler at hand.
calibrate-targets: build $(VENV)/.setup build/.setup-mcu
	$(VENV)/bin/python tools/calibrate_targets.py

kernel-sizes: build/.setup-mcu
	tools/kernel_sizes.py

# Printed C99 on emulated boards.
bench-mcu: build $(VENV)/.setup build/.setup-mcu
	$(PYTHON) bench/mcu_kernels.py
	$(PYTHON) bench/mcu.py
	$(PYTHON) bench/mcu_front_end.py
	$(PYTHON) bench/mcu_store.py
	$(PYTHON) bench/mcu_page.py docs/results

# Plans against their lower bounds, and how long they take.
bench-planner: build $(VENV)/.setup
	$(PYTHON) bench/planner.py
	$(PYTHON) bench/planner_search.py
	$(PYTHON) bench/planner_small.py
	$(PYTHON) bench/cost_ranks.py
	$(PYTHON) bench/planner_page.py docs/results

# Adapters on a Linux device: runtime, background training, store, deltas.
bench-adapters: build $(VENV)/.setup
	$(PYTHON) bench/adapter_runtime.py
	$(PYTHON) bench/adapter_background.py
	$(PYTHON) bench/adapter_store.py
	$(PYTHON) bench/adapter_delta.py
	$(PYTHON) bench/service_load.py
	$(PYTHON) bench/adapters_page.py docs/results

# Fifty steps of every method on every processor, for hours.
parity-mcu: build $(VENV)/.setup build/.setup-mcu build/.setup-cross
	$(PYTHON) bench/mcu_parity.py --again
	$(PYTHON) bench/mcu_page.py docs/results

# The same training by other compilers, levels and processors: same bits?
BITS_PRESETS := gcc-O0 clang-O0 clang-O3 arm64
build/arm64-sysroot/.complete: tools/arm64_sysroot.sh | build/.setup-cross
	tools/arm64_sysroot.sh $(@D)
build/arm64/build.ninja: build/arm64-sysroot/.complete
build/clang-O0/build.ninja build/clang-O3/build.ninja: | build/.setup-check

bits: build $(VENV)/.setup $(BITS_PRESETS:%=build/%/build.ninja)
	for preset in $(BITS_PRESETS); do \
	  cmake --build build/$$preset --parallel $(JOBS) --target fieldtune || exit 1; \
	done
	$(PYTHON) bench/bits.py
	$(PYTHON) bench/bits_page.py docs/results

# Runs are kept until the command changes; TABLE_ARGS=--keep takes older ones.
table: build $(VENV)/.setup
	$(PYTHON) bench/methods_table.py $(TABLE_ARGS)
	$(PYTHON) bench/methods_page.py docs/results

results: build $(VENV)/.setup
	$(PYTHON) bench/run.py --results docs/results

clean:
	rm -rf build $(VENV)
