/* Worker.java - one thread's share of a run, and what the workloads have in common.
 *
 * Random numbers, latencies and small objects are those of bench/random.h, bench/latency.h,
 * bench/cell.h and bench/garbage.h, so that the work is the same to the last bit.
 *
 * Invariant: a worker and all it makes belong to one thread. */
abstract class Workload {
    abstract void run(Worker worker);

    /* The variant without --variant; "" if there is none. */
    String firstVariant() {
        return "";
    }

    /* Size of the pass that warms up, as a multiple of the measured one. */
    double warmUpSize() {
        return 1;
    }
}

final class Worker {
    final int index;
    final double scale, size;
    final String variant;
    long allocations, checksum, ops;
    Latency latency;

    Worker(int index, double scale, double size, String variant) {
        this.index = index;
        this.scale = scale;
        this.size = size;
        this.variant = variant;
    }

    int sized(double usual) {
        return (int) Math.max(1, (long) (usual * size + 0.5));
    }

    long scaled(double usual) {
        return Math.max(1, (long) (usual * scale + 0.5));
    }
}

final class Rand {
    private int state = 88172645;

    int next() {
        int x = state;
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        return state = x;
    }

    long nextUnsigned() {
        return next() & 0xffffffffL;
    }

    int index(int count) {
        return (int) (nextUnsigned() * count >>> 32);
    }
}

final class Latency {
    private static final int STEPS = 32;
    private final long[] count = new long[60 * STEPS];
    private long longest;

    void add(long ns) {
        int bucket = (int) ns;
        if (ns >= STEPS) {
            int shift = 58 - Long.numberOfLeadingZeros(ns);
            bucket = (shift + 1) * STEPS + (int) ((ns >>> shift) - STEPS);
        }
        count[bucket]++;
        longest = Math.max(longest, ns);
    }

    void merge(Latency from) {
        for (int i = 0; i < count.length; i++)
            count[i] += from.count[i];
        longest = Math.max(longest, from.longest);
    }

    double us(double percent) {
        long all = 0, seen = 0;
        for (long some : count)
            all += some;
        for (int i = 0; i < count.length && percent < 100; i++) {
            seen += count[i];
            if (count[i] > 0 && seen > percent / 100 * all) {
                long end = i < STEPS ? i + 1 : (long) (i % STEPS + STEPS + 1) << (i / STEPS - 1);
                return Math.min(end, longest) * 1e-3;
            }
        }
        return longest * 1e-3;
    }
}

final class Cell {
    Object link;
    long key, value;

    Cell(long key, long value) {
        this.key = key;
        this.value = value;
    }
}

final class Garbage {
    static final int SIZES = 256;
    static final int[] words = new int[SIZES];

    static {
        final double q = 0.86;
        for (int rank = 0; rank < SIZES; rank++) {
            double share = (rank + 0.5) / SIZES;
            int n = 0;
            for (double more = q; n < 36 && share < more; more *= q)
                n++;
            words[rank] = n;
        }
        long random = 88172645463325252L;
        for (int last = SIZES - 1; last > 0; last--) {
            random ^= random << 13;
            random ^= random >>> 7;
            random ^= random << 17;
            int other = (int) Long.remainderUnsigned(random, last + 1);
            int swap = words[last];
            words[last] = words[other];
            words[other] = swap;
        }
    }
}
