// common.go - random numbers, latencies and small objects: bench/random.h, bench/latency.h and
// bench/cell.h in Go, the same to the last bit.
//
// Invariant: the values belong to one goroutine each.
package main

import "math/bits"

type random uint32

const seed random = 88172645

func (r *random) next() uint32 {
	x := uint32(*r)
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	*r = random(x)
	return x
}

func (r *random) index(count int) int {
	return int(uint64(r.next()) * uint64(count) >> 32)
}

const steps = 32

type latency struct {
	count   [60 * steps]uint64
	longest uint64
}

func (l *latency) add(ns uint64) {
	bucket := int(ns)
	if ns >= steps {
		shift := 58 - bits.LeadingZeros64(ns)
		bucket = (shift+1)*steps + int(ns>>uint(shift)) - steps
	}
	l.count[bucket]++
	if ns > l.longest {
		l.longest = ns
	}
}

func (l *latency) merge(from *latency) {
	for i, count := range from.count {
		l.count[i] += count
	}
	if from.longest > l.longest {
		l.longest = from.longest
	}
}

func (l *latency) us(percent float64) float64 {
	var all, seen uint64
	for _, count := range l.count {
		all += count
	}
	for i := 0; i < len(l.count) && percent < 100; i++ {
		seen += l.count[i]
		if l.count[i] > 0 && float64(seen) > percent/100*float64(all) {
			end := uint64(i + 1)
			if i >= steps {
				end = uint64(i%steps+steps+1) << uint(i/steps-1)
			}
			if end > l.longest {
				end = l.longest
			}
			return float64(end) * 1e-3
		}
	}
	return float64(l.longest) * 1e-3
}

type node struct {
	left, right *node
	i, j        int32
}

func treeSize(depth int) uint64 {
	return 2<<uint(depth) - 1
}

func atLeastOne(count float64) uint64 {
	if count < 1 {
		return 1
	}
	return uint64(count + 0.5)
}
