# tests/numa/numa.mk - the NUMA guest: kernel, plugin, and the tests that run in there. Included by the
# Makefile; README.md beside this file tells how to use it.
#
# Everything is built into build/numa, whatever BUILD is; only check-numa uses BUILD's test runner.

NUMA := build/numa
GUEST := tests/numa/guest --build $(NUMA)

.PHONY: deps-guest guest-kernel guest-plugin check-guest check-numa check-placement

NEEDED_GUEST := cmd:qemu-system-x86_64=qemu-system-x86 cmd:busybox=busybox-static cmd:cpio=cpio \
                cmd:numactl=numactl cmd:hwloc-bind=hwloc cmd:lstopo-no-graphics=hwloc

deps-guest: deps
	$(call need,$(NEEDED_GUEST))

# Unpacked, not installed: nothing of it is left outside of build/.
$(NUMA)/kernel: | deps-guest
	$(say) KERNEL $@
	@tests/numa/fetch_kernel $@

guest-kernel: $(NUMA)/kernel $(NUMA)/tsc_khz ## download and unpack Debian's cloud kernel into build/numa/kernel

# ---------------------------------------------------------------------------------------- programs
NUMA_FLAGS := -std=gnu11 -O2 -g $(WARNINGS) -fno-strict-aliasing -fvisibility=hidden -I. -pthread
NUMA_HEADERS := $(wildcard tests/numa/*.h)
NUMA_PLUGIN := $(NUMA)/plugin.so $(NUMA)/check_map

$(NUMA)/plugin.so: $(sort $(wildcard tests/numa/plugin*.c)) $(NUMA_HEADERS) | deps
	$(say) PLUGIN $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(NUMA_FLAGS) -fPIC -shared -o $@ $(filter %.c,$^) -ldl

$(NUMA)/check_map: tests/numa/check_map.c $(NUMA_HEADERS) | deps
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(NUMA_FLAGS) -static -o $@ $<

$(NUMA)/tsc_khz: tests/numa/tsc_khz.c | deps
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(NUMA_FLAGS) -o $@ $<

$(NUMA)/test_access: tests/numa/test_access.c $(NUMA_HEADERS) | deps
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(NUMA_FLAGS) -fno-tree-vectorize -o $@ $< $(CHECK_LIBS) -lnuma

guest-plugin: $(NUMA_PLUGIN) ## build the access-counting plugin of the NUMA guest

# ------------------------------------------------------------------------------------------- tests
# The plugin's tests: machine and plugin options. The cache model's size goes to the tests.
ACCESS_RUNS := 4ring:cache=1024 2node:cache=256,ways=4,pace=1000 8node:lazy=1 memless:cache=1024 \
               sparse:lazy=1,cache=1024

check-guest: guest-kernel $(NUMA_PLUGIN) $(NUMA)/test_access ## test the NUMA guest and its plugin
	@tests/numa/check_guest.sh $(NUMA)
	@for run in $(ACCESS_RUNS); do \
	    options=$${run#*:}; kib=$$(sed -n 's/.*cache=\([0-9]*\).*/\1/p' <<<"$$options"); \
	    echo "test_access on $${run%%:*}, plugin options $$options"; \
	    $(GUEST) --machine $${run%%:*} --plugin "$$options" --report $(NUMA)/test_access.txt \
	        --env ACCESS_CACHE_KIB=$${kib:-0} -- $(NUMA)/test_access; \
	done

# Where memory lies, by what the kernel says: a runner of its own, made like that of the other tests.
PLACEMENT := $(OUT)/tests/check_placement
PLACEMENT_SOURCES := $(wildcard tests/numa/test_placement*.c)
PLACEMENT_OBJECTS := $(PLACEMENT_SOURCES:%.c=$(OBJ)/%.o)
NUMA_LIMIT ?= 900
PLACEMENT_MACHINES ?= 2node 4ring cpuless memless hmat
POLICY_MACHINES ?= 4ring
env_placement := CK_TIMEOUT_MULTIPLIER=3 $(if $(SEED),SEED=$(SEED))

$(PLACEMENT): $(PLACEMENT_OBJECTS) $(OBJ)/tests/harness.o $(OBJ)/tests/harness_tools.o \
              $(LIBRARY_OBJECTS)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(CHECK_LIBS) $(DEPS_LIBS)

check-placement: guest-kernel $(PLACEMENT) ## where memory lies, in NUMA guests (PLACEMENT_MACHINES="a b")
	@tests/numa/check_machines.sh $(NUMA)/placement '$(PLACEMENT_MACHINES)' $(GUEST) \
	    --time $(NUMA_LIMIT) $(addprefix --env ,$(env_placement)) -- $(PLACEMENT)
	@tests/numa/check_machines.sh $(NUMA)/policies '$(POLICY_MACHINES)' $(GUEST) --time $(NUMA_LIMIT) \
	    --file $(PLACEMENT) --file /bin/bash -- tests/numa/check_policies.sh $(PLACEMENT)

-include $(PLACEMENT_OBJECTS:.o=.d)

# The suites inside of these machines, a few at a time: the guest has more processors than the host.
# Some suites stay outside:
#   bench, readme   need the compiler, the source tree and the benchmarks' programs
#   faults          takes minutes, and no fault is different with real nodes
NUMA_MACHINES ?= 2node 4ring 8node cpuless memless hmat
NUMA_SKIP := bench readme faults
NUMA_FIRST := trace_work trace_scarce chunk oracle alloc limits trace pacing
NUMA_SUITES ?= $(SUITES)
# Virtual processors of software are slow: more time, less repetition.
env_numa := CK_TIMEOUT_MULTIPLIER=3 HARNESS_DIVIDE=16 SIDE_BY_SIDE=3 $(if $(SEED),SEED=$(SEED))

check-numa: guest-kernel $(RUNNER) $(PROGRAMS) $(PLACEMENT) ## check-placement and the suites in guests (NUMA_MACHINES="a b")
	@failed=0; suites='$(NUMA_SUITES)'; \
	test -n "$$suites" || suites=$$({ printf '%s\n' $(NUMA_FIRST); $(RUNNER) --list; } | \
	    awk '!seen[$$0]++' | grep -vxF $(addprefix -e ,$(NUMA_SKIP))); \
	tests/numa/check_machines.sh $(NUMA)/check '$(NUMA_MACHINES)' $(GUEST) --time $(NUMA_LIMIT) \
	    $(addprefix --file ,/bin/bash $(RUNNER) tests/data $(PROGRAMS)) $(addprefix --env ,$(env_numa)) \
	    -- tests/side_by_side.sh /tmp/log $$suites -- $(RUNNER) || failed=1; \
	if test -z '$(NUMA_SUITES)'; then \
	    $(MAKE) check-placement PLACEMENT_MACHINES='$(filter $(NUMA_MACHINES),$(PLACEMENT_MACHINES))' \
	        POLICY_MACHINES='$(filter $(NUMA_MACHINES),$(POLICY_MACHINES))' || failed=1; \
	fi; \
	test $$failed = 0
