"""Draws a recorded terminal session as PNG.

    script -qc 'build/release/fieldtune demo' session.txt
    tools/terminal_picture.py session.txt 'make demo' docs/pictures/demo.png

Needs chromium (Debian). Carriage returns and erase-to-end are obeyed; colours
are dropped.
"""

import html
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STYLE = """
body { margin: 0; background: #10151c; }
pre { margin: 0; padding: 22px 26px; color: #d7dee8;
      font: 15px/1.42 'DejaVu Sans Mono', monospace; }
.prompt { color: #7fd1a5; }
"""


def screen(text):
    """The lines that stay on the screen."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith(("Script started", "Script done")):
            continue
        shown = line.split("\r")[-1]
        lines.append(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).rstrip())
    return "\n".join(lines).strip("\n")


def main():
    session, command, picture = sys.argv[1:4]
    text = screen(Path(session).read_bytes().decode(errors="replace"))
    rows = text.count("\n") + 2
    columns = max(len(line) for line in text.split("\n"))
    page = (
        f"<style>{STYLE}</style><pre><span class=prompt>$</span> "
        f"{html.escape(command)}\n{html.escape(text)}</pre>"
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page)
        size = f"{int(columns * 9.05) + 60},{int(rows * 21.4) + 46}"
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars",
             f"--window-size={size}", f"--screenshot={picture}",
             source.as_uri()],
            check=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip


if __name__ == "__main__":
    main()
