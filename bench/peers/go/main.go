// main.go - runs one workload on Go's runtime as bench/driver.h does on the C systems.
//
// The command line and the line of JSON are those of the C programs. A pass of a tenth of the work warms
// the runtime up and is not measured. The heap is held to --heap-x by GOGC: Go has no fixed heap. CPU
// seconds are of the whole process, its collector included.
//
// Invariant: every goroutine runs its own copy of the work, on at most as many processors as there are.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type worker struct {
	index                 int
	scale, size           float64
	variant               string
	allocations, checksum uint64
	ops                   uint64
	latency               *latency
	share                 *pass
}

// A pass over the work by all workers.
type pass struct {
	meeting     sync.WaitGroup
	meetings    [4]sync.WaitGroup
	cpu, wall   [2]float64
	collections [2]uint32
	marked      bool
}

type workload struct {
	run      func(*worker)
	variants []string
	warmUp   float64 // size of the pass that warms up
}

var workloads = map[string]workload{
	"gcbench":      {runGcbench, nil, 1},
	"binary-trees": {runBinaryTrees, nil, 1},
	"old-young":    {runOldYoung, []string{"array", "hash"}, 1},
	"cache":        {runCache, nil, 0.1},
	"mark":         {runMark, []string{"random", "list", "tree", "shuffled", "array"}, 0.02},
}

func fail(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "go: "+format+"\n", arguments...)
	os.Exit(1)
}

func (w *worker) sized(usual float64) int {
	if count := usual * w.size; count >= 1 {
		return int(count + 0.5)
	}
	return 1
}

func (w *worker) scaled(usual float64) uint64 {
	if count := usual * w.scale; count >= 1 {
		return uint64(count + 0.5)
	}
	return 1
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	of := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)*1e-6 }
	return of(usage.Utime) + of(usage.Stime)
}

func (p *pass) clocks(which int) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	p.cpu[which], p.wall[which] = cpuSeconds(), float64(time.Now().UnixNano())*1e-9
	p.collections[which] = stats.NumGC
}

// All workers meet; worker 0 looks at the clocks meanwhile. 0: begin, 1: end.
func (w *worker) mark(which int) {
	p := w.share
	p.meetings[2*which].Done()
	p.meetings[2*which].Wait()
	if w.index == 0 {
		p.clocks(which)
		p.marked = true
	}
	p.meetings[2*which+1].Done()
	p.meetings[2*which+1].Wait()
}

func runPass(run func(*worker), threads int, scale, size float64, variant string) (*pass, []*worker) {
	p := new(pass)
	for i := range p.meetings {
		p.meetings[i].Add(threads)
	}
	p.clocks(0)
	workers := make([]*worker, threads)
	var done sync.WaitGroup
	done.Add(threads)
	for i := range workers {
		workers[i] = &worker{index: i, scale: scale, size: size, variant: variant, share: p}
		go func(w *worker) {
			run(w)
			done.Done()
		}(workers[i])
	}
	done.Wait()
	if !p.marked {
		p.clocks(1)
	}
	return p, workers
}

func peakRss() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmHWM:") {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kib * 1024 / 1e6
		}
	}
	return 0
}

// The last 256 pauses of the measured part, sorted, in milliseconds.
func pauses(p *pass) []float64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	var result []float64
	for n := p.collections[0]; n < p.collections[1]; n++ {
		if p.collections[1]-n <= 256 {
			result = append(result, float64(stats.PauseNs[n%256])*1e-6)
		}
	}
	sort.Float64s(result)
	return result
}

func percentile(sorted []float64, percent float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(percent / 100 * float64(len(sorted)))
	if rank >= len(sorted) {
		rank = len(sorted) - 1
	}
	return sorted[rank]
}

func main() {
	begin := time.Now()
	threads, heapX, scale, size, variant := 1, 2.0, 1.0, 1.0, ""
	for i := 2; i < len(os.Args); i++ {
		option, value := os.Args[i], ""
		if option == "--json" || option == "--nodes" {
			continue
		}
		if equals := strings.IndexByte(option, '='); equals > 0 {
			option, value = option[:equals], option[equals+1:]
		} else if i++; i < len(os.Args) {
			value = os.Args[i]
		}
		number, _ := strconv.ParseFloat(value, 64)
		switch option {
		case "--threads":
			if threads = int(number); value == "all" {
				threads = runtime.NumCPU()
			}
		case "--heap-x":
			heapX = number
		case "--scale":
			scale = number
		case "--size":
			size = number
		case "--variant":
			variant = value
		default:
			fail("unknown argument '%s'", option)
		}
	}
	work, known := workloads[os.Args[1]]
	if !known {
		fail("no workload '%s'", os.Args[1])
	}
	if variant == "" && work.variants != nil {
		variant = work.variants[0]
	}
	debug.SetGCPercent(int((heapX-1)*100 + 0.5))
	runPass(work.run, threads, scale/10, size*work.warmUp, variant)
	runtime.GC()
	p, workers := runPass(work.run, threads, scale, size, variant)

	var allocations, checksum, ops uint64
	total := new(latency)
	for _, w := range workers {
		allocations += w.allocations
		checksum += w.checksum
		ops += w.ops
		if w.latency != nil {
			total.merge(w.latency)
		}
	}
	if ops == 0 {
		ops = allocations
	}
	live, _ := strconv.ParseFloat(os.Getenv("BENCH_LIVE"), 64)
	list := pauses(p)
	fmt.Printf("{\"workload\":\"%s\",\"system\":\"go\",\"threads\":%d,\"heap_x\":%g,"+
		"\"allocations\":%d,\"cpu_s\":%.4f,\"wall_s\":%.4f,\"peak_rss_mb\":%.2f,"+
		"\"collections\":%d,\"pause_p50_ms\":%.4f,\"pause_p99_ms\":%.4f,\"pause_max_ms\":%.4f,"+
		"\"checksum\":\"%016x\",\"live_mb\":%.3f,\"heap_mb\":%.3f,\"variant\":\"%s\","+
		"\"size\":%g,\"ops\":%d,\"work_cpu_s\":%.4f,\"work_wall_s\":%.4f,"+
		"\"latency_p50_us\":%.3f,\"latency_p99_us\":%.3f,\"latency_p999_us\":%.3f,"+
		"\"latency_max_us\":%.3f}\n",
		os.Args[1], threads, heapX, allocations, cpuSeconds(), time.Since(begin).Seconds(),
		peakRss(), p.collections[1]-p.collections[0], percentile(list, 50), percentile(list, 99),
		percentile(list, 100), checksum, live/1e6, live*heapX/1e6, variant, size, ops,
		p.cpu[1]-p.cpu[0], p.wall[1]-p.wall[0], total.us(50), total.us(99), total.us(99.9),
		total.us(100))
}
