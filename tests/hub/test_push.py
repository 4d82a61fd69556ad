# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`push_to_hub` of models through the real client: large files, revisions, and uploads that break."""

import json

from hub_client import assert_raises, load_seed, push_model, tag_model, without_waiting
from loopback_hub import Fault

UPLOAD = "/upload/"


def uploads(hub) -> int:
    """How many uploads of large files reached the storage and succeeded."""
    return sum(request.status == 200 for request in hub.sent("PUT", UPLOAD))


def test_a_pushed_model_comes_back(hub, client, ada, tmp_path):
    client.run(push_model, "ada/tiny", seed=1, token=ada)
    files = hub.repositories["ada/tiny"].files()
    assert files.keys() >= {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"}
    assert json.loads(files["config.json"])["model_type"] == "data2vec2-audio"
    assert client.run(load_seed, "ada/tiny", tmp_path) == 1
    messages = hub.repositories["ada/tiny"].messages()
    assert messages == ["Upload feature extractor", "Upload Data2Vec2AudioForPreTraining", "initial commit"]


def test_only_the_hub_gets_the_token(hub, client, ada, tmp_path):
    client.run(push_model, "ada/tiny", token=ada)
    assert all(request.user == "ada" for request in hub.sent("POST", "/api/models/|/api/repos/|/info/lfs/"))
    client.run(load_seed, "ada/tiny", tmp_path, token=ada)
    from_storage = [request for request in hub.requests if request.host == "storage"]
    assert {request.method for request in from_storage} == {"PUT", "GET"}
    assert not any(request.has_authorization for request in from_storage)


def test_large_files_in_several_parts(hub, client, ada, tmp_path):
    hub.part_size = 100_000
    client.run(push_model, "ada/tiny", seed=2, token=ada)
    size = len(hub.repositories["ada/tiny"].files()["model.safetensors"])
    assert uploads(hub) == -(-size // hub.part_size) > 1
    assert client.run(load_seed, "ada/tiny", tmp_path) == 2


def test_revisions(hub, client, ada, tmp_path):
    client.run(push_model, "ada/tiny", seed=0, token=ada)
    assert client.run(tag_model, "ada/tiny", "v1", token=ada) == ("ada", ["main", "v1"])
    first = hub.repositories["ada/tiny"].tags["v1"]
    client.run(push_model, "ada/tiny", seed=1, token=ada)
    client.run(push_model, "ada/tiny", seed=2, revision="trial/longer", token=ada)
    seeds = {revision: client.run(load_seed, "ada/tiny", tmp_path, revision=revision) for revision in ("v1", first)}
    assert seeds == {"v1": 0, first: 0}
    assert client.run(load_seed, "ada/tiny", tmp_path) == 1
    assert client.run(load_seed, "ada/tiny", tmp_path, revision="trial/longer") == 2
    with assert_raises("OSError", "ada/tiny has no such branch, tag or commit"):
        client.run(load_seed, "ada/tiny", tmp_path, revision="v2")


def test_pushing_the_same_again_sends_no_weights(hub, client, ada):
    client.run(push_model, "ada/tiny", token=ada)
    assert uploads(hub) == 1
    commits = len(hub.repositories["ada/tiny"].commits)
    client.run(push_model, "ada/tiny", token=ada)
    assert uploads(hub) == 1
    assert len(hub.repositories["ada/tiny"].commits) == commits


def test_a_broken_upload_is_tried_again(hub, client, ada, tmp_path):
    """In parts, so that only the part in which the connection broke is sent twice."""
    hub.part_size = 100_000
    with hub.failing(Fault("PUT", UPLOAD, drop_after=50_000, reset=True), Fault("PUT", UPLOAD, status=500, times=2)):
        client.run(without_waiting, push_model, "ada/tiny", token=ada)
    size = len(hub.repositories["ada/tiny"].files()["model.safetensors"])
    assert len(hub.sent("PUT", UPLOAD)) == uploads(hub) + 3
    assert uploads(hub) == -(-size // hub.part_size)
    assert client.run(load_seed, "ada/tiny", tmp_path) == 0


def test_a_failed_push_goes_on_where_it_ended(hub, client, ada, tmp_path):
    """All shards arrive, nothing is committed, and one is lost: the second push sends that one only."""
    shards = {"max_shard_size": "60KB"}
    with (
        hub.failing(Fault("POST", "/commit/", status=503)),
        assert_raises("HfHubHTTPError", "The Hub answered with status 503 (made to fail)."),
    ):
        client.run(push_model, "ada/tiny", token=ada, **shards)
    repository = hub.repositories["ada/tiny"]
    num_shards = uploads(hub)
    assert num_shards > 1
    assert repository.files().keys() == {".gitattributes"}
    del repository.large_contents[next(iter(repository.large_contents))]
    client.run(push_model, "ada/tiny", token=ada, **shards)
    assert uploads(hub) == num_shards + 1
    assert client.run(load_seed, "ada/tiny", tmp_path) == 0


def test_an_upload_that_cannot_be_done(hub, client, ada):
    connection = assert_raises("RuntimeError", f"The connection to the Hub ({hub.endpoint}) failed")
    with hub.failing(Fault("PUT", UPLOAD, drop_after=1000, times=6)), connection:
        client.run(without_waiting, push_model, "ada/tiny", token=ada)
    assert hub.repositories["ada/tiny"].files().keys() == {".gitattributes"}


def test_pushing_without_leave(hub, client, ada, eve):
    with assert_raises("HfHubHTTPError", "got none (Invalid username or password.): log in with `hf auth login`"):
        client.run(push_model, "ada/tiny")
    with assert_raises("HfHubHTTPError", "The Hub does not accept your access token"):
        client.run(push_model, "ada/tiny", token="hf_" + "x" * 34)
    with assert_raises("HfHubHTTPError", "use an access token that may write, and a name of your own"):
        client.run(push_model, "ada/tiny", token=eve)
    assert hub.repositories == {}
