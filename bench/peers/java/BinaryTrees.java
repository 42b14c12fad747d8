/* BinaryTrees.java - bench/binary-trees.c in Java.
 *
 * Invariant: every tree's nodes are counted and compared with 2^(depth + 1) - 1. */
final class BinaryTrees extends Workload {
    private static final int DEPTH = 18, MIN_DEPTH = 4;

    private static GcBench.Node make(int depth) {
        GcBench.Node node;
        if (depth <= 0)
            return new GcBench.Node();
        GcBench.Node left = make(depth - 1), right = make(depth - 1);
        node = new GcBench.Node();
        node.left = left;
        node.right = right;
        return node;
    }

    private static long count(GcBench.Node node) {
        return node.left == null ? 1 : 1 + count(node.left) + count(node.right);
    }

    private static long check(GcBench.Node root, int depth) {
        long count = count(root);
        if (count != GcBench.treeSize(depth))
            Main.fail("a tree of depth " + depth + " has " + count + " nodes");
        return count;
    }

    private static void temporary(Worker worker, int depth, long count) {
        for (long i = 0; i < count; i++)
            worker.checksum += check(make(depth), depth);
        worker.allocations += count * GcBench.treeSize(depth);
    }

    void run(Worker worker) {
        temporary(worker, DEPTH + 1, 1);
        GcBench.Node root = make(DEPTH);
        worker.allocations += GcBench.treeSize(DEPTH);
        for (int depth = MIN_DEPTH; depth <= DEPTH; depth += 2) {
            double count = worker.scale * (1L << (DEPTH - depth + MIN_DEPTH));
            temporary(worker, depth, count < 1 ? 1 : (long) (count + 0.5));
        }
        worker.checksum += check(root, DEPTH);
    }
}
