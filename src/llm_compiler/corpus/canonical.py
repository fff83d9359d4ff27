"""What two functions are compared by: a hash that does not see names, and shingles for finding near duplicates."""

from __future__ import annotations

import hashlib
import re
import zlib

import numpy as np
import numpy.typing as npt

from llm_compiler.corpus.extraction import PRIVATE_STRING, Extracted
from llm_compiler.corpus.moduletext import NAME, TOKEN

SHINGLE = 3
"""Lines of a shingle."""

_STRING_ATTRIBUTE = re.compile(r' ?"(?:[^"]*)"(?:="[^"]*")?')
_PLACEMENT = re.compile(r"\b(?:dso_local|hidden|protected|local_unnamed_addr|unnamed_addr) ")
_ATTACHMENT = re.compile(r", ![-\w.$]+ !\d+")
# Every branch begins with a character that seldom occurs otherwise: this runs over every body.
_NO_SHAPE = re.compile(rf"%(?:\d+|{NAME})|@(?!llvm\.)(?:{NAME}|\d+)|#\d+|, (?:align \d+|![-\w.$]+ !\d+)")
_NO_SHAPE_WORDS = tuple(f" {word}" for word in (
    "noundef", "zeroext", "signext", "nonnull", "nocapture", "noalias", "readonly", "writeonly", "returned", "immarg",
    "dso_local", "hidden", "local_unnamed_addr", "unnamed_addr"))
_DEREFERENCEABLE = re.compile(r" dereferenceable(?:_or_null)?\(\d+\)")
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)


def canonical_hash(function: Extracted) -> str:
    """32 hexadecimal digits that do not depend on names of values, types, private constants and the function itself, on
    linkage, metadata, string attributes, and the order of the module.
    """
    new = {function.symbol: "@F"}
    new |= {name: f"@C{number}" for number, (name, _) in enumerate(function.constants)}
    strings = (name for name, _ in function.declarations if PRIVATE_STRING.fullmatch(name))
    new |= {name: f"@S{number}" for number, name in enumerate(strings)}
    new |= {name: f"%T{number}" for number, (name, _) in enumerate(function.types)}
    for number, group in enumerate(function.groups):
        new[f"#{number}"] = f"#{{{_STRING_ATTRIBUTE.sub('', group).strip()}}}"

    def token(found: re.Match[str]) -> str:
        text = found.group()
        return "!" if text[0] == "!" else new.get(text, text)

    lines = [function.header, *(line for _, line in (*function.types, *function.constants, *function.declarations))]
    text = "\n".join([function.triple, _PLACEMENT.sub("", "\n".join(lines)), function.body])
    text = _ATTACHMENT.sub("", text)
    text = TOKEN.sub(token, text).replace(" #{}", "")
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def shapes(function: Extracted) -> list[bytes]:
    """A text for the header and for each line of the body: operation, types, flags, constants, intrinsics; without
    names, locals, metadata, alignment, and attributes.
    """
    text = _NO_SHAPE.sub("", function.header + function.body)
    for word in _NO_SHAPE_WORDS:
        text = text.replace(word, "")
    if " dereferenceable" in text:
        text = _DEREFERENCEABLE.sub("", text)
    lines = text.encode().split(b"\n")
    return [lines[0], *[line for line in lines[1:] if line[:2] == b"  "]]


def shingles(function: Extracted) -> npt.NDArray[np.uint64]:
    """Hashes of every SHINGLE consecutive shapes, later occurrences of one told apart."""
    lines = np.array([zlib.crc32(line) for line in shapes(function)], np.uint64)
    if len(lines) < SHINGLE:
        return np.zeros(0, np.uint64)
    # Products modulo 2^64 by odd numbers mix well enough: crc32 has spread the bits already.
    mixed = lines[:-2] * _MIX[0] + lines[1:-1] * _MIX[1] + lines[2:] * _MIX[2]
    mixed.sort()
    starts = np.flatnonzero(np.concatenate(([True], mixed[1:] != mixed[:-1])))
    run = np.arange(len(mixed)) - np.repeat(starts, np.diff(np.append(starts, len(mixed))))
    found_twice: npt.NDArray[np.uint64] = mixed + run.astype(np.uint64) * _MIX[3]
    return found_twice
