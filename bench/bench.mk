# bench/bench.mk - the benchmark programs and what is measured with them. Included by the Makefile.
#
# Program = bench/<workload>.c with the adapter of one memory system. An adapter is <name>.h and, if it
# needs flags, <name>.mk with SYSTEM_CFLAGS and SYSTEM_LIBS (assigned with =, so that they are evaluated
# after `deps`). hearth itself is linked from the archive.
BENCH_WORKLOADS := gcbench gcbench-holes binary-trees old-young lru cache quads splay strings mark alloc barrier pause
SYSTEMS := hearth bdwgc mimalloc malloc arena
# Which systems a workload makes sense on: those that need a collector, and those whose memory can be
# freed by region.
COLLECTED_WORKLOADS := mark pause
REGION_WORKLOADS := gcbench gcbench-holes binary-trees quads alloc barrier
COLLECTED_SYSTEMS := hearth bdwgc
workloads_of = $(if $(filter $(COLLECTED_SYSTEMS),$(1)),$(BENCH_WORKLOADS),$(if $(filter arena,$(1)),$(REGION_WORKLOADS),$\
               $(filter-out $(COLLECTED_WORKLOADS),$(BENCH_WORKLOADS))))

EXTRA_HEADERS := $(if $(EXTRA_SYSTEMS),$(wildcard $(EXTRA_SYSTEMS)/*.h))
EXTRA_NAMES := $(basename $(notdir $(EXTRA_HEADERS)))
SYSTEM_HEADERS := $(wildcard $(SYSTEMS:%=bench/systems/%.h)) $(EXTRA_HEADERS)
BENCH_COMMON := $(patsubst %.c,$(OBJ)/%.o,$(filter-out $(BENCH_WORKLOADS:%=bench/%.c),\
                $(wildcard bench/*.c)))
BENCH_PROGRAMS :=

define system
SYSTEM_CFLAGS =
SYSTEM_LIBS =
-include $(basename $(1)).mk
$$(eval cflags_$(2) = $$(value SYSTEM_CFLAGS))
$$(eval libs_$(2) = $$(value SYSTEM_LIBS))
$(foreach workload,$(call workloads_of,$(2)),$(call bench_program,$(workload),$(2),$(1)))
endef

define bench_program

BENCH_PROGRAMS += $$(OUT)/bench/$(1)-$(2)
$$(OUT)/bench/$(1)-$(2): bench/$(1).c $(3) $$(wildcard $(basename $(3)).mk) $$(BENCH_COMMON) \
        $(if $(filter hearth,$(2)),$$(ARCHIVE)) $$(OBJ)/flags
	$$(say) BENCH $$@
	@mkdir -p $$(@D) $$(OBJ)/bench
	$$(Q)$$(CC) $$(C_FLAGS) -DSYSTEM_HEADER='"$(3)"' -DSYSTEM_NAME='"$(2)"' -Ibench \
	    $$(cflags_$(2)) -MMD -MP -MF $$(OBJ)/bench/$(1)-$(2).d -MT $$@ \
	    -o $$@ $$< $$(BENCH_COMMON) $$(LDFLAGS) $$(libs_$(2)) \
	    $(if $(filter hearth,$(2)),$$(ARCHIVE) $$(DEPS_LIBS)) -lm

endef
$(foreach header,$(SYSTEM_HEADERS),$(eval $(call system,$(header),$(basename $(notdir $(header))))))

BENCH_PROGRAMS += $(OUT)/bench/probe
$(OUT)/bench/probe: bench/runner/probe.c $(OBJ)/flags
	$(say) BENCH $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -o $@ $< $(LDFLAGS)

bench-programs: $(BENCH_PROGRAMS) ## build build/bench/<workload>-<system> (EXTRA_SYSTEMS=DIR: more)

# Only what the main job needs: a checkout shows something soon.
run: all $(addprefix $(OUT)/bench/gcbench-,hearth bdwgc mimalloc) ## the main job: GCBench on all nodes, compared with bdwgc and mimalloc
	@BENCH_PROGRAMS=$(OUT)/bench bench/run.sh

# What is measured, and how, is in bench/runner/main.py: WHAT, WORK, ON, ROUNDS, LIMIT, RETRIES, TIME, ADD.
NEEDED_BENCH := cmd:python3=python3 cmd:gnuplot=gnuplot-nox
RUN_BENCH := EXTRA='$(EXTRA_NAMES)' BENCH_PROGRAMS=$(OUT)/bench python3 bench/runner/main.py

.PHONY: deps-bench bench-check bench-report bench-docs

deps-bench: deps
	$(call need,$(NEEDED_BENCH))

bench-check: | deps-bench ## the runner's own arithmetic, and the drawing of timelines
	@python3 -m unittest discover -q -s bench/runner
	@python3 -m unittest discover -q -s bench/timeline

# PEERS= leaves out the other languages, which need a compiler each.
PEERS ?= bench-peers

bench: all bench-check bench-programs $(PEERS) | deps-bench ## measure every workload on every system against the bars (WHAT=, WORK=, ON=)
	@$(RUN_BENCH) run $(ARGS)

bench-quick: all bench-check bench-programs | deps-bench ## the same, small and once, with the peers that are built
	@$(RUN_BENCH) quick $(ARGS)

bench-report: | deps-bench ## tables and pictures of what was measured
	@$(RUN_BENCH) report $(ARGS)

bench-docs: | deps-bench ## the same, and into README.md and docs/performance.md
	@$(RUN_BENCH) docs $(ARGS)

.PHONY: bench-instr bench-instr-update
bench-instr bench-instr-update: $(addprefix $(OUT)/bench/,$(BENCH_WORKLOADS:%=%-hearth)) | deps-bench deps-valgrind

bench-instr: ## count instructions of small workloads, against bench/instructions.txt
	@BENCH_PROGRAMS=$(OUT)/bench python3 bench/runner/instructions.py check

bench-instr-update: ## the same, and write them there
	@BENCH_PROGRAMS=$(OUT)/bench python3 bench/runner/instructions.py update

include bench/peers/peers.mk
include bench/numa/bench-numa.mk
include bench/inspect/inspect.mk
include bench/afterlife/afterlife.mk
include bench/timeline/timeline.mk
