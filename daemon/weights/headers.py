"""What a weights file says of itself, read without its weights and without torch.

Only safetensors and GGUF are read. Anything that a pickle could be in is refused by its name and
by its first bytes, since loading a pickle runs whatever its author wrote.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from daemon.errors import ModelError
from daemon.safetensors_header import Header, Limits, TensorInfo, UnreadableFile
from daemon.safetensors_header import read_header as read_safetensors

__all__ = ["Header", "TensorInfo", "WeightsError", "read_header"]

_GGUF = b"GGUF"
_PICKLE_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"})


class WeightsError(ModelError):
    """A file that cannot be used as weights; says which, why, and what to do."""


def read_header(path: Path) -> Header:
    """The header of a safetensors or GGUF file.

    Raises WeightsError: the file is missing, a pickle, a page, cut short, or not what it says.
    """
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise WeightsError(
            f"{path}: a {path.suffix} file may hold a pickle, which runs code when it is loaded; "
            "fetch the .safetensors of this model"
        )
    try:
        if _is_gguf(path):
            return _read_gguf(path)
        return read_safetensors(path, Limits())
    except UnreadableFile as error:
        raise WeightsError(f"{path}: {error}") from None
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}; correct the path in genzo.toml") from None


def _is_gguf(path: Path) -> bool:
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    with path.open("rb") as file:
        return file.read(len(_GGUF)) == _GGUF


def _read_gguf(path: Path) -> Header:
    try:
        import gguf  # noqa: PLC0415  # numpy, and only for those who have such a file
    except ModuleNotFoundError:
        raise WeightsError(f"{path}: is a GGUF file; pip install 'genzo[gguf]'") from None
    try:
        reader = gguf.GGUFReader(os.fspath(path))
        tensors = {
            tensor.name: TensorInfo(
                tensor.tensor_type.name, tuple(int(side) for side in reversed(tensor.shape))
            )
            for tensor in reader.tensors
        }
        field_ = reader.get_field("general.architecture")
        architecture = str(bytes(field_.parts[-1]), "utf-8") if field_ else ""
    except (ValueError, IndexError, KeyError, TypeError, OSError) as error:
        raise WeightsError(f"{path}: is no whole GGUF file ({error}); fetch it again") from None
    return Header(path, tensors, {"general.architecture": architecture}, is_gguf=True)
