# Makefile - builds hearth out of the tree, runs its main job, its tests and its benchmarks.
#
# `make run` and `make check` need nothing done before: each checks the dependencies (and as root
# installs what is missing), builds, and does its job. `make help` lists the targets.
#
# Layout: BUILD=release (the default) puts what users want at stable paths: build/libhearth.a,
# build/libhearth.so, build/hearth-*, build/bench/, build/tests/. Other builds have the same below
# build/$(BUILD). Objects are always in build/$(BUILD)/obj (for programs and the archive) and pic
# (for the shared library). pkg-config is asked only inside recipes, after `deps` has run.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
LD ?= ld
OBJCOPY ?= objcopy

# ---------------------------------------------------------------------------------------- builds
BUILD ?= release
BUILDS := release debug asan tsan ubsan coverage
ifeq ($(filter $(BUILD),$(BUILDS)),)
$(error BUILD=$(BUILD) is none of: $(BUILDS))
endif

flags_release := -O2 -g -DNDEBUG
flags_debug := -O1 -g -DHEARTH_DEBUG -fno-omit-frame-pointer
flags_asan := $(flags_debug) -fsanitize=address,undefined -fno-sanitize-recover=undefined -Wno-maybe-uninitialized
flags_tsan := $(flags_debug) -fsanitize=thread -Wno-maybe-uninitialized -Wno-error=tsan
flags_ubsan := $(flags_debug) -fsanitize=undefined -fno-sanitize-recover=all \
               -Wno-maybe-uninitialized

flags_coverage := -O1 -g -DHEARTH_DEBUG --coverage -fprofile-update=atomic -Wno-maybe-uninitialized

WARNINGS := -Wall -Wextra -Werror
COMMON := $(flags_$(BUILD)) $(WARNINGS) -fno-strict-aliasing -fvisibility=hidden -Iinclude -I. \
          -pthread
C_FLAGS = -std=gnu11 $(COMMON) $(DEPS_CFLAGS) $(CPPFLAGS) $(CFLAGS)
PIC_FLAGS := -fPIC -fno-semantic-interposition
LINK_FLAGS = $(flags_$(BUILD)) -pthread $(LDFLAGS)

# Evaluated once, at first use. mimalloc has no .pc file in Debian; it stands after libc, so that
# its malloc does not replace the program's.
DEPS_CFLAGS = $(eval DEPS_CFLAGS := $$(shell pkg-config --cflags hwloc numa))$(DEPS_CFLAGS)
DEPS_LIBS = $(eval DEPS_LIBS := $$(shell pkg-config --libs hwloc numa) -lc -lmimalloc -lm)$(DEPS_LIBS)
CHECK_LIBS = $(eval CHECK_LIBS := $$(shell pkg-config --libs check))$(CHECK_LIBS)

OUT := $(if $(filter release,$(BUILD)),build,build/$(BUILD))
OBJ := build/$(BUILD)/obj
PIC := build/$(BUILD)/pic

ifdef V
Q :=
say := @true
else
Q := @
say := @printf '  %-7s %s\n'
endif

# --------------------------------------------------------------------------------------- sources
LAYERS := topology alloc gc
PROGRAM_SOURCES := $(wildcard $(LAYERS:%=%/hearth-*.c))
LIBRARY_SOURCES := $(filter-out $(PROGRAM_SOURCES),$(wildcard $(LAYERS:%=%/*.c)))
PUBLIC_HEADERS := $(wildcard include/*.h include/hearth/*.h)
TEST_SOURCES := $(filter-out tests/embed.c tests/checked_use.c,$(wildcard tests/*.c))
FORMATTED := $(PUBLIC_HEADERS) $(wildcard $(foreach dir,$(LAYERS) tests tests/numa tests/fuzz tests/soak bench \
             bench/systems bench/inspect bench/afterlife examples examples/lisp examples/respd examples/respd/bench \
             examples/watched python/src python/tests/foreign,$(addprefix $(dir)/*,.c .h .cc)))

LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(OBJ)/%.o)
PIC_OBJECTS := $(LIBRARY_SOURCES:%.c=$(PIC)/%.o)
TEST_OBJECTS := $(TEST_SOURCES:%.c=$(OBJ)/%.o)
PROGRAMS := $(foreach source,$(PROGRAM_SOURCES),$(OUT)/$(basename $(notdir $(source))))
SOVERSION := 0
ARCHIVE := $(OUT)/libhearth.a
SHARED := $(OUT)/libhearth.so
RUNNER := $(OUT)/tests/check_hearth

.PHONY: help all deps deps-valgrind run check check-runner check-side check-headers check-symbols \
        examples check-embed check-examples check-checkers coverage check-debug check-asan check-ubsan check-tsan check-valgrind bench-programs bench \
        bench-quick format format-check lint clean FORCE

all: $(ARCHIVE) $(SHARED) $(PROGRAMS) ## build libhearth.a, libhearth.so and the programs

help: ## list the targets
	@echo 'usage: make [TARGET] [BUILD=release|debug|asan|tsan|ubsan|coverage] [V=1]'
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(filter %Makefile %.mk,$(MAKEFILE_LIST)) | \
	    while IFS=$$'\t' read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done
	@echo 'variables: SUITES="a b" (only these test suites), SEED=n (repeat a test run),'
	@echo '           SCALE=f THREADS=n (for run); WHAT="core mark" WORK="lru cache" ON="hearth bdwgc"'
	@echo '           ROUNDS=n SCALE=f TIME=seconds ADD=1 ARGS=--strict (for bench),'
	@echo '           NUMA_MACHINES="a b" (for check-numa; all: tests/numa/guest --list)'
	@echo '           EXTRA_SYSTEMS=DIR (more benchmark adapters, DIR/<name>.h and .mk),'
	@echo '           CPPFLAGS=... CFLAGS=... LDFLAGS=... (added to the own ones)'

# ---------------------------------------------------------------------------------- dependencies
# what proves it is there = Debian package. `pkg` asks pkg-config, `cmd` the PATH, `header` gcc,
# `file` clang's directories, `path` the file itself.
NEEDED := header:stdlib.h=libc6-dev cmd:pkg-config=pkg-config pkg:numa=libnuma-dev \
          pkg:hwloc=libhwloc-dev header:mimalloc.h=libmimalloc-dev pkg:check=check \
          pkg:bdw-gc=libgc-dev cmd:numactl=numactl cmd:hwloc-info=hwloc cmd:g++=g++ \
          header:valgrind/memcheck.h=valgrind header:sys/sdt.h=systemtap-sdt-dev
NEEDED_VALGRIND := cmd:valgrind=valgrind

define need
@missing=; \
for item in $(1); do \
    kind=$${item%%:*}; package=$${item#*=}; name=$${item#*:}; name=$${name%%=*}; \
    case $$kind in \
    pkg) pkg-config --exists "$$name" 2>/dev/null ;; \
    cmd) command -v "$$name" >/dev/null ;; \
    header) echo "#include <$$name>" | $(CC) -E -x c -o /dev/null - 2>/dev/null ;; \
    file) test -e "$$($(FUZZ_CC) -print-file-name=$$name 2>/dev/null)" ;; \
    path) test -e "$$name" ;; \
    esac || missing="$$missing $$package"; \
done; \
test -n "$$missing" || exit 0; \
if test "$$(id -u)" -eq 0 && command -v apt-get >/dev/null; then \
    echo "installing:$$missing"; export DEBIAN_FRONTEND=noninteractive; \
    apt-get -o DPkg::Lock::Timeout=300 update -q </dev/null && \
    apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends $$missing </dev/null; \
else \
    echo "Missing packages; run this and try again:" >&2; \
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$$missing" >&2; \
    exit 1; \
fi
endef

deps: ## check what hearth needs; as root, install what is missing
	$(call need,$(NEEDED))
	@$(if $(filter deps,$(MAKECMDGOALS)),echo 'all dependencies are there')

deps-valgrind: deps
	$(call need,$(NEEDED_VALGRIND))

# --------------------------------------------------------------------------------------- objects
# Everything compiled depends on this file, which changes only when the flags do.
$(OBJ)/flags: FORCE | deps
	@mkdir -p $(@D)
	@echo '$(CC) $(CXX) $(C_FLAGS) $(CXXFLAGS) $(LINK_FLAGS)' | cmp -s - $@ || \
	    echo '$(CC) $(CXX) $(C_FLAGS) $(CXXFLAGS) $(LINK_FLAGS)' >$@

$(OBJ)/%.o: %.c $(OBJ)/flags
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -MMD -MP -c $< -o $@

$(PIC)/%.o: %.c $(OBJ)/flags
	$(say) 'CC pic' $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) $(PIC_FLAGS) -MMD -MP -c $< -o $@

# One relocatable object with hidden symbols made local: nothing but hearth_* is left to collide
# with the embedder's names.
$(ARCHIVE): $(LIBRARY_OBJECTS)
	$(say) AR $@
	@mkdir -p $(@D) $(OBJ)
	$(Q)$(LD) -r -o $(OBJ)/hearth.o $^
	$(Q)$(OBJCOPY) --localize-hidden $(OBJ)/hearth.o
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(OBJ)/hearth.o

$(SHARED).$(SOVERSION): $(PIC_OBJECTS)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -shared -Wl,-soname,libhearth.so.$(SOVERSION) \
	    $(if $(filter release debug,$(BUILD)),-Wl$(comma)-z$(comma)defs) -o $@ $^ $(DEPS_LIBS)
comma := ,

$(SHARED): $(SHARED).$(SOVERSION)
	@ln -sf libhearth.so.$(SOVERSION) $@

define program
$(OUT)/$(basename $(notdir $(1))): $(1:%.c=$(OBJ)/%.o) $(LIBRARY_OBJECTS)
	$$(say) LD $$@
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LINK_FLAGS) -o $$@ $$^ $$(DEPS_LIBS)
endef
$(foreach source,$(PROGRAM_SOURCES),$(eval $(call program,$(source))))

# ----------------------------------------------------------------------------------------- tests
$(RUNNER): $(TEST_OBJECTS) $(LIBRARY_OBJECTS)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(CHECK_LIBS) $(DEPS_LIBS)

# How the runner is started. Sanitizers and valgrind are slow: more time, and tests may do less
# (harness_scaled).
SUPPRESS := $(CURDIR)/tests/suppressions
env_release :=
env_debug := CK_TIMEOUT_MULTIPLIER=2
env_asan := CK_TIMEOUT_MULTIPLIER=4 HARNESS_DIVIDE=4 \
            ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:check_initialization_order=1
env_ubsan := CK_TIMEOUT_MULTIPLIER=4 UBSAN_OPTIONS=print_stacktrace=1
env_tsan := CK_TIMEOUT_MULTIPLIER=10 HARNESS_DIVIDE=40 \
            TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0:suppressions=$(SUPPRESS)/tsan
env_coverage := CK_TIMEOUT_MULTIPLIER=4
env_valgrind := CK_TIMEOUT_MULTIPLIER=20 HARNESS_DIVIDE=60
VALGRIND := valgrind -q --error-exitcode=99 --fair-sched=try --leak-check=full \
            --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=30 \
            --suppressions=$(SUPPRESS)/valgrind
# Under memcheck: all suites but those that take minutes there, or start programs of their own, or (commit)
# free by mi_free what memcheck then takes for freed by malloc's free.
VALGRIND_SKIP := bench commit hearth_info pacing readme trace trace_scarce trace_work walk
VALGRIND_SUITES ?= $(SUITES)
# Those that take longest, to begin with.
LONG_SUITES := faults oracle mailbox trace_work trace_scarce crew pool

# The documents' programs are linked with this build's archive, where plain cc can.
readme_release := HEARTH_BUILD_DIR=build
readme_debug := HEARTH_BUILD_DIR=build/debug

check: $(if $(filter release,$(BUILD)),bench-programs) check-headers check-symbols check-abi check-embed check-examples check-checkers $(RUNNER) ## run all tests
	@env $(env_$(BUILD)) $(readme_$(BUILD)) $(RUNNER) $(SUITES) 2>&1 | tee $(OUT)/tests/check.log

check-runner: $(RUNNER) ## run only the test suites (SUITES="a b" for some)
	@env $(env_$(BUILD)) $(RUNNER) $(SUITES)

# The same, suites side by side; WRAP="command..." runs each under a command, SKIP="a b" leaves some out.
check-side: $(RUNNER)
	@suites='$(SUITES)'; \
	test -n "$$suites" || suites=$$({ printf '%s\n' $(LONG_SUITES); $(RUNNER) --list; } | \
	    awk '!seen[$$0]++' | grep -vxF $(addprefix -e ,$(SKIP) -)); \
	env $(env_$(or $(CHECKER),$(BUILD))) tests/side_by_side.sh $(OUT)/tests/check.log $$suites -- $(WRAP) $(RUNNER)

check-headers: | deps ## every public header compiles alone, as C11 and as C++17
	$(say) HEADERS include/
	@for header in $(PUBLIC_HEADERS:include/%=%); do \
	    echo "#include \"$$header\"" | $(CC) -std=c11 $(WARNINGS) -Wpedantic -Iinclude -fsyntax-only -x c -; \
	    echo "#include \"$$header\"" | $(CXX) -std=c++17 $(WARNINGS) -Wpedantic -Iinclude -fsyntax-only \
	        -x c++ -; \
	done

check-symbols: $(ARCHIVE) $(SHARED) ## the libraries define no global names but hearth_*
	$(say) NM '$^'
	@tests/symbols.sh $(ARCHIVE) $(SHARED)

# Embedders as users build them: strict C11 and C++17; archive, shared library, HEARTH_CHECKED.
EMBEDDERS := $(foreach kind,archive shared checked,$(OUT)/tests/c11-$(kind) $(OUT)/tests/cxx-$(kind))
EMBED_ARCHIVE = $(ARCHIVE) $(DEPS_LIBS)
EMBED_SHARED = -L$(OUT) -lhearth -Wl,-rpath,$(abspath $(OUT))

# 1 = c11 or cxx, 2 = source, 3 = compiler with flags, 4 = archive, shared or checked, 5 = library
define embedder
$(OUT)/tests/$(1)-$(4): tests/$(2) $(5) $(OBJ)/flags
	$$(say) EMBED $$@
	@mkdir -p $$(@D)
	$$(Q)$(3) $$(COMMON) -Wpedantic $(if $(filter checked,$(4)),-DHEARTH_CHECKED) -MMD -MP -MF $$@.d \
	    -MT $$@ -o $$@ $$< $$(LDFLAGS) $$(EMBED_$(if $(filter shared,$(4)),SHARED,ARCHIVE))
endef
define embedders
$(eval $(call embedder,c11,embed.c,$$(CC) -std=c11 $$(CFLAGS),$(1),$(2)))
$(eval $(call embedder,cxx,test_cxx.cc,$$(CXX) -std=c++17 $$(CXXFLAGS),$(1),$(2)))
endef
$(call embedders,archive,$(ARCHIVE))
$(call embedders,shared,$(SHARED))
$(call embedders,checked,$(ARCHIVE))
$(eval $(call embedder,hpp,test_hpp.cc,$$(CXX) -std=c++17 $$(CXXFLAGS),archive,$(ARCHIVE)))
EMBEDDERS += $(OUT)/tests/hpp-archive

# Examples that are more than a listing: a directory is a program.
EXAMPLES := $(patsubst examples/%/main.c,%,$(wildcard examples/*/main.c))
EXAMPLE_PROGRAMS := $(EXAMPLES:%=$(OUT)/examples/%)

examples: $(EXAMPLE_PROGRAMS) ## build the programs of examples/

define example
$(OUT)/examples/$(1): $(patsubst %.c,$(OBJ)/%.o,$(wildcard examples/$(1)/*.c)) $(ARCHIVE)
	$$(say) LD $$@
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LINK_FLAGS) -o $$@ $$^ $$(DEPS_LIBS)
endef
$(foreach name,$(EXAMPLES),$(eval $(call example,$(name))))

check-examples: $(EXAMPLE_PROGRAMS) ## the examples print what they should, also when collected as often as possible
	@examples/lisp/check $(OUT)/examples/lisp

check-embed: $(EMBEDDERS) ## the public API from C11 and C++17, with either library
	@for test in $(EMBEDDERS); do printf '  %-7s %s\n' RUN $$test; $$test; done

# An embedder that misuses memory, with the archive of this build: as it is (for valgrind), and with
# AddressSanitizer, which the library need not be built with.
CHECKED_USE := $(OUT)/tests/checked-use $(OUT)/tests/checked-use-asan
$(CHECKED_USE): tests/checked_use.c $(ARCHIVE) $(OBJ)/flags
	$(say) EMBED $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -O1 $(if $(findstring asan,$(@F)),-fsanitize=address) -MMD -MP -MF $@.d -MT $@ \
	    -o $@ $< $(LDFLAGS) $(EMBED_ARCHIVE)

check-checkers: $(if $(filter release debug,$(BUILD)),$(CHECKED_USE)) ## AddressSanitizer and valgrind see the use of freed memory
	$(say) CHECK 'memory checkers see the use of freed memory'
	@$(if $(filter release debug,$(BUILD)),tests/checkers.sh $(CHECKED_USE))

# Several of these at once would fight for the processors and for build/debug.
ifneq ($(filter check-debug check-asan check-ubsan check-tsan check-valgrind,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

check-debug: ## run all tests in a debug build
	@$(MAKE) BUILD=debug check

# AddressSanitizer's allocator (of gcc 12) takes no part in forks: a child whose parent had another thread inside of
# it waits for its lock for ever.
ASAN_SKIP := fork_threads

check-asan: ## run the suites with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) BUILD=asan SKIP='$(ASAN_SKIP)' check-side

check-ubsan: ## run the suites with UndefinedBehaviorSanitizer alone, which is quicker
	@$(MAKE) BUILD=ubsan check-side

check-tsan: ## run the suites with ThreadSanitizer
	@$(MAKE) BUILD=tsan check-side

check-valgrind: deps-valgrind ## run the suites under valgrind memcheck (VALGRIND_SUITES="a b")
	@$(MAKE) BUILD=debug CHECKER=valgrind WRAP='$(VALGRIND)' SKIP='$(VALGRIND_SKIP)' \
	    SUITES='$(VALGRIND_SUITES)' check-side

COVERAGE ?= 92
coverage: ## which lines of the library the suites run; fails below COVERAGE=92 percent
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) BUILD=coverage check-side SUITES='$(SUITES)'
	@tests/coverage.sh build/coverage $(COVERAGE)

include tests/numa/numa.mk
include packaging/packaging.mk
include tests/fuzz/fuzz.mk
include tests/soak/soak.mk
include python/python.mk
include python/check.mk
include examples/respd/respd.mk

# ------------------------------------------------------------------------------------ benchmarks
include bench/bench.mk

# --------------------------------------------------------------------------------------- sources
format: ## clang-format all sources
	clang-format -i $(FORMATTED)

format-check: ## fail if clang-format would change a source
	@clang-format --dry-run -Werror $(FORMATTED)

# Rules that do not fit: argument lists are named by their types, _GNU_SOURCE is reserved, Annex K is
# not in glibc, indices are small, and va_start is not seen.
UNCHECKED := bugprone-easily-swappable-parameters bugprone-reserved-identifier \
             bugprone-implicit-widening-of-multiplication-result \
             clang-analyzer-security.insecureAPI.* clang-analyzer-valist.Uninitialized

lint: ## static analysis by cppcheck and clang-tidy, whichever is installed
	@if command -v cppcheck >/dev/null; then \
	    cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
	        --inline-suppr --suppress=missingIncludeSystem --suppress=ctuuninitvar -D__GNUC__=12 \
        -D__x86_64__=1 -D__SSE2__=1 -DHEARTH_DEBUG -Iinclude -I. \
	        $(LIBRARY_SOURCES) $(PROGRAM_SOURCES); \
	else echo 'cppcheck is not installed'; fi
	@if command -v clang-tidy >/dev/null; then \
	    clang-tidy --quiet --warnings-as-errors='*' \
	        --checks='-*,bugprone-*,clang-analyzer-*,$(UNCHECKED:%=-%,)' \
	        $(LIBRARY_SOURCES) $(PROGRAM_SOURCES) -- -std=gnu11 -Iinclude -I. -DHEARTH_DEBUG; \
	else echo 'clang-tidy is not installed'; fi

clean: ## remove build/
	rm -rf build

-include $(LIBRARY_OBJECTS:.o=.d) $(PIC_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d) \
         $(PROGRAM_SOURCES:%.c=$(OBJ)/%.d) $(BENCH_COMMON:.o=.d) $(EMBEDDERS:=.d) $(CHECKED_USE:=.d) \
         $(wildcard $(OBJ)/bench/*.d $(OBJ)/examples/*/*.d)
