"""The checks of tools/ accept this repository and refuse what they are for."""

import subprocess
import sys

import pytest


@pytest.fixture
def check(root):
    """check(script, folder) runs tools/<script> on a source tree."""

    def run(script, folder):
        return subprocess.run(
            [sys.executable, root / "tools" / script, folder],
            capture_output=True, text=True, check=False)

    return run


def write(folder, path, text):
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize("script", ["check_layers.py", "check_sizes.py",
                                    "check_no_float.py"])
def test_the_repository_passes(check, root, script):
    result = check(script, root)
    assert result.returncode == 0, result.stdout + result.stderr


def test_sizes_of_kernels_are_those_of_their_sources(root):
    done = subprocess.run([sys.executable, root / "tools" / "kernel_sizes.py",
                           "--check"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path, include, allowed", [
    ("src/ops/a.cc", "kernels/conv2d/conv2d.h", True),
    ("src/ops/a.cc", "ops/b.h", True),
    ("src/cli/a.cc", "data/wav.h", True),
    ("src/adapters/a.cc", "formats/safetensors/safetensors.h", True),
    ("src/train/a.cc", "fieldtune/session.h", True),
    ("src/base/a.h", "ir/graph.h", False),
    ("src/kernels/conv2d/a.c", "ir/graph.h", False),
    ("src/ir/a.cc", "kernels/kernel.h", False),
    ("src/methods/a.cc", "passes/dead_code.h", False),
    ("src/plan/sub/a.cc", "exec/session.h", False),
    ("src/adapters/a.cc", "ops/op_def.h", False),
    ("src/data/a.cc", "ir/graph.h", False),
    ("src/unheard_of/a.cc", "base/result.h", False),
    ("include/fieldtune/a.h", "base/result.h", False),
    ("src/ops/a.cc", "../exec/session.h", False),
])
def test_includes_may_only_point_left(check, tmp_path, path, include, allowed):
    write(tmp_path, path, f'// A file.\n#include "{include}"\n')
    result = check("check_layers.py", tmp_path)
    assert (result.returncode == 0) == allowed, result.stdout
    assert allowed or f"{path}:2:" in result.stdout


def function(lines):
    """A function of so many lines whose text tries to mislead a brace count."""
    body = ["Status run(const Graph& g) {", '  log("}}}");  // }', "  if (g) {"]
    body += ["  int x = '}' + 1'000;"] * (lines - 5)
    return "\n".join([*body, "  }", "}", ""])


def source(functions):
    return "namespace ft {\nstruct S {\n  int i{3};\n};\n" + functions + "}\n"


@pytest.mark.parametrize("lines, path, verdict", [
    (60, "src/ops/a.cc", ""),
    (61, "src/ops/a.cc", "warning"),
    (101, "src/ops/a.cc", "error"),
    (100, "src/kernels/x/a.c", ""),
    (101, "src/kernels/x/a.c", "error"),
])
def test_long_functions_are_found(check, tmp_path, lines, path, verdict):
    write(tmp_path, path, source(function(20) + function(lines)))
    result = check("check_sizes.py", tmp_path)
    assert result.returncode == (verdict == "error")
    expected = f"{verdict}: {path}:25: run has {lines} lines" if verdict else ""
    assert result.stdout.startswith(expected)
    assert bool(result.stdout) == bool(verdict)


@pytest.mark.parametrize("lines, verdict", [
    (500, ""), (501, "warning"), (700, "warning"), (701, "error")])
def test_long_files_are_found(check, tmp_path, lines, verdict):
    write(tmp_path, "tools/a.py", "pass\n" * lines)
    result = check("check_sizes.py", tmp_path)
    assert result.returncode == (verdict == "error")
    assert result.stdout.split(":")[0].strip() == verdict


def test_tables_on_the_list_may_be_long(check, tmp_path):
    write(tmp_path, "src/ops/table.cc", "// row\n" * 900)
    assert check("check_sizes.py", tmp_path).returncode == 1
    write(tmp_path, "tools/sizes_allow.txt", "src/ops/table.cc  a table\n")
    assert check("check_sizes.py", tmp_path).returncode == 0


@pytest.mark.parametrize("body, found", [
    ("*y = *x + 1;", False), ("*y = (int)(*x * 0.5f);", True)])
def test_a_float_in_an_integer_kernel_is_found(check, tmp_path, body, found):
    write(tmp_path, "src/k.c",
          f"void ft_k(const int* x, int* y) {{ {body} }}\n")
    write(tmp_path, "tools/integer_kernels.txt", "src/k.c: ft_k\n")
    assert (check("check_no_float.py", tmp_path).returncode != 0) == found
