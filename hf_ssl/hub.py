# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The Hub: what it refused, in one line, and whose card is there."""

import os
from collections.abc import Iterator

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from .card import CARD_MARK

LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def explain_hub_error(error: BaseException) -> str | None:
    """What the Hub refused and what to do, in one line; `None` if the error did not come from the Hub."""
    explanations = (_explain(cause) for cause in _causes(error))
    return next((explanation for explanation in explanations if explanation is not None), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from: transformers and the client wrap the Hub's answers several times."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _explain(error: BaseException) -> str | None:
    if isinstance(error, HfHubHTTPError):
        return _explain_answer(error)
    if isinstance(error, LocalTokenNotFoundError):
        return f"The Hub needs to know who you are: {LOG_IN}."
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and this is not on this machine yet: unset it, or give a folder."
    if isinstance(error, HFValidationError):
        return f"Neither a folder here nor the name of a repository on the Hub: {error}"
    if isinstance(error, httpx.TransportError):
        return f"The connection to the Hub ({constants.ENDPOINT}) failed ({type(error).__name__}: {error}): try again."
    return None


def _explain_answer(error: HfHubHTTPError) -> str | None:
    if isinstance(error, GatedRepoError):
        page = f"{constants.ENDPOINT}/{error.repo_id}"
        return f"{error.repo_id} is gated and not open to you: accept its conditions at {page}, and {LOG_IN}."
    if isinstance(error, RepositoryNotFoundError):
        return f"The Hub has no {error.repo_id} that you may read: check the name; if it is private, {LOG_IN}."
    if isinstance(error, RevisionNotFoundError):
        return f"{error.repo_id} has no such branch, tag or commit ({error.server_message})."
    if isinstance(error, RemoteEntryNotFoundError):
        return None  # whoever wanted the file says it better
    said = " ".join((error.server_message or str(error)).split())
    if error.response.status_code == 401:
        return f"The Hub does not accept your access token, or got none ({said}): {LOG_IN}."
    if error.response.status_code == 403:
        return f"The Hub refuses ({said}): use an access token that may write, and a name of your own (`user/name`)."
    return f"The Hub answered with status {error.response.status_code} ({said})."


def own_card(folder: str, repo_id: str | None, *, revision: str | None, token: str | None) -> str | None:
    """The card in a folder or, without one there, in a repository, if somebody has written or edited it."""
    path = os.path.join(folder, "README.md")
    if not os.path.isfile(path):
        if repo_id is None:
            return None
        try:
            path = hf_hub_download(repo_id, "README.md", revision=revision, token=token)
        except RemoteEntryNotFoundError:
            return None
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return None if CARD_MARK in text else text
