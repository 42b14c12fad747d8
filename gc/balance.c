/* gc/balance.c - MemBalancer's averages and its square root. See balance.h.
 *
 * The paper measures growth once a second. Here it is measured at collections, whose distance varies: a
 * stretch of t seconds counts as t seconds of the same growth would there, so the past fades by 0.95^t.
 * Computed without libm, which programs that link the archive would have to name. */
#include "gc/balance.h"

#include <emmintrin.h>

#define HG_FADE_LOG  0.051293294387550578 /* -ln 0.95 */
#define HG_FADE_FULL 0.5

enum { HG_LONGEST_S = 600 }; /* by then nothing of the past is left */

/* 1 - 0.95^t for 0 <= t: the series of 1 - e^-x for a small x, doubled up by 1 - (1 - y)^2. */
static double hg_fade(double t)
{
    double x = (t < HG_LONGEST_S ? t : HG_LONGEST_S) * HG_FADE_LOG;
    int doublings = 0;
    while (x > 0.01) {
        x /= 2;
        doublings++;
    }
    double y = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5))));
    while (doublings-- > 0)
        y *= 2 - y;
    return y;
}

static double hg_root(double square)
{
    __m128d value = _mm_set_sd(square);
    return _mm_cvtsd_f64(_mm_sqrt_sd(value, value));
}

void hg_balance_grown(struct hg_balance *balance, double bytes, double seconds)
{
    if (!(seconds > 0) || !(bytes >= 0))
        return;
    double now = hg_fade(seconds);
    balance->grown_bytes += (bytes / seconds - balance->grown_bytes) * now;
    balance->grown_s += (1 - balance->grown_s) * now;
}

void hg_balance_traced(struct hg_balance *balance, double bytes, double seconds)
{
    if (!(seconds > 0) || !(bytes >= 0))
        return;
    balance->traced_bytes += (bytes - balance->traced_bytes) * HG_FADE_FULL;
    balance->traced_s += (seconds - balance->traced_s) * HG_FADE_FULL;
}

double hg_balance_extra(const struct hg_balance *balance, double live, double c)
{
    if (!(balance->grown_s > 0) || !(balance->traced_bytes > 0) || !(c > 0))
        return -1;
    double g = balance->grown_bytes / balance->grown_s;
    double s = balance->traced_bytes / balance->traced_s;
    return hg_root(live * g / (s * c));
}

bool hg_balance_check(const struct hg_balance *balance)
{
    const double most = 1e30;
    return balance->grown_bytes >= 0 && balance->grown_bytes < most && balance->grown_s >= 0 &&
           balance->grown_s <= 1.000001 && balance->traced_bytes >= 0 &&
           balance->traced_bytes < most && balance->traced_s >= 0 && balance->traced_s < most;
}
