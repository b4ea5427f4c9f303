"""What `fieldtune plan --target host` predicts against the time that `fieldtune
bench` measures, on one pinned core.

    python bench/cost_host.py

Calibrates into a folder of its own, so that the user's calibration stays.
"""

import os

from session import WORK, cli, pinned, save

MODELS = {"kws": "kws_ref_model", "resnet8": "pretrainedResnet_quant",
          "vww": "vww_96_int8", "ad": "ad01_int8",
          "kws f32": "kws_ref_model_float32"}
STEPS = {"mixed": ["--precision", "mixed"], "integer": ["--precision", "integer"]}
LORA = ["--method", "lora", "--rank", 4]


def row(model, program, precision, predicted_ms, measured):
    return {"model": model, "program": program, "precision": precision,
            "predicted_ms": round(predicted_ms, 4),
            "measured_ms": round(measured / 1e3, 4),
            "error_percent": round(100 * (predicted_ms / (measured / 1e3) - 1), 1)}


def main():
    if not cli.MODELS.is_dir():
        print(f"cost_host: real inputs are absent: no folder {cli.MODELS}")
        return
    os.environ["XDG_CACHE_HOME"] = str(WORK / "cache")
    print(cli.run_json("bench", "--calibrate", prefix=pinned()))
    rows = []
    for name, file in MODELS.items():
        path = cli.MODELS / f"{file}.tflite"
        infer = cli.run_json("bench", path, prefix=pinned())
        for precision, options in STEPS.items():
            if precision == "integer" and "f32" in name:
                continue
            plan = cli.run_json("plan", path, *LORA, *options, "--target", "host")
            step = cli.run_json("bench", path, "--train", *LORA, *options,
                                prefix=pinned())
            rows.append(row(name, "step", precision, plan["step_ms"],
                            step["step_us"]))
            print(rows[-1], flush=True)
        rows.append(row(name, "infer", "f32" if "f32" in name else "int8",
                        plan["merged_infer_ms"], infer["infer_us"]))
        print(rows[-1], flush=True)
    save("cost_host", rows)


if __name__ == "__main__":
    main()
