# tests/soak/soak.mk - the soak. Included by the Makefile. Linked as an embedder links: with the archive.

.PHONY: soak

SOAK_OBJECTS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/soak/*.c))
SOAK := $(OUT)/tests/soak

$(SOAK): $(SOAK_OBJECTS) $(ARCHIVE)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(DEPS_LIBS)

soak: $(SOAK) ## everything at once for TIME=600 seconds: nothing may get lost, memory must not grow
	@$(SOAK) $(or $(TIME),600)

-include $(SOAK_OBJECTS:.o=.d)
