"""What every answer carries for browsers, and how the names in a request's Host and Origin are read."""

from __future__ import annotations

import ipaddress
import re

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
NOT_STORED = ("Cache-Control", "no-store")  # unless an answer says otherwise

_HOST = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::([0-9]{1,5}))?")


def host_name(host: str) -> str | None:
    """The name or address in a Host header, in lower case; None where it is none, or has an odd port."""
    found = _HOST.fullmatch(host.lower())
    if found is None or not 0 < int(found[3] or 80) < 2**16:
        return None
    return found[1] or found[2]


def is_own_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin came from the server that is called by this Host header."""
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
