# bench/peers/peers.mk - the benchmark's workloads in other languages. Included by bench/bench.mk.
#
# build/bench/<workload>-<system> is then a script that takes the arguments of the C programs, and so runs,
# is measured and is tested like them. Nothing of this is built unless it is asked for.
NEEDED_PEERS := cmd:javac=openjdk-17-jdk-headless cmd:go=golang-go cmd:ocamlopt=ocaml-nox cmd:pypy3=pypy3

PEERS_java := gcbench gcbench-holes binary-trees old-young lru cache quads splay mark
PEERS_go := gcbench binary-trees old-young cache mark
PEERS_ocaml := $(PEERS_go)
PEERS_pypy := gcbench binary-trees old-young
JAVA_SYSTEMS := java-serial java-parallel java-g1 java-z
OCAML_MODULES := common trees tables marking main

.PHONY: deps-peers bench-peers

deps-peers: deps
	$(call need,$(NEEDED_PEERS))

$(OUT)/bench/java/Main.class: $(wildcard bench/peers/java/*.java) | deps-peers
	$(say) JAVAC $(@D)
	@mkdir -p $(@D)
	$(Q)javac -Xlint:all,-auxiliaryclass -Werror -d $(@D) $(filter %.java,$^)

$(OUT)/bench/go-runner: $(wildcard bench/peers/go/*.go) | deps-peers
	$(say) GO $@
	@mkdir -p $(@D) $(OBJ)/go
	$(Q)GO111MODULE=off GOCACHE=$(CURDIR)/$(OBJ)/go go build -o $@ $(filter %.go,$^)

# The compiler writes beside its sources, so they are copied.
$(OUT)/bench/ocaml-runner: $(OCAML_MODULES:%=bench/peers/ocaml/%.ml) | deps-peers
	$(say) OCAML $@
	@mkdir -p $(@D) $(OBJ)/ocaml
	@cp $^ $(OBJ)/ocaml
	$(Q)cd $(OBJ)/ocaml && ocamlopt -w +a-4-9-40-41-42-44-45-70-71 -inline 100 unix.cmxa $(OCAML_MODULES:%=%.ml) \
	    -o $(CURDIR)/$@

# 1 = workload, 2 = system, 3 = script, 4 = what must be built
define peer
PEER_PROGRAMS += $(OUT)/bench/$(1)-$(2)
$(OUT)/bench/$(1)-$(2): bench/peers/$(3) bench/peers/peers.mk $(4) $(OUT)/bench/$(1)-hearth
	@printf '#!/bin/sh\nexec "%s" %s %s "$$$$(dirname "$$$$0")" "$$$$@"\n' '$(CURDIR)/bench/peers/$(3)' $(2) $(1) >$$@
	@chmod +x $$@

endef
PEER_PROGRAMS :=
$(foreach system,$(JAVA_SYSTEMS),$(foreach workload,$(PEERS_java),\
    $(eval $(call peer,$(workload),$(system),java.sh,$(OUT)/bench/java/Main.class))))
$(foreach system,go ocaml,$(foreach workload,$(PEERS_$(system)),\
    $(eval $(call peer,$(workload),$(system),peer.sh,$(OUT)/bench/$(system)-runner))))
$(foreach workload,$(PEERS_pypy),$(eval $(call peer,$(workload),pypy,peer.sh,bench/peers/pypy/main.py)))

bench-peers: $(PEER_PROGRAMS) ## build the workloads in Java, Go, OCaml and for PyPy
