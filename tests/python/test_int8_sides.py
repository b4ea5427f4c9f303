"""`--adapter-mode int8`: a trained adapter in integers beside the int8 base. On
real speech it answers as the trained one does; printed and as a device image it
is one program; on emulated boards it has this machine's bits."""

import pytest

import fieldtune_cli as cli
import mcu_boards
from mcu_boards import mcu
from mcu.model import run_model

TRAIN = ["--new-head", "--train-per-class", 10, "--epochs", 8, "--rank", 4]


@pytest.fixture(scope="module")
def trained(shared, program, tmp_path_factory):
    """Model, adapter of a speaker, and the data that it was trained on."""
    program("fieldtune")
    model = cli.MODELS / "kws_ref_model.tflite"
    adapter = tmp_path_factory.mktemp("sides") / "me.safetensors"
    data = ["--data", cli.FSDD / "jackson", *cli.FSDD_ARGS]
    cli.run_json("train", model, *data, *TRAIN, "--precision", "mixed",
                 "--out", adapter)
    return model, adapter, data


def test_answers_as_trained(trained):
    model, adapter, data = trained
    side, int8 = (cli.run_json("eval", model, "--adapter", adapter, *data,
                               "--adapter-mode", mode)
                  for mode in ("side", "int8"))
    print(side, int8)
    assert side["accuracy"] > 0.9
    # 1 sample in 200.
    assert abs(int8["accuracy"] - side["accuracy"]) <= 0.005
    assert int8["loss"] == pytest.approx(side["loss"], abs=0.01)


def test_bits_on_boards_and_one_program_with_its_image(trained, tmp_path):
    model, adapter, _ = trained
    image = cli.run_json("export", adapter, "--to", "device-image", "--model",
                         model, "--adapter-mode", "int8", "--out",
                         tmp_path / "me.img")
    answers = set()
    for board in (None, "cortex-m4", "cortex-m55"):
        target = mcu_boards.target_or_skip(board) if board else None
        folder = tmp_path / f"c_{board}"
        plan = cli.run_json("compile", model, "--program", "infer", "--adapter",
                            adapter, "--adapter-mode", "int8", "--output",
                            "real", "--front-end", "none", "--out", folder,
                            *(["--target", board] if board else []))
        assert plan["infer_plan_hash"] == image["plan_hash"]
        assert plan["adapter_bytes"] == image["payload_bytes"]
        answers.add(run_model(plan, 0, target).answer_sha256)
    assert len(answers) == 1


@pytest.mark.parametrize("command, says", [
    (["compile", "MODEL", "--out", "OUT", "--adapter-mode", "int8"],
     "needs --program infer"),
    (["eval", "MODEL", "--data", "x", "--adapter-mode", "int8"],
     "needs an --adapter"),
    (["export", "ADAPTER", "--out", "OUT", "--adapter-mode", "int8"],
     "needs --to device-image")])
def test_refuses_what_has_no_side(trained, tmp_path, command, says):
    words = {"MODEL": trained[0], "ADAPTER": trained[1], "OUT": tmp_path / "o"}
    done = cli.run(*[words.get(word, word) for word in command])
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_refuses_an_adapter_that_is_no_lora(trained, tmp_path):
    model, _, data = trained
    other = tmp_path / "ia3.safetensors"
    cli.run_json("train", model, *data, "--new-head", "--train-per-class", 2,
                 "--epochs", 1, "--method", "ia3", "--out", other)
    done = cli.run("eval", model, "--adapter", other, *data, "--adapter-mode",
                   "int8")
    assert done.returncode == 3 and "has a gain" in done.stderr, done.stderr
