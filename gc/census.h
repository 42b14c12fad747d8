/* gc/census.h - checking a census; see include/hearth/inspect.h. A census belongs to who took it. */
#ifndef HEARTH_GC_CENSUS_H
#define HEARTH_GC_CENSUS_H

#include "hearth/inspect.h"

hearth_status hg_census_check(const hearth_census *census);

#endif
