from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from spool import settings
from spool.picture_files import PictureFormat
from spool.settings import (
    OutputSettings,
    Settings,
    SettingsError,
    default_spool,
    find,
    load,
)

_FULL = """
spool = "/srv/genzo"
[http]
host = "0.0.0.0"
port = 9000
token = "0123456789abcdef0123456789abcdef"
token_file = "/etc/genzo/tokens"
insecure = true
hosts = ["Genzo.example", "192.168.1.5"]
origins = ["https://album.example:8443"]
proxies = ["10.0.0.0/8"]
queue_limit = 50
streams_per_client = 10
connections = 1000
[http.tokens]
alice = "abcdefghijklmnopqrstuvwxyz012345"
[daemon]
device = "cuda:1"
previews_per_second = 0
host_memory = "24 GiB"
[output]
format = "webp"
quality = 75
lossless = true
[[model]]
name = "a"
family = "sdxl"
weights = "/models/a"
default = true
width = 1024
height = 768
steps = 30
guidance_scale = 7.5
sampler = "euler"
loras = "/models/loras"
config = "/models/base"
text_encoder = "/models/clip_l.safetensors"
text_encoder_2 = "/models/t5"
vae = "/models/ae.safetensors"
tokenizer = "/models/tokenizer"
hub_cache = "/models/hub"
allow_download = true
allow_loras = true
variant = "base"
shift = 3.0
timestep_spacing = "trailing"
prediction_type = "v_prediction"
zero_snr = true
dtype = "bfloat16"
vae_dtype = "float32"
vram = "balanced"
[model.lora."civitai_123"]
trigger_words = ["ink wash", "inks"]
weight = 0.8
trigger_weight = 0.4
[model.lora.plain]
trigger_words = []
[[model]]
name = "b"
family = "sdxl"
weights = "/models/b"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a working directory without any configuration."""
    if Path("/etc/genzo/genzo.toml").exists():
        pytest.skip("this machine has a configuration of genzo's")
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return home


def _write(path: Path, text: str = "[http]\nport = 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_file_every_setting_has_its_default() -> None:
    assert find(None, {}) is None
    assert load(None, {}) == Settings()
    assert (Settings().http.host, Settings().http.port) == ("127.0.0.1", 8000)


def test_every_setting_can_stand_in_the_file(tmp_path: Path) -> None:
    found = load(_write(tmp_path / "x.toml", _FULL), {})
    assert found.spool == found.spool_directory == Path("/srv/genzo")
    assert (found.http.host, found.http.port) == ("0.0.0.0", 9000)
    http = found.http
    assert http.token is not None
    assert http.token.get_secret_value() == "0123456789abcdef0123456789abcdef"
    assert http.tokens["alice"].get_secret_value() == "abcdefghijklmnopqrstuvwxyz012345"
    assert (http.token_file, http.insecure) == (Path("/etc/genzo/tokens"), True)
    assert http.hosts == ("genzo.example", "192.168.1.5")
    assert (http.queue_limit, http.streams_per_client, http.connections) == (50, 10, 1000)
    assert (http.origins, http.proxies) == (("https://album.example:8443",), ("10.0.0.0/8",))
    assert (found.daemon.device, found.daemon.previews_per_second) == ("cuda:1", 0)
    assert (found.output.format, found.output.quality) == (PictureFormat.WEBP, 75)
    assert found.output.lossless
    assert found.daemon.host_memory == 24 << 30
    first, second = found.model
    assert first.model_dump() == {
        "name": "a",
        "family": "sdxl",
        "weights": Path("/models/a"),
        "default": True,
        "width": 1024,
        "height": 768,
        "steps": 30,
        "guidance_scale": 7.5,
        "sampler": "euler",
        "loras": Path("/models/loras"),
        "config": Path("/models/base"),
        "text_encoder": Path("/models/clip_l.safetensors"),
        "text_encoder_2": Path("/models/t5"),
        "vae": Path("/models/ae.safetensors"),
        "tokenizer": Path("/models/tokenizer"),
        "hub_cache": Path("/models/hub"),
        "allow_download": True,
        "allow_loras": True,
        "lora": {
            "civitai_123": {
                "trigger_words": ("ink wash", "inks"),
                "weight": 0.8,
                "trigger_weight": 0.4,
            },
            "plain": {"trigger_words": (), "weight": None, "trigger_weight": None},
        },
        "variant": "base",
        "shift": 3.0,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
        "zero_snr": True,
        "dtype": "bfloat16",
        "vae_dtype": "float32",
        "vram": "balanced",
    }
    assert (second.name, second.default, second.steps) == ("b", False, None)


def test_the_first_place_that_has_a_file_is_read(home: Path, tmp_path: Path) -> None:
    places = [
        _write(home / ".config" / "genzo" / "genzo.toml"),
        _write(Path("genzo.toml")),
        _write(tmp_path / "variable.toml"),
        _write(tmp_path / "argument.toml"),
    ]
    environment = {"GENZO_CONFIG": str(places[2])}
    assert find(places[3], environment) == places[3]
    assert find(None, environment) == places[2]
    assert find(None, {}) == places[1]
    places[1].unlink()
    assert find(None, {}) == places[0]


def test_the_last_place_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    is_file = Path.is_file
    machine = Path("/etc/genzo/genzo.toml")
    monkeypatch.setattr(Path, "is_file", lambda path: path == machine or is_file(path))
    assert find(None, {}) == machine


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    _write(Path("genzo.toml"))
    missing = tmp_path / "missing.toml"
    with pytest.raises(SettingsError, match=str(missing)):
        load(missing, {})
    with pytest.raises(SettingsError, match=str(missing)):
        load(None, {"GENZO_CONFIG": str(missing)})


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.toml", _FULL)
    environment = {
        "GENZO_SPOOL": "/elsewhere",
        "GENZO_HTTP_PORT": "1234",
        "GENZO_HTTP_HOST": "::1",
        "GENZO_DAEMON_DEVICE": "cpu",
        "GENZO_DAEMON_PREVIEWS_PER_SECOND": "1.5",
        "OTHER": "x",
    }
    found = load(path, environment)
    assert found.spool == Path("/elsewhere")
    assert (found.http.host, found.http.port) == ("::1", 1234)
    assert (found.daemon.device, found.daemon.previews_per_second) == ("cpu", 1.5)


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.toml", _FULL)
    environment = {"GENZO_SPOOL": "", "GENZO_CONFIG": "", "GENZO_HTTP_PORT": "", "GENZO_X": ""}
    assert load(path, environment) == load(path, {})
    assert load(None, environment).spool is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour = 1", "colour"),
        ("[http]\nprot = 1", "http.prot"),
        ("[deamon]\ndevice = 'cpu'", "deamon"),
        ("[http]\nport = 65536", "http.port"),
        ("[http]\nport = 'eight'", "http.port"),
        ("[daemon]\npreviews_per_second = 5", "daemon.previews_per_second"),
        ("[[model]]\nname = 'a'\nfamily = 'sdxl'", "model.0.weights"),
        ("[[model]]\nname = ''\nfamily = 'sdxl'\nweights = '/a'", "model.0.name"),
        ("[http]\ntoken = 'short'", "http.token: a token has at least 32"),
        ("[http]\ntoken = '" + "p w" * 11 + "'", "http.token: a token has letters"),
        ("[http.tokens]\n'a b' = 'x'", "cannot name a token"),
        ("[http.tokens]\nalice = 'short'", "http.tokens.alice"),
        ("[http]\nhosts = ['a:80']", "http.hosts.0"),
        ("[http]\nhosts = ['*']", "http.hosts.0"),
        ("[http]\norigins = ['*']", "http.origins.0"),
        ("[http]\norigins = ['https://a.example/x']", "http.origins.0"),
        ("[http]\nproxies = ['proxy']", "http.proxies.0"),
        ("[http]\nqueue_limit = 0", "http.queue_limit"),
        ("[http]\nconnections = 15", "http.connections"),
        ("http = 5", "http"),
        ("[[http]]\nport = 1", "http"),
        ("spool = x", "line 1"),
        ("\xff", "utf-8"),
    ],
)
@pytest.mark.parametrize("environment", [{}, {"GENZO_HTTP_HOST": "::1"}])
def test_a_fault_in_the_file_is_named_with_the_file(
    tmp_path: Path, text: str, says: str, environment: dict[str, str]
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError) as caught:
        load(path, environment)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("GENZO_SPOL", "/x", "GENZO_SPOOL.*GENZO_HTTP_PORT"),
        ("GENZO_HTTP_PROT", "1", "no such setting"),
        ("GENZO_MODEL_NAME", "1", "no such setting"),
        ("GENZO_", "1", "no such setting"),
        ("GENZO_HTTP_PORT", "eight", "http.port"),
        ("GENZO_DAEMON_PREVIEWS_PER_SECOND", "-1", "daemon.previews_per_second"),
    ],
)
def test_a_fault_in_the_environment_is_named_with_the_variable(
    variable: str, value: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        load(None, {variable: value})
    assert variable in str(caught.value)


def test_a_variable_lists_several_values_with_commas() -> None:
    found = load(None, {"GENZO_HTTP_HOSTS": "a.example, b.example"})
    assert found.http.hosts == ("a.example", "b.example")


def test_a_token_shows_neither_in_the_settings_nor_in_a_message() -> None:
    secret = "0123456789abcdef0123456789abcdef"
    assert secret not in repr(load(None, {"GENZO_HTTP_TOKEN": secret}))
    with pytest.raises(SettingsError) as caught:
        load(None, {"GENZO_HTTP_TOKEN": f"{secret} {secret}"})
    assert secret not in str(caught.value)


def test_two_models_of_one_name_are_an_error(tmp_path: Path) -> None:
    model = "[[model]]\nname = 'a'\nfamily = 'sdxl'\nweights = '/a'\n"
    with pytest.raises(SettingsError, match="two models are named 'a'"):
        load(_write(tmp_path / "x.toml", model * 2), {})


def test_the_spool_is_the_systems_if_there_is_one_else_the_users(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SYSTEM_SPOOL", tmp_path / "system")
    assert default_spool({}) == home / ".local" / "state" / "genzo"
    assert default_spool({"XDG_STATE_HOME": "/state"}) == Path("/state/genzo")
    _write(tmp_path / "system" / "spool.json", "{}")
    assert default_spool({"XDG_STATE_HOME": "/state"}) == tmp_path / "system"
    assert Settings().spool_directory == tmp_path / "system"


def _sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found += _sections(kind)
    return found


def test_every_setting_is_described() -> None:
    sections = _sections(Settings)
    assert len(sections) == 8
    for section in sections:
        assert section.__doc__
        for name, field in section.model_fields.items():
            names = {"http", "daemon", "output", "disk", "keep", "model"}
            is_section = name in names and section is Settings
            assert is_section or field.description, f"{section.__name__}.{name}"


def test_pictures_are_png_unless_the_settings_say_otherwise() -> None:
    assert load(None, {}).output.format is PictureFormat.PNG
    jpeg = {"GENZO_OUTPUT_FORMAT": "jpeg", "GENZO_OUTPUT_QUALITY": "100"}
    assert load(None, jpeg).output == OutputSettings(format=PictureFormat.JPEG, quality=100)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GENZO_OUTPUT_FORMAT": "gif"}, "output.format"),
        ({"GENZO_OUTPUT_QUALITY": "101"}, "output.quality"),
        ({"GENZO_OUTPUT_FORMAT": "jpeg", "GENZO_OUTPUT_LOSSLESS": "true"}, "output: lossless"),
    ],
)
def test_an_output_that_cannot_be_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(None, variables)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("7", 7), ("512 MiB", 512 << 20), ("2G", 2 << 30), ("1 KB", 1024)]
)
def test_a_size_may_carry_a_unit(text: str, bytes_: int) -> None:
    loaded = settings.load(None, {"GENZO_DISK_FLOOR_BYTES": text})
    assert loaded.disk.floor_bytes == bytes_


@pytest.mark.parametrize(("text", "seconds"), [("90d", 7_776_000.0), ("1h", 3600), ("8w", 4838400)])
def test_an_age_carries_a_unit(text: str, seconds: float) -> None:
    assert settings.load(None, {"GENZO_KEEP_RECORDS": text}).keep.records == seconds


def test_what_is_kept_forever_has_no_age() -> None:
    assert settings.load(None, {"GENZO_KEEP_OUTGOING": "forever"}).keep.outgoing is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GENZO_DISK_FLOOR_BYTES", "2 XiB"),
        ("GENZO_DISK_FLOOR_BYTES", "-1"),
        ("GENZO_KEEP_LIVE", "soon"),
        ("GENZO_KEEP_LIVE", "5"),
        ("GENZO_WATCH", "sometimes"),
    ],
)
def test_a_quantity_that_is_none_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        settings.load(None, {variable: value})


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("weight = 3", "model.0.lora.ink.weight"),
        ("trigger_weight = -1", "model.0.lora.ink.trigger_weight"),
        ('trigger_words = [""]', "model.0.lora.ink.trigger_words.0"),
        ('trigger_words = "ink"', "model.0.lora.ink.trigger_words"),
        ('triggers = ["ink"]', "model.0.lora.ink.triggers"),
    ],
)
def test_what_is_said_wrongly_of_a_lora_is_named(tmp_path: Path, lines: str, named: str) -> None:
    text = f'[[model]]\nname = "a"\nfamily = "sdxl"\nweights = "x"\n[model.lora.ink]\n{lines}\n'
    with pytest.raises(SettingsError, match=re.escape(named)):
        load(_write(tmp_path / "x.toml", text), {})
