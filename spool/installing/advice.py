"""What a newly installed genzo says about itself: dropping jobs, watching, stopping."""

from __future__ import annotations

import shlex

from spool.installing.place import OWNER, Place
from spool.settings import HttpSettings

_TEXT = """
Drop a job here:
  echo '{{"prompt": "a blue square on a white background"}}' > job.json && mv job.json {incoming}/
or from another machine, once or from cron (nothing runs twice):
  rsync -rt --omit-dir-times jobs/ {user}@{host}:{incoming}/
  */5 * * * *  rsync -rt --omit-dir-times jobs/ {user}@{host}:{incoming}/
A key that can do nothing but drop jobs; in ~/.ssh/authorized_keys of a member of the group:
  command="rrsync -wo -no-lock {incoming}",restrict ssh-ed25519 AAAA…
  rsync -rt --omit-dir-times jobs/ {user}@{host}:
Results: rsync -a {user}@{host}:{outgoing}/ results/
Watch:   genzo queue · genzo watch ID · {journal} -f -u 'genzod@*' · http://{address}/
Stop:    {systemctl} stop genzod.target genzo-httpd.socket genzo-httpd.service
Models:  genzo models add FILE, then {systemctl} restart genzod.target
"""
_GROUP = """\
Whoever is in the group may drop jobs, see all and cancel their own:
  usermod -aG {group} {user}
"""
_LINGER = """\
The services end when you log out. To keep them, and start them with the machine:
  loginctl enable-linger {user}
"""


def after_install(place: Place, http: HttpSettings, host: str, user: str) -> str:
    """The text for whoever installed `place` as `user` on `host`."""
    named = f"[{http.host}]" if ":" in http.host else http.host
    spool = shlex.quote(str(place.spool))
    text = _TEXT.format(
        incoming=f"{spool}/incoming",
        outgoing=f"{spool}/outgoing",
        user=user,
        host=host,
        journal="journalctl --user" if place.is_user else "journalctl",
        systemctl=" ".join(place.systemctl),
        address=f"{named}:{http.port}",
    )
    more = _LINGER if place.is_user else _GROUP
    return text + more.format(group=OWNER, user=user)
