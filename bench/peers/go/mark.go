// mark.go - bench/mark.c in Go: runtime.GC() on objects that do not change.
//
// Invariant: an object's key is its number; what can be reached is walked afterwards.
package main

import (
	"runtime"
	"time"
)

type object struct {
	a, b *object
	key  uint64
	_    uint64 // Go has a size class of 24 bytes; the others spend 32
}

func linkTree(all []*object) *object {
	root, left := all[0], (len(all)-1)/2
	if left > 0 {
		root.a = linkTree(all[1 : 1+left])
	}
	if len(all) > 1+left {
		root.b = linkTree(all[1+left:])
	}
	return root
}

func linkGraph(all []*object) *object {
	r := seed
	for _, o := range all {
		a, b := r.index(len(all)), r.index(len(all))
		o.a, o.b = all[a], all[b]
	}
	return all[0]
}

func shuffle(all []*object) {
	r := seed
	for i := len(all) - 1; i > 0; i-- {
		j := r.index(i + 1)
		all[i], all[j] = all[j], all[i]
	}
}

// The root, or else the array.
func build(variant string, count int) (*object, []*object) {
	if variant == "list" {
		var list *object
		for i := count - 1; i >= 0; i-- {
			list = &object{a: list, key: uint64(i)}
		}
		return list, nil
	}
	all := make([]*object, count)
	for i := range all {
		all[i] = &object{key: uint64(i)}
	}
	switch variant {
	case "array":
		return nil, all
	case "random":
		return linkGraph(all), nil
	case "shuffled":
		shuffle(all)
	}
	return linkTree(all), nil
}

// Objects reached, and the sum of their keys.
func walk(root *object, count int) (reached, sum uint64) {
	seen := make([]bool, count)
	stack := make([]*object, 0, count+1)
	stack = append(stack, root)
	seen[root.key] = true
	for len(stack) > 0 {
		o := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		reached++
		sum += o.key
		for _, next := range [2]*object{o.a, o.b} {
			if next != nil && !seen[next.key] {
				seen[next.key] = true
				stack = append(stack, next)
			}
		}
	}
	return
}

func runMark(w *worker) {
	count, collections := w.sized(20000000), w.scaled(5)
	root, all := build(w.variant, count)
	runtime.GC()
	w.latency = new(latency)
	w.mark(0)
	for i := uint64(0); i < collections; i++ {
		before := time.Now()
		runtime.GC()
		w.latency.add(uint64(time.Since(before)))
	}
	w.mark(1)
	reached, sum := uint64(count), uint64(count)*uint64(count-1)/2
	if all == nil {
		reached, sum = walk(root, count)
	}
	runtime.KeepAlive(root)
	runtime.KeepAlive(all)
	w.checksum = reached + sum
	w.allocations = uint64(count)
	w.ops = reached * collections
}
