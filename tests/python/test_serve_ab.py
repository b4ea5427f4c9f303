"""Two versions of an adapter compared by a running `fieldtune serve`: keys keep
their arm, feedback is counted for it, the rule promotes."""

import time

from fieldtune_cli import run_json
from serve_client import (  # noqa: F401 (fixtures)
    adapters,
    classes,
    features,
    kws,
    serve,
    store,
)


def wait_until(done, seconds=60):
    until = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def test_keys_keep_their_arm_and_the_rule_promotes(serve, store, kws, features):
    server = serve(kws, "--store", store, "--use", "me")
    alone = {v: classes(server, features, adapter="me", version=v)["answer"]
             for v in (1, 2)}
    assert "arm" not in classes(server, features, key="user1")
    run_json("ab", "start", store, "me@2", "--salt", "s", "--promote-if",
             "accuracy >= control + 50", "--least", 10, "--target", 30)  # fmt: skip
    wait_until(lambda: server.get("/v1/experiments")["experiments"])
    versions = {}
    for i in range(40):
        key = f"user{i}"
        told = run_json("ab", "arm", store, "me", key)
        given = classes(server, features, key=key)
        assert given["arm"] == told["arm"]
        assert given["answer"] == alone[given["version"]]
        again = classes(server, features, adapter="me", key=key)
        assert again["arm"] == given["arm"]
        versions[given["arm"]] = given["version"]
    assert versions == {"control": 1, "treatment": 2}
    # Without a key, or with a version, no part is taken.
    assert "arm" not in classes(server, features)
    assert "arm" not in classes(server, features, adapter="me", version=2, key="user1")
    # What moves versions has to wait for the end.
    server.refused(409, "", "/v1/rollback", {"adapter": "me"})
    arms = server.get("/v1/experiments")["experiments"][0]["arms"]
    assert sum(a["requests"] for a in arms) == 80
    found = server.metrics()
    for arm in arms:
        assert found[
            f'fieldtune_experiment_requests{{adapter="me",arm="{arm["arm"]}",'
            f'version="{arm["version"]}"}}'] == arm["requests"] > 0
    # The treatment is always right, control never.
    for i in range(60):
        given = classes(server, features, key=f"user{i}")
        if "arm" not in given:  # it is decided
            break
        right = given["arm"] == "treatment"
        server.post("/v1/feedback", id=given["id"],
                    **{"class": (given["class"] + (not right)) % 12})
    wait_until(lambda: not server.get("/v1/experiments")["experiments"])
    wait_until(lambda: classes(server, features)["version"] == 2)
    assert classes(server, features)["answer"] == alone[2]
    shown = run_json("store", "show", store, "me")
    assert (shown["version"], shown["slot"]) == (2, "confirmed")
    assert server.end() == (0, "")
