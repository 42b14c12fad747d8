SYSTEM_LIBS = -lmimalloc
