"""Ranks that are multiples of the tile against one less and one more: time of a
training step on this machine, on one pinned core.

    python bench/cost_ranks.py [--binary PATH]

Rounds go through all ranks in turn; each rank keeps its fastest median, which
other work on the machine disturbs least.
"""

import argparse
from pathlib import Path

from session import WORK, cli, pinned, save

TILE = 16  # of targets/x86-64.toml
RANKS = [r for tile in (TILE, 2 * TILE) for r in (tile - 1, tile, tile + 1)]
MODELS = {"resnet8": "pretrainedResnet", "kws": "kws_ref_model_float32"}
ROUNDS = 7


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=cli.BINARY)
    cli.BINARY = parser.parse_args().binary
    WORK.mkdir(parents=True, exist_ok=True)
    best = {}
    for _ in range(ROUNDS):
        for name, file in MODELS.items():
            for rank in RANKS:
                step = cli.run_json("bench", cli.MODELS / f"{file}.tflite", "--train",
                                    "--method", "lora", "--rank", rank,
                                    "--precision", "f32", "--runs", 100,
                                    prefix=pinned())["step_us"]  # fmt: skip
                key = name, rank
                best[key] = min(step, best.get(key, step))
    rows = [{"model": name, "rank": rank, "aligned": rank % TILE == 0,
             "step_us": round(us, 1), "us_per_rank": round(us / rank, 2)}
            for (name, rank), us in best.items()]  # fmt: skip
    for row in rows:
        print(row)
    save("cost_ranks", rows)


if __name__ == "__main__":
    main()
