(* main.ml - runs one workload on OCaml's runtime as bench/driver.h does on the C systems.

   The command line and the line of JSON are those of the C programs; one thread only. A pass of a tenth of
   the work comes before and is not measured. The heap is held to --heap-x by space_overhead: OCaml has no
   fixed heap. It does not tell its pauses.

   Invariant: what is printed is of the measured pass, but for the peak of memory and cpu_s. *)

open Common

let workloads =
  [ ("gcbench", (Trees.gcbench, [], 1.));
    ("binary-trees", (Trees.binary_trees, [], 1.));
    ("old-young", (Tables.old_young, [ "array"; "hash" ], 1.));
    ("cache", (Tables.cache, [], 0.1));
    ("mark", (Marking.mark, [ "random"; "list"; "tree"; "shuffled"; "array" ], 0.02)) ]

let peak_rss () =
  let status = open_in "/proc/self/status" in
  let rec find () =
    match input_line status with
    | line -> (try Scanf.sscanf line "VmHWM: %f kB" (fun kib -> kib *. 1024. /. 1e6) with _ -> find ())
    | exception End_of_file -> 0.
  in
  let result = find () in
  close_in status;
  result

let collections () =
  let stat = Gc.quick_stat () in
  stat.Gc.minor_collections + stat.Gc.major_collections

let pass run scale size variant =
  let worker =
    { scale; size; variant; allocations = 0; checksum = 0; ops = 0; latency = None } in
  marked := false;
  clocks 0;
  run worker;
  if not !marked then clocks 1;
  worker

let () =
  let began = Unix.gettimeofday () in
  let heap_x = ref 2. and scale = ref 1. and size = ref 1. and variant = ref "" in
  let set option value =
    match option with
    | "--threads" -> if value <> "1" then fail "--threads: '%s', but OCaml 4 runs one" value
    | "--heap-x" -> heap_x := float_of_string value
    | "--scale" -> scale := float_of_string value
    | "--size" -> size := float_of_string value
    | "--variant" -> variant := value
    | _ -> fail "unknown argument '%s'" option
  in
  let rec parse = function
    | [] -> ()
    | ("--json" | "--nodes") :: rest -> parse rest
    | word :: rest when String.contains word '=' ->
        let at = String.index word '=' in
        set (String.sub word 0 at) (String.sub word (at + 1) (String.length word - at - 1));
        parse rest
    | word :: value :: rest -> set word value; parse rest
    | [ word ] -> fail "%s needs a value" word
  in
  let name, arguments =
    match Array.to_list Sys.argv with
    | _ :: name :: arguments -> (name, arguments)
    | _ -> fail "no workload"
  in
  parse arguments;
  let run, variants, warm_up =
    match List.assoc_opt name workloads with Some work -> work | None -> fail "no workload '%s'" name in
  if !variant = "" && variants <> [] then variant := List.hd variants;
  Gc.set { (Gc.get ()) with Gc.space_overhead = int_of_float ((!heap_x -. 1.) *. 100. +. 0.5) };
  ignore (pass run (!scale /. 10.) (!size *. warm_up) !variant);
  Gc.compact ();
  let before = collections () in
  let worker = pass run !scale !size !variant in
  let latency percent = match worker.latency with Some l -> latency_us l percent | None -> 0. in
  let live = try float_of_string (Sys.getenv "BENCH_LIVE") with Not_found -> 0. in
  Printf.printf
    "{\"workload\":\"%s\",\"system\":\"ocaml\",\"threads\":1,\"heap_x\":%g,\"allocations\":%d,\
     \"cpu_s\":%.4f,\"wall_s\":%.4f,\"peak_rss_mb\":%.2f,\"collections\":%d,\
     \"pause_p50_ms\":0.0,\"pause_p99_ms\":0.0,\"pause_max_ms\":0.0,\"checksum\":\"%016x\",\
     \"live_mb\":%.3f,\"heap_mb\":%.3f,\"variant\":\"%s\",\"size\":%g,\"ops\":%d,\
     \"work_cpu_s\":%.4f,\"work_wall_s\":%.4f,\"latency_p50_us\":%.3f,\"latency_p99_us\":%.3f,\
     \"latency_p999_us\":%.3f,\"latency_max_us\":%.3f}\n"
    name !heap_x worker.allocations (Sys.time ()) (Unix.gettimeofday () -. began) (peak_rss ())
    (collections () - before) worker.checksum (live /. 1e6) (live *. !heap_x /. 1e6) !variant !size
    (if worker.ops = 0 then worker.allocations else worker.ops)
    (cpu.(1) -. cpu.(0)) (wall.(1) -. wall.(0)) (latency 50.) (latency 99.) (latency 99.9)
    (latency 100.)
