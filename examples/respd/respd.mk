# examples/respd/respd.mk - the server of the examples: building, testing, measuring it. Included by the Makefile.

RESPD_OBJECTS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard examples/respd/*.c))
RESPD := $(OUT)/examples/respd
CHURN := $(OUT)/bench/respd-churn
NEEDED_RESPD := pkg:libuv=libuv1-dev pkg:hiredis=libhiredis-dev cmd:redis-server=redis-server \
                cmd:redis-benchmark=redis-tools cmd:python3=python3 \
                cmd:gnuplot=gnuplot-nox

.PHONY: respd deps-respd check-respd bench-respd

deps-respd: deps
	$(call need,$(NEEDED_RESPD))

respd: $(RESPD) ## build the server of examples/respd: Redis' protocol, its data in a hearth heap

RESPD_LIBS = $(eval RESPD_LIBS := $$(shell pkg-config --libs libuv hiredis))$(RESPD_LIBS)

$(RESPD_OBJECTS): | deps-respd
$(RESPD): $(RESPD_OBJECTS) $(ARCHIVE)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(RESPD_LIBS) $(DEPS_LIBS)

check-respd: $(RESPD) ## test it: redis-cli, the same commands as redis-server, difficult clients (SIZE=ci or full, SEED=)
	@env $(env_$(BUILD)) examples/respd/test/check $(RESPD) $(or $(SIZE),ci) $(SEED)

$(CHURN): examples/respd/bench/churn.c $(OBJ)/flags
	$(say) BENCH $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) $(LINK_FLAGS) -o $@ $<

bench-respd: $(RESPD) $(CHURN) ## measure it beside redis-server (ROUNDS=5 DURATION=60 PARTS=throughput,churn STRICT=1)
	@examples/respd/bench/bench.py $(RESPD) $(CHURN) $(OUT)/bench-respd

-include $(RESPD_OBJECTS:.o=.d)
