"""A private dataset repository on the Hugging Face Hub, for those who ask for one.

Nothing here runs unless it is asked for. The token is that of `hf auth login` or of the
environment, and never passes through myna. A repository that others can read is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from myna.errors import ExportError, first_line

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_PART}/{_PART}")


def checked(repository: str) -> str:
    """The name of a repository, if it can be one.

    Raises:
        ExportError: it is not of the form OWNER/NAME, or huggingface_hub is missing.
    """
    if not _NAME.fullmatch(repository) or "--" in repository or ".." in repository:
        raise ExportError(f"--push '{repository}': write it as OWNER/NAME, such as ana/my-chats")
    _hub()
    return repository


def push(folder: Path, files: Sequence[str], repository: str) -> str:
    """Upload the files of an export; the address of where they are.

    Raises:
        ExportError: the repository can be read by others, or the hub refuses.
    """
    hub = _hub()
    try:
        api: Any = hub.HfApi()
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        is_private = api.repo_info(repository, repo_type="dataset").private
        if is_private is True:
            api.upload_folder(
                repo_id=repository,
                repo_type="dataset",
                folder_path=str(folder),
                allow_patterns=list(files),
                commit_message="myna export",
            )
    except Exception as error:  # the hub's, the network's and the disk's, of many kinds
        reason = first_line(error, 160)
        raise ExportError(
            f"cannot push to {repository}: {reason}; check its name, the network, and that you "
            "are logged in (`hf auth login`)"
        ) from error
    if is_private is not True:
        raise ExportError(
            f"{repository} is there and others can read it: make it private on the hub, or "
            "choose another name. Nothing was uploaded"
        )
    return f"https://huggingface.co/datasets/{repository}"


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ExportError(
            "pushing needs huggingface_hub, and it is not installed: pip install 'myna[train]'"
        ) from error
    return huggingface_hub
