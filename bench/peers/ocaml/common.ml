(* common.ml - what the workloads share: random numbers, latencies and the clocks of the measured part.

   bench/random.h and bench/latency.h in OCaml, the same to the last bit. One thread only: OCaml 4 runs one
   at a time. A time is taken in microseconds: the runtime has no finer clock.

   Invariant: `work_begin` and `work_end` are called once each in a pass, or neither. *)

type worker = {
  scale : float;
  size : float;
  variant : string;
  mutable allocations : int;
  mutable checksum : int;
  mutable ops : int;
  mutable latency : latency option;
}

and latency = { count : int array; mutable longest : int }

let fail format = Printf.ksprintf (fun text -> prerr_endline ("ocaml: " ^ text); exit 1) format
let at_least_one count = if count < 1. then 1 else int_of_float (count +. 0.5)
let sized worker usual = at_least_one (usual *. worker.size)
let scaled worker usual = at_least_one (usual *. worker.scale)

type random = { mutable state : int }

let seed () = { state = 88172645 }

let next random =
  let x = random.state in
  let x = x lxor ((x lsl 13) land 0xffffffff) in
  let x = x lxor (x lsr 17) in
  let x = x lxor ((x lsl 5) land 0xffffffff) in
  random.state <- x;
  x

let index random count = (next random * count) lsr 32
let steps = 32
let latency_new () = { count = Array.make (60 * steps) 0; longest = 0 }

let latency_add latency ns =
  let bucket =
    if ns < steps then ns
    else begin
      let shift = ref 0 in
      while ns lsr !shift >= 2 * steps do incr shift done;
      ((!shift + 1) * steps) + (ns lsr !shift) - steps
    end
  in
  latency.count.(bucket) <- latency.count.(bucket) + 1;
  if ns > latency.longest then latency.longest <- ns

let latency_us latency percent =
  let all = float_of_int (Array.fold_left ( + ) 0 latency.count) in
  let rec find i seen =
    if i = Array.length latency.count || percent >= 100. then latency.longest
    else begin
      let seen = seen + latency.count.(i) in
      if latency.count.(i) > 0 && float_of_int seen > percent /. 100. *. all then
        min latency.longest
          (if i < steps then i + 1 else ((i mod steps) + steps + 1) lsl ((i / steps) - 1))
      else find (i + 1) seen
    end
  in
  float_of_int (find 0 0) *. 1e-3

let cpu = [| 0.; 0. |]
let wall = [| 0.; 0. |]
let marked = ref false

let clocks which =
  cpu.(which) <- Sys.time ();
  wall.(which) <- Unix.gettimeofday ();
  marked := which = 1

let work_begin () = clocks 0
let work_end () = clocks 1
