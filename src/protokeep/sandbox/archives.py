"""ZIP and tar archives of a chat's files, and the files in an archive or behind a URL that a client names."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping

import httpx2

from .http import Refusal

#: The most bytes that are read from a URL, and the most that an archive may unpack to.
_LIMIT = 64 * 1024 * 1024
_TIMEOUT_SECONDS = 5.0
_EPOCH = (1980, 1, 1, 0, 0, 0)


def zip_of(files: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive. The same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), _as_bytes(files[name]))
    return packed.getvalue()


def tarball_of(files: Mapping[str, str | bytes]) -> bytes:
    """A gzipped tar archive. The same files give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in sorted(files):
            content = _as_bytes(files[name])
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def files_in_zip(packed: bytes) -> dict[str, str | bytes]:
    """The files of a ZIP archive. Refuses with 422 what is none, and what unpacks to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > _LIMIT:
                raise Refusal(422, "zip: unpacks to more than 64 MiB")
            return {member.filename: text_or_bytes(archive.read(member)) for member in members}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise Refusal(422, f"zip: not a ZIP archive ({error})") from None


async def fetch(url: str) -> bytes:
    """The bytes behind an http or https URL. Refuses with 422 when they cannot be had."""
    content = bytearray()
    try:
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as http,
            http.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise Refusal(422, f"url: answered {response.status_code}")
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _LIMIT:
                    raise Refusal(422, "url: more than 64 MiB")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Refusal(422, f"url: could not be fetched ({type(error).__name__})") from None
    return bytes(content)


def text_or_bytes(content: bytes) -> str | bytes:
    """Text where the bytes are UTF-8; the bytes themselves otherwise."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def _as_bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
