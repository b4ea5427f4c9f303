#!/usr/bin/env python3
"""Makes the C++ table of kernel sources that generated code is printed from.

    embed_kernels.py --archive libft_kernels.a libft_mfcc.a --nm nm --src src
        --out table.cc

Which file defines a function and which functions it calls is read from the
compiled archives, so macros cannot hide it. Rows that only a device compiles
(`*_armdsp.c`, `*_helium.c`) define the function that their file is named after
and call what their text names. Layouts of ft_<op>_params are read from the
headers: int32_t and float members, arrays, and structs of them.
"""
import argparse
import pathlib
import re
import subprocess

DELIMITER = "ft_source"
DEVICE_ROWS = ("_armdsp.c", "_helium.c")
HOST_ONLY = {"FT_BFP_AVX512", "FT_REAL_IS_DOUBLE"}


def without_host_parts(text):
    """`text` as a device compiles it: without what only HOST_ONLY turns on."""
    out, stack = [], []  # of each open #if: does it keep lines? None: as before
    for line in text.splitlines(keepends=True):
        word = re.match(r"\s*#\s*(if\w*|else|endif)\b\s*(\w*)", line)
        if word and word.group(1).startswith("if"):
            ours = word.group(1) == "ifdef" and word.group(2) in HOST_ONLY
            stack.append(False if ours else None)
            if ours:
                continue
        elif word and stack and stack[-1] is not None:
            if word.group(1) == "else":
                stack[-1] = True
            else:
                stack.pop()
            continue
        elif word and word.group(1) == "endif":
            stack.pop()
        if False not in stack:
            out.append(line)
    return "".join(out)


def sources(src):
    """Path as in an #include -> text, of all that a device may need."""
    names = [p for p in sorted((src / "kernels").glob("*/*")) +
             [src / "kernels" / "kernel.h", src / "kernels" / "real.h",
              src / "base" / "philox.h", src / "base" / "half.h"]
             if p.name.endswith(("_c99.c", *DEVICE_ROWS)) or p.suffix == ".h"
             or p.parent.name in ("math", "mfcc") and p.suffix == ".c"]
    names = [p for p in names if not p.name.endswith("_tables.c")]
    names = [p for p in names if "avx512" not in p.name]
    host = re.compile(r"immintrin|hwy/|#include <c[a-z]+>|#include <algorithm>")
    texts = {str(p.relative_to(src)): without_host_parts(p.read_text())
             for p in names}
    return {path: text for path, text in texts.items() if not host.search(text)}


def symbols_of_archives(nm, archives, files):
    """File -> (functions that it defines, ft_ functions that it calls)."""
    by_name = {path.rsplit("/", 1)[1]: path for path in files
               if path.endswith(".c")}
    found, current = {}, None
    text = subprocess.run([nm, "-g", *archives], check=True, text=True,
                          capture_output=True).stdout
    for line in text.splitlines():
        member = re.match(r"(\S+?\.c)\.o(bj)?:$", line)
        if line.endswith(":"):
            current = by_name.get(member.group(1)) if member else None
            continue
        entry = re.match(r"\S*\s+([A-Za-z])\s+(ft_\w+)$", line)
        if current and entry:
            defines, calls = found.setdefault(current, (set(), set()))
            (calls if entry.group(1) == "U" else defines).add(entry.group(2))
    return found


def add_device_rows(files, found):
    known = {name for defines, _ in found.values() for name in defines}
    for path, text in files.items():
        if path.endswith(DEVICE_ROWS):
            own = "ft_" + path.rsplit("/", 1)[1][:-len(".c")]
            words = set(re.findall(r"\bft_\w+(?=\()", text))
            defines = {own} | {w for w in words if re.search(
                rf"^(?!static|\s)[\w *]+\b{w}\([^;]*?\)\s*{{", text, re.M)}
            found[path] = (defines, words & known)


def struct_members(body):
    """(type, name, array length or '1') of each member of a struct."""
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    members = []
    for declaration in filter(None, (d.strip() for d in body.split(";"))):
        kind, names = declaration.split(None, 1)
        for name in names.split(","):
            one = re.match(r"\s*(\w+)\s*(?:\[(\w+)\])?\s*$", name)
            if not one:
                return None
            members.append((kind, one.group(1), one.group(2) or "1"))
    return members


def layouts(files):
    """Type -> [(member, 'i' or 'f', count)], for all *_params."""
    structs, aliases, constants = {}, {}, {}
    for path, text in files.items():
        if not path.endswith(".h"):
            continue
        constants |= dict(re.findall(r"\b(FT_\w+)\s*=\s*(\d+)", text))
        for body, name in re.findall(r"typedef struct {([^{}]*)}\s*(\w+);",
                                     text):
            structs[name] = struct_members(body)
        aliases |= {new: old for old, new in re.findall(
            r"typedef (\w+_params) (\w+_params);", text)}

    def flat(name, prefix):
        out = []
        for kind, member, count in structs[aliases.get(name, name)]:
            count = int(constants.get(count, count))
            if kind in ("int32_t", "float"):
                out.append((prefix + member, "f" if kind == "float" else "i",
                            count))
            elif count == 1:
                out += flat(kind, f"{prefix}{member}.")
            else:
                for i in range(count):
                    out += flat(kind, f"{prefix}{member}[{i}].")
        return out

    return {name: flat(name, "") for name in sorted([*structs, *aliases])
            if name.endswith("_params")}


def cpp(files, found, types):
    # With its length: a compiler that counts gives up after a megabyte.
    quote = lambda text: (f'{{R"{DELIMITER}({text}){DELIMITER}", '
                          f'{len(text.encode())}}}')
    out = ['#include "codegen/kernel_sources.h"', "", "namespace ft::codegen {",
           "namespace {", ""]
    out += ["constexpr SourceFile kFiles[] = {"]
    for path, text in files.items():
        defines, calls = found.get(path, (set(), set()))
        out += [f'{{"{path}", {quote(text)},',
                f'"{" ".join(sorted(defines))}",',
                f'"{" ".join(sorted(calls - defines))}"}},']
    out += ["};", ""]
    for name, members in types.items():
        rows = ", ".join(f'{{"{m}", {str(k == "f").lower()}, {n}}}'
                         for m, k, n in members)
        out += [f"constexpr ParamMember k_{name}[] = {{{rows}}};"]
    out += ["", "constexpr ParamType kTypes[] = {",
            *(f'{{"{name}", k_{name}}},' for name in types), "};", "",
            "}  // namespace", "",
            "std::span<const SourceFile> kernel_sources() { return kFiles; }",
            "std::span<const ParamType> param_types() { return kTypes; }", "",
            "}  // namespace ft::codegen", ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", required=True, nargs="+")
    for name in ("nm", "src", "out"):
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    files = sources(pathlib.Path(args.src))
    found = symbols_of_archives(args.nm, args.archive, files)
    add_device_rows(files, found)
    pathlib.Path(args.out).write_text(cpp(files, found, layouts(files)))


if __name__ == "__main__":
    main()
