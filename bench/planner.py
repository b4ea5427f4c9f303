"""How good the plans of training steps are: arena bytes against the lower bound of
any placement, for every method and precision on nine models; random buffers
against the bound; and how long large graphs take.

    python bench/planner.py            all, into bench/results
    python bench/planner.py NAME...    only these, see BENCHES
"""

import json
import re
import resource
import subprocess
import sys
import tempfile

import planner_models
from session import cli, save, verdict

BAR = 1.02
SECONDS = {"1,000": 2, "10,000": 30}
# Methods that are settings of another.
VARIANTS = {"rslora": ["--method", "lora", "--use-rslora"],
            "dora": ["--method", "lora", "--use-dora"]}  # fmt: skip


def method_options():
    names = [m["name"] for m in cli.run_json("methods")["methods"]]
    return {name: ["--method", name] for name in names} | VARIANTS


def plan(model, method, options, precision, *more):
    """A row, or None where the method has nothing to adapt in the model."""
    args = ["plan", model, *options, "--precision", precision, *more]
    done = cli.run(*args, "--json")
    if done.returncode != 0:
        assert done.returncode in (2, 3, 4), (args, done.stderr)
        print(f"{model.name} {method} {precision}: {done.stderr.strip()}")
        return None
    p = json.loads(done.stdout)
    row = {"model": model.name, "method": method, "precision": precision}
    fields = ["arena_bytes", "lower_bound_bytes", "persistent_bytes",
              "scratch_bytes", "flash_bytes", "ram_bytes", "macs"]  # fmt: skip
    row |= {name: p[name] for name in fields}
    ratio = p["arena_bytes"] / max(1, p["lower_bound_bytes"])
    row["arena_over_lower_bound"] = round(ratio, 5)
    if "arena_is_optimal" in p:
        row["arena_is_optimal"] = p["arena_is_optimal"]
    return row | {"kernel_calls": p["steps"], "plan": p["plan_hash"]}


def methods():
    rows = []
    for model in planner_models.models():
        for name, options in method_options().items():
            for precision in planner_models.precisions(model):
                row = plan(model, name, options, precision)
                if not row:
                    continue
                given = plan(model, name, options, precision, "--keep-order")
                row["given_order_arena_bytes"] = given["arena_bytes"]
                rows.append(row)
    worst = max(r["arena_over_lower_bound"] for r in rows)
    print(f"arena over lower bound, {len(rows)} plans: worst {worst} "
          f"{verdict(worst, BAR, at_least=False)}")
    save("planner_methods", rows)


def recompute():
    """What LoRA's step needs if activations are computed twice."""
    rows = []
    for model in planner_models.models():
        for precision in planner_models.precisions(model):
            kept = None
            for way in (["never"], ["always"], ["all"], ["auto", 1.1],
                        ["auto", 1.3], ["auto", 1.5]):  # fmt: skip
                options = ["--recompute", way[0]]
                if len(way) > 1:
                    options += ["--recompute-limit", way[1]]
                row = plan(model, "lora", options, precision)
                kept = kept or row
                rows.append({
                    "model": row["model"], "precision": precision,
                    "recompute": " ".join(map(str, way)).replace("auto", "limit"),
                    "arena_bytes": row["arena_bytes"],
                    "ram_bytes": row["ram_bytes"],
                    "ram_over_kept": round(row["ram_bytes"] / kept["ram_bytes"], 3),
                    "macs_over_kept": round(row["macs"] / kept["macs"], 3)})
                print(rows[-1], flush=True)
        save("planner_recompute", rows)  # as they come: the last take long


def optimum():
    """Against brute force over small problems, as the tests say."""
    rows = []
    for program, test in [
        ("train_test", "RecomputeLimit.IsNearTheOptimumOfLongerChains"),
        ("train_test", "RecomputeLimit.IsTheOptimumOfShortChains"),
        ("plan_test", "OrderSearch.EqualsBruteForceOverAllOrders"),
        ("plan_test", "FitWithin.FindsTheSmallestOfBruteForce*"),
        ("plan_test", "Regions.EqualsBruteForceOverAllAssignments"),
    ]:
        done = subprocess.run(
            [cli.BINARY.parent / program, f"--gtest_filter={test}"],
            capture_output=True, text=True)  # fmt: skip
        said = re.findall(r"^RAM over.*$", done.stdout, re.M)
        rows.append({"brute_force": f"{program} {test}",
                     "passed": done.returncode == 0
                     and bool(re.search(r"PASSED  \] [1-9]", done.stdout)),
                     "said": said[0] if said else "equal"})
        print(rows[-1], flush=True)
    save("planner_optimum", rows)


def patches():
    """Inference of the int8 models with their first convolutions in stripes."""
    rows = []
    for model in planner_models.models():
        if model.stem not in planner_models.INT8:
            continue
        for target in ("cortex-m4", "cortex-m55", "riscv32"):
            made = {}
            for way in ("off", "auto"):
                with tempfile.TemporaryDirectory() as folder:
                    made[way] = cli.run_json(
                        "compile", model, "--program", "infer", "--target", target,
                        "--patches", way, "--out", f"{folder}/c")  # fmt: skip
            off, auto = made["off"], made["auto"]
            rows.append({
                "model": model.name, "target": target,
                "arena_bytes_whole": off["arena_bytes"],
                "patches": auto["infer_patches"],
                "arena_bytes": auto["arena_bytes"],
                "arena_over_whole": round(auto["arena_bytes"] / off["arena_bytes"], 3),
                "macs_over_whole": round(auto["infer_macs"] / off["infer_macs"], 3)})
            print(rows[-1], flush=True)
    save("planner_patches", rows)


def regions():
    """Memories of an STM32H7: what is moved most into the fastest."""
    rows = []
    for model in planner_models.models():
        if model.stem not in planner_models.INT8:
            continue
        p = cli.run_json("plan", model, "--precision", "integer", "--target",
                         "cortex-m7", "--place-regions")  # fmt: skip
        used = {f"{r['region']}_used_bytes": r["used_bytes"]
                for r in p["regions"]}
        rows.append({"model": model.name, "arena_bytes": p["arena_bytes"], **used,
                     "moved_cycles": round(p["moved_cycles"]),
                     "bound_cycles": round(p["moved_cycles_bound"]),
                     "is_optimal": p["regions_are_optimal"]})
        print(rows[-1], flush=True)
    save("planner_regions", rows)


def random_sets():
    """What the test of plan_test says of its 2,000 sets of buffers."""
    test = "Placement.NeverOverlapsAndStaysNearTheBoundOnRandomSets"
    done = subprocess.run(
        [cli.BINARY.parent / "plan_test", f"--gtest_filter={test}"],
        capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout
    said = re.search(r"over (\d+) sets: mean ([\d.]+), worst ([\d.]+)"
                     r"(?:, optimal (\d+))?", done.stdout)  # fmt: skip
    row = {"random_sets": int(said[1]), "valid_sets": int(said[1]),
           "mean_arena_over_lower_bound": float(said[2]),
           "worst_arena_over_lower_bound": float(said[3])}  # fmt: skip
    if said[4]:
        row["proven_optimal_sets"] = int(said[4])
    row["verdict"] = verdict(row["mean_arena_over_lower_bound"], BAR, False)
    print(row)
    save("planner_random", [row])


def cpu_seconds():
    """Of finished child processes; a plan has one thread."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plan_time():
    """`fieldtune plan` as a whole, file and all, on deep decoders."""
    rows = []
    for nodes, (blocks, width) in {"1,000": (12, 64), "10,000": (115, 16)}.items():
        folder = planner_models.decoder(f"llama_{blocks}_blocks", blocks, width)
        start = cpu_seconds()
        row = plan(folder, "lora", [], "f32")
        seconds = cpu_seconds() - start
        rows.append({"graph": f"{nodes} nodes", "model": folder.name,
                     "kernel_calls": row["kernel_calls"],
                     "arena_over_lower_bound": row["arena_over_lower_bound"],
                     "plan_cpu_s": round(seconds, 2), "bar_s": SECONDS[nodes],
                     "verdict": verdict(seconds, SECONDS[nodes], False)})
        print(rows[-1])
    save("planner_time", rows)


BENCHES = {"methods": methods, "recompute": recompute, "optimum": optimum,
           "patches": patches, "regions": regions, "random": random_sets, "time": plan_time}


def main():
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name]()


if __name__ == "__main__":
    main()
