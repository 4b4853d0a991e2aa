"""Missing files from their official addresses: checked by checksum, and never half-written."""

from __future__ import annotations

import contextlib
import http.client
import urllib.request
import uuid
from pathlib import Path

from full_scale.data.files.location import Source, require_checksum
from mechanisms.validation import UserError

BLOCK = 1 << 20
TIMEOUT_SECONDS = 60


def fetch(source: Source, folder: Path) -> Path:
    """The path of a file fetched from its address: under another name until it is whole and has the right checksum.

    Raises:
        UserError: there is no network, the transfer broke off, the disk is full, or the file is another one.
    """
    target = folder / source.name
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(source.address, timeout=TIMEOUT_SECONDS) as answer, partial.open("wb") as file:
            announced = answer.headers.get("Content-Length")
            while block := answer.read(BLOCK):
                file.write(block)
        if announced is not None and partial.stat().st_size != int(announced):
            raise UserError(
                f"{source.address}: the transfer broke off after {partial.stat().st_size} of {announced} bytes: try again"
            )
        require_checksum(partial, source)
        partial.replace(target)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source.address} could not be fetched into {folder} ({reason}): try again, or put the file there"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return target
