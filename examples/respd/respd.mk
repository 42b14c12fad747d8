# examples/respd/respd.mk - the server of the examples: building, testing, measuring it. Included by the Makefile.

RESPD_OBJECTS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard examples/respd/*.c))
RESPD := $(OUT)/examples/respd
NEEDED_RESPD := pkg:libuv=libuv1-dev pkg:hiredis=libhiredis-dev cmd:redis-server=redis-server \
                cmd:redis-benchmark=redis-tools cmd:python3=python3

.PHONY: respd deps-respd check-respd bench-respd

deps-respd: deps
	$(call need,$(NEEDED_RESPD))

respd: $(RESPD) ## build the server of examples/respd: Redis' protocol, its data in a hearth heap

RESPD_CFLAGS = $(eval RESPD_CFLAGS := $$(shell pkg-config --cflags-only-other libuv))$(RESPD_CFLAGS)
RESPD_LIBS = $(eval RESPD_LIBS := $$(shell pkg-config --libs libuv hiredis))$(RESPD_LIBS)

$(RESPD_OBJECTS): | deps-respd
$(RESPD): $(RESPD_OBJECTS) $(ARCHIVE)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(RESPD_LIBS) $(DEPS_LIBS)

check-respd: $(RESPD) ## test it: redis-cli, the same commands as redis-server, difficult clients (SIZE=ci or full, SEED=)
	@env $(env_$(BUILD)) examples/respd/test/check $(RESPD) $(or $(SIZE),ci) $(SEED)

-include $(RESPD_OBJECTS:.o=.d)
