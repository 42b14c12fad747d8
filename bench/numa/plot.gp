# bench/numa/plot.gp - share of local accesses by mode and machine: one panel a workload. Variables: data, picture.
set terminal svg size 1000,640 font "sans,12" background rgb "white"
set output picture
set multiplot layout 2,2 title "Local accesses to object memory and metadata in full collections"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.85 border -1
set yrange [0:105]
set ylabel "% local"
set key outside bottom center horizontal
set grid ytics
machines = system("cut -d' ' -f1 ".data." | uniq | tr '\\n' ' '")
modes = "off interleave place local"
do for [work in "trees shared onebuilder cache"] {
    set title work
    pick(mode) = sprintf("< awk '$2 == \"%s\" && $3 == \"%s\"' %s", work, mode, data)
    plot for [mode in modes] pick(mode) using 4:xtic(1) title mode
}
unset multiplot
