"""Files that are dropped on a page: in pieces, into the workspace, and resumable.

    uploads/ID/
      upload.json      Upload: names and sizes, as announced
      files/…          what has arrived, of mode 0600

Nothing goes through the system's folder for temporary files, and nothing is in memory but a
piece. `myna import` reads the files, and the folder is deleted when it ends.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from myna.serving.errors import ApiError, JsonResponse
from myna.serving.room_routes import RequestBody
from myna.web.commands import OwnerRoute, Space
from myna.workspace import Workspace, explain_disk_errors, read_json, write_json

MAX_UPLOAD_BYTES = 16 * 10**9
"""Largest drop, unless `myna serve --max-upload` says another."""
SPARE_BYTES = 2**30
"""Space that a drop leaves on the disk: importing needs some."""
MAX_FILES = 5000
KEPT_SECONDS = 24 * 3600
"""An upload that nobody finished is deleted at the first later one after so long."""

router = APIRouter(prefix="/api/uploads", tags=["Uploads"], route_class=OwnerRoute)
"""The paths of uploads."""


class NewFile(RequestBody):
    """A file to come: its name, with folders where it was dropped in one, and its bytes."""

    name: str = Field(min_length=1, max_length=1000)
    size: int = Field(ge=0)


class NewUpload(RequestBody):
    """Files that belong together."""

    files: list[NewFile] = Field(min_length=1, max_length=MAX_FILES)


@dataclass(frozen=True)
class Upload:
    """An announced upload: paths below its folder, and their sizes."""

    id: str
    names: list[str]
    sizes: list[int]


@router.post("", status_code=201)
def announce(new: NewUpload, request: Request, workspace: Space) -> Response:
    """Announce files; refused where they do not fit."""
    _remove_old(workspace)
    total = sum(file.size for file in new.files)
    most: int = request.app.state.pages.max_upload_bytes
    check_size(total, shutil.disk_usage(workspace.root).free, most)
    names = _unique([safe_name(file.name) for file in new.files])
    upload = Upload(secrets.token_hex(8), names, [file.size for file in new.files])
    folder = _folder(workspace, upload.id)
    with explain_disk_errors(folder):
        (folder / "files").mkdir(mode=0o700, parents=True)
        write_json(folder / "upload.json", asdict(upload))
    return JsonResponse(_to_json(workspace, upload), 201)


def check_size(total: int, free: int, most: int) -> None:
    """Check that an upload of `total` bytes fits on the disk, and is no larger than `most`.

    Raises:
        ApiError: it is too large, or the disk too full (413).
    """
    if total > most:
        raise ApiError(
            413,
            f"{total / 1e9:,.1f} GB are more than the {most / 1e9:,.0f} GB that a page takes "
            "(--max-upload): type `myna import PATH` where the files are",
            code="too_large",
        )
    if total > free - SPARE_BYTES:
        raise ApiError(
            413,
            f"{total / 1e9:,.1f} GB do not fit on the disk, which has {free / 1e9:,.1f} GB free: "
            "free some space, then drop them again",
            code="disk_full",
        )


@router.get("/{upload}")
def get_upload(upload: str, workspace: Space) -> Response:
    """Get the bytes of each file that have arrived: from there the client goes on."""
    return JsonResponse(_to_json(workspace, load(workspace, upload)))


@router.put("/{upload}/{number}")
async def receive_piece(
    upload: str, number: int, offset: Annotated[int, Query(ge=0)], request: Request, space: Space
) -> Response:
    """Append a piece to a file; `offset` must be its size so far (409 tells it)."""
    data = await request.body()
    return await run_in_threadpool(_append, space, upload, number, offset, data)


def _append(space: Workspace, upload_id: str, number: int, offset: int, data: bytes) -> Response:
    upload = load(space, upload_id)
    if not 0 <= number < len(upload.names):
        raise ApiError(404, "there is no such file in this upload", code="file_not_found")
    path = file_path(space, upload, number)
    size = path.stat().st_size if path.exists() else 0
    if offset != size:
        return JsonResponse({"size": size}, 409)
    if size + len(data) > upload.sizes[number]:
        raise ApiError(413, "the file is larger than announced: drop it again", code="too_large")
    with explain_disk_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab") as file:
            path.chmod(0o600)
            file.write(data)
    return JsonResponse({"size": size + len(data)})


@router.delete("/{upload}")
def cancel(upload: str, workspace: Space) -> Response:
    """Delete an upload."""
    load(workspace, upload)
    shutil.rmtree(_folder(workspace, upload), ignore_errors=True)
    return JsonResponse({"deleted": upload})


def load(workspace: Workspace, upload_id: str) -> Upload:
    """An announced upload.

    Raises:
        ApiError: there is none (404).
    """
    is_id = re.fullmatch("[0-9a-f]{16}", upload_id)
    data = read_json(_folder(workspace, upload_id) / "upload.json") if is_id else None
    if data is None:
        raise ApiError(404, "there is no such upload: drop the files again", code="not_found")
    return Upload(**data)


def complete_path(workspace: Workspace, upload: Upload) -> Path:
    """The file of an upload, or the folder of several.

    Raises:
        ApiError: some of it has not arrived yet (409).
    """
    if _sizes(workspace, upload) != upload.sizes:
        raise ApiError(409, "the files have not all arrived yet", code="incomplete")
    return file_path(workspace, upload, 0) if len(upload.names) == 1 else _files(workspace, upload)


def file_path(workspace: Workspace, upload: Upload, number: int) -> Path:
    """The path of one file of an upload."""
    return _files(workspace, upload) / upload.names[number]


def upload_folder(workspace: Workspace, upload: Upload) -> Path:
    """The folder of an upload, to be deleted after the import."""
    return _folder(workspace, upload.id)


def safe_name(name: str) -> str:
    """A relative path without anything that a system would take for more than a name."""
    parts = []
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        kept = "".join(c for c in part if unicodedata.category(c)[0] != "C" and c not in '<>:"|?*/')
        kept = kept.strip(" .")[:120]
        if kept:
            parts.append(kept)
    return "/".join(parts[-6:]) or "file"


def _unique(names: list[str]) -> list[str]:
    """The names, of which none is another's, in any case, and none another's folder."""
    taken: set[str] = set()
    folders = {str(parent).lower() for name in names for parent in PurePosixPath(name).parents}
    found = []
    for name in names:
        path, number = PurePosixPath(name), 1
        while str(path).lower() in taken or str(path).lower() in folders:
            number += 1
            path = PurePosixPath(name).with_name(f"{number} {PurePosixPath(name).name}")
        taken.add(str(path).lower())
        found.append(str(path))
    return found


def _sizes(workspace: Workspace, upload: Upload) -> list[int]:
    paths = [file_path(workspace, upload, number) for number in range(len(upload.names))]
    for path, size in zip(paths, upload.sizes, strict=True):
        if size == 0:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
    return [path.stat().st_size if path.exists() else 0 for path in paths]


def _to_json(workspace: Workspace, upload: Upload) -> dict[str, Any]:
    arrived = _sizes(workspace, upload)
    files = zip(upload.names, upload.sizes, arrived, strict=True)
    return {
        "id": upload.id,
        "files": [{"name": name, "size": size, "arrived": here} for name, size, here in files],
    }


def _folder(workspace: Workspace, upload_id: str) -> Path:
    return workspace.uploads / upload_id


def _files(workspace: Workspace, upload: Upload) -> Path:
    return _folder(workspace, upload.id) / "files"


def _remove_old(workspace: Workspace) -> None:
    for record in workspace.uploads.glob("*/upload.json"):
        if time.time() - record.parent.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(record.parent, ignore_errors=True)
