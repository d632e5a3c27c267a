"""diffusers' converters for Flux and Chroma, made to fit models of another width than the real."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from diffusers.loaders import single_file_utils

from tests.models.flux import WIDTH

_REAL_WIDTH = 3072
_CONVERTERS = (
    single_file_utils.convert_flux_transformer_checkpoint_to_diffusers,
    single_file_utils.convert_chroma_transformer_checkpoint_to_diffusers,
)


@contextlib.contextmanager
def narrow_converters(width: int = WIDTH) -> Iterator[None]:
    """Let diffusers convert Flux and Chroma files of this width while inside.

    Both converters cut `linear1` at multiples of a constant 3072. Only that constant is exchanged,
    in the functions' own code, so that whoever imported them before is served as well.
    """
    before = [converter.__code__ for converter in _CONVERTERS]
    for converter, code in zip(_CONVERTERS, before, strict=True):
        assert _REAL_WIDTH in code.co_consts, "diffusers knows the width now: drop this module"
        constants = tuple(width if value == _REAL_WIDTH else value for value in code.co_consts)
        converter.__code__ = code.replace(co_consts=constants)
    try:
        yield
    finally:
        for converter, code in zip(_CONVERTERS, before, strict=True):
            converter.__code__ = code
