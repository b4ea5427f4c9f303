"""Pictures of the generated pages: points in a plane as an SVG file."""

import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 76, 150, 16, 54
# Okabe and Ito's, which stay apart for the common kinds of colour blindness.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
           "#5c6570", "#000000"]


class Axis:
    """Values to pixels; ticks at powers of ten, or at about six round values."""

    def __init__(self, values, start, end, log):
        self.start, self.end, self.log = start, end, log
        low, high = (self._inner(f(values)) for f in (min, max))
        room = 0.05 * ((high - low) or 1)
        self.low, self.high = low - room, high + room

    def _inner(self, value):
        return math.log10(value) if self.log else value

    def __call__(self, value):
        part = (self._inner(value) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        if self.log:
            return [10.0**p for p in range(math.ceil(self.low),
                                           math.floor(self.high) + 1)]  # fmt: skip
        rough = (self.high - self.low) / 6
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def scatter(path, series, x_title, y_title, log=False, diagonal=False, lines=False):
    """`series`: {name: [(x, y, what the pointer shows)]}. `diagonal`: where both
    are equal."""
    points = [p for group in series.values() for p in group]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    if diagonal:
        xs = ys = xs + ys
    x = Axis(xs, LEFT, WIDTH - RIGHT, log)
    y = Axis(ys, HEIGHT - BOTTOM, TOP, log)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']  # fmt: skip
    line = '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>'
    text = '<text x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="#444">{}</text>'
    for t in x.ticks():
        out += [line.format(x(t), TOP, x(t), HEIGHT - BOTTOM, "#e1e5ea"),
                text.format(x(t), HEIGHT - BOTTOM + 16, "middle", f"{t:g}")]
    for t in y.ticks():
        out += [line.format(LEFT, y(t), WIDTH - RIGHT, y(t), "#e1e5ea"),
                text.format(LEFT - 6, y(t) + 4, "end", f"{t:g}")]
    if diagonal:
        ends = min(xs), max(xs)
        out.append(line.format(x(ends[0]), y(ends[0]), x(ends[1]), y(ends[1]), "#888"))
    for i, (name, group) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        if lines:
            path_data = " ".join(f"{x(p[0]):.1f},{y(p[1]):.1f}" for p in group)
            out.append(f'<polyline points="{path_data}" fill="none" stroke="{colour}"/>')
        out += [f'<circle cx="{x(p[0]):.1f}" cy="{y(p[1]):.1f}" r="4" fill="{colour}" '
                f'fill-opacity="0.75"><title>{escape(p[2])}</title></circle>'
                for p in group]  # fmt: skip
        top = TOP + 14 + 18 * i
        out += [f'<circle cx="{WIDTH - RIGHT + 16}" cy="{top - 4}" r="4" '
                f'fill="{colour}"/>',
                text.format(WIDTH - RIGHT + 26, top, "start", escape(name))]
    out += [text.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "middle",
                        escape(x_title)),
            f'<text transform="translate(18 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)" '
            f'text-anchor="middle" fill="#444">{escape(y_title)}</text>', "</svg>"]
    path.write_text("\n".join(out) + "\n")
