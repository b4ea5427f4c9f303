"""fieldtune compile: what it refuses, and that printed code trains to the same
bits on this machine and on emulated boards."""

import shutil
import subprocess

import pytest

import fieldtune_cli as cli
from mcu_boards import ROOT, mcu, run_undefined_free, target_or_skip
from mcu.model import DRIVER, run_model, samples_header

DEMO = ROOT / "examples" / "demo" / "keyword_base.tflite"
STEPS = 2


def compiled(folder, *options, model=DEMO):
    classes = [] if "infer" in options else ["--classes", 5]
    return cli.run_json("compile", model, "--out", folder, *classes, *options)


@pytest.mark.parametrize("precision, method, board", [
    ("integer", "lora", "cortex-m0plus"),
    ("integer", "lora", "cortex-m4"),
    ("integer", "lora", "riscv32"),
    ("integer", "sparse", "cortex-m55"),
    ("mixed", "lora", "cortex-m4"),
    ("mixed", "ia3", "riscv64")])
def test_a_board_trains_to_the_bits_of_this_machine(tmp_path, precision, method,
                                                    board):
    target = target_or_skip(board)
    options = ["--method", method, "--precision", precision]
    model = compiled(tmp_path / "here", *options)
    here, before = run_model(model, STEPS), run_model(model, 0)
    model = compiled(tmp_path / "there", "--target", board, *options)
    there = run_model(model, STEPS, target)
    assert here.adapter_sha256 == there.adapter_sha256 != ""
    assert here.answer_sha256 == there.answer_sha256
    assert here.adapter_sha256 != before.adapter_sha256
    assert there.model_bytes == model["model_bytes"]
    assert 0 < there.stack_bytes <= model["stack_bytes"]
    assert there.flash_bytes <= 1.1 * (model["constant_bytes"] +
                                       model["code_bytes"])
    assert there.train_instructions > there.infer_instructions > 0


def test_an_int8_answer_needs_no_room_for_floats(tmp_path):
    options = ["--program", "infer"]
    small = compiled(tmp_path / "model", *options)
    large = compiled(tmp_path / "real", *options, "--output", "real")
    assert small["answer_bytes"] * 4 == large["answer_bytes"]
    assert small["arena_bytes"] <= large["arena_bytes"]
    assert "ft_dequantize" not in (tmp_path / "model/ft_model.c").read_text()
    header = (tmp_path / "model" / "ft_model.h").read_text()
    assert "ft_infer_answer" not in header
    assert "#define FT_OUTPUT_SCALE " in header
    assert "#define FT_OUTPUT_ZERO_POINT " in header
    same = {**large, **{k: small[k] for k in ("answer", "answer_bytes")}}
    assert run_model(small, 0).answer_sha256 == run_model(same, 0).answer_sha256


@pytest.mark.parametrize("board", ["cortex-m4", "cortex-m55"])
def test_a_model_without_adapter_answers_as_here(tmp_path, board):
    target = target_or_skip(board)
    run = lambda name, on, *options: run_model(
        compiled(tmp_path / name, "--program", "infer", *options), 0, on)
    here, there = run("here", None), run("there", target, "--target", board)
    assert here.answer_sha256 == there.answer_sha256 != ""
    assert here.adapter_sha256 == ""


def refusal(*options):
    done = cli.run("compile", *options)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1
    return done.returncode, done.stderr


def test_what_is_refused_leaves_nothing(tmp_path):
    out = tmp_path / "c"
    common = [DEMO, "--out", out]
    cases = [
        (2, "no target 'cortex-m9'; there are: cortex-m0plus",
         ["--target", "cortex-m9"]),
        (2, "--schedule cosine falls over the whole training: give its --steps",
         ["--schedule", "cosine"]),
        (2, "--program 'both': there are: train, infer", ["--program", "both"]),
        (2, "--output 'both': there are: model, real", ["--output", "both"]),
        (2, "--new-head needs data to count classes", ["--new-head"]),
        (2, "--rtos, --feature-cache and --init-adapter are of --program train",
         ["--program", "infer", "--rtos"]),
        (2, "--adapter is of --program infer", ["--adapter", "a.safetensors"]),
        (3, "cannot", ["--target", tmp_path / "none.toml"])]
    for code, sentence, options in cases:
        found, said = refusal(*common, *options)
        assert found == code and sentence in said, said
        assert not out.exists()


def test_a_budget_counts_the_stack_and_changes_no_bit(tmp_path):
    board = target_or_skip("cortex-m4")
    options = ["--precision", "integer", "--target", "cortex-m4"]
    whole = compiled(tmp_path / "whole", *options)
    budget = whole["ram_bytes"] * 3 // 4
    tight = compiled(tmp_path / "tight", *options, "--ram", budget)
    assert tight["ram_bytes"] <= budget
    assert tight["ram_bytes"] == tight["model_bytes"] + tight["stack_bytes"]
    runs = [run_model(model, STEPS, board) for model in (whole, tight)]
    assert runs[0].adapter_sha256 == runs[1].adapter_sha256 != ""
    assert runs[1].train_instructions > runs[0].train_instructions
    code, said = refusal(DEMO, "--classes", 5, "--out", tmp_path / "c", *options,
                         "--ram", "2K")
    assert code == 4 and "the stack" in said, said


def test_a_model_that_is_too_large_is_refused_before_printing(tmp_path):
    text = (ROOT / "targets" / "cortex-m4.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(text.replace("bytes = 0x400000", "bytes = 1024"))
    done = cli.run("compile", DEMO, "--out", tmp_path / "c", "--target", small)
    assert done.returncode == 4
    heading, ram, flash = done.stderr.splitlines()
    assert "it does not fit cortex-m4:" in heading
    assert "of      1024 bytes  too large  (arena " in ram
    assert "of      1024 bytes  too large  (weights " in flash
    assert not (tmp_path / "c").exists()


def test_the_linker_refuses_less_stack_than_planned(tmp_path):
    board = target_or_skip("cortex-m4")
    model = compiled(tmp_path / "c", "--program", "infer", "--target",
                     "cortex-m4")
    (tmp_path / "samples.h").write_text(samples_header(model, 0))
    folder = tmp_path / "c"
    sources = [DRIVER, *folder.glob("*.c"), *folder.glob("kernels/*/*.c")]
    with pytest.raises(mcu.BuildError, match="bytes of stack"):
        mcu.build(board, sources, tmp_path / "b", includes=[tmp_path, folder],
                  stack_bytes=model["stack_bytes"] - 16,
                  linker_scripts=[folder / "ft_ram.ld"])


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    code, said = refusal(DEMO, "--out", tmp_path)
    assert code == 2 and "exists and is not empty" in said
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_slices_are_of_rtos(tmp_path):
    done = cli.run("compile", DEMO, "--out", tmp_path / "c", "--slice", 1000)
    assert done.returncode == 2 and "--slice requires --rtos" in done.stderr


@pytest.mark.parametrize("precision", ["integer", "mixed"])
def test_slices_with_inference_between_train_to_the_same_bits(tmp_path,
                                                              precision):
    board = target_or_skip("cortex-m4")
    options = ["--precision", precision, "--target", "cortex-m4"]
    whole = run_model(compiled(tmp_path / "w", *options), STEPS, board)
    longest, predicted, steps = [], [], []
    for limit in (0, 20000):
        model = compiled(tmp_path / f"s{limit}", "--rtos", "--slice", limit, *options)
        sliced = run_model(model, STEPS, board)
        assert sliced.adapter_sha256 == whole.adapter_sha256 != ""
        assert sliced.answer_sha256 == whole.answer_sha256
        assert model["slice_unit"] == "instructions"
        predicted.append(model["longest_slice"])
        longest.append(sliced.slice_instructions)
        steps.append(sliced.sliced_instructions)
    assert predicted[1] < predicted[0] / 2
    assert 0 < longest[1] < longest[0] / 2 < whole.train_instructions / 8
    # Parts of a call cost little more than the call.
    assert steps[1] < 1.05 * steps[0]


@pytest.mark.parametrize("options", [
    ["--precision", "integer", "--rtos"], ["--precision", "mixed"],
    ["--precision", "mixed", "--method", "bottleneck", "--target", "cortex-m4"],
    ["--program", "infer", "--target", "cortex-m55"]], ids=" ".join)
def test_printed_code_passes_cppcheck(tmp_path, options):
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck not installed (tools/install_packages.sh mcu)")
    compiled(tmp_path / "c", *options)
    # GCC and Clang define >> of negative numbers, as the kernels use it.
    done = subprocess.run(
        ["cppcheck", "--std=c99", "--enable=warning,performance,portability",
         "--suppress=shiftNegativeLHS", "--suppress=shiftTooManyBitsSigned",
         "--error-exitcode=1", "--quiet", "-I", tmp_path / "c", tmp_path / "c"],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
def test_printed_code_has_no_warning_and_no_undefined_behaviour(tmp_path,
                                                                compiler):
    folder = tmp_path / "c"
    model = compiled(folder, "--precision", "integer", "--rtos")
    (tmp_path / "samples.h").write_text(samples_header(model, 2))
    run_undefined_free(compiler,
                       [DRIVER, *folder.glob("*.c"),
                        *folder.glob("kernels/*/*.c")],
                       [folder, tmp_path], tmp_path)


def test_headers_are_cpp_too(tmp_path):
    compiled(tmp_path / "c", "--precision", "integer")
    (tmp_path / "main.cc").write_text(
        '#include "ft_model.h"\nstatic ft_model m;\n'
        "int main() { ft_init(&m); return *ft_infer_output(&m); }\n")
    subprocess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic",
                    "-Werror", "-c", "-I", tmp_path / "c", "main.cc"],
                   cwd=tmp_path, check=True)
