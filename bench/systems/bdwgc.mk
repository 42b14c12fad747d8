SYSTEM_CFLAGS = $(shell pkg-config --cflags bdw-gc)
SYSTEM_LIBS = $(shell pkg-config --libs bdw-gc)
