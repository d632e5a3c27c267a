"""What every handler works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from httpd.album import Album
from httpd.follower import Follower
from httpd.gallery_stream import GalleryStream
from httpd.pictures import Pictures
from httpd.tokens import Tokens
from httpd.uploads import Uploads
from spool.layout import Spool
from spool.outlook import Outlook
from spool.settings import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Context:
    """The spool that is served and what follows it, one of each for a process."""

    spool: Spool
    settings: Settings
    album: Album
    pictures: Pictures
    gallery: GalleryStream
    follower: Follower
    outlook: Outlook
    tokens: Tokens
    uploads: Uploads

    def close_streams(self) -> None:
        """End every open stream, so that the server can stop."""
        self.follower.close_streams()
        self.gallery.close_streams()


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def send_body(
    body: BaseModel, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """The answer whose body is `body` in JSON."""
    return Response(body.model_dump_json(), status, headers, "application/json")
