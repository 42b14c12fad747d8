/* Lru.java - bench/lru.c in Java.
 *
 * Invariant: slot i always has a cell whose key is i. */
final class Lru extends Workload {
    private static final int ENTRIES = 1000000, REQUESTS = 3000000, BUFFERS = 9;

    private long[] last; /* of thread 0: so that no buffer is optimised away */

    private long requests(Cell[] array, long requests, Worker worker) {
        Rand random = new Rand();
        long words = 0;
        int turn = 0;
        for (long number = 1; number <= requests; number++) {
            for (int i = 0; i < BUFFERS; i++) {
                int count = Math.max(1, Garbage.words[turn]);
                turn = turn + 1 & Garbage.SIZES - 1;
                long[] buffer = new long[count];
                buffer[count - 1] = 1;
                if (worker.index == 0)
                    last = buffer;
                words += count;
            }
            int i = random.index(array.length);
            array[i] = new Cell(i, number);
        }
        return words;
    }

    void run(Worker worker) {
        Cell[] array = new Cell[worker.sized(ENTRIES)];
        long requests = worker.scaled(REQUESTS);
        for (int i = 0; i < array.length; i++)
            array[i] = new Cell(i, 0);
        Main.mark(worker, 0);
        worker.checksum = requests(array, requests, worker);
        Main.mark(worker, 1);
        for (int i = 0; i < array.length; i++) {
            if (array[i].key != i)
                Main.fail("entry " + i + " is damaged");
            worker.checksum += array[i].value;
        }
        if (worker.index == 0 && last[last.length - 1] != 1)
            Main.fail("the last buffer is damaged");
        worker.allocations = 1 + array.length + requests * (1 + BUFFERS);
        worker.ops = requests;
    }
}
