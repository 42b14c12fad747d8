/* tests/harness_tools.c - what tests ask the harness for: random numbers, repetitions, nodes, messages.
 *
 * Apart from the runner, so that programs with a main function of their own (tests/fuzz) have it too.
 * Invariant: the seed and the number of nodes are the same from the first test to the last; the seed is
 * chosen, and the nodes are asked for, before a thread or a child is started. No locks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness.h"
#include "topology/options.h"
#include "topology/topology.h"

static uint64_t seed; /* of this run */

uint64_t harness_seed(void)
{
    return seed;
}

uint64_t harness_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t harness_random_below(uint64_t *state, uint64_t bound)
{
    uint64_t biased = -bound % bound; /* 2^64 mod bound numbers too many */
    uint64_t number;
    do
        number = harness_random(state);
    while (number < biased);
    return number % bound;
}

uint64_t harness_scaled(uint64_t count)
{
    const char *divide = getenv("HARNESS_DIVIDE");
    uint64_t by = divide != NULL ? strtoull(divide, NULL, 10) : 1;
    uint64_t scaled = by > 1 ? count / by : count;
    return scaled > 0 ? scaled : 1;
}

/* Nodes of the machine itself, whatever a test pretends later. Asked for before the first test, so
 * that its children know it. */
static int machine_nodes(void)
{
    static int nodes;
    struct hearth_options options;
    struct hearth_topology *topology = NULL;

    if (nodes > 0)
        return nodes;
    if (ht_options_defaults(&options, false) != HEARTH_OK ||
        ht_topology_create(&topology, &options) != HEARTH_OK)
        return 1;
    nodes = topology->nodes;
    ht_topology_destroy(topology);
    return nodes;
}

int harness_nodes(int count)
{
    int nodes = machine_nodes();
    int wanted = (count + nodes - 1) / nodes * nodes;
    return wanted <= HT_MAX_NODES ? wanted : HT_MAX_NODES / nodes * nodes;
}

hearth_status harness_parse(hearth_options *options, const char *text)
{
    hearth_status status = hearth_options_parse(options, text);
    if (status == HEARTH_OK && strstr(text, "fake-nodes=") != NULL && options->fake_nodes > 0)
        options->fake_nodes = harness_nodes((int)options->fake_nodes);
    return status;
}

void harness_expect_error(const char *call, hearth_status expected, const char *text)
{
    const char *message = hearth_last_error();
    ck_assert_msg(hearth_last_status() == expected, "%s: last status %s, expected %s", call,
                  hearth_status_name(hearth_last_status()), hearth_status_name(expected));
    ck_assert_msg(message != NULL && message[0] != '\0', "%s: no error message", call);
    ck_assert_msg(text == NULL || strstr(message, text) != NULL,
                  "%s: the message \"%s\" does not contain \"%s\"", call, message, text);
}

/* SEED from the environment, else a random one, short enough to be typed. False if it does not
 * parse. */
bool harness_choose_seed(void)
{
    const char *text = getenv("SEED");
    if (text == NULL || text[0] == '\0') {
        uint32_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            random = (uint32_t)time(NULL) ^ ((uint32_t)getpid() << 16);
        seed = random;
        return true;
    }
    char *end;
    errno = 0;
    seed = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0' && text[0] != '-';
}
