#!/usr/bin/env python3
"""draw.py - a picture of a part of a timeline, as trace=FILE writes it: SVG, or PNG with rsvg-convert.

    HEARTH_OPTIONS=trace=timeline.json PROGRAM
    python3 bench/timeline/draw.py --output timeline.png timeline.json

A row is a track, rows of a memory node stand together; slices are coloured by what was done, the band behind
them and the arrows, which are batches of references, by node. For looking around there are ui.perfetto.dev and
chrome://tracing; this is for documents, and for machines without a browser.

Invariant: slices, batches and spills of the window are drawn or counted in the words below the picture, none is
left out in silence; counters are not drawn. The input is judged before anything is written. Exit status: 0, 1 when something cannot be read or written
or is no timeline, 2 for wrong arguments.
"""
import argparse
import json
import math
import os
import subprocess
import sys
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, LEVEL, GAP = 1200, 165, 30, 64, 18, 6
NODE_COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#bcbd22", "#e377c2"]
SLICE_COLOURS = {
    "full collection": "#c9ced6", "minor collection": "#dfe5d0", "collects": "#d9cbaa", "stopping": "#e9a3a3",
    "stopped": "#e4e4e4", "verify": "#9a9a9a", "roots": "#5a9bd4", "trace": "#66b96a", "weak": "#b18ad6",
    "sweep": "#f0a35a", "pace": "#e3cf57"}
OTHER_COLOUR, SPILL_COLOUR = "#d070b0", "#d01010"


class Wrong(Exception):
    """The input is no timeline, or has not what is asked for."""


class Track:
    """Slices of one process and thread of the file, and where its row lies."""

    def __init__(self, process, number):
        self.process, self.number = process, number
        self.name = "track %s" % number
        self.slices = []  # (begin, end, name, level), by time
        self.spills = []  # when the thread got memory of another node than it wished
        self.y = 0

    def nest(self):
        """Give slices levels: one within another lies below it."""
        around, nested = [], []
        for begin, end, name in sorted(self.slices, key=lambda s: (s[0], -s[1])):
            while around and around[-1] <= begin:
                around.pop()
            nested.append((begin, end, name, len(around)))
            around.append(end)
        self.slices = nested

    def within(self, begin, end):
        return [s for s in self.slices if s[1] > begin and s[0] < end]

    def busy(self, begin, end):
        return self.within(begin, end) or any(begin <= s <= end for s in self.spills)

    def level_at(self, time):
        return max([s[3] for s in self.slices if s[0] <= time <= s[1]], default=0)


class Timeline:
    """What a file holds. Times are milliseconds from its first event."""

    def __init__(self, events):
        self.tracks, self.processes, self.order = {}, {}, {}
        self.batches, self.collections = {}, []
        times = [float(e["ts"]) for e in events if "ts" in e]
        if not times:
            raise Wrong("it has no events with a time")
        if not all(math.isfinite(t) for t in times):
            raise ValueError("a time is not finite")
        self.start = min(times)
        for event in events:
            self.take(event)
        for track in self.tracks.values():
            track.nest()
        self.end = max((s[1] for t in self.tracks.values() for s in t.slices), default=0.0)

    def track(self, event):
        key = int(event["pid"]), int(event["tid"])
        return self.tracks.setdefault(key, Track(*key))

    def time(self, event):
        return (float(event["ts"]) - self.start) / 1000

    def take(self, event):
        kind, name, process = event["ph"], str(event["name"]), int(event["pid"])
        if kind == "X":
            begin = self.time(event)
            end = begin + float(event["dur"]) / 1000
            if not begin <= end < math.inf:
                raise ValueError("a slice ends before it begins")
            self.track(event).slices.append((begin, end, name))
            if name.endswith(" collection"):
                self.collections.append((begin, end, name, event["args"]))
        elif kind in ("s", "f"):
            ends = self.batches.setdefault(event["id"], {"references": int(event["args"]["references"])})
            ends[kind] = self.track(event), self.time(event)
        elif kind == "i":
            self.track(event).spills.append(self.time(event))
        elif name == "thread_name":
            self.track(event).name = str(event["args"]["name"])
        elif name == "process_name":
            self.processes[process] = str(event["args"]["name"])
        elif name == "process_sort_index":
            self.order[process] = int(event["args"]["sort_index"])

    def collection(self, number=None):
        """That one, or the longest."""
        found = [c for c in self.collections if number is None or c[3].get("number") == number]
        if not found:
            raise Wrong("it has no collection" + (" %d" % number if number is not None else ""))
        return max(found, key=lambda c: c[1] - c[0])


def read(path):
    """The events; of a program that was killed the end of the file is missing."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().rstrip()
        if text.startswith("[") and not text.endswith("]"):
            text = text[:text.rindex("\n")] if not text.endswith(",") else text
            text = text.rstrip(",\n") + "]"
        return Timeline(json.loads(text))
    except OSError as error:
        raise Wrong("%s: %s" % (path, error.strerror)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Wrong("%s is no timeline: %s: %s" % (path, type(error).__name__, error)) from None
    except Wrong as error:
        raise Wrong("%s: %s" % (path, error)) from None


def ticks(length, most=12):
    """Steps of 1, 2 or 5 times a power of ten, at most so many; and how many decimals they need."""
    step = 10 ** math.floor(math.log10(length / most))
    step *= next(m for m in (1, 2, 5, 10) if length / (step * m) <= most)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [i * step for i in range(int(length / step + 1e-9) + 1)], decimals


class Picture:
    """The SVG of a window, element by element."""

    def __init__(self, timeline, begin, end, title, most):
        self.timeline, self.begin, self.end = timeline, begin, end
        self.title, self.most = title, most
        self.body, self.labels = [], []
        self.shown, self.rows = {}, set()  # of a name: how many slices, how long; tracks that have a row
        self.spills = 0

    def x(self, time):
        time = min(max(time, self.begin), self.end)
        return LEFT + (time - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT)

    def rectangle(self, x, y, width, height, colour, more=""):
        self.body.append('<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"%s/>'
                         % (x, y, width, height, colour, more))

    def text(self, x, y, words, more=""):
        self.labels.append('<text x="%.1f" y="%.1f"%s>%s</text>' % (x, y, more, escape(words)))

    def node_colour(self, process):
        return NODE_COLOURS[(process - 1) % len(NODE_COLOURS)]

    def slice(self, track, begin, end, name, level):
        x, right = self.x(begin), self.x(end)
        y = track.y + level * LEVEL
        self.rectangle(x, y, max(right - x, 0.7), LEVEL - 1, SLICE_COLOURS.get(name, OTHER_COLOUR),
                       ' class="slice"')
        if right - x > 6.2 * len(name) + 6:
            self.text(x + 3, y + 12, name, ' font-size="10" class="name"')
        count, length = self.shown.get(name, (0, 0.0))
        self.shown[name] = count + 1, length + min(end, self.end) - max(begin, self.begin)

    def row(self, track, y):
        """A track's row; returns where the next begins."""
        track.y = y
        slices = track.within(self.begin, self.end)
        height = (1 + max([s[3] for s in slices], default=0)) * LEVEL
        self.rectangle(LEFT, y - 2, WIDTH - LEFT - RIGHT, height + 3, self.node_colour(track.process),
                       ' fill-opacity="0.09"')
        self.text(LEFT - 8, y + 12, track.name, ' text-anchor="end"')
        for part in slices:
            self.slice(track, *part)
        for spill in [s for s in track.spills if self.begin <= s <= self.end]:
            self.rectangle(self.x(spill) - 1, y - 2, 2, LEVEL, SPILL_COLOUR, ' class="spill"')
            self.spills += 1
        self.rows.add(track)
        return y + height + GAP

    def nodes(self, y):
        """All rows, by node; threads above workers."""
        busy = [t for t in self.timeline.tracks.values() if t.busy(self.begin, self.end)]
        last, first = None, y
        for track in sorted(busy, key=lambda t: (self.timeline.order.get(t.process, 0), t.process, t.number)):
            if track.process != last:
                if last is not None:
                    self.rectangle(8, first, 4, y - first - GAP, self.node_colour(last))
                    y += 6
                last, first = track.process, y
                self.text(16, y + 12, self.timeline.processes.get(last, "process %d" % last).split(" (")[0],
                          ' font-weight="bold" fill="%s"' % self.node_colour(last))
            y = self.row(track, y)
        if last is not None:
            self.rectangle(8, first, 4, y - first - GAP, self.node_colour(last))
        return y, len(self.timeline.tracks) - len(busy)

    def batches(self):
        """Arrows; returns the words about them. Those with most references are drawn."""
        inside = [b for b in self.timeline.batches.values() if "s" in b and "f" in b and
                  self.begin <= b["s"][1] and b["f"][1] <= self.end]
        drawn = [b for b in inside if b["s"][0] in self.rows and b["f"][0] in self.rows]
        drawn = sorted(drawn, key=lambda b: -b["references"])[:self.most]
        for batch in drawn:
            (source, posted), (target, taken) = batch["s"], batch["f"]
            x, y = self.x(posted), source.y + (source.level_at(posted) + 0.5) * LEVEL
            to_x, to_y = self.x(taken), target.y + (target.level_at(taken) + 0.5) * LEVEL
            bend = max((to_x - x) / 2, 6)
            self.body.append(
                '<path class="batch" d="M%.2f,%.2f C%.2f,%.2f %.2f,%.2f %.2f,%.2f" stroke="%s" fill="none" '
                'stroke-opacity="0.75" stroke-width="0.8" marker-end="url(#tip%d)"/>'
                % (x, y, x + bend, y, to_x - bend, to_y, to_x, to_y, self.node_colour(source.process),
                   (source.process - 1) % len(NODE_COLOURS)))
        words = "%d batches with %d references" % (len(inside), sum(b["references"] for b in inside))
        if len(drawn) < len(inside):
            words += "; %d are drawn, those with most references" % len(drawn)
        return words

    def axis(self, bottom):
        steps, decimals = ticks(self.end - self.begin)
        for step in steps:
            x = self.x(self.begin + step)
            self.rectangle(x, TOP - 12, 0.6, bottom - TOP + 12, "#bbbbbb")
            self.text(x, TOP - 16, "%.*f ms" % (decimals, step), ' text-anchor="middle" fill="#555555"')

    def legend(self, y, words, empty):
        x = LEFT
        for name in sorted(self.shown, key=lambda n: list(SLICE_COLOURS).index(n) if n in SLICE_COLOURS else 99):
            count, length = self.shown[name]
            label = "%s: %d, %.*f ms" % (name, count, 1 if length >= 10 else 3, length)
            if x > LEFT and x + 6.4 * len(label) + 16 > WIDTH - RIGHT:
                x, y = LEFT, y + 17
            self.rectangle(x, y, 10, 10, SLICE_COLOURS.get(name, OTHER_COLOUR))
            self.text(x + 14, y + 9, label)
            x += 6.4 * len(label) + 30
        y += 17
        lines = ["of each kind: slices, and time together",
                 "arrows, in the colour of the node that sent: " + words]
        if self.spills:
            lines.append("red marks: %d times a block of memory came from another node than wished" % self.spills)
        if empty:
            lines.append("tracks with nothing in this time, not drawn: %d" % empty)
        for line in lines:
            self.text(LEFT, y + 9, line)
            y += 17
        return y + 7

    def svg(self):
        bottom, empty = self.nodes(TOP)
        rows, self.body = self.body, []
        self.axis(bottom)
        self.body += rows
        words = self.batches()
        self.text(8, 20, self.title, ' font-size="14"')
        height = self.legend(bottom + 8, words, empty)
        tips = "".join('<marker id="tip%d" markerWidth="6" markerHeight="6" refX="5" refY="2.5" orient="auto" '
                       'markerUnits="userSpaceOnUse"><path d="M0,0 L6,2.5 L0,5 z" fill="%s"/></marker>' % (i, c)
                       for i, c in enumerate(NODE_COLOURS))
        return "\n".join(
            ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">'
             % (WIDTH, height), "<defs>%s</defs>" % tips,
             '<rect width="100%" height="100%" fill="#fcfcfc"/>'] + self.body + self.labels + ["</svg>", ""])


def window(timeline, arguments):
    """Begin, end and title of what is to be drawn."""
    if arguments.begin is not None or arguments.end is not None:
        begin, end = arguments.begin or 0.0, timeline.end if arguments.end is None else arguments.end
        if not (math.isfinite(begin) and math.isfinite(end) and begin < end):
            raise Wrong("there is nothing between %g and %g ms" % (begin, end))
        return begin, end, "%g to %g ms of the timeline" % (begin, end)
    begin, end, name, args = timeline.collection(arguments.collection)
    title = "%s %s (%s): %.3f ms, at %.3f s of the timeline" % (
        name, args.get("number", "?"), args.get("reason", "?"), end - begin, begin / 1000)
    stops = [s[0] for t in timeline.tracks.values() for s in t.slices if s[2] == "collects" and s[0] <= begin < s[1]]
    begin = min(stops + [begin])
    margin = (end - begin) * 0.03 or 0.001
    return begin - margin, end + margin, title


def write(path, svg):
    try:
        if path is None:
            sys.stdout.write(svg)
        elif path.endswith(".png"):
            subprocess.run(["rsvg-convert", "--output", path], input=svg.encode(), check=True)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(svg)
    except FileNotFoundError as error:
        raise Wrong("%s: %s" % (path, "PNG needs rsvg-convert (Debian: librsvg2-bin)"
                                if error.filename == "rsvg-convert" else error.strerror)) from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise Wrong("%s: %s" % (path, getattr(error, "strerror", None) or "rsvg-convert failed")) from None


def main(words=None):
    parser = argparse.ArgumentParser(description="Draws a part of a timeline (option trace=FILE) as SVG or PNG.")
    parser.add_argument("trace", help="the file")
    parser.add_argument("--output", metavar="FILE", help="picture; without, SVG goes to standard output")
    parser.add_argument("--collection", type=int, metavar="N", help="the N-th collection (default: the longest)")
    parser.add_argument("--from", dest="begin", type=float, metavar="MS", help="instead: from this time ...")
    parser.add_argument("--to", dest="end", type=float, metavar="MS", help="... to this")
    parser.add_argument("--arrows", type=int, default=150, metavar="N", help="most arrows drawn (default 150)")
    arguments = parser.parse_args(words)
    try:
        timeline = read(arguments.trace)
        begin, end, title = window(timeline, arguments)
        write(arguments.output, Picture(timeline, begin, end, title, max(arguments.arrows, 0)).svg())
    except Wrong as error:
        print("draw.py: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
