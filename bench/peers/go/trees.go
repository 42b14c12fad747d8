// trees.go - bench/gcbench.c and bench/binary-trees.c in Go.
//
// Invariant: in GCBench every node's i is 0 and its j its height; in binary-trees every tree's nodes are
// counted.
package main

func populate(depth int, n *node) {
	n.j = int32(depth)
	if depth <= 0 {
		return
	}
	n.left = new(node)
	n.right = new(node)
	populate(depth-1, n.left)
	populate(depth-1, n.right)
}

func makeTree(depth int) *node {
	if depth <= 0 {
		return new(node)
	}
	left, right := makeTree(depth-1), makeTree(depth-1)
	return &node{left: left, right: right, j: int32(depth)}
}

func checkTree(n *node, depth int) uint64 {
	if n.i != 0 || n.j != int32(depth) || (n.left == nil) != (depth == 0) ||
		(n.right == nil) != (depth == 0) {
		fail("a node at height %d is damaged", depth)
	}
	sum := uint64(1 + depth)
	if depth > 0 {
		sum += checkTree(n.left, depth-1) + checkTree(n.right, depth-1)
	}
	return sum
}

func runGcbench(w *worker) {
	const longDepth, minDepth, maxDepth, countDepth, array, repeats, sample = 16, 4, 16, 18, 500000, 5, 16
	root := new(node)
	populate(longDepth, root)
	numbers := make([]float64, array)
	for i := 0; i < array/2; i++ {
		numbers[i] = 1 / float64(i+1)
	}
	w.allocations = treeSize(longDepth) + 1
	for left := repeats * w.scale; left > 0; left -= 1 {
		share := left
		if share > 1 {
			share = 1
		}
		for depth := minDepth; depth <= maxDepth; depth += 2 {
			count := atLeastOne(share * float64(2*treeSize(countDepth)/treeSize(depth)))
			for i := uint64(0); i < 2*count; i++ {
				var n *node
				if i < count {
					n = new(node)
					populate(depth, n)
				} else {
					n = makeTree(depth)
				}
				if i%sample == 0 {
					w.checksum += checkTree(n, depth)
				}
			}
			w.allocations += 2 * count * treeSize(depth)
		}
	}
	w.checksum += checkTree(root, longDepth) + uint64(len(numbers))
	for i := 0; i < array/2; i++ {
		if numbers[i] != 1/float64(i+1) {
			fail("the array is damaged at %d", i)
		}
	}
}

func plainTree(depth int) *node {
	if depth <= 0 {
		return new(node)
	}
	left, right := plainTree(depth-1), plainTree(depth-1)
	return &node{left: left, right: right}
}

func countTree(n *node) uint64 {
	if n.left == nil {
		return 1
	}
	return 1 + countTree(n.left) + countTree(n.right)
}

func checkCount(n *node, depth int) uint64 {
	count := countTree(n)
	if count != treeSize(depth) {
		fail("a tree of depth %d has %d nodes", depth, count)
	}
	return count
}

func runBinaryTrees(w *worker) {
	const depth, minDepth = 18, 4
	temporary := func(d int, count uint64) {
		for i := uint64(0); i < count; i++ {
			w.checksum += checkCount(plainTree(d), d)
		}
		w.allocations += count * treeSize(d)
	}
	temporary(depth+1, 1)
	root := plainTree(depth)
	w.allocations += treeSize(depth)
	for d := minDepth; d <= depth; d += 2 {
		temporary(d, atLeastOne(w.scale*float64(uint64(1)<<uint(depth-d+minDepth))))
	}
	w.checksum += checkCount(root, depth)
}
