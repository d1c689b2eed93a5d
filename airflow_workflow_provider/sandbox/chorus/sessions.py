"""Who is logged in: sessions with a sliding end, and the cookies of browsers with their CSRF tokens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .catalog import USERS, User
from .settings import ChorusSettings


@dataclass
class Session:
    """A session; it ends when no request has used it for long."""

    id: str
    user: User
    touched_at: float


@dataclass
class Browser:
    """What a cookie stands for: the session that it logs in with, and the token that its forms send."""

    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    csrf_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session_id: str | None = None


class Sessions:
    """All sessions in the order in which they began, and all cookies."""

    def __init__(self, settings: ChorusSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self.clock = settings, clock
        self.reset()

    def reset(self) -> None:
        """No user is logged in."""
        self.sessions: dict[str, Session] = {}
        self.browsers: dict[str, Browser] = {}

    def begin(self, user: User) -> Session:
        """A new session; its id has 40 hex digits."""
        session = Session(secrets.token_hex(20), user, self.clock())
        self.sessions[session.id] = session
        return session

    def end(self, session: Session | None) -> None:
        """Log out."""
        if session:
            self.sessions.pop(session.id, None)

    def valid(self, session_id: str | None) -> Session | None:
        """The session of that id, unless it is over."""
        session = self.sessions.get(session_id or "")
        over = session is None or self.clock() - session.touched_at > self.settings.session_seconds
        return None if over else session

    def touch(self, session: Session) -> None:
        """Make a session last longer, unless it was touched a short time ago."""
        if self.clock() - session.touched_at > self.settings.touch_seconds:
            session.touched_at = self.clock()

    def of_user(self, user: User) -> Session:
        """The session that Rails hands to the engine: the user's first that is not over, or a new one."""
        found = (one for one in self.sessions.values() if one.user == user and self.valid(one.id))
        return next(found, None) or self.begin(user)

    def browser(self, cookie: str | None) -> Browser | None:
        """What a cookie stands for."""
        return self.browsers.get(cookie or "")

    def keep(self, browser: Browser) -> Browser:
        """Remember a cookie."""
        self.browsers[browser.cookie] = browser
        return browser


def refused_fields(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is wrong with a log-in's fields; None when there is nothing to say."""
    blank: dict[str, Any] = {name: {"BLANK": {}} for name in ("username", "password") if not fields.get(name)}
    if blank:
        return blank
    user = USERS.get(str(fields["username"]))
    if user is None or user.password != str(fields["password"]):
        return {"username_or_password": {"INVALID": {}}}
    return None
