(* marking.ml - bench/mark.c in OCaml: Gc.major (), one mark and sweep, on objects that do not change.

   Invariant: an object's key is its number; what can be reached is walked afterwards. *)

open Common

type obj = Nothing | Obj of { mutable a : obj; mutable b : obj; key : int }

let obj key = Obj { a = Nothing; b = Nothing; key }
let set_a o to_ = match o with Obj o -> o.a <- to_ | Nothing -> ()
let set_b o to_ = match o with Obj o -> o.b <- to_ | Nothing -> ()

let rec link_tree all from count =
  let left = (count - 1) / 2 in
  if left > 0 then set_a all.(from) (link_tree all (from + 1) left);
  if count > 1 + left then
    set_b all.(from) (link_tree all (from + 1 + left) (count - 1 - left));
  all.(from)

let link_graph all =
  let random = seed () and count = Array.length all in
  Array.iter (fun o ->
      let a = index random count in
      let b = index random count in
      set_a o all.(a);
      set_b o all.(b)) all;
  all.(0)

let shuffle all =
  let random = seed () in
  for i = Array.length all - 1 downto 1 do
    let j = index random (i + 1) in
    let swap = all.(i) in
    all.(i) <- all.(j);
    all.(j) <- swap
  done

(* The root, and the array if that is the root. *)
let build variant count =
  if variant = "list" then begin
    let list = ref Nothing in
    for i = count - 1 downto 0 do list := Obj { a = !list; b = Nothing; key = i } done;
    (!list, [||])
  end
  else begin
    let all = Array.init count obj in
    if variant = "shuffled" then shuffle all;
    if variant = "array" then (Nothing, all)
    else if variant = "random" then (link_graph all, [||])
    else (link_tree all 0 count, [||])
  end

(* Objects reached, and the sum of their keys. *)
let walk root count =
  let seen = Bytes.make count '0' and reached = ref 0 and sum = ref 0 in
  let stack = Array.make (count + 1) Nothing and depth = ref 0 in
  let push = function
    | Obj { key; _ } as o when Bytes.get seen key = '0' ->
        Bytes.set seen key '1';
        stack.(!depth) <- o;
        incr depth
    | _ -> ()
  in
  push root;
  while !depth > 0 do
    decr depth;
    match stack.(!depth) with
    | Obj { a; b; key } ->
        incr reached;
        sum := !sum + key;
        push a;
        push b
    | Nothing -> ()
  done;
  (!reached, !sum)

let mark worker =
  let count = sized worker 2e7 and collections = scaled worker 5. in
  let root, all = build worker.variant count in
  Gc.full_major ();
  let latency = latency_new () in
  worker.latency <- Some latency;
  work_begin ();
  for _ = 1 to collections do
    let before = Unix.gettimeofday () in
    Gc.major ();
    latency_add latency (max 0 (int_of_float ((Unix.gettimeofday () -. before) *. 1e9)))
  done;
  work_end ();
  let reached, sum =
    if root == Nothing then (Array.length all, count * (count - 1) / 2) else walk root count
  in
  worker.checksum <- reached + sum;
  worker.allocations <- count;
  worker.ops <- reached * collections
