"""A credential that a server repeats is not seen, in whatever form and wherever the text is cut."""

from __future__ import annotations

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.protocol.redact import redacted

SHORT = "aB3+dE5/gH7jK9mN1pQ="
PASSWORD = 'p&ss "w<rd>ü/9'
LONG = "eyJhbGciOiJSUzI1NiJ9." + "".join(f"{number:x}Zq-_" for number in range(1000, 1200))

FORMS = {
    "plain": lambda s: s,
    "percent": lambda s: quote(s, safe=""),
    "path": quote,
    "form": quote_plus,
    "percent in lower case": lambda s: quote(s, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "percent twice": lambda s: quote(quote(s, safe=""), safe=""),
    "json": lambda s: json.dumps(s)[1:-1],
    "json of .NET": lambda s: json.dumps(s)[1:-1].replace("+", "\\u002B").replace("/", "\\/").replace("=", "\\u003D"),
    "html": html.escape,
    "hexadecimal": lambda s: s.encode().hex(),
    "hexadecimal in capitals": lambda s: s.encode().hex().upper(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 of the URL kind": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "basic": lambda s: base64.b64encode(f"user:{s}".encode()).decode(),
    "basic of a longer name": lambda s: base64.b64encode(f"user.name:{s}".encode()).decode(),
    "basic of a short name": lambda s: base64.b64encode(f"u:{s}!".encode()).decode(),
}
NAMES = {"+": "&plus;", "/": "&sol;", "=": "&equals;", ".": "&period;", "_": "&lowbar;", "-": "&hyphen;", "&": "&amp;"}
NAMES |= {'"': "&quot;", "<": "&lt;", ">": "&gt;"}
del NAMES["-"]  # its name stands for another dash
ENCODED = {
    "every character in percent": lambda s: "".join(f"%{byte:02X}" for byte in s.encode()),
    "every character in percent, twice": lambda s: "".join(f"%25{byte:02x}" for byte in s.encode()),
    "every character in percent, thrice": lambda s: "".join(f"%2525{byte:02x}" for byte in s.encode()),
    "every character as JSON": lambda s: "".join(f"\\u{ord(char):04x}" for char in s),
    "every character as JSON in JSON": lambda s: "".join(f"\\\\u{ord(char):04X}" for char in s),
    "every character as C": lambda s: "".join(f"\\x{byte:02x}" for byte in s.encode()),
    "every character as HTML": lambda s: "".join(f"&#{ord(char)};" for char in s),
    "every character as HTML in HTML": lambda s: "".join(f"&amp;#x{ord(char):x};" for char in s),
    "every character in percent of the IIS kind": lambda s: "".join(f"%u{ord(char):04x}" for char in s),
    "every character as JavaScript": lambda s: "".join(f"\\u{{{ord(char):x}}}" for char in s),
    "every character as Python": lambda s: "".join(f"\\U{ord(char):08x}" for char in s),
    "every character as octal": lambda s: "".join(f"\\{byte:03o}" for byte in s.encode("latin-1")),
    "every character as HTML without semicolons": lambda s: "".join(f"&#x{ord(char):x}" for char in s),
    "punctuation by its names": lambda s: "".join(NAMES.get(char, char) for char in s),
    "each in its own way": lambda s: "".join(
        (f"%{ord(char):02x}" if ord(char) < 128 else f"&#{ord(char)};", f"\\u{ord(char):04x}", char)[at % 3]
        for at, char in enumerate(s)
    ),
    "JSON of percent": lambda s: "".join(f"\\u0025{byte:02X}" for byte in s.encode()),
}


def longest(secret, text):
    """The longest part of a secret that stands in a text."""
    best = 0
    for begin in range(len(secret)):
        while secret[begin : begin + best + 1] in text and begin + best < len(secret):
            best += 1
    return best


@pytest.mark.parametrize("secret", [SHORT, PASSWORD, LONG], ids=["short", "password", "long"])
@pytest.mark.parametrize("form", [*FORMS, *ENCODED])
def test_every_form_of_a_secret_is_removed(form, secret):
    """Twelve characters in a row of any form are never shown."""
    shown = {**FORMS, **ENCODED}[form](secret)
    text = redacted(f"bad credential {shown} refused", [secret])
    own = shown[12:] if form == "basic of a longer name" else shown  # what stands before is the user's name
    assert longest(own, text) < 12
    assert text.startswith("bad credential ")
    assert text.endswith("refused")


@pytest.mark.parametrize("form", [form for form in FORMS if "basic" not in form])
@given(at=st.integers(12, 900))
def test_a_secret_that_the_server_cuts_is_removed_too(form, at):
    """A server's own message may hold the beginning or the end of a token only."""
    shown = FORMS[form](LONG)
    for part in (shown[:at], shown[-at:]):
        assert longest(shown, redacted(f"token {part}… is bad", [LONG])) < 12


@pytest.mark.parametrize("form", ENCODED)
@given(begin=st.integers(0, 400), length=st.integers(12, 400))
def test_a_part_of_a_secret_is_removed_however_its_characters_are_encoded(form, begin, length):
    """Nothing stays that could be decoded."""
    text = redacted(f"token {ENCODED[form](LONG[begin : begin + length])} is bad", [LONG])
    assert text == "token *** is bad"


@pytest.mark.parametrize(
    "text",
    ["%41" * 21_000, "\\" * 65_000, "\\u0041" * 10_000, "%25" * 21_000, "%" + "25" * 32_000, "&" + "amp;" * 16_000],
)
def test_encoded_text_is_read_in_a_short_time(text):
    """A server may send as many of these as fit into an answer."""
    began = time.process_time()
    assert redacted(text, [LONG]) == text
    assert time.process_time() - began < 2


def test_two_secrets_side_by_side_leave_the_text_between_them():
    """What is no secret stays."""
    assert redacted(f"<{SHORT}> and <{LONG}>!", [SHORT, LONG]) == "<***> and <***>!"
    assert redacted(f"{LONG[:40]} then {LONG[60:100]} end", [LONG]) == "*** then *** end"


@given(st.text(max_size=200))
def test_other_text_is_not_touched(text):
    """No secret, no change."""
    assert redacted(text, [LONG, "ab", ""]) == text


def test_a_secret_of_a_few_characters_is_left_alone():
    """It stands in many an innocent word."""
    assert redacted("abc abc", ["abc"]) == "abc abc"
