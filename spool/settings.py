"""genzo.toml: where it is looked for, what may stand in it, and the environment over it.

The first of `--config`, `$GENZO_CONFIG`, `./genzo.toml`, `~/.config/genzo/genzo.toml` and
`/etc/genzo/genzo.toml` is read. `GENZO_SPOOL`, `GENZO_HTTP_PORT` and the like (section and key)
override it; an empty variable counts as unset. A name that is not a setting is an error in
either place.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from spool import tokens
from spool.picture_files import PictureFormat
from spool.problems import SpoolError

SYSTEM_SPOOL = Path("/var/spool/genzo")
_PREFIX = "GENZO_"
_NOT_SETTINGS = frozenset({"GENZO_CONFIG"})


class SettingsError(SpoolError):
    """A configuration that cannot be used; names the file or variable, and the setting."""


HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in which `~` is the user's home directory."""


def _bytes_of(value: object) -> object:
    """`"512 MiB"` in bytes; numbers as they are. Raises ValueError if it is no such size."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError('must be a number of bytes, or a text such as "512 MiB"')
    return int(match[1]) << _SHIFTS[match[2]]


def _seconds_of(value: object) -> object:
    """`"90d"` in seconds, `"forever"` as None. Raises ValueError if it is no such age."""
    if value is None or isinstance(value, float):
        return value
    if value == "forever":
        return None
    match = _AGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be an age such as "12h", "30d" or "8w", or "forever"')
    return float(match[1]) * _UNIT_SECONDS[match[2]]


_SIZE = re.compile(r"(\d+)\s*(|[KMGT]i?B?)", re.ASCII)
_SHIFTS = {"": 0} | {
    f"{letter}{rest}": 10 * power
    for power, letter in enumerate("KMGT", start=1)
    for rest in ("", "B", "iB")
}
_AGE = re.compile(r"(\d+)\s*([smhdw])", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

AS_BYTES = BeforeValidator(_bytes_of)
AS_AGE = BeforeValidator(_seconds_of)
Bytes = Annotated[int, Field(ge=0), AS_BYTES]
"""A number of bytes, or a text such as `512 MiB`; K, M, G and T are powers of 1024."""
Age = Annotated[float | None, Field(ge=0), AS_AGE]
"""Seconds, written as a text such as `90d`; None is `forever`."""


def _listed(value: object) -> object:
    """A text of several values with commas, as a variable holds them, taken apart."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _host_of(text: str) -> str:
    """`text` in lower case. Raises ValueError unless it is a host's name or address alone."""
    if _NAME.fullmatch(text) is None and not _is_address(text):
        raise ValueError('must be a name or an address without port, such as "genzo.example"')
    return text.lower()


def _origin_of(text: str) -> str:
    """`text` as browsers write it. Raises ValueError unless it is the origin of a page."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or text.lower() != f"{parts.scheme}://{parts.netloc}":
        raise ValueError('must be scheme, host and perhaps port, such as "https://album.example"')
    return text.lower()


def _network_of(text: str) -> str:
    ip_network(text, strict=False)
    return text


def _secret(value: SecretStr) -> SecretStr:
    tokens.check(value.get_secret_value())
    return value


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


_NAME = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)

Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host_of)], ...], BeforeValidator(_listed)]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin_of)], ...], BeforeValidator(_listed)
]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network_of)], ...], BeforeValidator(_listed)
]
TokenName = Annotated[str, AfterValidator(tokens.check_name)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
"""A token; it never shows in a message or in the settings' own text."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class HttpSettings(_Section):
    """[http]: where genzo-httpd listens, and to whom."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8000, description="Port to listen on; 0 takes a free one"
    )
    token: Secret | None = Field(None, description="What clients must show")
    tokens: dict[TokenName, Secret] = Field(
        {}, description="Tokens by the names that the log tells"
    )
    token_file: HomePath | None = Field(None, description="A file of tokens, one a line")
    insecure: bool = Field(False, description="Whether others are served without a token")
    hosts: Hosts = Field((), description="Names besides loopback's that are answered to")
    origins: Origins = Field((), description="Other sites whose pages may read the answers (CORS)")
    proxies: Networks = Field((), description="Proxies whose X-Forwarded headers are believed")
    queue_limit: Annotated[int, Field(ge=1)] = Field(
        20_000, description="How many jobs may wait before HTTP takes no more"
    )
    streams_per_client: Annotated[int, Field(ge=1)] = Field(
        100, description="Streams of one token, or of one address beyond loopback"
    )
    connections: Annotated[int, Field(ge=16)] = Field(
        8000, description="Open connections; three quarters of them may be streams"
    )
    cache: HomePath | None = Field(
        None, description="Directory of the gallery's index; else the spool's cache/"
    )


class DaemonSettings(_Section):
    """[daemon]: how genzod renders."""

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    previews_per_second: Annotated[float, Field(ge=0, le=4)] = Field(
        4.0, description="Most previews a second; 0 turns them off"
    )
    host_memory: Bytes | None = Field(
        None, description="Memory of the host for loaded models; else half of what there is"
    )
    idle_unload: Age = Field(
        3600.0, description="How long a slot without jobs keeps its models in memory"
    )


class OutputSettings(_Section):
    """[output]: the files of pictures."""

    format: PictureFormat = Field(PictureFormat.PNG, description="png, webp or jpeg")
    quality: Annotated[int, Field(ge=1, le=100)] = Field(
        90, description="1 to 100, of webp and jpeg"
    )
    lossless: bool = Field(False, description="webp: keep every pixel, whatever the quality")

    @model_validator(mode="after")
    def _can_be_lossless(self) -> Self:
        if self.lossless and self.format is PictureFormat.JPEG:
            raise ValueError('lossless: a JPEG cannot be; write format = "webp" or "png"')
        return self


class DiskSettings(_Section):
    """[disk]: what is left free; below it no job is accepted or started until there is room."""

    floor_bytes: Bytes = Field(512 << 20, description='Bytes, or a text such as "2 GiB"')
    floor_inodes: Annotated[int, Field(ge=0)] = Field(1000, description="Files")


class KeepSettings(_Section):
    """[keep]: how long `genzo clean` leaves things; nothing of an unfinished job is removed."""

    records: Age = Field(None, description="Records in done/, from the job's id")
    gallery: Age = Field(None, description="Pictures and thumbnails, from the job's id")
    outgoing: Age = Field(90 * 86_400.0, description="Results in outgoing/, from the job's end")
    rejected: Age = Field(90 * 86_400.0, description="Refused files and their reasons")
    live: Age = Field(3600.0, description="Progress and preview, from the record")
    keys: Age = Field(90 * 86_400.0, description="Keys in seen/, from the last sighting")


class LoraSettings(_Section):
    """[model.lora.ID]: what this installation says of one LoRA, over what its files say."""

    trigger_words: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] | None = Field(
        None, description="Its trigger words, the first being the trigger; [] for none"
    )
    weight: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="Its weight in requests that say none; else 1.0"
    )
    trigger_weight: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="The weight of its trigger in requests that say none; else 0.5"
    )


class ModelSettings(_Section):
    """[[model]]: one model; without any, the embedded one is used."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="Its name in requests"
    )
    family: str = Field(description="sdxl, chroma, flux or zimage")
    weights: HomePath = Field(
        description="A safetensors or GGUF file, a diffusers directory, or an id in the hub cache"
    )
    default: bool = Field(False, description="Whether requests that name no model mean this one")
    width: int | None = Field(None, description="Default width in pixels")
    height: int | None = Field(None, description="Default height in pixels")
    steps: int | None = Field(None, description="Default number of steps")
    guidance_scale: float | None = Field(None, description="Default guidance scale")
    sampler: str | None = Field(None, description="Default sampler")
    loras: HomePath | None = Field(None, description="A folder of LoRAs")
    allow_loras: bool = Field(
        False, description="Whether a flux, chroma or zimage model takes LoRAs, too"
    )
    lora: dict[str, LoraSettings] = Field(
        default_factory=dict, description="What is said of single LoRAs, by their ids"
    )
    config: HomePath | None = Field(None, description="Diffusers directory of configurations")
    text_encoder: HomePath | None = Field(None, description="The text encoder, if not in weights")
    text_encoder_2: HomePath | None = Field(None, description="The second text encoder, likewise")
    vae: HomePath | None = Field(None, description="The VAE, if not in weights")
    tokenizer: HomePath | None = Field(None, description="The tokenizer, or a model that has it")
    hub_cache: HomePath | None = Field(None, description="Hugging Face's cache of models")
    allow_download: bool = Field(False, description="Whether an id may be fetched from the hub")
    variant: str | None = Field(None, description="zimage: turbo or base")
    shift: float | None = Field(None, description="Shift of a flow model's schedule")
    timestep_spacing: Literal["leading", "linspace", "trailing"] | None = Field(
        None, description="Spacing of the timesteps"
    )
    prediction_type: Literal["epsilon", "v_prediction"] | None = Field(
        None, description="What the network predicts; else what the file says"
    )
    zero_snr: bool | None = Field(None, description="Zero terminal SNR; else what the file says")
    dtype: Literal["float32", "float16", "bfloat16"] | None = Field(
        None, description="Precision of the network; else the family's"
    )
    vae_dtype: Literal["float32", "float16", "bfloat16"] | None = Field(
        None, description="Precision of the VAE; else the family's"
    )
    vram: Literal["auto", "full", "balanced", "low"] = Field(
        "auto", description="How much of it lies on the GPU; auto tells by what is free there"
    )


class Settings(_Section):
    """The whole configuration."""

    spool: HomePath | None = Field(None, description="The spool's directory")
    watch: Literal["events", "poll"] = Field(
        "events", description="poll looks once a second, for file systems without events (NFS)"
    )
    http: HttpSettings = HttpSettings()
    daemon: DaemonSettings = DaemonSettings()
    output: OutputSettings = OutputSettings()
    disk: DiskSettings = DiskSettings()
    keep: KeepSettings = KeepSettings()
    model: tuple[ModelSettings, ...] = ()

    @property
    def spool_directory(self) -> Path:
        """The configured spool, else the system's if there is one, else the user's own."""
        return self.spool or default_spool()


_SCALARS = frozenset({"spool", "watch"})
_SECTIONS: dict[str, type[_Section]] = {
    "http": HttpSettings,
    "daemon": DaemonSettings,
    "output": OutputSettings,
    "disk": DiskSettings,
    "keep": KeepSettings,
}


def load(config: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the configuration; every default if there is no file.

    Raises SettingsError naming the file or variable and the setting at fault. A file that was
    named but is missing is an error; one of the usual places may be empty.
    """
    path = find(config, environment)
    document = _read(path) if path else {}
    origin = str(path) if path else "the built-in configuration"
    for variable, value in environment.items():
        if value and variable.startswith(_PREFIX) and variable not in _NOT_SETTINGS:
            _override(document, variable, value)
            origin = f"{origin} with {variable}"
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{_dotted(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise SettingsError(f"{origin}: {faults}") from None
    names = [model.name for model in settings.model]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"{origin}: two models are named {name!r}; rename one")
    return settings


def find(config: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The configuration file to read, or None. Raises SettingsError if a named one is missing."""
    named = config or (Path(value) if (value := environment.get("GENZO_CONFIG")) else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"{named}: there is no such configuration file")
        return named
    places = (Path("genzo.toml"), Path("~/.config/genzo/genzo.toml"), Path("/etc/genzo/genzo.toml"))
    return next((path for place in places if _is_file(path := place.expanduser())), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:  # sudo left us the home of another user
        return False


def default_spool(environment: Mapping[str, str] = os.environ) -> Path:
    """/var/spool/genzo where that is a spool, else `genzo` in the user's state directory."""
    if (SYSTEM_SPOOL / "spool.json").exists():
        return SYSTEM_SPOOL
    state = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "genzo"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None


def _override(document: dict[str, Any], variable: str, value: str) -> None:
    name = variable.removeprefix(_PREFIX).lower()
    if name in _SCALARS:
        document[name] = value
        return
    section, _, key = name.partition("_")
    fields = _SECTIONS
    if section not in fields or key not in fields[section].model_fields:
        known = [f"{_PREFIX}{s}_{k}".upper() for s, m in fields.items() for k in m.model_fields]
        raise SettingsError(
            f"{variable}: no such setting; there are GENZO_SPOOL, GENZO_WATCH, GENZO_CONFIG, "
            f"{', '.join(known)}"
        )
    table = document.setdefault(section, {})
    if isinstance(table, dict):  # else validation names it
        table[key] = value


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)
