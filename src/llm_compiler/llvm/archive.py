"""Members of an `ar` archive, in the System V form that Linux tools write (long names in the member `//`)."""

from __future__ import annotations

from collections.abc import Iterator

from llm_compiler.errors import InputError

MAGIC = b"!<arch>\n"
THIN_MAGIC = b"!<thin>\n"
_HEADER = 60


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, contents) of every member but the symbol tables. Raises InputError for a broken or a thin archive."""
    if data.startswith(THIN_MAGIC):
        raise InputError("it is a thin archive, which holds no members; name the objects themselves")
    if not data.startswith(MAGIC):
        raise InputError("it is not an archive")
    names = b""
    position = len(MAGIC)
    while position < len(data):
        header = data[position : position + _HEADER]
        try:
            length = int(header[48:58])
        except ValueError:
            length = -1
        start = position + _HEADER
        if header[58:] != b"`\n" or length < 0 or start + length > len(data):
            raise InputError("the archive is truncated or corrupted")
        contents = data[start : start + length]
        name = header[:16].rstrip()
        if name == b"//":
            names = contents
        elif name not in (b"/", b"/SYM64/"):
            if name[:1] == b"/" and name[1:].isdigit():
                at = int(name[1:])
                name = names[at : names.find(b"\n", at)]
            yield name.removesuffix(b"/").decode(errors="replace"), contents
        position = start + length + length % 2
