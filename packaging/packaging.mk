# packaging/packaging.mk - what leaves the tree: installation, source archive, Debian package, amalgamation.
#
# Everything installed is listed by install_files, so that `uninstall` removes exactly that. DESTDIR is put before
# PREFIX at installation only. Paths below PREFIX: BINDIR, LIBDIR, INCLUDEDIR, MANDIR (relative).

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= bin
LIBDIR ?= lib
INCLUDEDIR ?= include
MANDIR ?= share/man

VERSION = $(eval VERSION := $$(shell sed -n 's/^.define HEARTH_VERSION  *"\(.*\)"/\1/p' include/hearth/status.h))$(VERSION)
INSTALL_ROOT = $(DESTDIR)$(PREFIX)
MAN_PAGES := $(wildcard packaging/man/*.[137])
CMAKE_DIR = $(LIBDIR)/cmake/hearth
PACKAGED := build/package
COMPLETE := $(PACKAGED)/amalgamation
NEEDED_PACKAGE := cmd:cmake=cmake cmd:make=make
NEEDED_DEB := cmd:dpkg-buildpackage=dpkg-dev cmd:dh=debhelper cmd:lintian=lintian cmd:fakeroot=fakeroot

.PHONY: install uninstall dist deb amalgamation check-install check-abi abi-update deps-package deps-deb

# @NAME@ in a template: paths, versions. UP leads from the CMake files to the prefix.
fill = sed -e 's,@PREFIX@,$(abspath $(PREFIX)),' -e 's,@LIB@,$(LIBDIR),g' -e 's,@INCLUDE@,$(INCLUDEDIR),g' \
    -e 's,@VERSION@,$(VERSION),g' -e 's,@MINOR_VERSION@,$(basename $(VERSION)),g' -e 's,@SOVERSION@,$(SOVERSION),g' \
    -e 's,@UP@,$(shell echo '$(CMAKE_DIR)' | sed 's,[^/][^/]*,..,g'),g'

install: all ## install below PREFIX (/usr/local), staged in DESTDIR
	$(say) INSTALL '$(INSTALL_ROOT)'
	@install -d $(addprefix '$(INSTALL_ROOT)'/,$(BINDIR) $(INCLUDEDIR)/hearth $(LIBDIR)/pkgconfig $(CMAKE_DIR) \
	    $(MANDIR)/man1 $(MANDIR)/man3)
	@install -m 644 include/hearth.h include/hearth.hpp '$(INSTALL_ROOT)/$(INCLUDEDIR)'
	@install -m 644 include/hearth/*.h '$(INSTALL_ROOT)/$(INCLUDEDIR)/hearth'
	@install -m 644 $(ARCHIVE) '$(INSTALL_ROOT)/$(LIBDIR)'
	@install -m 644 $(SHARED).$(SOVERSION) '$(INSTALL_ROOT)/$(LIBDIR)'
	@ln -sf libhearth.so.$(SOVERSION) '$(INSTALL_ROOT)/$(LIBDIR)/libhearth.so'
	@install -m 755 $(PROGRAMS) '$(INSTALL_ROOT)/$(BINDIR)'
	@$(fill) packaging/hearth.pc.in >'$(INSTALL_ROOT)/$(LIBDIR)/pkgconfig/hearth.pc'
	@for part in Config ConfigVersion; do \
	    $(fill) packaging/hearth$$part.cmake.in >'$(INSTALL_ROOT)/$(CMAKE_DIR)'/hearth$$part.cmake; done
	@for page in $(MAN_PAGES); do \
	    install -m 644 $$page '$(INSTALL_ROOT)/$(MANDIR)'/man$${page##*.}; done

uninstall: ## remove what `install` with the same variables put there
	$(say) REMOVE '$(INSTALL_ROOT)'
	@cd '$(INSTALL_ROOT)' && rm -rf $(INCLUDEDIR)/hearth $(CMAKE_DIR) && \
	    rm -f $(INCLUDEDIR)/hearth.h $(INCLUDEDIR)/hearth.hpp $(LIBDIR)/libhearth.* $(LIBDIR)/pkgconfig/hearth.pc \
	    $(addprefix $(BINDIR)/,$(notdir $(PROGRAMS))) \
	    $(foreach page,$(MAN_PAGES),$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

dist: ## build/package/hearth-VERSION.tar.gz of what is committed
	$(say) TAR $(PACKAGED)/hearth-$(VERSION).tar.gz
	@mkdir -p $(PACKAGED)
	@git archive --format=tar.gz --prefix=hearth-$(VERSION)/ -o $(PACKAGED)/hearth-$(VERSION).tar.gz HEAD

deps-package: deps
	$(call need,$(NEEDED_PACKAGE))

deps-deb: deps
	$(call need,$(NEEDED_DEB))

# The package is made from the committed sources, as `dist` packs them; lintian must find no error.
deb: deps-deb dist ## Debian packages in build/package, checked by lintian
	@rm -rf $(PACKAGED)/hearth-$(VERSION) $(PACKAGED)/*.deb
	@tar -xzf $(PACKAGED)/hearth-$(VERSION).tar.gz -C $(PACKAGED)
	@cp -r packaging/debian $(PACKAGED)/hearth-$(VERSION)/debian
	$(say) DEB 'hearth $(VERSION)'
	@cd $(PACKAGED)/hearth-$(VERSION) && env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc -b \
	    >../dpkg.log 2>&1 || { tail -n 30 ../dpkg.log >&2; exit 1; }
	$(say) LINTIAN hearth
	@lintian --fail-on error --allow-root $(PACKAGED)/*.changes
	@ls $(PACKAGED)/*.deb

amalgamation: $(COMPLETE)/hearth.c ## hearth.c and hearth.h in build/package/amalgamation, for copying

$(COMPLETE)/hearth.c: packaging/amalgamate $(LIBRARY_SOURCES) $(wildcard $(LAYERS:%=%/*.h)) $(PUBLIC_HEADERS)
	$(say) JOIN $@
	@packaging/amalgamate $(@D) $(LIBRARY_SOURCES)

# ------------------------------------------------------------------------------------------- tests
check-install: all amalgamation deps-package ## out-of-tree programs against an installed copy and the amalgamation
	@packaging/check_install '$(COMPLETE)'

check-abi: $(SHARED) ## the exported functions are those of packaging/symbols
	$(say) ABI $<
	@nm -D --defined-only --format=posix $< | awk 'NF > 1 { print $$1 }' | sort >$(OBJ)/symbols
	@diff -u packaging/symbols $(OBJ)/symbols || \
	    { echo 'The ABI changed: if that is meant, make abi-update, and raise SOVERSION when a line went.' >&2; exit 1; }

abi-update: $(SHARED) ## write packaging/symbols anew
	@nm -D --defined-only --format=posix $< | awk 'NF > 1 { print $$1 }' | sort >packaging/symbols
