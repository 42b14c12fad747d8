/* GcBench.java - bench/gcbench.c in Java, with and without garbage between the nodes.
 *
 * Invariant: every node's i is 0 and its j its height. */
final class GcBench extends Workload {
    private static final int LONG_DEPTH = 16, MIN_DEPTH = 4, MAX_DEPTH = 16, COUNT_DEPTH = 18;
    private static final int ARRAY = 500000, REPEATS = 5, SAMPLE = 16;

    static final class Node {
        Node left, right;
        int i, j;
    }

    private final boolean holes;

    GcBench(boolean holes) {
        this.holes = holes;
    }

    void run(Worker worker) {
        (holes ? new Holes(worker) : new Copy(worker)).run();
    }

    static long treeSize(int depth) {
        return (2L << depth) - 1;
    }

    /* One thread's work. */
    private static class Copy {
        final Worker worker;

        Copy(Worker worker) {
            this.worker = worker;
        }

        void garbage() {
        }

        void report() {
        }

        void populate(int depth, Node node) {
            node.j = depth;
            if (depth <= 0)
                return;
            garbage();
            node.left = new Node();
            garbage();
            node.right = new Node();
            populate(depth - 1, node.left);
            populate(depth - 1, node.right);
        }

        Node makeTree(int depth) {
            if (depth <= 0)
                return new Node();
            Node left = makeTree(depth - 1), right = makeTree(depth - 1);
            garbage();
            Node node = new Node();
            node.left = left;
            node.right = right;
            node.j = depth;
            return node;
        }

        static long check(Node node, int depth) {
            if (node.i != 0 || node.j != depth || (node.left == null) != (depth == 0)
                || (node.right == null) != (depth == 0))
                Main.fail("a node at height " + depth + " is damaged");
            long sum = 1 + depth;
            if (depth > 0)
                sum += check(node.left, depth - 1) + check(node.right, depth - 1);
            return sum;
        }

        void temporary(int depth, long count) {
            for (long i = 0; i < 2 * count; i++) {
                Node node;
                if (i < count) {
                    node = new Node();
                    populate(depth, node);
                } else {
                    node = makeTree(depth);
                }
                if (i % SAMPLE == 0)
                    worker.checksum += check(node, depth);
            }
            worker.allocations += 2 * count * treeSize(depth);
        }

        void run() {
            Node root = new Node();
            populate(LONG_DEPTH, root);
            double[] array = new double[ARRAY];
            for (int i = 0; i < ARRAY / 2; i++)
                array[i] = 1.0 / (i + 1);
            worker.allocations = treeSize(LONG_DEPTH) + 1;
            double repeats = REPEATS * worker.scale;
            for (double done = 0; done < repeats; done += 1) {
                double share = repeats - done < 1 ? repeats - done : 1;
                for (int depth = MIN_DEPTH; depth <= MAX_DEPTH; depth += 2) {
                    double count = share * (2 * treeSize(COUNT_DEPTH) / treeSize(depth));
                    temporary(depth, count < 1 ? 1 : (long) (count + 0.5));
                }
            }
            worker.checksum += check(root, LONG_DEPTH) + array.length;
            for (int i = 0; i < ARRAY / 2; i++)
                if (array[i] != 1.0 / (i + 1))
                    Main.fail("the array is damaged at " + i);
            report();
        }
    }

    private static final class Holes extends Copy {
        private int turn;
        private long made, words;
        private long[] last; /* so that no buffer is optimised away */

        Holes(Worker worker) {
            super(worker);
        }

        void garbage() {
            int count = Garbage.words[turn++ % Garbage.SIZES];
            if (turn == Garbage.SIZES)
                turn = 0;
            if (count == 0)
                return;
            last = new long[count];
            made++;
            words += count;
        }

        void report() {
            if (last == null)
                Main.fail("no garbage was made");
            worker.allocations += made;
            worker.checksum += words;
        }
    }
}
