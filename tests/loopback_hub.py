# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A Hub on this machine's loopback: the part of the Hub's HTTP protocol that huggingface_hub's client speaks.

Accounts, repositories, commits, git-LFS uploads in one part and in several, downloads with ranges, revisions, access
and its errors. Large files lie, as on the Hub, behind signed URLs on a second host, which must never see a token. The
Xet protocol, which newer clients prefer, is not spoken here: it goes through a compiled library with a storage format
of its own. `HF_HUB_DISABLE_XET=1` makes the client take git-LFS.

Every request is kept in `requests`; `faults` make some of them fail.
"""

import base64
import hashlib
import json
import re
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from loopback_repository import Commit, Repository, StoredFile

LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "other")
REPOSITORY = r"(?P<name>[\w.-]+/[\w.-]+)"


@dataclass
class Request:
    """One request as the Hub saw it.

    Args:
        host: "hub" or "storage".
        user: Whose token came in the `Authorization` header; `None` without one.
        has_authorization: Whether there was such a header at all.
        shows_token: Whether a token came anywhere else.
    """

    method: str
    path: str
    host: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: str | None = None
    has_authorization: bool = False
    shows_token: bool = False
    status: int | None = None

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Any, status: int = 200, **headers: str) -> "Response":
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})


class HubRefusalError(Exception):
    """An error of the Hub, with the headers by which the client tells errors apart."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        headers |= {"X-Error-Message": message} | ({} if code is None else {"X-Error-Code": code})
        self.response = Response.of({"error": message}, status, **headers)


@dataclass
class Fault:
    """Makes the next `times` requests of a kind fail: by a status, or by a connection that ends after some bytes.

    Args:
        drop_after: Bytes of an upload that are read, or of a download that are sent, before the connection ends.
        reset: Whether it ends by a reset instead of in good order.
    """

    method: str
    path: str
    times: int = 1
    status: int | None = None
    drop_after: int = 0
    reset: bool = False

    def takes(self, request: Request) -> bool:
        if self.times > 0 and self.method == request.method and re.search(self.path, request.path):
            self.times -= 1
            return True
        return False


class LoopbackHub:
    """The Hub at `endpoint` and its storage at `storage_endpoint`, served by threads while in a `with` block."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}  # by token
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.unknown: list[str] = []  # requests that no route answers: what this Hub does not imitate yet
        self.faults: list[Fault] = []
        self.part_size = 5_000_000  # bytes; larger files are uploaded in parts of this size
        self._uploads: dict[str, dict[int, bytes]] = {}  # by signature
        self._servers = {host: _serve(self, host) for host in ("hub", "storage")}

    def __enter__(self) -> "LoopbackHub":
        return self

    def __exit__(self, *exception: object) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._servers['hub'].server_port}"

    @property
    def storage_endpoint(self) -> str:
        return f"http://127.0.0.1:{self._servers['storage'].server_port}"

    def add_user(self, name: str) -> str:
        """A new account; returns its token."""
        token = "hf_" + secrets.token_hex(17)
        self.users[token] = name
        return token

    def add_repository(self, name: str, **properties: Any) -> Repository:
        repository = Repository(name, owner=name.split("/")[0], **properties)
        self.repositories[name] = repository
        return repository

    def sent(self, method: str, path: str) -> list[Request]:
        """The requests so far whose path matches a pattern."""
        return [request for request in self.requests if request.method == method and re.search(path, request.path)]

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Has the faults until the block ends; each of them must have struck."""
        self.faults = list(faults)
        yield
        assert all(fault.times == 0 for fault in self.faults), f"some faults did not strike: {self.faults}"
        self.faults = []

    def fault_of(self, request: Request) -> Fault | None:
        return next((fault for fault in self.faults if fault.takes(request)), None)

    def answer(self, request: Request) -> Response:
        """What the Hub answers. `HEAD` is answered as `GET`; the server leaves the body out."""
        method = "GET" if request.method == "HEAD" else request.method
        for route_method, pattern, route in ROUTES[request.host]:
            match = re.fullmatch(pattern, request.path)
            if route_method == method and match:
                try:
                    self._check_token(request)
                    return route(self, request, **{key: unquote(value) for key, value in match.groupdict().items()})
                except HubRefusalError as refusal:
                    return refusal.response
        self.unknown.append(f"{request.method} {request.path}")
        return Response.of({"error": "Not Found"}, 404)

    def _check_token(self, request: Request) -> None:
        if request.host == "storage" and request.has_authorization:
            raise HubRefusalError(400, "Only one auth mechanism allowed")  # what an object store answers
        if request.has_authorization and request.user is None:
            raise HubRefusalError(401, "Invalid credentials in Authorization header")

    def agent_harnesses(self, request: Request) -> Response:
        """What the `hf` command asks to describe its caller; it does without an answer."""
        raise HubRefusalError(404, "Not Found")

    # Accounts and repositories

    def who_am_i(self, request: Request) -> Response:
        if request.user is None:
            raise HubRefusalError(401, "Invalid username or password.")
        return Response.of({"type": "user", "name": request.user, "orgs": [], "auth": {"type": "access_token"}})

    def create_repository(self, request: Request) -> Response:
        if request.user is None:
            raise HubRefusalError(401, "Invalid username or password.")
        wanted = request.json()
        owner = wanted.get("organization") or request.user
        name = f"{owner}/{wanted['name']}"
        url = {"url": f"{self.endpoint}/{name}", "name": name, "id": name}
        if owner != request.user:
            raise HubRefusalError(403, f'You don\'t have the rights to create a model under the namespace "{owner}"')
        if name in self.repositories:
            return Response.of({"error": "You already created this model repo", **url}, 409)
        self.add_repository(name, is_private=wanted.get("visibility") == "private")
        return Response.of(url)

    def repository_for_reading(self, request: Request, name: str) -> Repository:
        repository = self.repositories.get(name)
        if repository is None or (repository.is_private and not repository.may_read(request.user)):
            if request.user is None:  # the Hub does not tell strangers what exists
                raise HubRefusalError(401, "Invalid username or password.", "RepoNotFound")
            raise HubRefusalError(404, "Repository not found", "RepoNotFound")
        return repository

    def repository_for_writing(self, request: Request, name: str) -> Repository:
        repository = self.repository_for_reading(request, name)
        if request.user is None:
            raise HubRefusalError(401, "Invalid username or password.")
        if request.user != repository.owner:
            raise HubRefusalError(403, "You don't have write access to this repository")
        return repository

    def commit_of(self, repository: Repository, revision: str) -> Commit:
        commit = repository.find(revision)
        if commit is None:
            raise HubRefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def repository_info(self, request: Request, name: str, revision: str = "main") -> Response:
        repository = self.repository_for_reading(request, name)
        commit = self.commit_of(repository, revision)
        return Response.of(
            {
                "_id": hashlib.md5(name.encode()).hexdigest()[:24],
                "id": name,
                "modelId": name,
                "sha": commit.oid,
                "private": repository.is_private,
                "gated": "manual" if repository.is_gated else False,
                "disabled": False,
                "tags": [],
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            }
        )

    def references(self, request: Request, name: str) -> Response:
        repository = self.repository_for_reading(request, name)
        branches = [_reference("heads", branch, oid) for branch, oid in repository.branches.items()]
        tags = [_reference("tags", tag, oid) for tag, oid in repository.tags.items()]
        return Response.of({"branches": branches, "tags": tags, "converts": []})

    def create_branch(self, request: Request, name: str, branch: str) -> Response:
        repository = self.repository_for_writing(request, name)
        if branch in repository.branches:
            raise HubRefusalError(409, f"Reference already exists: {branch}")
        start = self.commit_of(repository, request.json().get("startingPoint", "main"))
        repository.branches[branch] = start.oid
        return Response.of({})

    def create_tag(self, request: Request, name: str, revision: str) -> Response:
        repository = self.repository_for_writing(request, name)
        tag = request.json()["tag"]
        if tag in repository.tags:
            raise HubRefusalError(409, f"Tag reference exists already: {tag}")
        repository.tags[tag] = self.commit_of(repository, revision).oid
        return Response.of({})

    def tree(self, request: Request, name: str, revision: str, path: str = "") -> Response:
        """Files below a folder; the listing is always recursive, and folders are not listed."""
        repository = self.repository_for_reading(request, name)
        files = self.commit_of(repository, revision).files
        below = {key: file for key, file in files.items() if not path or key.startswith(path + "/")}
        if path and not below:
            raise HubRefusalError(404, f"{path} does not exist on {revision!r}", "EntryNotFound")
        return Response.of([_entry(key, file) for key, file in sorted(below.items())])

    # Upload

    def validate_card(self, request: Request) -> Response:
        """The check of a model card's metadata."""
        errors, warnings = check_card(request.json()["content"])
        messages = {
            "errors": [{"message": error} for error in errors],
            "warnings": [{"message": warning} for warning in warnings],
        }
        return Response.of(messages, 400 if errors else 200)

    def preupload(self, request: Request, name: str, revision: str) -> Response:
        """Tells which files are large and which are ignored, and what the repository has at their paths."""
        repository = self.repository_for_writing(request, name)
        committed = self.commit_of(repository, revision).files
        files = []
        for file in request.json()["files"]:
            path, known = file["path"], committed.get(file["path"])
            mode = "lfs" if repository.is_large(path, revision) or file["size"] > 10_000_000 else "regular"
            oid = {} if known is None else {"oid": known.content_oid}
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **oid})
        return Response.of({"files": files})

    def batch(self, request: Request, name: str) -> Response:
        """Where to upload large files; nowhere if the Hub has them."""
        repository = self.repository_for_writing(request, name)
        assert request.json()["operation"] == "upload"
        objects = []
        for wanted in request.json()["objects"]:
            instructions = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in repository.large_contents:
                instructions["actions"] = self._upload_actions(name, wanted["oid"], wanted["size"])
            objects.append(instructions)
        return Response.of({"transfer": "basic", "objects": objects})

    def _upload_actions(self, name: str, oid: str, size: int) -> dict[str, Any]:
        signature = secrets.token_hex(8)
        self._uploads[signature] = {}
        store = f"{self.storage_endpoint}/upload/{name}/{oid}?X-Amz-Signature={signature}"
        verify = {"href": f"{self.endpoint}/{name}.git/info/lfs/objects/verify"}
        if size <= self.part_size:
            return {"upload": {"href": store}, "verify": verify}
        parts = {
            f"{number + 1:05d}": f"{store}&partNumber={number + 1}" for number in range(-(-size // self.part_size))
        }
        complete = f"{self.endpoint}/api/complete_multipart/{name}/{oid}?signature={signature}"
        return {"upload": {"href": complete, "header": {"chunk_size": str(self.part_size), **parts}}, "verify": verify}

    def store(self, request: Request, name: str, oid: str) -> Response:
        """A large file, or one part of it, at its signed URL."""
        if "content-length" not in request.headers:
            raise HubRefusalError(501, "A header you provided implies functionality that is not implemented")
        signature = request.query["X-Amz-Signature"]
        if signature not in self._uploads:
            raise HubRefusalError(403, "Request has expired")
        if "partNumber" in request.query:
            self._uploads[signature][int(request.query["partNumber"])] = request.body
            return Response(200, headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})
        return self._keep(name, oid, request.body)

    def complete_multipart(self, request: Request, name: str, oid: str) -> Response:
        parts = self._uploads[request.query["signature"]]
        named = {part["partNumber"]: part["etag"] for part in request.json()["parts"]}
        if named != {number: f'"{hashlib.md5(part).hexdigest()}"' for number, part in parts.items()}:
            raise HubRefusalError(400, "One or more of the specified parts could not be found")
        return self._keep(name, oid, b"".join(parts[number] for number in sorted(parts)))

    def _keep(self, name: str, oid: str, content: bytes) -> Response:
        if hashlib.sha256(content).hexdigest() != oid:
            raise HubRefusalError(400, "The content does not have the announced hash")
        self.repositories[name].large_contents[oid] = content
        return Response()

    def verify(self, request: Request, name: str) -> Response:
        repository = self.repository_for_writing(request, name)
        content = repository.large_contents.get(request.json()["oid"])
        if content is None or len(content) != request.json()["size"]:
            raise HubRefusalError(404, "The object was not uploaded")
        return Response.of({})

    def commit(self, request: Request, name: str, revision: str) -> Response:
        repository = self.repository_for_writing(request, name)
        head, *operations = [json.loads(line) for line in request.body.splitlines()]
        assert head["key"] == "header"
        files = dict(self.commit_of(repository, revision).files)
        for operation in operations:
            _apply(operation["key"], operation["value"], files, repository)
        commit = repository.add_commit(revision, head["value"]["summary"], files)
        url = f"{self.endpoint}/{name}/commit/{commit.oid}"
        return Response.of({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    # Download

    def resolve(self, request: Request, name: str, revision: str, path: str) -> Response:
        """A small file itself; for a large one where it is, with its hash and size."""
        repository = self.repository_for_reading(request, name)
        if repository.is_gated and not repository.may_read(request.user):
            restricted = f"Access to model {name} is restricted"
            if request.user is None:
                raise HubRefusalError(401, f"{restricted}. You must be authenticated to access it.", "GatedRepo")
            raise HubRefusalError(403, f"{restricted} and you are not in the authorized list.", "GatedRepo")
        commit = self.commit_of(repository, revision)
        headers = {"X-Repo-Commit": commit.oid}
        file = commit.files.get(path)
        if file is None:
            raise HubRefusalError(404, "Entry not found", "EntryNotFound", **headers)
        headers["ETag"] = f'"{file.git_oid}"'
        if not file.is_large:
            return Response(200, file.content, headers)
        headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
        location = f"{self.storage_endpoint}/download/{name}/{file.sha256}?X-Amz-Signature={secrets.token_hex(8)}"
        return Response(302, b"", headers | {"Location": location})

    def download(self, request: Request, name: str, oid: str) -> Response:
        content = self.repositories[name].large_contents[oid]
        headers = {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted is None:
            return Response(200, content, headers)
        start, end = int(wanted[1]), int(wanted[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return Response(206, content[start : end + 1], headers)


Route = tuple[str, str, Callable[..., Response]]
ROUTES: dict[str, list[Route]] = {
    "hub": [
        ("GET", "/api/whoami-v2", LoopbackHub.who_am_i),
        ("GET", "/api/agent-harnesses", LoopbackHub.agent_harnesses),
        ("POST", "/api/repos/create", LoopbackHub.create_repository),
        ("POST", "/api/validate-yaml", LoopbackHub.validate_card),
        ("GET", f"/api/models/{REPOSITORY}", LoopbackHub.repository_info),
        ("GET", f"/api/models/{REPOSITORY}/revision/(?P<revision>[^/]+)", LoopbackHub.repository_info),
        ("GET", f"/api/models/{REPOSITORY}/refs", LoopbackHub.references),
        ("GET", f"/api/models/{REPOSITORY}/tree/(?P<revision>[^/]+)", LoopbackHub.tree),
        ("GET", f"/api/models/{REPOSITORY}/tree/(?P<revision>[^/]+)/(?P<path>.+)", LoopbackHub.tree),
        ("POST", f"/api/models/{REPOSITORY}/branch/(?P<branch>[^/]+)", LoopbackHub.create_branch),
        ("POST", f"/api/models/{REPOSITORY}/tag/(?P<revision>[^/]+)", LoopbackHub.create_tag),
        ("POST", f"/api/models/{REPOSITORY}/preupload/(?P<revision>[^/]+)", LoopbackHub.preupload),
        ("POST", f"/api/models/{REPOSITORY}/commit/(?P<revision>[^/]+)", LoopbackHub.commit),
        ("POST", f"/{REPOSITORY}.git/info/lfs/objects/batch", LoopbackHub.batch),
        ("POST", f"/{REPOSITORY}.git/info/lfs/objects/verify", LoopbackHub.verify),
        ("POST", f"/api/complete_multipart/{REPOSITORY}/(?P<oid>[0-9a-f]+)", LoopbackHub.complete_multipart),
        ("GET", f"/{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", LoopbackHub.resolve),
    ],
    "storage": [
        ("PUT", f"/upload/{REPOSITORY}/(?P<oid>[0-9a-f]+)", LoopbackHub.store),
        ("GET", f"/download/{REPOSITORY}/(?P<oid>[0-9a-f]+)", LoopbackHub.download),
    ],
}


def check_card(content: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a model card's metadata: those of the Hub's checks that a wrong card would meet."""
    match = re.match(r"\s*---\n(.*?)\n---\n", content, re.DOTALL)
    if match is None:
        return [], ["empty or missing yaml metadata in repo card"]
    metadata = yaml.safe_load(match[1])
    if not isinstance(metadata, dict):
        return ["metadata must be a mapping"], []
    errors = []
    if metadata.get("license", "other") not in LICENSES:
        errors.append(f'"license" must be one of {LICENSES}')
    for key, pattern in (("base_model", r"[\w.-]+/[\w.-]+"), ("language", "[a-z-]+"), ("datasets", r"[\w./-]+")):
        values = metadata.get(key, [])
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not re.fullmatch(pattern, value):
                errors.append(f'"{key}" with value "{value}" is not valid')
    return errors, []


def _reference(kind: str, name: str, oid: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}


def _entry(path: str, file: StoredFile) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(file.content), "oid": file.git_oid}
    if file.is_large:
        entry["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}
    return entry


def _apply(key: str, value: dict[str, Any], files: dict[str, StoredFile], repository: Repository) -> None:
    """One operation of a commit."""
    if key == "file":
        assert value["encoding"] == "base64"
        files[value["path"]] = StoredFile(base64.b64decode(value["content"]), is_large=False)
    elif key == "lfsFile":
        if value["oid"] not in repository.large_contents:
            raise HubRefusalError(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
        files[value["path"]] = StoredFile(repository.large_contents[value["oid"]], is_large=True)
    elif key == "deletedFile":
        del files[value["path"]]
    else:
        raise HubRefusalError(400, f"unknown operation {key!r}")


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, lets the Hub answer it, and keeps it."""

    protocol_version = "HTTP/1.1"
    hub: LoopbackHub
    host: str

    def handle_one(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        headers = {key.lower(): value for key, value in self.headers.items()}
        authorization = headers.pop("authorization", None)
        request = Request(self.command, url.path, self.host, query, headers)
        request.has_authorization = authorization is not None
        request.user = self.hub.users.get((authorization or "").removeprefix("Bearer "))
        self.hub.requests.append(request)
        fault = self.hub.fault_of(request)
        if fault is not None and fault.status is None and self.command == "PUT":
            self.rfile.read(fault.drop_after)
            self._hang_up(fault)
            return
        request.body = self._read_body()
        shown = self.path.encode() + repr(headers).encode() + request.body
        request.shows_token = any(token.encode() in shown for token in self.hub.users)
        if fault is not None and fault.status is not None:
            self._write(request, Response.of({"error": "made to fail"}, fault.status))
        else:
            self._write(request, self.hub.answer(request), fault)

    do_GET = do_HEAD = do_POST = do_PUT = handle_one  # noqa: N815

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _write(self, request: Request, response: Response, fault: Fault | None = None) -> None:
        request.status = response.status
        self.send_response(response.status)
        for key, value in (response.headers | {"Content-Length": str(len(response.body))}).items():
            self.send_header(key, value)
        self.end_headers()
        body = b"" if self.command == "HEAD" else response.body
        self.wfile.write(body if fault is None else body[: fault.drop_after])
        if fault is not None:
            self._hang_up(fault)

    def _hang_up(self, fault: Fault) -> None:
        """Ends the connection before its time."""
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `LoopbackHub.requests` is the log."""

    def finish(self) -> None:
        if self.connection.fileno() != -1:
            super().finish()


def _serve(hub: LoopbackHub, host: str) -> ThreadingHTTPServer:
    handler = type(f"{host.title()}Handler", (_Handler,), {"hub": hub, "host": host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
