# bench/peers/heap.sh - what the scripts of the peers ask of their arguments; sourced, with workload and programs set.
#
# Sets live: bytes that live at most, as hearth's program calculates them; heap_x: the heap as a multiple of that. With
# --live or --help that program's answer is printed, and that is all.
live=$("$programs/$workload-hearth" --live "$@") || exit $?
case " $* " in *' --live '* | *' --help '*) echo "$live" && exit 0 ;; esac

heap_x=2 last=
for word; do
    case $last in --heap-x) heap_x=$word ;; esac
    case $word in --heap-x=*) heap_x=${word#*=} ;; esac
    last=$word
done
