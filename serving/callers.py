"""Who may call the function where no platform checks it: programs on this machine, and its own page.

Cloud Run lets a request through only with the token of an allowed caller. On a laptop, any web page that is open can
send requests to 127.0.0.1, and by pointing its own name to that address (DNS rebinding) it can read the answers. A
browser tells both in the headers Host and Origin, which a page can't change.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from serving.errors import Forbidden, short_repr


class Callers:
    """Checks where requests come from; `names` are the hosts allowed besides this machine, or None for no check."""

    def __init__(self, names: frozenset[str] | None) -> None:
        self._names = names

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise Forbidden for a request to another host name, or from a page of another host."""
        if self._names is None:
            return
        for header, prefix in ((b"host", b"//"), (b"origin", b"")):
            value = headers.get(header)
            if value is not None and not _allowed(prefix + value, self._names):
                raise Forbidden(
                    f"The header {header.decode().title()} is {short_repr(value.decode('latin-1'))}; expected "
                    "localhost or 127.0.0.1. To allow another host, list its name in ALLOWED_HOSTS."
                )


@lru_cache(maxsize=256)
def _allowed(url: bytes, names: frozenset[str]) -> bool:
    try:
        host = urlsplit(url.decode("latin-1")).hostname or ""
        return host == "localhost" or host in names or ipaddress.ip_address(host).is_loopback
    except ValueError:  # neither a URL nor an address
        return False
