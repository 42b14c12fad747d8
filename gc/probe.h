/* gc/probe.h - static probes (USDT) for bpftrace, perf and SystemTap: provider `hearth`.
 *
 * A probe is one nop and a note in the file that says where it is and where its arguments are; the kernel puts a
 * breakpoint there while somebody looks. Compiled in where <sys/sdt.h> is (Debian: systemtap-sdt-dev), unless
 * HEARTH_NO_PROBES is defined. No state, no locks. The list is in docs/observability.md. */
#ifndef HEARTH_GC_PROBE_H
#define HEARTH_GC_PROBE_H

#if !defined(HEARTH_NO_PROBES) && __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define HG_PROBES                         1
#define HG_PROBE1(name, a)                DTRACE_PROBE1(hearth, name, a)
#define HG_PROBE2(name, a, b)             DTRACE_PROBE2(hearth, name, a, b)
#define HG_PROBE3(name, a, b, c)          DTRACE_PROBE3(hearth, name, a, b, c)
#define HG_PROBE4(name, a, b, c, d)       DTRACE_PROBE4(hearth, name, a, b, c, d)
#define HG_PROBE5(name, a, b, c, d, e)    DTRACE_PROBE5(hearth, name, a, b, c, d, e)
#define HG_PROBE6(name, a, b, c, d, e, f) DTRACE_PROBE6(hearth, name, a, b, c, d, e, f)
#else
#define HG_PROBES                         0
#define HG_PROBE1(name, a)                ((void)0)
#define HG_PROBE2(name, a, b)             ((void)0)
#define HG_PROBE3(name, a, b, c)          ((void)0)
#define HG_PROBE4(name, a, b, c, d)       ((void)0)
#define HG_PROBE5(name, a, b, c, d, e)    ((void)0)
#define HG_PROBE6(name, a, b, c, d, e, f) ((void)0)
#endif

#endif
