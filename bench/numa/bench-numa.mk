# bench/numa/bench-numa.mk - measuring locality in the NUMA guests. Included by the Makefile, after the rules
# of the other benchmarks and of the guest (tests/numa/numa.mk).

BENCH_MACHINES ?= 2node 4ring 8node
NUMA_ROUNDS ?= 3
COUNTED := hearth bdwgc
NUMA_BENCHES := $(OUT)/bench/numa $(COUNTED:%=$(OUT)/bench/gcbench-counted-%)
NEEDED_PICTURE := cmd:gnuplot=gnuplot-nox

.PHONY: deps-picture bench-numa

deps-picture: deps
	$(call need,$(NEEDED_PICTURE))

$(OUT)/bench/numa: $(wildcard bench/numa/*.c bench/numa/*.h) $(NUMA_HEADERS) $(ARCHIVE) $(OBJ)/flags
	$(say) BENCH $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -o $@ $(filter %.c,$^) $(LDFLAGS) $(ARCHIVE) $(DEPS_LIBS) -lm

$(OUT)/bench/gcbench-counted-%: bench/gcbench.c bench/numa/systems/counted-%.h bench/systems/%.h \
        $(wildcard bench/numa/*.h) $(NUMA_HEADERS) $(BENCH_COMMON) $(ARCHIVE) $(OBJ)/flags
	$(say) BENCH $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -DSYSTEM_HEADER='"bench/numa/systems/counted-$*.h"' \
	    -DSYSTEM_NAME='"counted-$*"' -Ibench $(cflags_$*) -o $@ $< $(BENCH_COMMON) $(LDFLAGS) \
	    $(libs_$*) $(if $(filter hearth,$*),$(ARCHIVE) $(DEPS_LIBS)) -lm

bench-numa: guest-kernel $(NUMA_PLUGIN) $(NUMA_BENCHES) | deps-picture ## measure locality in NUMA guests
	@MACHINES='$(BENCH_MACHINES)' ROUNDS='$(NUMA_ROUNDS)' WORKLOADS='$(NUMA_WORKLOADS)' MODES='$(NUMA_MODES)' bench/numa/measure.sh $(OUT) $(GUEST) --time $(NUMA_LIMIT)
