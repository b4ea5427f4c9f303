#!/usr/bin/env python3
"""Fails on files above 700 lines and functions above 100; warns above 500, 60.

Functions are found by counting braces in C and C++ sources whose comments and
strings are blanked out, which is exact enough for code that clang-format wrote.
Kernels may have functions up to 100 lines without a word. Tables are exempt
when tools/sizes_allow.txt names them ("path  reason").
Usage: tools/check_sizes.py [ROOT]
"""
import pathlib
import re
import sys

FILE_WARN, FILE_FAIL = 500, 700
FUNCTION_WARN, FUNCTION_FAIL = 60, 100
FOLDERS = ["src", "include", "runtime_mcu", "tests", "bench", "examples",
           "tools", "python"]
C_LIKE = {".h", ".c", ".cc"}

BLANKED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'"
    r"|^[ \t]*#(?:[^\n\\]|\\.)*", re.DOTALL | re.MULTILINE)
# What stands before the "{" of something that is not a function.
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()]*$")


def blank(source):
    """The source with comments, strings and preprocessor lines emptied."""
    return BLANKED.sub(lambda m: "\n" * m.group().count("\n"), source)


def functions(source):
    """Yields (name, first line, lines) of every function definition."""
    text = blank(source)
    head_start, line, depth, opened = 0, 1, 0, None
    for at, char in enumerate(text):
        if char == "\n":
            line += 1
        elif opened is not None:  # inside a body: only its end matters
            depth += (char == "{") - (char == "}")
            if depth == 0:
                name, first = opened
                if name:
                    yield name, first, line - first + 1
                opened, head_start = None, at + 1
        elif char == "{":
            head = text[head_start:at].strip()
            if not SCOPE.search(head):
                call = re.search(r"([\w:~]+|operator\S+)\s*\(", head)
                is_function = call and not head.endswith("=")
                first = line - head.count("\n")
                opened, depth = (call.group(1) if is_function else "",
                                 first), 1
            head_start = at + 1
        elif char in ";}":
            head_start = at + 1


def check_file(path, text):
    """Yields (is failure, sentence) for one file."""
    lines = text.count("\n")
    if lines > FILE_WARN:
        limit = FILE_FAIL if lines > FILE_FAIL else FILE_WARN
        yield lines > FILE_FAIL, f"{path}: {lines} lines, above {limit}"
    if path.suffix not in C_LIKE:
        return
    is_kernel = path.parts[:2] == ("src", "kernels")
    warn = FUNCTION_FAIL if is_kernel else FUNCTION_WARN
    for name, first, length in functions(text):
        if length > warn:
            limit = FUNCTION_FAIL if length > FUNCTION_FAIL else warn
            yield (length > FUNCTION_FAIL,
                   f"{path}:{first}: {name} has {length} lines, above {limit}")


def main(root):
    allow_file = root / "tools/sizes_allow.txt"
    allowed = set()
    if allow_file.exists():
        allowed = {line.split()[0] for line in allow_file.read_text().split("\n")
                   if line.strip() and not line.startswith("#")}
    failed = False
    for path in sorted(p for f in FOLDERS for p in root.glob(f + "/**/*")):
        name = path.relative_to(root)
        if path.suffix not in C_LIKE | {".py"} or str(name) in allowed:
            continue
        for is_failure, sentence in check_file(name, path.read_text()):
            print(("error: " if is_failure else "warning: ") + sentence)
            failed |= is_failure
    return failed


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(*sys.argv[1:2])))
