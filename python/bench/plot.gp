# python/bench/plot.gp - CPU time of hearth's collector relative to the built-in's, a bar for each workload; the red
# marks are what was to be reached. Variables: data, picture.
set terminal svg size 900,760 font "sans,11" background rgb "white"
set output picture
set title "Python collections: hearth relative to the built-in (CPU time; less is better)"
stats data using 2 nooutput
n = STATS_records
set yrange [n - 0.4:-0.6]
set xrange [0:1.3]
set xlabel "1.0 = CPython's own collector"
set grid xtics
set style fill solid 0.85 border -1
set lmargin 36
set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb "black" dt 2
set key outside bottom center horizontal
plot data using (0):0:(0):2:($0 - 0.35):($0 + 0.35):ytic(1) with boxxyerror lc rgb "#4477aa" title "hearth", \
     data using 3:0 with points pt 5 ps 0.6 lc rgb "#cc3311" title "to be reached"
