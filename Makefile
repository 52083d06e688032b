# Every command of the project. `make help` lists them, made from the ## comments below.
# Packages come from .ci/packages; what is missing is installed by the targets that need it.
MAKEFLAGS += --no-builtin-rules
# As many jobs as there are processors, unless the command line says.
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
SHELL     := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# A board may be named by its processor too: the first that has it.
BOARD   ?= $(if $(ARCH),$(or $(word 2,$(subst /, ,$(firstword $(shell grep -lE '^ARCH *:= *$(ARCH)$$' boards/*/board.mk)))),$(ARCH)),pc)
include boards/$(BOARD)/board.mk
# boards/NAME/board.mk sets ARCH, CROSS, RUNNER (qemu-user) and SYSROOT; empty for the machine itself.

B       := build$(if $(CROSS),/$(ARCH))
CC      := $(if $(CROSS),$(CROSS)gcc,$(if $(filter default,$(origin CC)),gcc,$(CC)))
VERSION := $(shell sed -n 's/^## \[\{0,1\}\([0-9][0-9.]*\).*/\1/p' CHANGELOG.md 2>/dev/null | head -n 1)
# In seconds since 1970: no clock of a gateway is believed before it. The same commit, the same bits.
BUILD_TIME := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),1767225600)
SANITIZE ?= -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all

# A line a file; V=1 prints whole commands.
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2);)

STRICT   := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fsigned-char -ffp-contract=off \
            -Wall -Wextra -Werror -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla \
            -MMD -MP -I. -DWEIR_VERSION='"$(or $(VERSION),0.0.0)"' -DWEIR_BUILD_TIME=$(BUILD_TIME) \
            $(if $(SYSROOT),--sysroot=$(SYSROOT))
OPTIMISE := -O3 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LINK     := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SYSROOT),--sysroot=$(SYSROOT))
# Our own heap is sealed after start: any later call of ours through these asserts (firmware/heap_seal.c).
SEAL     := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup,--wrap=asprintf

PIPELINE  := $(wildcard pipeline/*.c pipeline/*/*.c)
HAL       := $(wildcard hal/*.c)
HAL_LINUX := $(wildcard hal/linux/*.c)
STORAGE   := $(wildcard storage/*.c)
FIRMWARE  := $(wildcard firmware/*.c firmware/*/*.c)
# What the simulator takes of firmware/: the turn and the configuration, no adapter.
GATEWAY   := $(wildcard firmware/gateway/*.c firmware/config/*.c firmware/json_arena.c)
SIMULATOR := $(wildcard simulator/*.c)

WEIR_LIBS := -lmosquitto -lpaho-mqtt3as -lsqlite3 -lcjson -lmbedtls -lmbedx509 -lmbedcrypto -luv -lmicrohttpd -lyaml -lgpiod -lsystemd -lz -lm
SIM_LIBS  := -lmosquitto -lpaho-mqtt3as -lsqlite3 -lcjson -lmbedcrypto -lyaml -lz -lm -lpthread

.PHONY: all
all: $(B)/weir $(B)/weir-sim ## Build the gateway and the simulator

$(B)/weir: $(patsubst %.c,$(B)/obj/%.o,$(PIPELINE) $(HAL) $(HAL_LINUX) $(STORAGE) $(FIRMWARE))
	$(call say,LINK,$@)$(CC) $(OPTIMISE) $(LINK) $(SEAL) -o $@ $^ $(WEIR_LIBS)

$(B)/weir-sim: $(patsubst %.c,$(B)/obj/%.o,$(PIPELINE) $(HAL) $(STORAGE) $(GATEWAY) $(SIMULATOR))
	$(call say,LINK,$@)$(CC) $(OPTIMISE) $(LINK) -o $@ $^ $(SIM_LIBS)

$(B)/obj/%.o: %.c | packages
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) $(OPTIMISE) -c -o $@ $<

.PHONY: packages
packages:
	@.ci/install-packages build $(if $(CROSS),cross)
	$(if $(SYSROOT),@.ci/make-sysroot $(ARCH) $(SYSROOT))

# --- installing --------------------------------------------------------------------------------------------
PREFIX  ?= /usr/local
DESTDIR ?=
INTO    := $(DESTDIR)$(PREFIX)
HAL_CONFS := $(wildcard boards/*/hal.conf)
INSTALLED := $(INTO)/bin/weir $(INTO)/lib/systemd/system/weir.service $(INTO)/lib/sysusers.d/weir.conf $(INTO)/lib/udev/rules.d/60-weir.rules \
             $(INTO)/share/weir/minimal.yaml $(INTO)/share/weir/broker.conf $(HAL_CONFS:%=$(INTO)/share/weir/%)

.PHONY: install uninstall
install: $(B)/weir ## Install the gateway and its unit (PREFIX=/usr/local DESTDIR=)
	install -D -m 0755 $(B)/weir $(INTO)/bin/weir
	install -D -m 0644 docs/examples/weir.sysusers $(INTO)/lib/sysusers.d/weir.conf
	install -D -m 0644 docs/examples/weir.rules $(INTO)/lib/udev/rules.d/60-weir.rules
	install -D -m 0644 docs/examples/minimal.yaml $(INTO)/share/weir/minimal.yaml
	install -D -m 0644 docs/broker.conf $(INTO)/share/weir/broker.conf
	for f in $(HAL_CONFS); do install -D -m 0644 $$f $(INTO)/share/weir/$$f; done
	install -d $(INTO)/lib/systemd/system
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' docs/examples/weir.service >$(INTO)/lib/systemd/system/weir.service
	chmod 0644 $(INTO)/lib/systemd/system/weir.service

uninstall: ## Remove what install put there; configuration and store stay
	rm -f $(INSTALLED)
	-find $(INTO)/share/weir -depth -type d -empty -delete

# --- tests ------------------------------------------------------------------------------------------------
# A unit test names what it links in its header (`Links: pipeline/window.c ...`), so the line is its
# dependency list (% stands for any run of characters); `Libs: -lsqlite3` adds libraries.
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*_test.c))
E2E_TESTS  := $(sort $(wildcard tests/e2e/*_test.py tests/e2e/*_test.sh))
WORLD_TESTS := $(sort $(wildcard tests/world/*_test.py tests/world/*_test.sh))
links = $(wildcard $(subst %,*,$(shell sed -n 's/^.*Links: *\([^*]*\).*/\1/p' tests/unit/$(1).c)))
libs  = $(shell sed -n 's/^.*Libs: *\([^*]*\).*/\1/p' tests/unit/$(1).c)

define unit_test
$(B)/tests/$(1): $(patsubst %.c,$(B)/asan/%.o,tests/unit/$(1).c $(call links,$(1)))
	$$(call say,LINK,$$@)$(CC) $(if $(CROSS),,$(SANITIZE)) $(if $(SYSROOT),--sysroot=$(SYSROOT)) -o $$@ $$^ -lcmocka $(call libs,$(1)) -lm
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_test,$(t))))

$(B)/asan/%.o: %.c | test-packages packages
	@mkdir -p $(@D) $(B)/tests
	$(call say,CC,$<)$(CC) $(STRICT) $(if $(CROSS),-O2,-O1 -g $(SANITIZE)) -c -o $@ $<

.PHONY: test unit e2e test-packages digests-here
# For another processor the unit tests and one of the end-to-end tests run under its emulator, and its digests are compared
# with this machine's.
HERE := build/tests/digest_test build/tests/digest_engine_test
test: unit-build all $(if $(CROSS),digests-here,bench-build) ## Run every test; with BOARD=name the unit tests, emulated
	@$(if $(CROSS),WEIR_RUNNER="$(RUNNER)" WEIR_BUILD=$(B)) tests/run.py $(if $(RUNNER),--runner="$(RUNNER)") \
	$(if $(CROSS),tests/cross/digest_test.sh tests/cross/daemon_test.sh,tests/house_test.sh tests/fuzz_test.sh) $(addprefix $(B)/tests/,$(UNIT_TESTS)) \
	$(if $(CROSS),,$(BOARD_TESTS) $(WORLD_TESTS) $(E2E_TESTS))

digests-here:
	@$(MAKE) --no-print-directory BOARD=pc $(HERE)

unit: unit-build ## Run the unit tests only
	@tests/run.py $(if $(RUNNER),--runner="$(RUNNER)") $(addprefix $(B)/tests/,$(UNIT_TESTS))

e2e: all bench-build test-packages ## Run the end-to-end tests only
	@tests/run.py $(E2E_TESTS)

.PHONY: unit-build
unit-build: test-packages $(addprefix $(B)/tests/,$(UNIT_TESTS))

test-packages:
	@.ci/install-packages build run test $(if $(CROSS),cross)

include boards/boards.mk

# --- longer campaigns --------------------------------------------------------------------------------------
N    ?= 10000
FROM ?= 1
FUZZ_SECONDS ?= 600
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz_links = $(sort $(wildcard $(subst %,*,$(shell sed -n 's/^.*Links: *\([^*]*\).*/\1/p' tests/fuzz/$(1).c))))
fuzz_libs  = $(shell sed -n 's/^.*Libs: *\([^*]*\).*/\1/p' tests/fuzz/$(1).c)
.PHONY: scenarios powercut connections worlds planted kill9 valgrind soak fuzz bench sizes
worlds: all ## Live through N seeded worlds from seed FROM (N=10000 FROM=1)
	$(B)/weir-sim world --count $(N) --from $(FROM)

.PHONY: planted-streams streams-whole
planted-streams: test-packages ## Plant each bug of tests/unit/planted, which the property test of streams must find
	@tests/unit/planted_test.py
streams-whole: test-packages $(B)/tests/streams_test ## 10,000 random streams against the oracle, of which `make test` takes a part
	@STREAMS=10000 $(B)/tests/streams_test
planted: all test-packages ## Plant each bug of tests/world/planted and count the worlds until it is found
	@tests/world/planted_test.py --search

powercut: test-packages $(B)/tests/power_cut_test ## Cut the power at every disk operation, SEEDS times each (SEEDS=10)
	@SEEDS=$(or $(SEEDS),10) $(B)/tests/power_cut_test

kill9: all run-packages ## Kill the gateway with -9 in N rounds under load (N=200, SEED=...)
	@tests/e2e/qos_kill9_test.py $(if $(filter command line,$(origin N)),$(N),200) $(SEED)
	@tests/e2e/kill9_test.py $(if $(filter command line,$(origin N)),$(N),200) $(SEED)

scenarios: all run-packages ## Six systems on streams, each judged by an oracle (NAME=clickstream SEED=1 SECONDS=10)
	@simulator/scenarios.py $(if $(filter command line,$(origin NAME)),$(NAME)) --seed $(or $(SEED),1) --duration $(or $(SECONDS),10) --live

overload: all run-packages ## Offer ten times what a tenth of a core takes, and watch what is left out (SECONDS=60)
	@tests/e2e/overload_test.py $(or $(SECONDS),60)

connections: all run-packages ## Hold N plain connections, then TLS, then 100,000, and print what each costs (N=15000 TLS=5000)
	@tests/bench/connections_bench.py plain $(if $(filter command line,$(origin N)),$(N),15000)
	@tests/bench/connections_bench.py tls $(or $(TLS),5000)
	@tests/bench/connections_bench.py plain 100000 || test $$? = 77

valgrind: all test-packages ## Run the gateway under valgrind in a demo of a minute (SECONDS=60)
	@tests/e2e/valgrind_test.py $(or $(SECONDS),60)

soak: all run-packages ## Run at RATE readings a second for MINUTES and watch the memory (MINUTES=30 RATE=5000)
	@tests/e2e/soak_test.py $(or $(MINUTES),30) $(or $(RATE),5000)

fuzz: test-packages $(addprefix $(B)/fuzz/,$(FUZZERS)) ## Fuzz every parser for FUZZ_SECONDS each (600)
	@for f in $(FUZZERS); do echo "== $$f"; mkdir -p $(B)/fuzz/corpus/$$f; \
	$(B)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $(B)/fuzz/corpus/$$f \
	$$(ls -d tests/fuzz/corpus/$${f%_fuzz} 2>/dev/null) >$(B)/fuzz/$$f.log 2>&1; code=$$?; \
	tail -n 4 $(B)/fuzz/$$f.log; [ $$code = 0 ] || { echo "$$f failed: $(B)/fuzz/$$f.log"; exit 1; }; done

define fuzz_target
$(B)/fuzz/$(1): tests/fuzz/$(1).c $(call fuzz_links,$(1)) | test-packages
	@mkdir -p $(B)/fuzz
	clang $(filter-out -MMD -MP,$(STRICT)) -O1 -g -fsanitize=fuzzer,address,undefined,float-cast-overflow \
	-fno-sanitize-recover=all -o $$@ \
	tests/fuzz/$(1).c $(call fuzz_links,$(1)) $(call fuzz_libs,$(1)) -lm
endef
$(foreach t,$(FUZZERS),$(eval $(call fuzz_target,$(t))))

# A benchmark has all of pipeline/; what else it links it names as a unit test does.
BENCHES := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*_bench.c))
bench_links = $(wildcard $(subst %,*,$(shell sed -n 's/^.*Links: *\([^*]*\).*/\1/p' tests/bench/$(1).c)))
bench_libs  = $(shell sed -n 's/^.*Libs: *\([^*]*\).*/\1/p' tests/bench/$(1).c)
define bench_program
$(B)/bench/$(1): $(patsubst %.c,$(B)/obj/%.o,tests/bench/$(1).c $(sort $(PIPELINE) $(call bench_links,$(1))))
	@mkdir -p $$(@D)
	$(CC) $(OPTIMISE) $(LINK) -o $$@ $$^ -lcjson $(call bench_libs,$(1)) -lm
endef
$(foreach b,$(BENCHES),$(eval $(call bench_program,$(b))))

.PHONY: bench-build
bench-build: $(addprefix $(B)/bench/,$(BENCHES))

bench: all bench-build test-packages ## Measure: pipeline, transport, listener, memory, disk (about 5 minutes)
	@tests/bench/bench.py

.PHONY: nab
nab: all $(B)/bench/baseline_bench $(B)/bench/inject_bench ## Score the baseline on the labelled series, beside its peers
	@tests/bench/nab.py

sizes: all ## Print the sizes of the programs
	@size $(B)/weir $(B)/weir-sim

# --- the house --------------------------------------------------------------------------------------------
.PHONY: tidy pure clang narrow help clean
tidy: ## Check the house rules
	@sh tests/tidy.sh && echo ok tidy

clang: test-packages ## Compile everything with clang too, for its warnings
	@printf '%s\n' $(wildcard */*.c */*/*.c) | xargs -P 2 -n 8 clang $(filter-out -MMD -MP,$(STRICT)) -fsyntax-only && echo ok clang

MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)
narrow: packages ## Compile the gateway for 32 bits too, for its warnings: what a build for armhf would find
ifeq ($(MULTIARCH),x86_64-linux-gnu)
	@.ci/install-packages narrow
	@printf '%s\n' $(PIPELINE) $(HAL) $(HAL_LINUX) $(STORAGE) $(FIRMWARE) | xargs -P 2 -n 20 gcc -m32 -idirafter /usr/include/$(MULTIARCH) \
	$(filter-out -MMD -MP,$(STRICT)) -fsyntax-only && echo ok narrow
else
	@echo "narrow: skipped, a compiler for x86_64 has a mode of 32 bits"
endif

# What the pure folder may reach: arithmetic, memory and text of the C library, and cJSON from the JSON codec.
PURE_OK := sqrt sqrtf memcpy memset memmove memcmp memchr strlen strcmp strncmp strchr snprintf vsnprintf strtod __assert_fail \
           __stack_chk_fail __errno_location
pure: $(B)/pure/pipeline.o ## Prove that pipeline/ reaches no clock, heap or system, and holds no global state
	@bad=$$(nm -u $< | awk '{print $$NF}' | sort -u | grep -vxF "$$(printf '%s\n' $(PURE_OK))" | grep -v '^cJSON_'); \
	test -z "$$bad" || { echo "pipeline/ reaches:" $$bad; exit 1; }
	@! nm $< | grep -E ' [bBcCdD] ' || { echo "pipeline/ has global state"; exit 1; }
	@for f in $(filter-out $(B)/pure/pipeline/codec/codec_json% $(B)/pure/pipeline/inventory%,$(PIPELINE:%.c=$(B)/pure/%.o)); do \
	! nm -u $$f | grep cJSON_ || { echo "$$f uses cJSON"; exit 1; }; done; echo ok pure

$(B)/pure/pipeline.o: $(PIPELINE:%.c=$(B)/pure/%.o)
	$(or $(CROSS))ld -r -o $@ $^

$(B)/pure/%.o: %.c | packages
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) -O2 -fno-pie -c -o $@ $<

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

clean: ## Remove everything that was built
	rm -rf build

-include $(shell find $(B) \( -path '*/sysroot' -o -path 'build/boards' \) -prune -o -name '*.d' -type f -print 2>/dev/null)

# --- the whole system -------------------------------------------------------------------------------------
.PHONY: run demo run-packages
run: all run-packages ## Run everything on this machine and show alerts as they arrive in the cloud
	@simulator/run.py

demo: all run-packages ## Break things on purpose for a minute and judge what came of it
	@simulator/demo.py

run-packages:
	@.ci/install-packages build run
