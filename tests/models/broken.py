"""The table of broken models: what is wrong with each, and what diffusers alone makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.models import broken_files as files
from tests.models import broken_folders as folders
from tests.models.broken_files import Maker
from tests.models.shelf import Shelf

Bare = Literal["raises", "loads", "hangs"]


@dataclass(frozen=True)
class Broken:
    """A model that is not as it should be.

    `family` is the one that the configuration would name. `bare` says what diffusers does with
    it: what it loads, it loads without an error.
    """

    maker: Maker
    wrong: str
    bare: Bare = "raises"
    family: str = "sdxl"
    needs_gguf: bool = False

    @property
    def name(self) -> str:
        return self.maker.__name__

    def make(self, shelf: Shelf, place: Path) -> Path:
        """Make it below the folder `place`, which must exist and be empty."""
        return self.maker(shelf, place)


BROKEN_FILES = (
    Broken(files.truncated, "a download that ended half-way"),
    Broken(files.longer_header_than_file, "the header is said to be longer than the file"),
    Broken(files.header_length_of_exabytes, "the header is said to be 2**63 bytes long"),
    Broken(files.header_without_json, "the header is no JSON"),
    Broken(files.pickle_named_safetensors, "a pickle, renamed"),
    Broken(files.pickle_ckpt, "a pickle: could run code", bare="loads"),
    Broken(files.pickle_pt, "a pickle: could run code", bare="loads"),
    Broken(files.pickle_bin, "a pickle: could run code", bare="loads"),
    Broken(files.pickle_bomb, "a pickle that does run code"),
    Broken(files.empty_file, "zero bytes"),
    Broken(files.html_page, "the page that asks to log in, saved as the model"),
    Broken(files.git_lfs_pointer, "cloned without git-lfs"),
    Broken(files.no_tensors, "a header and nothing else"),
    Broken(files.lora_as_checkpoint, "a LoRA"),
    Broken(files.flux_as_sdxl, "a Flux transformer"),
    Broken(files.sd15_as_sdxl, "Stable Diffusion 1.5"),
    Broken(files.vae_only, "an autoencoder alone"),
    Broken(files.text_encoders_only, "text encoders alone"),
    Broken(files.without_text_encoders, "no text encoders"),
    Broken(files.without_second_text_encoder, "one text encoder of two"),
    Broken(files.without_vae, "no autoencoder"),
    Broken(files.without_one_block, "one block's tensors are missing"),
    Broken(files.without_one_tensor, "one tensor is missing"),
    Broken(files.with_one_block_more, "a block that the model has no place for", bare="loads"),
    Broken(files.inpainting_as_sdxl, "nine input channels instead of four"),
    Broken(files.nan_weights, "the weights of the last layer are NaN", bare="loads"),
    Broken(files.integer_weights, "int8 without scales", bare="loads"),
    Broken(
        files.scaled_fp8_without_scales, "scaled_fp8, the scales missing", "loads", family="flux"
    ),
    Broken(files.truncated_gguf, "a download that ended early", family="flux", needs_gguf=True),
    Broken(files.llama_gguf, "a language model", family="flux", needs_gguf=True),
    Broken(files.unreadable, "mode 000"),
    Broken(files.symlink_loop, "a symbolic link to itself"),
    Broken(files.dangling_symlink, "a symbolic link to nothing"),
    Broken(files.fifo, "a named pipe without a writer", bare="hangs"),
)

BROKEN_FOLDERS = (
    Broken(folders.without_index, "no model_index.json"),
    Broken(folders.empty_folder, "nothing in it"),
    Broken(folders.index_without_json, "model_index.json ends half-way"),
    Broken(folders.unet_config_without_json, "unet/config.json is binary"),
    Broken(
        folders.index_of_another_pipeline, "model_index.json names SD 1.5's pipeline", bare="loads"
    ),
    Broken(folders.index_of_an_unknown_pipeline, "model_index.json names no known pipeline"),
    Broken(folders.config_of_another_width, "unet/config.json is of another model"),
    Broken(folders.config_with_one_layer_more, "unet/config.json wants weights that are not there"),
    Broken(folders.without_one_shard, "one of the UNet's files is missing"),
    Broken(folders.without_shard_index, "the list of the UNet's files is missing"),
    Broken(folders.fp16_variant_only, "every file of weights has .fp16. in its name"),
    Broken(folders.pickled_weights_only, "weights in .bin files", bare="loads"),
    Broken(folders.truncated_weights, "the UNet's file ends early"),
    Broken(folders.weights_without_one_tensor, "one tensor of the UNet is missing", bare="loads"),
    Broken(folders.without_weights, "the UNet has no weights"),
    Broken(folders.without_vae_folder, "no vae/"),
    Broken(folders.without_tokenizer_folder, "no tokenizer/", bare="loads"),
    Broken(folders.without_vocabulary, "tokenizer/ without words", bare="loads"),
    Broken(
        folders.fewer_embeddings_than_tokens, "text_encoder/ of another vocabulary", bare="loads"
    ),
)

BROKEN = (*BROKEN_FILES, *BROKEN_FOLDERS)
