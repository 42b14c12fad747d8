/* Splay.java - bench/splay.c in Java.
 *
 * Invariant: keys are in order, and every payload says its node's key in each leaf. */
final class Splay extends Workload {
    private static final int NODES = 8000, DEPTH = 5, MODIFICATIONS = 300000, NUMBERS = 10;
    private static final int STRING_BYTES = 40, PAYLOAD_OBJECTS = 31 + 3 * 32;

    private static final class Pair {
        Object left, right;
        long key;
    }

    private static final class Node {
        Node left, right;
        Pair payload;
        long key;
    }

    private static Pair payload(int depth, long key, byte[] text) {
        Object left, right;
        if (depth == 0) {
            double[] numbers = new double[NUMBERS];
            for (int i = 0; i < NUMBERS; i++)
                numbers[i] = i;
            byte[] string = new byte[STRING_BYTES];
            System.arraycopy(text, 0, string, 0, text.length);
            left = numbers;
            right = string;
        } else {
            left = payload(depth - 1, key, text);
            right = payload(depth - 1, key, text);
        }
        Pair pair = new Pair();
        pair.left = left;
        pair.right = right;
        pair.key = key;
        return pair;
    }

    private static byte[] text(long key) {
        return String.format("String for key %08x in leaf node", key).getBytes();
    }

    private static void check(Pair pair, int depth, long key, byte[] text) {
        if (pair.key != key)
            Main.fail("the payload of key " + key + " is damaged");
        if (depth > 0) {
            check((Pair) pair.left, depth - 1, key, text);
            check((Pair) pair.right, depth - 1, key, text);
            return;
        }
        byte[] string = (byte[]) pair.right;
        if (((double[]) pair.left)[NUMBERS - 1] != NUMBERS - 1)
            Main.fail("a leaf of key " + key + " is damaged");
        for (int i = 0; i < text.length; i++)
            if (string[i] != text[i])
                Main.fail("a leaf of key " + key + " is damaged");
    }

    /* One thread's tree. */
    private static final class Tree {
        Node root;
        final Node dummy = new Node();
        final Rand random = new Rand();

        Node splay(Node t, long key) {
            Node left = dummy, right = dummy, y;
            while (key != t.key) {
                if (key < t.key) {
                    if ((y = t.left) == null)
                        break;
                    if (key < y.key) {
                        t.left = y.right;
                        y.right = t;
                        t = y;
                        if (t.left == null)
                            break;
                    }
                    right.left = t;
                    right = t;
                    t = t.left;
                } else {
                    if ((y = t.right) == null)
                        break;
                    if (key > y.key) {
                        t.right = y.left;
                        y.left = t;
                        t = y;
                        if (t.right == null)
                            break;
                    }
                    left.right = t;
                    left = t;
                    t = t.right;
                }
            }
            left.right = t.left;
            right.left = t.right;
            t.left = dummy.right;
            t.right = dummy.left;
            dummy.left = null;
            dummy.right = null;
            return t;
        }

        boolean find(long key) {
            if (root == null)
                return false;
            root = splay(root, key);
            return root.key == key;
        }

        void insert(long key) {
            Node node = new Node();
            node.payload = payload(DEPTH, key, hex(key));
            node.key = key;
            if (root != null) {
                root = splay(root, key);
                if (key > root.key) {
                    node.left = root;
                    node.right = root.right;
                    root.right = null;
                } else {
                    node.right = root;
                    node.left = root.left;
                    root.left = null;
                }
            }
            root = node;
        }

        /* As text(), without the formatter, which is slow. */
        byte[] hex(long key) {
            byte[] bytes = template.clone();
            for (int i = 0; i < 8; i++)
                bytes[22 - i] = (byte) "0123456789abcdef".charAt((int) (key >> 4 * i & 15));
            return bytes;
        }

        final byte[] template = text(0);

        long insertNew() {
            long key;
            do
                key = random.nextUnsigned();
            while (find(key));
            insert(key);
            return key;
        }

        void modify() {
            long key = insertNew();
            find(key);
            Node below = root.left;
            while (below != null && below.right != null)
                below = below.right;
            find(below != null ? below.key : key);
            Node old = root;
            if (old.left == null) {
                root = old.right;
            } else {
                root = splay(old.left, old.key);
                root.right = old.right;
            }
        }

        long finish(int nodes) {
            long sum = 0, least = 0;
            int count = 0;
            for (Node node = root; node != null;) {
                if (node.left != null) {
                    Node left = node.left;
                    node.left = left.right;
                    left.right = node;
                    node = left;
                    continue;
                }
                if (node.key <= least)
                    Main.fail("the splay tree is out of order at key " + node.key);
                least = node.key;
                check(node.payload, DEPTH, node.key, text(node.key));
                sum += node.key;
                count++;
                node = node.right;
            }
            if (count != nodes)
                Main.fail("the splay tree has " + count + " nodes");
            return sum;
        }
    }

    void run(Worker worker) {
        int nodes = worker.sized(NODES);
        long modifications = worker.scaled(MODIFICATIONS);
        Tree tree = new Tree();
        for (int i = 0; i < nodes; i++)
            tree.insertNew();
        Main.mark(worker, 0);
        for (long i = 0; i < modifications; i++)
            tree.modify();
        Main.mark(worker, 1);
        worker.checksum = tree.finish(nodes);
        worker.allocations = 1 + (nodes + modifications) * (PAYLOAD_OBJECTS + 1);
        worker.ops = modifications * (PAYLOAD_OBJECTS + 1);
    }
}
