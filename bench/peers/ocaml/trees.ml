(* trees.ml - bench/gcbench.c and bench/binary-trees.c in OCaml.

   Invariant: in GCBench every node's i is 0 and its j its height; in binary-trees every tree's nodes are
   counted. *)

open Common

type node = Nil | Node of { mutable left : node; mutable right : node; i : int; mutable j : int }

let tree_size depth = (2 lsl depth) - 1
let leaf () = Node { left = Nil; right = Nil; i = 0; j = 0 }

let rec populate depth = function
  | Nil -> ()
  | Node node ->
      node.j <- depth;
      if depth > 0 then begin
        node.left <- leaf ();
        node.right <- leaf ();
        populate (depth - 1) node.left;
        populate (depth - 1) node.right
      end

let rec make depth =
  if depth <= 0 then leaf ()
  else begin
    let left = make (depth - 1) in
    let right = make (depth - 1) in
    Node { left; right; i = 0; j = depth }
  end

let rec check depth = function
  | Nil -> fail "a node at height %d is missing" depth
  | Node node ->
      if node.i <> 0 || node.j <> depth || node.left == Nil <> (depth = 0)
         || node.right == Nil <> (depth = 0)
      then fail "a node at height %d is damaged" depth
      else if depth = 0 then 1
      else 1 + depth + check (depth - 1) node.left + check (depth - 1) node.right

let gcbench worker =
  let long_depth = 16 and max_depth = 16 and count_depth = 18 and length = 500000 in
  let root = leaf () in
  populate long_depth root;
  let numbers = Array.make length 0. in
  for i = 0 to (length / 2) - 1 do numbers.(i) <- 1. /. float_of_int (i + 1) done;
  worker.allocations <- tree_size long_depth + 1;
  let temporary depth count =
    for i = 0 to (2 * count) - 1 do
      let node =
        if i < count then begin
          let node = leaf () in
          populate depth node;
          node
        end
        else make depth
      in
      if i mod 16 = 0 then worker.checksum <- worker.checksum + check depth node
    done;
    worker.allocations <- worker.allocations + (2 * count * tree_size depth)
  in
  let rec repeat left =
    if left > 0. then begin
      let share = min left 1. in
      for half = 2 to max_depth / 2 do
        let depth = 2 * half in
        temporary depth
          (at_least_one (share *. float_of_int (2 * tree_size count_depth / tree_size depth)))
      done;
      repeat (left -. 1.)
    end
  in
  repeat (5. *. worker.scale);
  for i = 0 to (length / 2) - 1 do
    if numbers.(i) <> 1. /. float_of_int (i + 1) then fail "the array is damaged at %d" i
  done;
  worker.checksum <- worker.checksum + check long_depth root + Array.length numbers

(* Of binary-trees: heights are not set. *)
let rec plain depth =
  if depth <= 0 then leaf ()
  else begin
    let left = plain (depth - 1) in
    let right = plain (depth - 1) in
    Node { left; right; i = 0; j = 0 }
  end

let rec count = function Nil -> 0 | Node { left; right; _ } -> 1 + count left + count right

let check_count depth node =
  let found = count node in
  if found <> tree_size depth then fail "a tree of depth %d has %d nodes" depth found else found

let binary_trees worker =
  let top = 18 in
  let temporary depth trees =
    for _ = 1 to trees do worker.checksum <- worker.checksum + check_count depth (plain depth) done;
    worker.allocations <- worker.allocations + (trees * tree_size depth)
  in
  temporary (top + 1) 1;
  let root = plain top in
  worker.allocations <- worker.allocations + tree_size top;
  for half = 2 to top / 2 do
    let depth = 2 * half in
    temporary depth (at_least_one (worker.scale *. float_of_int (1 lsl (top - depth + 4))))
  done;
  worker.checksum <- worker.checksum + check_count top root
