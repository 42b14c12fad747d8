/* Cache.java - bench/cache.c in Java. A blob is an array of bytes.
 *
 * Invariant: an entry's blob has `value` bytes, all equal to the low byte of its key. */
import java.util.Arrays;

final class Cache extends Workload {
    private static final int LIVE_BYTES = 200000000, REQUESTS = 2000000, CELL_BYTES = 32;
    private static final int[] step = {16,  16,  16,  16,   27,   44,   73,   121,  199,
                                       329, 542, 893, 1473, 2428, 4004, 4096, 4096, 4096};
    private static final double[] ways = {1,     16,   120,  560,  1820, 4368, 8008, 11440, 12870,
                                          11440, 8008, 4368, 1820, 560,  120,  16,   1};

    private static int length(Rand random) {
        int bits = random.next(), i = Integer.bitCount(bits & 0xffff);
        return step[i] + (int) ((long) (step[i + 1] - step[i]) * (bits >>> 16) >> 16);
    }

    /* As in C, so that there are as many. */
    private static double entryBytes() {
        double sum = 0;
        for (int i = 0; i < ways.length; i++)
            sum += ways[i] / 65536 * (step[i] + step[i + 1]) / 2;
        return 8 + CELL_BYTES + sum + 8 + 8;
    }

    private static Cell entry(long key, int length) {
        byte[] blob = new byte[length];
        Arrays.fill(blob, (byte) key);
        Cell cell = new Cell(key, length);
        cell.link = blob;
        return cell;
    }

    private static long use(Cell cell) {
        byte[] blob = (byte[]) cell.link;
        if (blob[0] != (byte) cell.key || blob[(int) cell.value - 1] != blob[0]
            || blob.length != cell.value)
            Main.fail("the entry of key " + cell.key + " is damaged");
        return cell.key + cell.value;
    }

    private static long requests(Cell[] table, Rand random, long requests, Latency latency) {
        long sum = 0, before = System.nanoTime();
        for (long number = 0; number < requests; number++) {
            int i = random.index(table.length);
            sum += use(table[i]);
            table[i] = entry(table.length + number, length(random));
            long now = System.nanoTime();
            latency.add(now - before);
            before = now;
        }
        return sum;
    }

    void run(Worker worker) {
        int entries = (int) Math.max(1, LIVE_BYTES * worker.size / entryBytes());
        long requests = worker.scaled(REQUESTS);
        Rand random = new Rand();
        worker.latency = new Latency();
        Cell[] table = new Cell[entries];
        for (int i = 0; i < entries; i++)
            table[i] = entry(i, length(random));
        Main.mark(worker, 0);
        long sum = requests(table, random, requests, worker.latency);
        Main.mark(worker, 1);
        for (Cell cell : table)
            sum += use(cell);
        worker.checksum = sum;
        worker.allocations = 1 + 2 * (entries + requests);
        worker.ops = requests;
    }
}
