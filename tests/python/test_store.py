"""What `fieldtune compile --flash` prints, with images that `fieldtune export`
signs: installed, swapped, refused and resumed on this machine and on emulated
boards, to the same lines and the same bits.
"""

import os
import re
import shutil
import subprocess

import pytest

from fieldtune_cli import ROOT, run, run_json
from mcu_boards import target_or_skip
from mcu.model import run_model
from store_life import DEMO, lived, make_life

HERE = {}  # by training steps: what this machine does
LIFE = """\
blank: no adapter was committed yet
nothing to swap to: no adapter was committed yet
install: ok
another: ok
swap: ok
reset: ok
other base: made for another base model
other number: another one of the device's adapters
older: older than an adapter that was here before
other key: the signature does not match
too short: the length is not what is expected
flipped bit: the payload's CRC-32 does not match
flipped bit in the header: the header's CRC-32 does not match
no such number: called in the wrong order
"""
TRAINING = """\
no state: there is no training state
save: ok
reset: ok
load: ok
newer version: ok
its state: ok
"""


@pytest.fixture(scope="module", params=["integer", "mixed"])
def life(request, tmp_path_factory):
    return make_life(tmp_path_factory.mktemp(request.param), request.param)


def answer_of(life, name, folder):
    """Of a program that was printed for this adapter alone."""
    model = run_json("compile", DEMO, "--program", "infer", "--adapter",
                     life[0] / f"{name}.safetensors", "--output", "real",
                     "--out", folder)
    return run_model(model, 0).answer_sha256


def test_an_adapter_lives_in_flash_as_exported(life, tmp_path):
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    said, files, *_ = lived(
        life, tmp_path, 10, sanitize=sanitize if life[1] == "integer" else [])
    assert said == LIFE + TRAINING
    for name in "ab":
        expected = answer_of(life, name, tmp_path / name)
        assert files[f"{name}.bin"] == files[f"still_{name}.bin"] == expected
    assert len({files[f"{n}.bin"] for n in ("base", "a", "b")}) == 3


@pytest.mark.parametrize("life", ["mixed"], indirect=True)
@pytest.mark.parametrize("output", ["model", "real"])
def test_inference_alone_takes_the_same_images(life, tmp_path, output):
    said, files, *_ = lived(
        life, tmp_path, 0, options=["--program", "infer", "--adapter",
                                    life[0] / "a.safetensors", "--output",
                                    output])
    assert said == LIFE
    # Before any image came, it had the adapter of --adapter.
    assert files["base.bin"] == files["a.bin"] != files["b.bin"]
    plan = life[2]["plan_hash"]
    header = (tmp_path / "c" / "ft_model.h").read_text()
    assert f'#define FT_PLAN_HASH "{plan}"' in header


@pytest.mark.parametrize("board, steps", [
    ("cortex-m0plus", 0), ("cortex-m4", 1), ("riscv32", 0)])
@pytest.mark.parametrize("life", ["integer"], indirect=True)
def test_a_board_does_as_this_machine(life, tmp_path, tmp_path_factory,
                                      board, steps):
    target = target_or_skip(board)
    if steps not in HERE:
        HERE[steps] = lived(life, tmp_path_factory.mktemp("here"), steps)
    found = lived(life, tmp_path, steps, target)
    assert found[:2] == HERE[steps][:2]
    for name, section in found[2].sections.items():
        print(f"{board} {name}: {section.instructions:,} "
              f"instructions, {section.stack_bytes} bytes of stack")
    # Armv6-M has few registers; RISC-V's memcpy and memcmp go byte by byte.
    limit = 1000 if board == "cortex-m4" else 2000
    assert found[2].sections["swap"].instructions <= limit
    assert max(s.stack_bytes for s in found[2].sections.values()) <= 2560


@pytest.mark.parametrize("life", ["mixed"], indirect=True)
def test_a_merged_program_is_that_of_the_merged_file(life, tmp_path):
    adapter, merged = life[0] / "a.safetensors", tmp_path / "merged.tflite"
    run_json("merge", DEMO, "--adapter", adapter, "--out", merged)
    for name, model, options in [
            ("once", DEMO, ["--adapter", adapter, "--adapter-mode", "merged"]),
            ("twice", merged, [])]:
        run_json("compile", model, "--program", "infer", "--target",
                 "cortex-m4", "--out", tmp_path / name, *options)
    once, twice = tmp_path / "once", tmp_path / "twice"
    names = [p.relative_to(once) for p in once.rglob("*.[ch]")]
    assert len(names) > 10
    for name in names:
        a, b = ((folder / name).read_text() for folder in (once, twice))
        if name.name == "ft_model.h":  # the first line names the model
            a, b = a.split("\n", 1)[1], b.split("\n", 1)[1]
        assert a == b, name
    assert "#define FT_ADAPTER_BYTES 0" in (once / "ft_model.h").read_text()


@pytest.mark.parametrize("precision, optimizer, beyond", [
    ("mixed", ["sgd", "--momentum", 0], 0),
    ("mixed", ["sgd"], 1), ("mixed", ["adamw"], 2),
    # int16 values, with their other 16 bits and exponents beside them.
    ("integer", ["sgd", "--momentum", 0], 1), ("integer", ["adamw"], 3)])
def test_a_state_is_the_adapter_and_what_the_optimizer_keeps(
        tmp_path, precision, optimizer, beyond):
    fields = run_json("compile", DEMO, "--classes", 5, "--precision", precision,
                      "--optimizer", *optimizer, "--flash", 1, "--unsigned",
                      "--out", tmp_path / "c")  # fmt: skip
    own, state = fields["adapter_bytes"], fields["state_bytes"]
    assert state == fields["persistent_bytes"] + 8 + 128
    assert abs(state - own - beyond * own) < 1024
    assert f"A state has {state} bytes" in (tmp_path / "c" / "README.md"
                                            ).read_text()


def test_the_store_has_no_warning_and_cpp_reads_it(tmp_path):
    folder = tmp_path / "c"
    run_json("keygen", tmp_path / "k")
    run_json("compile", DEMO, "--classes", 5, "--flash", 3, "--public-key",
             tmp_path / "k.pub", "--rtos", "--out", folder)
    sources = [folder / "ft_store.c", *folder.glob("flash/*.c")]
    strict = ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion",
              "-Werror", "-I", folder]
    for compiler in filter(shutil.which, ("gcc", "clang-14")):
        for source in sources:
            subprocess.run([compiler, "-std=c99", *strict, "-c", source, "-o",
                            tmp_path / "out.o"], check=True)  # fmt: skip
    main = tmp_path / "main.cc"
    main.write_text('#include "ft_store.h"\nft_store s;\nft_model m;\n'
                    "int main() { return ft_store_swap(&s, &m, 1); }\n")
    subprocess.run(["g++", "-std=c++17", *strict, "-c", main, "-o",
                    tmp_path / "out.o"], check=True)  # fmt: skip
    if shutil.which("cppcheck"):
        ours = [s for s in sources if s.name.startswith("ft_")]
        subprocess.run(["cppcheck", "--std=c99", "--quiet", "--enable=warning,"
                        "portability,performance", "--error-exitcode=1", "-I",
                        folder, *ours], check=True)  # fmt: skip


def test_the_region_counts_as_flash(tmp_path):
    plain = ["--classes", 5, "--target", "cortex-m33"]
    store = ["--flash", 2, "--unsigned"]
    without = run_json("compile", DEMO, *plain, "--out", tmp_path / "a")
    model = run_json("compile", DEMO, *plain, *store, "--out", tmp_path / "b")
    page, adapter = 8192, model["adapter_bytes"]
    pages = lambda count: -(-count // page) * page
    assert without["store_bytes"] == 0
    assert model["store_bytes"] == 2 * (2 * page + 2 * pages(128 + adapter) +
                                        2 * pages(model["state_bytes"]))
    text = (tmp_path / "b" / "README.md").read_text()
    assert f"| `FT_STORE_BYTES` | {model['store_bytes']} |\n" in text
    assert ".page_bytes = 8192, .program_bytes = 16" in text
    assert (f"| adapters and training states | flash | {model['store_bytes']} |"
            in text)
    full = model["constant_bytes"] + model["code_bytes"] + model["store_bytes"]
    toml = (ROOT / "targets" / "cortex-m33.toml").read_text()
    flash = re.search(r'name = "flash"\norigin = .*\nbytes = (\w+)', toml)[1]
    tight = tmp_path / "tight.toml"
    tight.write_text(toml.replace(f"bytes = {flash}", f"bytes = {full - 1}", 1))
    done = run("compile", DEMO, "--classes", 5, "--target", tight, *store,
               "--out", tmp_path / "c")
    assert done.returncode == 4 and not (tmp_path / "c").exists()
    assert (f"flash {full:>9} of {full - 1:>9} bytes  too large" in done.stderr
            and f", adapters and states {model['store_bytes']})" in done.stderr)
    tight.write_text(re.sub(r"\[flash\].*\n(.*=.*\n)+", "", toml))
    done = run("compile", DEMO, "--classes", 5, "--target", tight, *store,
               "--out", tmp_path / "c")
    assert done.returncode == 2 and "has no table [flash]" in done.stderr


def test_what_compile_refuses(tmp_path):
    def refused(code, part, *options):
        done = run("compile", DEMO, "--out", tmp_path / "c", *options)
        assert done.returncode == code and part in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1 and not (tmp_path / "c").exists()

    either = "give either --public-key KEY.pub"
    refused(2, either, "--flash", 1)
    refused(2, either, "--flash", 1, "--unsigned", "--public-key", "a.pub")
    refused(2, "are of --flash", "--unsigned")
    refused(2, "reads no adapter", "--flash", 1, "--unsigned", "--program",
            "infer")  # fmt: skip
    merged = ["--program", "infer", "--adapter-mode", "merged"]
    refused(2, "needs --program infer and an --adapter", *merged)
    refused(2, "cannot be swapped", *merged, "--adapter", "a", "--flash", 1,
            "--unsigned")  # fmt: skip
    refused(5, "none.pub", "--flash", 1, "--public-key", tmp_path / "none.pub")
    assert run("compile", DEMO, "--out", tmp_path / "c", "--flash",
               65).returncode == 2  # fmt: skip


def test_folders_of_any_bytes_give_json_that_parses(tmp_path):
    """Linux has paths that are no UTF-8; what is no text shows as U+FFFD."""
    folder = str(tmp_path) + b"/s\xff".decode(errors="surrogateescape")
    assert run_json("store", "init", folder)["store"].endswith("s\ufffd")
    assert run_json("store", "list", folder)["adapters"] == []
    done = run("store", "show", folder, "a\x1b[2J")
    assert done.returncode == 2
    assert "\\x1b[2J" in done.stderr and "\x1b" not in done.stderr
    done = run("train", folder, "--data", "da\nta", "--out", tmp_path / "o")
    assert done.returncode in (2, 3, 5)


@pytest.mark.parametrize("name", ["index.sqlite", "index.sqlite-wal",
                                  "index.sqlite-shm", "lock", "store.toml"])
def test_a_pipe_in_the_place_of_a_file_holds_up_nobody(tmp_path, name):
    store = tmp_path / "store"
    run_json("store", "init", store)
    run_json("store", "list", store)
    (store / name).unlink(missing_ok=True)
    os.mkfifo(store / name)
    for command in (["list"], ["verify"], ["gc"]):
        done = run("store", command[0], store, timeout=20)
        if name != "lock":
            assert done.returncode == 3, done.stderr
            assert f"{name}' is not a regular file" in done.stderr


def test_versions_have_no_leading_zeros(tmp_path):
    run_json("store", "init", tmp_path / "store")
    for spec in "me@01", "me@0", "me@+1", "me@":
        done = run("store", "show", tmp_path / "store", spec)
        assert done.returncode == 2
        assert "is not NAME or NAME@VERSION" in done.stderr
