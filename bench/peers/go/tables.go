// tables.go - bench/old-young.c and bench/cache.c in Go.
//
// Invariant: slot i, or the entry of key i, always has a cell whose key is i; an entry of the cache has a
// blob whose bytes are all the low byte of its key.
package main

import (
	"math/bits"
	"time"
)

type cell struct {
	link       []byte // cache: the blob. Go's slice has a length and a capacity: 24 bytes, not 8.
	key, value uint64
}

// The cell of old-young: 24 bytes, as in C.
type small struct {
	link       *small
	key, value uint64
}

type entry struct {
	next  *entry
	value *small
	key   uint64
}

func bucketOf(key uint64, size uint) uint64 {
	return key * 1327217885 & 0x7fffffff >> (31 - size)
}

func checkSmall(c *small, key uint64) uint64 {
	if c.key != key || c.link != nil {
		fail("the cell of key %d is damaged", key)
	}
	return c.value
}

func oldYoungArray(w *worker, entries int, updates uint64) {
	array := make([]*small, entries)
	for i := range array {
		array[i] = &small{key: uint64(i)}
	}
	w.mark(0)
	r := seed
	for u := uint64(1); u <= updates; u++ {
		i := r.index(entries)
		array[i] = &small{key: uint64(i), value: u}
	}
	w.mark(1)
	for i, c := range array {
		w.checksum += checkSmall(c, uint64(i))
	}
}

func oldYoungHash(w *worker, entries int, updates uint64) {
	size := uint(1)
	for 1<<size < entries {
		size++
	}
	buckets := make([]*entry, 1<<size)
	for i := 0; i < entries; i++ {
		b := bucketOf(uint64(i), size)
		buckets[b] = &entry{buckets[b], &small{key: uint64(i)}, uint64(i)}
	}
	w.mark(0)
	r := seed
	for u := uint64(1); u <= updates; u++ {
		key := uint64(r.index(entries))
		c := &small{key: key, value: u}
		e := buckets[bucketOf(key, size)]
		for e.key != key {
			e = e.next
		}
		e.value = c
	}
	w.mark(1)
	count := 0
	for _, e := range buckets {
		for ; e != nil; e = e.next {
			w.checksum += checkSmall(e.value, e.key)
			count++
		}
	}
	if count != entries {
		fail("the hash table has %d entries", count)
	}
}

func runOldYoung(w *worker) {
	entries, updates := w.sized(1000000), w.scaled(10000000)
	w.ops = updates
	if w.variant == "hash" {
		oldYoungHash(w, entries, updates)
		w.allocations = updates + 2*uint64(entries) + 1
	} else {
		oldYoungArray(w, entries, updates)
		w.allocations = updates + uint64(entries) + 1
	}
}

var step = [18]uint32{16, 16, 16, 16, 27, 44, 73, 121, 199, 329, 542, 893, 1473, 2428, 4004, 4096, 4096, 4096}
var ways = [17]float64{1, 16, 120, 560, 1820, 4368, 8008, 11440, 12870, 11440, 8008, 4368, 1820, 560, 120, 16, 1}

func blobLength(r *random) int {
	n := r.next()
	i := bits.OnesCount32(n & 0xffff)
	return int(step[i] + (step[i+1]-step[i])*(n>>16)>>16)
}

func cacheEntries(size float64) int {
	sum := 0.0
	for i := range ways {
		sum += ways[i] / 65536 * float64(step[i]+step[i+1]) / 2
	}
	if entries := 200000000 * size / (8 + 32 + sum + 8 + 8); entries >= 1 {
		return int(entries)
	}
	return 1
}

func newEntry(key uint64, length int) *cell {
	blob := make([]byte, length)
	for i := range blob {
		blob[i] = byte(key)
	}
	return &cell{blob, key, uint64(length)}
}

func use(c *cell) uint64 {
	if c.link[0] != byte(c.key) || c.link[c.value-1] != byte(c.key) || uint64(len(c.link)) != c.value {
		fail("the entry of key %d is damaged", c.key)
	}
	return c.key + c.value
}

func runCache(w *worker) {
	entries, requests, r := cacheEntries(w.size), w.scaled(2000000), seed
	w.latency = new(latency)
	table := make([]*cell, entries)
	for i := range table {
		table[i] = newEntry(uint64(i), blobLength(&r))
	}
	w.mark(0)
	before := time.Now()
	for n := uint64(0); n < requests; n++ {
		i := r.index(entries)
		w.checksum += use(table[i])
		table[i] = newEntry(uint64(entries)+n, blobLength(&r))
		now := time.Now()
		w.latency.add(uint64(now.Sub(before)))
		before = now
	}
	w.mark(1)
	for _, c := range table {
		w.checksum += use(c)
	}
	w.allocations = 1 + 2*(uint64(entries)+requests)
	w.ops = requests
}
