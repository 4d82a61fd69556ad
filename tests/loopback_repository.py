# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the loopback Hub keeps: repositories with commits, branches and tags, and content addressed by its hash.

As on the Hub, `.gitattributes` says which files are large (kept outside git, known by their sha256), whatever their
size, so that tiny weights take the way of large ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch

GITATTRIBUTES = b"".join(
    b"%s filter=lfs diff=lfs merge=lfs -text\n" % pattern
    for pattern in (b"*.bin", b"*.pt", b"*.safetensors", b"*.msgpack", b"*tfevents*")
)


@dataclass(frozen=True)
class StoredFile:
    """One file's content; a large one stands in git as a pointer to it."""

    content: bytes
    is_large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        lines = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return lines.encode()

    @property
    def git_oid(self) -> str:
        blob = self.pointer if self.is_large else self.content
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()

    @property
    def content_oid(self) -> str:
        """What a client compares its own file with."""
        return self.sha256 if self.is_large else self.git_oid


@dataclass(frozen=True)
class Commit:
    message: str
    parent: str | None
    files: Mapping[str, StoredFile]

    @property
    def oid(self) -> str:
        tree = "".join(f"{path} {file.git_oid}\n" for path, file in sorted(self.files.items()))
        return hashlib.sha1(f"{self.parent}\n{self.message}\n{tree}".encode()).hexdigest()


@dataclass
class Repository:
    """A model repository of `owner`; `readers` are the users who may read it if it is private or gated."""

    name: str
    owner: str
    is_private: bool = False
    is_gated: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    large_contents: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.add_commit("main", "initial commit", {".gitattributes": StoredFile(GITATTRIBUTES, is_large=False)})

    def add_commit(self, branch: str, message: str, files: Mapping[str, StoredFile]) -> Commit:
        """Commits a whole tree of files to a branch."""
        commit = Commit(message, self.branches.get(branch), dict(files))
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid
        return commit

    def find(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag or an oid names."""
        return self.commits.get(self.branches.get(revision) or self.tags.get(revision) or revision)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """The content of every file of a revision, for assertions."""
        commit = self.find(revision)
        assert commit is not None, f"{self.name} has no revision {revision!r}"
        return {path: file.content for path, file in commit.files.items()}

    def messages(self, branch: str = "main") -> list[str]:
        """The messages of a branch's commits, the newest first."""
        commit = self.find(branch)
        messages = []
        while commit is not None:
            messages.append(commit.message)
            commit = None if commit.parent is None else self.commits[commit.parent]
        return messages

    def is_large(self, path: str, revision: str) -> bool:
        """Whether `.gitattributes` has the file kept outside git."""
        rules = self.files(revision).get(".gitattributes", b"").decode().splitlines()
        patterns = [rule.split()[0] for rule in rules if "filter=lfs" in rule]
        return any(fnmatch(path.rsplit("/", 1)[-1], pattern) for pattern in patterns)

    def may_read(self, user: str | None) -> bool:
        return user is not None and (user == self.owner or user in self.readers)
