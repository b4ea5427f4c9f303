"""Promises that tests keep, with what they printed, for docs/results: gradients
against finite differences, placement, guard bytes and allocations, and the bits
of a run whatever its path.
"""

import re
import subprocess

from session import WORK, cli, save

# Program of the build, its tests, and what they hold.
TESTS = [
    (
        "ops_test",
        "*GradientEqualsFiniteDifferences*",
        "every op's gradient against finite differences in double: 1e-6",
    ),
    (
        "plan_test",
        "Placement.NeverOverlapsAndStaysNearTheBoundOnRandomSets",
        "2,000 random lifetime sets: no overlap, mean at most 1.05x the bound",
    ),
    (
        "step_test",
        "*UsesWhatThePlanSaysAndAllocatesNothing*",
        "arena of exactly the planned size between guard bytes; no allocation "
        "from step 1 to step N",
    ),
]


def run_tests(program, names, promise):
    """None where the program is not built."""
    path = cli.BINARY.parent / program
    if not path.exists():
        print(f"{path} is not built: '{promise}' is left out")
        return None
    command = f"build/release/{program} --gtest_filter='{names}'"
    done = subprocess.run(
        [str(path), f"--gtest_filter={names}"],
        capture_output=True,
        text=True,
        cwd=cli.ROOT,
    )
    count = lambda word: len(re.findall(rf"\[ +{word} +\] .*\(\d", done.stdout))
    said = re.findall(r"^[a-z].*:.*\d.*$", done.stdout, re.M)
    return {
        "promise": promise,
        "made_by": command,
        "passed_count": count("OK"),
        "failed_count": count("FAILED"),
        "said": said[0] if len(said) == 1 else "",
    }


def one_run(name, *options):
    out = WORK / f"{name}.safetensors"
    args = ["train", cli.MODELS / "kws_ref_model.tflite"]
    args += ["--data", cli.FSDD / "theo", *cli.FSDD_ARGS, "--new-head"]
    args += ["--train-per-class", 10, "--epochs", 4, "--seed", 1]
    return cli.run_json(*args, "--out", out, *options), out, args


def equal_bits():
    """adapter_sha256 of the same run by different paths."""
    WORK.mkdir(parents=True, exist_ok=True)
    first, out, args = one_run("bits")
    ways = {"first run": first, "again": one_run("bits")[0]}
    ways["2 threads"] = one_run("bits", "--threads", 2)[0]
    cli.run(*args, "--out", out, "--stop-after", 250)
    ways["stopped after 250 steps and resumed"] = one_run("bits", "--resume")[0]
    return [
        {
            "run": way,
            "adapter_sha256": result["adapter_sha256"],
            "equal": result["adapter_sha256"] == first["adapter_sha256"],
        }
        for way, result in ways.items()
    ]


def main():
    rows = [row for test in TESTS if (row := run_tests(*test))]
    bits = equal_bits()
    for row in [*rows, *bits]:
        print(row)
    save("tests", rows)
    save("equal_bits", bits)


if __name__ == "__main__":
    main()
