"""Small pictures for the examples, as SVG without any library.

    picture = Picture(640, 240)
    picture.bars((20, 40, 280, 180), "accuracy", {"before": 0.4, "after": 0.9})
    picture.lines((330, 40, 290, 180), "load", {"measured": y, "forecast": z})
    picture.save("result.svg")

A box is (x, y, width, height) in pixels.
"""

import base64
import html
import struct
import zlib

INK, GREY = "#26323f", "#8793a1"
COLOURS = ["#9aa7b5", "#2b7bba", "#e08a2e", "#3c9d6b", "#b5487a"]


def png(pixels):
    """An 8-bit grey array [height, width] as PNG."""
    def chunk(kind, body):
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(
            ">I", zlib.crc32(checked))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.astype("uint8").tobytes() for row in pixels)
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


class Picture:
    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def text(self, x, y, what, size=12, colour=INK, anchor="start"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}">{html.escape(str(what))}</text>')

    def image(self, box, pixels):
        x, y, width, height = box
        data = base64.b64encode(png(pixels)).decode()
        self.parts.append(
            f'<image x="{x}" y="{y}" width="{width}" height="{height}" '
            f'style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{data}"/>')

    def bars(self, box, title, values, top=1.0, form="{:.3f}"):
        """One bar for each entry of a dictionary, from 0 to `top`."""
        x, y, width, height = box
        self.text(x, y - 10, title, 13)
        step = width / len(values)
        for i, (name, value) in enumerate(values.items()):
            tall = height * min(value / top, 1)
            left, base = x + i * step, y + height
            self.parts.append(
                f'<rect x="{left + 0.14 * step:.1f}" y="{base - tall:.1f}" '
                f'width="{0.72 * step:.1f}" height="{tall:.1f}" '
                f'fill="{COLOURS[min(i, 1)]}"/>')
            middle = left + step / 2
            self.text(middle, base - tall - 4, form.format(value), 12, INK,
                      "middle")
            self.text(middle, base + 15, name, 11, GREY, "middle")
        self._axis(x, y + height, width)

    def lines(self, box, title, curves, low=None, high=None, colours=COLOURS):
        """Curves by name, as values at equal distances."""
        x, y, width, height = box
        every = [v for curve in curves.values() for v in curve]
        low = min(every) if low is None else low
        high = max(every) if high is None else high
        self.text(x, y - 10, title, 13)
        legend = x
        for colour, (name, curve) in zip(colours, curves.items()):
            points = " ".join(
                f"{x + width * i / max(len(curve) - 1, 1):.1f},"
                f"{y + height * (1 - (v - low) / (high - low or 1)):.1f}"
                for i, v in enumerate(curve))
            self.parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" '
                f'stroke-width="1.4"/>')
            if name:
                self.text(legend, y + height + 15, name, 11, colour)
                legend += 8 * len(name) + 14
        self._axis(x, y + height, width)
        return low, high

    def _axis(self, x, y, width):
        self.parts.append(f'<path d="M{x} {y}h{width}" stroke="{GREY}"/>')

    def save(self, path):
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
            f'height="{self.height}" font-family="DejaVu Sans, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
            + "\n".join(self.parts) + "\n</svg>\n")
