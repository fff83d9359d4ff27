"""Reads model.safetensors, as transformers writes it, into numpy arrays.

The format: eight bytes that say how long the header is, the header as JSON, then the data
(github.com/huggingface/safetensors). bfloat16, which numpy does not have, is widened here, so that torch is not needed.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_compiler.errors import InputError

_KINDS: Mapping[str, Any] = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
_LONGEST = 100_000_000  # bytes of a header, as the library has it


def read(folder: Path) -> Mapping[str, npt.NDArray[Any]]:
    """The weights in a folder by name, each read when it is asked for. Raises InputError."""
    return _Weights(folder)


class _Weights(Mapping[str, npt.NDArray[Any]]):
    def __init__(self, folder: Path) -> None:
        path = folder / "model.safetensors"
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > _LONGEST:
                    raise ValueError("its header is too long")
                header = json.loads(file.read(length))
            self._data: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "r", offset=8 + length)
            self._places: dict[str, dict[str, Any]] = {
                name: place for name, place in header.items() if name != "__metadata__"}
            for name, place in self._places.items():
                begin, end = place["data_offsets"]
                size = np.dtype(_KINDS[place["dtype"]]).itemsize * math.prod(place["shape"])
                if not 0 <= begin <= end <= self._data.size or end - begin != size:
                    raise ValueError(f"{name} is cut off")
        except FileNotFoundError as error:
            raise InputError(f"{path} is missing") from error
        except OSError as error:
            raise InputError(f"the weights in {folder} cannot be read: {error.strerror}") from error
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"the weights in {folder} cannot be read: {error}") from error

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        place = self._places[name]
        begin, end = place["data_offsets"]
        found: npt.NDArray[Any] = np.frombuffer(self._data[begin:end].tobytes(), _KINDS[place["dtype"]])
        if place["dtype"] == "BF16":
            found = (found.astype(np.uint32) << 16).view(np.float32)
        return found.reshape(place["shape"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
