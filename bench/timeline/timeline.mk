# docs/timeline.png: one collection of examples/watched on four nodes, as option trace=FILE writes it and draw.py
# draws it: `make timeline-docs`. Included by bench.mk; tested by bench-check and the suite `timeline`.
NEEDED_TIMELINE := cmd:python3=python3 cmd:rsvg-convert=librsvg2-bin

.PHONY: deps-timeline timeline-docs

deps-timeline: deps
	$(call need,$(NEEDED_TIMELINE))

timeline-docs: guest-kernel $(OUT)/examples/watched | deps-timeline ## draw docs/timeline.png: a collection in a guest of four nodes
	@$(GUEST) --machine 4ring --out build/timeline --file $(OUT)/examples/watched -- sh -c \
	    'HEARTH_OPTIONS=heap-limit=320m,trace=$$OUT/timeline.json $(OUT)/examples/watched 8'
	@python3 bench/timeline/draw.py --output docs/timeline.png build/timeline/timeline.json
