"""Every emulated board boots, counts and measures exactly, and ends in words."""

import subprocess

import pytest

from mcu_boards import ROOT, boards, mcu, target_or_skip

SOURCE = ROOT / "tests" / "mcu" / "board_modes.c"
MODES = ["LOOP", "FAULT", "ASSERTION", "FAIL", "OVERFLOW", "ENDLESS", "FILES",
         "EXIT", "LARGE"]  # fmt: skip


def run_mode(board, mode, **options):
    return mcu.build_and_run(target_or_skip(board), [SOURCE], optimize="-Os",
                             defines=[f"MODE={MODES.index(mode)}"], **options)


@boards
def test_boots_and_counts_each_instruction_and_stack_byte(board):
    run = run_mode(board, "LOOP")
    assert run.exit == 0
    assert run.output == "hello, 4294967295 0x0000001f\n"
    counts = {name: s.instructions for name, s in run.sections.items()}
    stacks = {name: s.stack_bytes for name, s in run.sections.items()}
    frame_call = counts.pop("frame")
    assert counts == {"empty": 0, "three": 3, "loop": 201}
    assert 5 <= frame_call <= 7  # the argument, the call, four in the function
    assert stacks == {"empty": 0, "three": 0, "loop": 0, "frame": 64}
    assert 64 <= run.stack_bytes < 256


@boards
def test_ram_is_one_number(board):
    target = target_or_skip(board)
    run = run_mode(board, "LOOP", stack_bytes=2048)
    image = run.image
    assert image.stack_bytes == 2048
    assert 0 <= image.ram_bytes - image.stack_bytes - image.static_bytes < 32
    assert image.flash_bytes < 4096
    assert image.ram_bytes <= target.memory["ram"].bytes


@boards
@pytest.mark.parametrize("mode, sentence", [
    ("FAULT", "fault: "),
    ("ASSERTION", "failed: assert(initialized == 42) in main, "),
    ("FAIL", "failed: no weights in flash"),
])
def test_what_goes_wrong_is_said(board, mode, sentence):
    with pytest.raises(mcu.RunError, match=sentence.replace("(", r"\(").replace(
            ")", r"\)")) as error:
        run_mode(board, mode)
    assert "\n" not in str(error.value)


@boards
def test_a_full_stack_is_said(board):
    with pytest.raises(mcu.RunError,
                       match="the stack of 4096 bytes overflowed; "):
        run_mode(board, "OVERFLOW", stack_bytes=4096)


def test_a_program_without_end_is_stopped():
    with pytest.raises(mcu.RunError, match=r"no end within 2 s; .*hello"):
        run_mode("cortex-m4", "ENDLESS", time_limit=2)


@pytest.mark.parametrize("board", ["cortex-m3", "riscv64"])
def test_files_of_the_host(board, tmp_path):
    (tmp_path / "in.txt").write_text("audio file")
    assert run_mode(board, "FILES", folder=tmp_path).exit == 0
    assert (tmp_path / "out.txt").read_text() == "file"


@pytest.mark.parametrize("board", ["cortex-m55", "riscv32"])
def test_the_status_reaches_the_host(board):
    assert run_mode(board, "EXIT").exit == 7


def test_the_linker_refuses_what_does_not_fit():
    with pytest.raises(mcu.BuildError, match="exceed the RAM budget"):
        run_mode("cortex-m4", "LOOP", stack_bytes=4096, ram_limit=4096)
    with pytest.raises(mcu.BuildError, match="region `ram' overflowed"):
        run_mode("cortex-m4", "LARGE")


def test_unknown_targets_are_named():
    with pytest.raises(ValueError, match="no target 'cortex-m5'; .*cortex-m4"):
        mcu.load_target("cortex-m5")


def test_the_m0plus_image_holds_only_its_instructions(tmp_path):
    """It runs on a Cortex-M3, which would not notice."""
    target = target_or_skip("cortex-m0plus")
    image = mcu.build(target, [SOURCE], tmp_path, defines=["MODE=0"])
    listing = subprocess.run(
        [target.prefix + "objdump", "-d", "-marmv6s-m", image.elf],
        capture_output=True, text=True, check=True).stdout
    assert "<ft_board_start>" in listing
    assert "undefined" not in listing.lower()
