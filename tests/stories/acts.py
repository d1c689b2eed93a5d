"""What happens to credentials on the sandbox's side."""

from __future__ import annotations

from typing import Any

from tests.stories.case import Server


def end_carto_tokens(server: Server) -> None:
    """Every OAuth token ends."""
    server.call(server.app.systems["carto"].api.tokens.reset)  # type: ignore[attr-defined]


def end_alteryx_tokens(server: Server) -> None:
    """Every OAuth token ends."""
    server.settings("alteryx", token_generation=server.settings("alteryx")["token_generation"] + 1)


def revoke_alteryx_keys(server: Server) -> None:
    """Tokens end, and the key pair gives no other."""
    server.settings("alteryx", keys_revoked=True)
    end_alteryx_tokens(server)


def end_chorus_sessions(server: Server) -> None:
    """Every session ends but the user's first, which the server keeps for what the engine tells it."""
    sessions = server.app.systems["chorus"].sessions.sessions  # type: ignore[attr-defined]
    server.call(lambda: [sessions.pop(name) for name in list(sessions)[1:]])


def refuse_chorus_logins(server: Server) -> None:
    """Sessions end, and the password is not taken any more."""
    server.fault(system="chorus", kind="status", status=401, path="/sessions", times=None)
    end_chorus_sessions(server)


def minted(server: Server) -> list[str]:
    """Every token and session that the sandbox has given out."""
    systems: Any = server.app.systems
    alteryx, chorus = systems["alteryx"].server.tokens.known, systems["chorus"].sessions.sessions
    return server.call(lambda: [*alteryx, *chorus])


def is_job(run: dict[str, Any]) -> bool:
    """A run of a job, not one of the processes in it."""
    return str(run["id"]).startswith("job:")
