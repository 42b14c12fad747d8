/* bench/gcbench-holes.c - gcbench with pseudo-random-size garbage between the nodes.
 *
 * After the variant of GCBench that Whippet measures itself with: the garbage of many sizes leaves
 * holes of many sizes between the nodes that survive. The sizes are described at garbage_start in
 * gcbench.c. A program that frees by hand frees each buffer as soon as it is made.
 *
 * Invariant: as gcbench.c. */
#define WORKLOAD "gcbench-holes"
#define GARBAGE  1

#include "bench/gcbench.c"
