/* Quads.java - bench/quads.c in Java.
 *
 * Invariant: a node's height is as it was built, and it has four children or none. */
final class Quads extends Workload {
    private static final int LONG_TREES = 16, LONG_DEPTH = 7, SHORT_DEPTH = 3;
    private static final int SHORT_TREES = 500000;

    private static final class Quad {
        Quad a, b, c, d;
        final long height;

        Quad(int depth) {
            height = depth;
            if (depth == 0)
                return;
            a = new Quad(depth - 1);
            b = new Quad(depth - 1);
            c = new Quad(depth - 1);
            d = new Quad(depth - 1);
        }
    }

    private static long quadSize(int depth) {
        return ((1L << 2 * (depth + 1)) - 1) / 3;
    }

    private static long check(Quad quad, int depth) {
        if (quad.height != depth || (quad.a != null) != (depth > 0))
            Main.fail("a quad at height " + depth + " is damaged");
        if (depth == 0)
            return 1;
        return depth + 1 + check(quad.a, depth - 1) + check(quad.b, depth - 1)
            + check(quad.c, depth - 1) + check(quad.d, depth - 1);
    }

    private static long small(long count) {
        long sum = 0;
        for (long i = 0; i < count; i++)
            sum += check(new Quad(SHORT_DEPTH), SHORT_DEPTH);
        return sum;
    }

    void run(Worker worker) {
        Quad[] trees = new Quad[worker.sized(LONG_TREES)];
        long count = worker.scaled(SHORT_TREES);
        for (int i = 0; i < trees.length; i++)
            trees[i] = new Quad(LONG_DEPTH);
        Main.mark(worker, 0);
        worker.checksum = small(count);
        Main.mark(worker, 1);
        for (Quad tree : trees)
            worker.checksum += check(tree, LONG_DEPTH);
        worker.allocations = 1 + trees.length * quadSize(LONG_DEPTH) + count * quadSize(SHORT_DEPTH);
        worker.ops = count * quadSize(SHORT_DEPTH);
    }
}
