(* tables.ml - bench/old-young.c and bench/cache.c in OCaml. A blob is a sequence of bytes.

   Invariant: slot i, or the entry of key i, always has a cell whose key is i; an entry of the cache has a
   blob whose bytes are all the low byte of its key. *)

open Common

type cell = { link : unit; key : int; value : int }
type entry = None_left | Entry of { next : entry; mutable cell : cell; entry_key : int }

let bucket_of key bits = ((key * 1327217885) land 0x7fffffff) lsr (31 - bits)
let fresh key value = { link = (); key; value }

let check cell key =
  if cell.key <> key then fail "the cell of key %d is damaged" key else cell.value

let old_young_array worker entries updates =
  let array = Array.init entries (fun i -> fresh i 0) in
  work_begin ();
  let random = seed () in
  for u = 1 to updates do
    let i = index random entries in
    array.(i) <- fresh i u
  done;
  work_end ();
  Array.iteri (fun i cell -> worker.checksum <- worker.checksum + check cell i) array

let rec find key = function
  | None_left -> fail "key %d is missing" key
  | Entry entry as found -> if entry.entry_key = key then found else find key entry.next

let old_young_hash worker entries updates =
  let rec bits_for bits = if 1 lsl bits < entries then bits_for (bits + 1) else bits in
  let bits = bits_for 1 in
  let buckets = Array.make (1 lsl bits) None_left in
  for i = 0 to entries - 1 do
    let b = bucket_of i bits in
    buckets.(b) <- Entry { next = buckets.(b); cell = fresh i 0; entry_key = i }
  done;
  work_begin ();
  let random = seed () in
  for u = 1 to updates do
    let key = index random entries in
    let cell = fresh key u in
    match find key buckets.(bucket_of key bits) with
    | Entry entry -> entry.cell <- cell
    | None_left -> ()
  done;
  work_end ();
  let found = ref 0 in
  let rec sum = function
    | None_left -> ()
    | Entry entry ->
        incr found;
        worker.checksum <- worker.checksum + check entry.cell entry.entry_key;
        sum entry.next
  in
  Array.iter sum buckets;
  if !found <> entries then fail "the hash table has %d entries" !found

let old_young worker =
  let entries = sized worker 1e6 and updates = scaled worker 1e7 in
  let hash = worker.variant = "hash" in
  (if hash then old_young_hash else old_young_array) worker entries updates;
  worker.allocations <- updates + (entries * if hash then 2 else 1) + 1;
  worker.ops <- updates

let step =
  [| 16; 16; 16; 16; 27; 44; 73; 121; 199; 329; 542; 893; 1473; 2428; 4004; 4096; 4096; 4096 |]

let ways =
  [| 1.; 16.; 120.; 560.; 1820.; 4368.; 8008.; 11440.; 12870.; 11440.; 8008.; 4368.; 1820.; 560.;
     120.; 16.; 1. |]

let ones = Array.init 65536 (fun bits ->
    let rec count bits = if bits = 0 then 0 else (bits land 1) + count (bits lsr 1) in
    count bits)

let blob_length random =
  let bits = next random in
  let i = ones.(bits land 0xffff) in
  step.(i) + (((step.(i + 1) - step.(i)) * (bits lsr 16)) lsr 16)

let cache_entries size =
  let sum = ref 0. in
  Array.iteri (fun i n ->
      sum := !sum +. (n /. 65536. *. float_of_int (step.(i) + step.(i + 1)) /. 2.)) ways;
  let entries = 200000000. *. size /. (8. +. 32. +. !sum +. 8. +. 8.) in
  if entries < 1. then 1 else int_of_float entries

type cached = { blob : Bytes.t; cached_key : int; length : int }

let entry_new cached_key length =
  { blob = Bytes.make length (Char.unsafe_chr (cached_key land 0xff)); cached_key; length }

let use { blob; cached_key; length } =
  let low = Char.unsafe_chr (cached_key land 0xff) in
  if Bytes.get blob 0 <> low || Bytes.get blob (length - 1) <> low || Bytes.length blob <> length
  then fail "the entry of key %d is damaged" cached_key
  else cached_key + length

let cache worker =
  let entries = cache_entries worker.size and requests = scaled worker 2e6 in
  let random = seed () and latency = latency_new () in
  worker.latency <- Some latency;
  let table = Array.make entries (entry_new 0 1) in
  for i = 0 to entries - 1 do table.(i) <- entry_new i (blob_length random) done;
  work_begin ();
  let sum = ref 0 and before = ref (Unix.gettimeofday ()) in
  for number = 0 to requests - 1 do
    let i = index random entries in
    sum := !sum + use table.(i);
    table.(i) <- entry_new (entries + number) (blob_length random);
    let now = Unix.gettimeofday () in
    latency_add latency (max 0 (int_of_float ((now -. !before) *. 1e9)));
    before := now
  done;
  work_end ();
  worker.checksum <- Array.fold_left (fun sum entry -> sum + use entry) !sum table;
  worker.allocations <- 1 + (2 * (entries + requests));
  worker.ops <- requests
