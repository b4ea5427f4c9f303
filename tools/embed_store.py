#!/usr/bin/env python3
"""Makes the C++ table of the C files that keep a printed model's adapters in
flash: path in the printed folder and text, as codegen/store.cc writes them.

    embed_store.py --out table.cc flash/ft_flash.c=runtime_mcu/flash/ft_flash.c
"""
import argparse
import pathlib

DELIMITER = "ft_file"


def row(argument):
    path, _, source = argument.partition("=")
    text = pathlib.Path(source).read_text()
    # With its length: a compiler that counts gives up after a megabyte.
    return (f'{{"{path}", {{R"{DELIMITER}({text}){DELIMITER}", '
            f"{len(text.encode())}}}}},")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("files", nargs="+", metavar="PATH=FILE")
    args = parser.parse_args()
    lines = ['#include "codegen/store.h"', "", "namespace ft::codegen {",
             "namespace {", "", "constexpr StoreFile kFiles[] = {",
             *map(row, args.files), "};", "", "}  // namespace", "",
             "std::span<const StoreFile> store_files() { return kFiles; }", "",
             "}  // namespace ft::codegen", ""]
    pathlib.Path(args.out).write_text("\n".join(lines))


if __name__ == "__main__":
    main()
