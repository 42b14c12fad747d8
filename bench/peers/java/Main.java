/* Main.java - runs one workload on the Java virtual machine as bench/driver.h does on the C systems.
 *
 * The command line and the line of JSON are those of the C programs. A pass of half the work warms the
 * machine up and is not measured: what is reported is the steady state. The collector and the size of
 * the heap are the virtual machine's options; bench/peers/java.sh sets them, and -Dbench.live, what is
 * live at most, and -Dbench.log, the collector's log, from which pauses are read.
 *
 * CPU seconds are of the whole process, its compiler and collector included, in steps of 10 ms.
 *
 * Invariant: every thread runs its own copy of the work; thread 0 is the main thread. */
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CyclicBarrier;

final class Main {
    static int threads = 1;
    static double heapX = 2, scale = 1, size = 1;
    static String variant = "";

    private static CyclicBarrier barrier;
    private static final long[] cpu = new long[2], wall = new long[2], uptime = new long[2];
    private static boolean marked;

    private static final OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    static void fail(String message) {
        System.err.println("java: " + message);
        System.err.flush();
        Runtime.getRuntime().halt(1);
    }

    private static Workload workload(String name) {
        switch (name) {
        case "gcbench": return new GcBench(false);
        case "gcbench-holes": return new GcBench(true);
        case "binary-trees": return new BinaryTrees();
        case "old-young": return new OldYoung();
        case "lru": return new Lru();
        case "cache": return new Cache();
        case "quads": return new Quads();
        case "splay": return new Splay();
        case "mark": return new Mark();
        default: fail("no workload '" + name + "'"); return null;
        }
    }

    private static void parse(String[] args) {
        for (int i = 1; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            String option = equals > 0 ? args[i].substring(0, equals) : args[i];
            if (option.equals("--json") || option.equals("--nodes"))
                continue;
            String value = equals > 0 ? args[i].substring(equals + 1) : args[++i];
            switch (option) {
            case "--threads":
                threads = value.equals("all") ? Runtime.getRuntime().availableProcessors()
                                              : Integer.parseInt(value);
                break;
            case "--heap-x": heapX = Double.parseDouble(value); break;
            case "--scale": scale = Double.parseDouble(value); break;
            case "--size": size = Double.parseDouble(value); break;
            case "--variant": variant = value; break;
            default: fail("unknown argument '" + option + "'");
            }
        }
    }

    /* All threads meet; thread 0 looks at the clocks meanwhile. 0: begin, 1: end. */
    static void mark(Worker worker, int which) {
        try {
            barrier.await();
            if (worker.index == 0)
                clocks(which);
            barrier.await();
        } catch (Exception e) {
            fail("a barrier is broken: " + e);
        }
    }

    private static void clocks(int which) {
        cpu[which] = system.getProcessCpuTime();
        wall[which] = System.nanoTime();
        uptime[which] = ManagementFactory.getRuntimeMXBean().getUptime();
        marked = which == 1;
    }

    private static Worker[] pass(Workload workload, double scale, double size) throws Exception {
        Worker[] workers = new Worker[threads];
        Thread[] others = new Thread[threads];
        barrier = new CyclicBarrier(threads);
        for (int i = 0; i < threads; i++)
            workers[i] = new Worker(i, scale, size, variant);
        for (int i = 1; i < threads; i++) {
            final Worker worker = workers[i];
            others[i] = new Thread(() -> workload.run(worker));
            others[i].setUncaughtExceptionHandler((thread, error) -> fail("no memory: " + error));
            others[i].start();
        }
        workload.run(workers[0]);
        for (int i = 1; i < threads; i++)
            others[i].join();
        return workers;
    }

    private static double peakRssMb() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status")))
            if (line.startsWith("VmHWM:"))
                return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024 / 1e6;
        return 0;
    }

    /* Milliseconds of each pause between begin and end. The log has lines as
     * [1234ms] GC(3) Pause Young (Allocation Failure) 12M->3M(24M) 1.234ms */
    private static List<Double> pauses() throws IOException {
        List<Double> result = new ArrayList<>();
        String log = System.getProperty("bench.log");
        if (log == null)
            return result;
        for (String line : Files.readAllLines(Path.of(log))) {
            if (!line.contains(") Pause ") || !line.endsWith("ms"))
                continue;
            long at = Long.parseLong(line.substring(1, line.indexOf("ms]")));
            if (at >= uptime[0] && at <= uptime[1])
                result.add(Double.parseDouble(
                    line.substring(line.lastIndexOf(' ') + 1, line.length() - 2)));
        }
        Collections.sort(result);
        return result;
    }

    private static double percentile(List<Double> sorted, double percent) {
        if (sorted.isEmpty())
            return 0;
        int rank = (int) (percent / 100 * sorted.size());
        return sorted.get(Math.min(rank, sorted.size() - 1));
    }

    public static void main(String[] args) throws Exception {
        parse(args);
        Workload workload = workload(args[0]);
        if (variant.isEmpty())
            variant = workload.firstVariant();
        Worker[] workers = null;
        try {
            pass(workload, scale / 2, size * workload.warmUpSize());
            System.gc();
            clocks(0);
            workers = pass(workload, scale, size);
        } catch (OutOfMemoryError e) {
            fail("no memory: " + e.getMessage());
        }
        if (!marked)
            clocks(1);
        print(args[0], workers);
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void print(String name, Worker[] workers) throws IOException {
        long allocations = 0, checksum = 0, ops = 0;
        Latency latency = new Latency();
        for (Worker worker : workers) {
            allocations += worker.allocations;
            checksum += worker.checksum;
            ops += worker.ops;
            if (worker.latency != null)
                latency.merge(worker.latency);
        }
        List<Double> pauses = pauses();
        double live = Double.parseDouble(System.getProperty("bench.live", "0"));
        double seconds = (cpu[1] - cpu[0]) * 1e-9, passed = (wall[1] - wall[0]) * 1e-9;
        System.out.println(String.format(Locale.ROOT,
            "{\"workload\":\"%s\",\"system\":\"%s\",\"threads\":%d,\"heap_x\":%s,"
            + "\"allocations\":%d,\"cpu_s\":%.4f,\"wall_s\":%.4f,\"peak_rss_mb\":%.2f,"
            + "\"collections\":%d,\"pause_p50_ms\":%.4f,\"pause_p99_ms\":%.4f,"
            + "\"pause_max_ms\":%.4f,\"checksum\":\"%016x\",\"live_mb\":%.3f,"
            + "\"heap_mb\":%.3f,\"variant\":\"%s\",\"size\":%s,\"ops\":%d,"
            + "\"work_cpu_s\":%.4f,\"work_wall_s\":%.4f,\"latency_p50_us\":%.3f,"
            + "\"latency_p99_us\":%.3f,\"latency_p999_us\":%.3f,\"latency_max_us\":%.3f}",
            name, System.getProperty("bench.system", "java"), threads, number(heapX), allocations,
            system.getProcessCpuTime() * 1e-9,
            ManagementFactory.getRuntimeMXBean().getUptime() * 1e-3, peakRssMb(), pauses.size(),
            percentile(pauses, 50), percentile(pauses, 99), percentile(pauses, 100), checksum,
            live / 1e6, live * heapX / 1e6, variant, number(size), ops == 0 ? allocations : ops,
            seconds, passed, latency.us(50), latency.us(99), latency.us(99.9), latency.us(100)));
    }

    private static String number(double value) {
        String text = String.format(Locale.ROOT, "%.6f", value).replaceAll("0+$", "");
        return text.endsWith(".") ? text.substring(0, text.length() - 1) : text;
    }
}
