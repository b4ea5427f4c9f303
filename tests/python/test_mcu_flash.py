"""Device images that `fieldtune export` signs with libsodium, on every emulated
board: received, checked by the device's Ed25519 and run from flash.
"""

import numpy as np
import pytest

from fieldtune_cli import run_json
from mcu_boards import ROOT, boards, mcu, target_or_skip
from small_models import CLASSES, conv_net

FLASH = sorted((ROOT / "runtime_mcu" / "flash").glob("*.c"))
MONOCYPHER = ROOT / "build" / "third_party" / "monocypher-3.1.2"
EXPECTED = """\
header: ok
blank: no adapter was committed yet
install: ok
open: ok
flipped bit: the payload's CRC-32 does not match
other key: the signature does not match
too short: the length is not what is expected
second: ok
reopen: ok
swap: ok
no state: there is no training state
save: ok
resume: ok
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """a.img and the bytes of its public key."""
    folder = tmp_path_factory.mktemp("flash")
    base, adapter = folder / "base.tflite", folder / "a.safetensors"
    base.write_bytes(conv_net())
    shape = run_json("inspect", base)["inputs"][0]["shape"]
    rng = np.random.default_rng(1)
    np.save(folder / "x.npy", rng.normal(size=(12, *shape[1:])).astype("f4"))
    np.save(folder / "y.npy", rng.integers(0, CLASSES, 12).astype("i4"))
    run_json("train", base, "--data", folder / "x.npy", "--labels",
             folder / "y.npy", "--epochs", 1, "--precision", "f32",
             "--out", adapter)  # fmt: skip
    public = run_json("keygen", folder / "a.key")["public_key"]
    (folder / "a.pub").write_bytes(bytes.fromhex(public))
    run_json("export", adapter, "--to", "device-image", "--model", base,
             "--sign", folder / "a.key", "--out", folder / "a.img")  # fmt: skip
    return folder


@boards
def test_a_signed_image_runs_from_flash(board, folder):
    run = mcu.build_and_run(
        target_or_skip(board),
        [ROOT / "tests" / "mcu" / "flash_store.c", *FLASH,
         MONOCYPHER / "monocypher.c", MONOCYPHER / "monocypher-ed25519.c"],
        includes=[ROOT / "runtime_mcu" / "flash", MONOCYPHER], folder=folder,
        optimize="-Os")  # fmt: skip
    assert run.output == EXPECTED
    size = (folder / "a.img").stat().st_size
    for name, section in run.sections.items():
        print(f"{board} {name} ({size} bytes): {section.instructions:,} "
              f"instructions, {section.stack_bytes} bytes of stack")
    # A signature is checked before a commit and before the first swap only.
    verify = run.sections["verify"].instructions
    assert run.sections["install"].instructions > verify
    assert run.sections["open"].instructions < verify / 10
    # Armv6-M has few registers; RISC-V's memcpy and memcmp go byte by byte.
    small = board == "cortex-m0plus" or board.startswith("riscv")
    assert run.sections["swap"].instructions <= (2000 if small else 1000)
    assert run.sections["verify"].stack_bytes < 3000
