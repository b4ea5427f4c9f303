"""Deltas of really trained adapters against bsdiff, xdelta3 and zstd: bytes, what
lossy modes do to accuracy, and the RAM of the applier.

    python bench/adapter_delta.py [--speakers theo jackson]

Version 1 is LoRA of rank 4 on the keyword model after ten takes of each digit of a
speaker, version 2 goes on from it after twenty; test takes are the other thirty.
Trained adapters stay in build/bench/delta for the next run.
"""

import argparse
import shutil
import statistics
import subprocess
import sys

from session import ROOT, WORK, cli, save, verdict

sys.path.insert(0, str(ROOT / "tools"))
import mcu  # noqa: E402

MODEL = cli.MODELS / "kws_ref_model.tflite"
FOLDER = WORK / "delta"
DTYPES = {"f32": "fp32", "f16": "fp16", "int8": "int8"}
TAKES = {1: 10, 2: 20}
INT8_BAR, F32_BAR, POINTS_BAR, RAM_BAR = 20, 4, 0.1, 1024
PEERS = {
    "bsdiff": lambda old, new, out: ["bsdiff", old, new, out],
    "xdelta3 -9 -S djw": lambda old, new, out: [
        "xdelta3", "-e", "-9", "-f", "-S", "djw", "-s", old, new, out],
    "zstd --ultra -22 --patch-from": lambda old, new, out: [
        "zstd", "-q", "-f", "--ultra", "-22", f"--patch-from={old}", new,
        "-o", out],
}  # fmt: skip


def trained(speaker, dtype, version):
    """An adapter file; of version 2, trained on from version 1."""
    out = FOLDER / f"{speaker}_{dtype}_v{version}.safetensors"
    if out.exists():
        return out
    start = [] if version == 1 else ["--init-adapter",
                                     trained(speaker, dtype, version - 1)]
    cli.run_json("train", MODEL, "--data", cli.FSDD / speaker, *cli.FSDD_ARGS,
                 "--new-head", "--rank", 4, "--batch", 1, "--seed", 1,
                 "--train-per-class", TAKES[version], "--adapter-dtype", dtype,
                 *start, "--out", out, timeout=3600)  # fmt: skip
    return out


def accuracy(adapter):
    return cli.run_json("eval", MODEL, "--adapter", adapter)["accuracy"]


def delta_of(old, new, bits=0):
    """(bytes, result): made, applied and compared."""
    out, back = FOLDER / "x.delta", FOLDER / "applied.safetensors"
    there = new.with_suffix(f".bits{bits}") if bits else new
    lossy = ["--bits", bits, "--result", there] if bits else []
    made = cli.run_json("delta", "make", old, new, *lossy, "--out", out)
    cli.run_json("delta", "apply", old, out, "--out", back)
    assert back.read_bytes() == there.read_bytes()
    return made["delta_bytes"], there


def peer_bytes(old, new):
    """{name: bytes} of the peers that are installed."""
    sizes = {}
    for name, command in PEERS.items():
        words = [str(w) for w in command(old, new, FOLDER / "x.peer")]
        if shutil.which(words[0]) is None:
            print(f"{words[0]}: not installed (tools/install_packages.sh test)")
            continue
        (FOLDER / "x.peer").unlink(missing_ok=True)
        subprocess.run(words, check=True, capture_output=True)
        sizes[name] = (FOLDER / "x.peer").stat().st_size
    return sizes


def row(name, value, unit, bar=None, peer=None, peer_value=None):
    return {"name": name, "value": value, "unit": unit, "bar": bar,
            "peer": peer, "peer_value": peer_value}


def measure(speaker, dtype):
    """Sizes of one speaker and storage: ours, the peers', lossy ones."""
    old, new = trained(speaker, dtype, 1), trained(speaker, dtype, 2)
    found = {"raw": new.stat().st_size, "delta": delta_of(old, new)[0],
             "peers": peer_bytes(old, new), "lossy": {}}
    if dtype != "int8":
        exact = accuracy(new)
        for bits in 8, 4:
            size, there = delta_of(old, new, bits)
            found["lossy"][bits] = (size, 100 * (accuracy(there) - exact))
    print(speaker, dtype, found, flush=True)
    return found


def rows_of(dtype, found):
    name, mean = DTYPES[dtype], statistics.mean
    raw, ours = (mean(f[key] for f in found) for key in ("raw", "delta"))
    peers = {p: mean(f["peers"][p] for f in found) for p in found[0]["peers"]}
    rows = [row(f"{name}_raw_bytes", raw, "bytes")]
    rows += [row(f"{name}_delta_bytes", ours, "bytes", None, p, size)
             for p, size in peers.items()]
    if peers:
        best = min(peers, key=peers.get)
        rows.append(row(f"{name}_smaller_than_best_peer",
                        round(100 * (1 - ours / peers[best]), 1), "%",
                        INT8_BAR if dtype == "int8" else None, best,
                        peers[best]))
        least = min(found, key=lambda f: 1 - f["delta"] / min(f["peers"].values()))
        smallest = min(least["peers"].values())
        rows.append(row(f"{name}_smaller_than_best_peer_least_of_speakers",
                        round(100 * (1 - least["delta"] / smallest), 2), "%",
                        INT8_BAR if dtype == "int8" else None, best, smallest))
    for bits in found[0]["lossy"]:
        size = mean(f["lossy"][bits][0] for f in found)
        points = max(abs(f["lossy"][bits][1]) for f in found)
        bars = (F32_BAR, POINTS_BAR) if (dtype, bits) == ("f32", 8) else (None,) * 2
        rows.append(row(f"{name}_lossy{bits}_bytes", size, "bytes"))
        rows.append(row(f"{name}_lossy{bits}_times_smaller_than_raw",
                        round(raw / size, 2), "x", bars[0], "raw file", raw))
        rows.append(row(f"{name}_lossy{bits}_largest_change_of_accuracy",
                        round(points, 3), "points", bars[1]))
    return rows


def apply_on(board, speaker):
    """State and stack of the applier for the int8 delta, and instructions."""
    target = mcu.load_target(board)
    if target.missing_programs():
        print(f"{board}: not installed")
        return []
    old, new = trained(speaker, "int8", 1), trained(speaker, "int8", 2)
    delta_of(old, new)
    for name, path in {"old.bin": old, "new.bin": new}.items():
        shutil.copy(path, FOLDER / name)
    runtime = ROOT / "runtime_mcu"
    run = mcu.build_and_run(
        target, [ROOT / "tests" / "mcu" / "delta_apply.c",
                 *sorted((runtime / "delta").glob("*.c")),
                 runtime / "flash" / "ft_crc32.c"],
        includes=[runtime / "delta", runtime / "flash"], folder=FOLDER,
        optimize="-Os")  # fmt: skip
    state, section = run.image.sizes["delta"], run.sections["apply"]
    return [row(f"{board}_apply_ram_bytes", state + section.stack_bytes,
                "bytes", RAM_BAR),
            row(f"{board}_apply_state_bytes", state, "bytes"),
            row(f"{board}_apply_stack_bytes", section.stack_bytes, "bytes"),
            row(f"{board}_apply_instructions", section.instructions,
                "instructions")]


def report(rows):
    for r in rows:
        said = ""
        if r["bar"] is not None:
            at_least = r["unit"] in ("%", "x")
            said = verdict(r["value"], r["bar"], at_least)
        print(*(v for v in r.values() if v is not None), said)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--speakers", nargs="+",
                        default=["theo", "jackson", "nicolas", "yweweler"])
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = []
    for dtype in DTYPES:
        rows += rows_of(dtype, [measure(s, dtype) for s in args.speakers])
    for board in mcu.target_names():
        rows += apply_on(board, args.speakers[0])
    report(rows)
    save("adapter_delta", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
