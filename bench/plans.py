"""Memory of a training step on all eight models, as `fieldtune plan` states it,
against the lower bound of any placement."""

from session import cli, save, verdict

BAR = 1.02


def plan(model, *options):
    return cli.run_json("plan", model, *options)


def variants(path):
    int8 = path.stem in (
        "kws_ref_model", "pretrainedResnet_quant", "ad01_int8", "vww_96_int8"
    )  # fmt: skip
    lora = ["--method", "lora", "--rank", 4]
    if path.stem.startswith("vww"):  # two classes allow no more there
        lora += ["--rank-pattern", "dense=2"]
    yield "lora r=4", "mixed" if int8 else "f32", 1, lora
    yield "lora r=4", "mixed" if int8 else "f32", 4, lora
    yield "full", "f32", 1, ["--method", "full"]


def main():
    rows = []
    for path in sorted(cli.MODELS.glob("*.tflite")):
        for method, precision, batch, options in variants(path):
            result = plan(
                path, *options, "--precision", precision, "--batch", batch
            )
            ratio = result["arena_bytes"] / result["lower_bound_bytes"]
            fields = ["arena_bytes", "lower_bound_bytes", "persistent_bytes",
                      "scratch_bytes", "flash_bytes"]  # fmt: skip
            rows.append(
                {
                    "model": path.name,
                    "method": method,
                    "precision": precision,
                    "batch": batch,
                    **{name: result[name] for name in fields},
                    "kernel_calls": result["steps"],
                    "arena_over_lower_bound": round(ratio, 4),
                }
            )
    worst = max(r["arena_over_lower_bound"] for r in rows)
    print(
        f"arena over lower bound, {len(rows)} plans: worst {worst:.4f} "
        f"{verdict(worst, BAR, at_least=False)}"
    )
    save("plans", rows)


if __name__ == "__main__":
    main()
