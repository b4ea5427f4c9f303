#!/usr/bin/env python3
"""Fails when an #include of src/ or include/ points to the right.

The folders of src/ are layers (docs/decisions, ARCHITECTURE.md): a file may
include its own layer and those to the left, never a sibling or a layer above.
Usage: tools/check_layers.py [ROOT]
"""
import pathlib
import re
import sys

ORDER = [["base"], ["ir", "kernels"], ["ops"],
         ["autodiff", "methods", "quant", "passes", "formats"],
         ["plan"], ["exec", "codegen"], ["train"], ["api", "search", "serving"],
         ["service"], ["cli"]]
# Layers beside the row: what they may see, and who may see them.
MAY_INCLUDE = {"kernels": {"base"}, "adapters": {"base", "ir", "formats"},
               "exchange": {"base", "ir", "methods", "formats", "adapters"},
               "data": {"base", "kernels"}}
SEEN_BY = {"adapters": {"train", "api", "serving", "service", "cli"},
           "exchange": {"train", "api", "serving", "cli"},
           "data": {"train", "api", "cli"}}


def allowed():
    """layer -> the layers that it may include."""
    table, left = {}, set()
    for group in ORDER:
        for layer in group:
            table[layer] = {layer} | left
        left = left.union(group)
    for layer, sees in MAY_INCLUDE.items():
        table[layer] = {layer} | sees
    for layer, viewers in SEEN_BY.items():
        for viewer in viewers:
            table[viewer].add(layer)
    return table


def errors(root):
    table = allowed()
    for path in sorted([*root.glob("src/**/*"), *root.glob("include/**/*")]):
        if path.suffix not in {".h", ".c", ".cc"}:
            continue
        layer = path.relative_to(root).parts[1]
        if path.relative_to(root).parts[0] == "include":
            layer, may = "include", set()
        else:
            may = table.get(layer, set())
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*"([^"/]+)/', line)
            target = found.group(1) if found else None
            if target == ".." or (target in table and target not in may):
                where = f"{path.relative_to(root)}:{number}"
                yield f"{where}: {layer} may not include {target}/"


if __name__ == "__main__":
    problems = list(errors(pathlib.Path(*sys.argv[1:2])))
    print(*problems, sep="\n", end="\n" if problems else "")
    sys.exit(1 if problems else 0)
