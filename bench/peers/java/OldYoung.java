/* OldYoung.java - bench/old-young.c in Java.
 *
 * Invariant: slot i, or the entry of key i, always has a cell whose key is i. */
final class OldYoung extends Workload {
    private static final int ENTRIES = 1000000, UPDATES = 10000000;
    private static final long MULTIPLIER = 1327217885;

    private static final class Entry {
        final Entry next;
        Cell value;
        final long key;

        Entry(Entry next, Cell value, long key) {
            this.next = next;
            this.value = value;
            this.key = key;
        }
    }

    private static int bucketOf(long key, int bits) {
        return (int) ((key * MULTIPLIER & 0x7fffffffL) >> (31 - bits));
    }

    private static long check(Cell cell, long key) {
        if (cell.key != key || cell.link != null)
            Main.fail("the cell of key " + key + " is damaged");
        return cell.value;
    }

    private static void updateArray(Cell[] array, long updates) {
        Rand random = new Rand();
        for (long u = 1; u <= updates; u++) {
            int i = random.index(array.length);
            array[i] = new Cell(i, u);
        }
    }

    private static void runArray(Worker worker, int entries, long updates) {
        Cell[] array = new Cell[entries];
        for (int i = 0; i < entries; i++)
            array[i] = new Cell(i, 0);
        Main.mark(worker, 0);
        updateArray(array, updates);
        Main.mark(worker, 1);
        for (int i = 0; i < entries; i++)
            worker.checksum += check(array[i], i);
    }

    private static void updateHash(Entry[] buckets, int bits, int entries, long updates) {
        Rand random = new Rand();
        for (long u = 1; u <= updates; u++) {
            long key = random.index(entries);
            Cell cell = new Cell(key, u);
            Entry entry = buckets[bucketOf(key, bits)];
            while (entry.key != key)
                entry = entry.next;
            entry.value = cell;
        }
    }

    private static void runHash(Worker worker, int entries, long updates) {
        int bits = 1;
        while (1 << bits < entries)
            bits++;
        Entry[] buckets = new Entry[1 << bits];
        for (int i = 0; i < entries; i++) {
            int b = bucketOf(i, bits);
            buckets[b] = new Entry(buckets[b], new Cell(i, 0), i);
        }
        Main.mark(worker, 0);
        updateHash(buckets, bits, entries, updates);
        Main.mark(worker, 1);
        int count = 0;
        for (Entry bucket : buckets)
            for (Entry entry = bucket; entry != null; entry = entry.next, count++)
                worker.checksum += check(entry.value, entry.key);
        if (count != entries)
            Main.fail("the hash table has " + count + " entries");
    }

    String firstVariant() {
        return "array";
    }

    void run(Worker worker) {
        int entries = worker.sized(ENTRIES);
        long updates = worker.scaled(UPDATES);
        boolean hash = worker.variant.equals("hash");
        if (hash)
            runHash(worker, entries, updates);
        else
            runArray(worker, entries, updates);
        worker.allocations = updates + (long) entries * (hash ? 2 : 1) + 1;
        worker.ops = updates;
    }
}
