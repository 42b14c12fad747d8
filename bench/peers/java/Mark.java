/* Mark.java - bench/mark.c in Java: System.gc() on objects that do not change.
 *
 * SerialGC and ParallelGC compact then, which is more than marking.
 *
 * Invariant: an object's key is its number; what can be reached is walked afterwards. */
final class Mark extends Workload {
    private static final int OBJECTS = 20000000, COLLECTIONS = 5;

    private static final class Obj {
        Obj a, b;
        final long key;

        Obj(long key) {
            this.key = key;
        }
    }

    String firstVariant() {
        return "random";
    }

    double warmUpSize() {
        return 0.02; /* the collector is not compiled at run time */
    }

    private static Obj tree(Obj[] all, int from, int count) {
        Obj root = all[from];
        int left = (count - 1) / 2, right = count - 1 - left;
        if (left > 0)
            root.a = tree(all, from + 1, left);
        if (right > 0)
            root.b = tree(all, from + 1 + left, right);
        return root;
    }

    private static Obj graph(Obj[] all) {
        Rand random = new Rand();
        for (Obj object : all) {
            int a = random.index(all.length), b = random.index(all.length);
            object.a = all[a];
            object.b = all[b];
        }
        return all[0];
    }

    private static void shuffle(Obj[] all) {
        Rand random = new Rand();
        for (int i = all.length - 1; i > 0; i--) {
            int j = random.index(i + 1);
            Obj swap = all[i];
            all[i] = all[j];
            all[j] = swap;
        }
    }

    private static Object build(String variant, int count) {
        if (variant.equals("list")) {
            Obj list = null;
            for (int i = count; i-- > 0;) {
                Obj object = new Obj(i);
                object.a = list;
                list = object;
            }
            return list;
        }
        Obj[] all = new Obj[count];
        for (int i = 0; i < count; i++)
            all[i] = new Obj(i);
        if (variant.equals("shuffled"))
            shuffle(all);
        if (variant.equals("array"))
            return all;
        return variant.equals("tree") || variant.equals("shuffled") ? tree(all, 0, count)
                                                                    : graph(all);
    }

    /* Gives objects reached, then the sum of their keys. */
    private static long[] walk(Obj root, int count) {
        long[] seen = new long[count / 64 + 1];
        Obj[] stack = new Obj[count + 1];
        int depth = 0;
        long reached = 0, sum = 0;
        stack[depth++] = root;
        seen[(int) root.key >> 6] |= 1L << root.key;
        while (depth > 0) {
            Obj object = stack[--depth];
            reached++;
            sum += object.key;
            for (int i = 0; i < 2; i++) {
                Obj next = i == 0 ? object.a : object.b;
                if (next == null || (seen[(int) next.key >> 6] & 1L << next.key) != 0)
                    continue;
                seen[(int) next.key >> 6] |= 1L << next.key;
                stack[depth++] = next;
            }
        }
        return new long[] {reached, sum};
    }

    void run(Worker worker) {
        int count = worker.sized(OBJECTS);
        long collections = worker.scaled(COLLECTIONS);
        Object root = build(worker.variant, count);
        System.gc();
        worker.latency = new Latency();
        Main.mark(worker, 0);
        for (long i = 0; i < collections; i++) {
            long before = System.nanoTime();
            System.gc();
            worker.latency.add(System.nanoTime() - before);
        }
        Main.mark(worker, 1);
        long[] found = {count, (long) count * (count - 1) / 2};
        if (root instanceof Obj)
            found = walk((Obj) root, count);
        worker.checksum = found[0] + found[1];
        worker.allocations = count;
        worker.ops = found[0] * collections;
    }
}
