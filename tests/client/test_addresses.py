"""Where requests go: credentials to the connection's own servers only, results from no inner address."""

from __future__ import annotations

import logging

import pytest

from airflow_workflow_provider.client.request_builder import check_address, check_peer
from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.client.worker_session import signed_session
from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection, WorkflowError
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import HeaderAuth, NoAuth, SignAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues, Transport
from airflow_workflow_provider.protocol.effects import Request
from airflow_workflow_provider.protocol.oauth1 import OAuth1
from airflow_workflow_provider.systems import SYSTEMS
from tests.client.certificates import self_signed
from tests.client.driving import driven
from tests.client.hostile import hostile
from tests.client.recording import Reply

SECRET = "secret-token-0123456789"
AUTHS = {"header": HeaderAuth("Token", SECRET), "signature": SignAuth(lambda: OAuth1("key", SECRET))}


@pytest.fixture
def other():
    """A server that the connection does not name."""
    with hostile(host="127.0.0.2") as state:
        state.page(b"{}")
        yield state


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("origins", [(), "own", "both"], ids=["unknown", "own", "both"])
def test_a_signed_request_goes_to_no_other_server(mode, server, other, auth, origins):
    """Even where the connection names another server, its credentials are not this API's."""
    known = {(): (), "own": {server.url}, "both": {server.url, other.url}}[origins]
    api = Api("c", server.url, AUTHS[auth])
    drive = driven(
        mode,
        lambda: api.read(Request("GET", other.url + "/steal"), "reading"),
        Transport("c", timeout=5, origins=known),
    )
    assert isinstance(drive.error, InvalidArgument)
    assert other.heard == []


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com@evil.example/x",
        "https://api.example.com:443@evil.example/x",
        "https://evil.example/api.example.com",
        "https://api.example.com.evil.example/x",
        "https://evil.example#@api.example.com/",
        "https://evil.example?@api.example.com/",
        "https://evil.example\\@api.example.com/",
        "https://api.example.com\\@evil.example/",
        "http://api.example.com/x",
        "https://api.example.com:8443/x",
        "ftp://api.example.com/x",
        "//api.example.com/x",
        "https:///x",
        "https://api.example.com:x/",
    ],
)
def test_tricks_with_addresses_do_not_move_the_credentials(url):
    """What looks like the API's address is not enough."""
    transport = Transport("c", origins={"https://api.example.com:443"})
    with pytest.raises(WorkflowError):
        check_address(Request("GET", url, signed_for="https://api.example.com/v3"), url, transport)


@pytest.mark.parametrize(
    "url", ["https://api.example.com/x", "HTTPS://API.example.com:443/x", "https://api.example.com./"]
)
def test_the_same_server_in_another_spelling_is_the_same(url):
    """Scheme, host and port count."""
    transport = Transport("c", origins={"https://api.example.com:443"})
    check_address(Request("GET", url, signed_for="https://api.example.com/v3"), url, transport)


RESULTS = {  # address: whether a connection to https://api.example.com reads a result from it
    "https://bucket.s3.amazonaws.com/x?sig=1": True,
    "https://10.1.2.3/x": True,  # a company's own storage
    "http://bucket.s3.amazonaws.com/x": False,
    "http://api.example.com/x": False,
    "https://api.example.com/x": True,
    "https://127.0.0.1/x": False,
    "https://localhost/x": False,
    "https://x.localhost/x": False,
    "https://[::1]/x": False,
    "https://[::ffff:127.0.0.1]/x": False,
    "https://0.0.0.0/x": False,
    "https://[::]/x": False,
    "https://169.254.169.254/latest/meta-data": False,
    "https://[fe80::1]/x": False,
    "https://[fd00:ec2::254]/x": False,
    "https://[64:ff9b::a9fe:a9fe]/x": False,
    "https://[2002:7f00:1::]/x": False,
    "https://100.100.100.200/x": False,
    "https://168.63.129.16/x": False,
    "https://metadata.google.internal/computeMetadata/v1/": False,
    "https://METADATA.google.internal./computeMetadata/v1/": False,
    "https://2130706433/x": False,
    "https://0x7f000001/x": False,
    "https://0x7F.1/x": False,
    "https://0177.0.0.1/x": False,
    "https://127.1/x": False,
    "https://0/x": False,
    "https://2852039166/latest": False,
    "https://0xa9fea9fe/latest": False,
    "https://0251.0376.0251.0376/latest": False,
    "https://169.16689662/latest": False,
    "https://%31%32%37.0.0.1/x": False,
    "https://[::127.0.0.1]/x": False,
    "https://[::ffff:0:169.254.169.254]/x": False,
    "https://[::ffff:a9fe:a9fe]/x": False,
    "https://[2001:0:4136:e378:8000:63bf:5601:5601]/x": False,  # Teredo of 169.254.169.254
    "https://[fe80::1%25eth0]/x": False,
    "https://[ff02::1]/x": False,
    "https://255.1.2.3.4.example.com/x": True,
    "https://0x7f.example.com/x": True,
    "https://167838211/x": True,  # 10.1.2.3
    "https://[2606:4700::1]/x": True,
    "https://224.0.0.1/x": False,
    "file:///etc/passwd": False,
    "ftp://files.example.com/x": False,
    "gopher://x/": False,
    "https:///x": False,
    "data:text/csv,a": False,
}


@pytest.mark.parametrize("url", RESULTS)
def test_where_results_are_read_from(url):
    """Plain http and addresses of this machine or of the inner network are refused by the name of the field."""
    values = ConnectionValues("c", host="https://api.example.com/v1")
    transport = values.transport()
    values.base_url()
    if RESULTS[url]:
        check_address(Request("GET", url, foreign=True), url, transport)
        return
    with pytest.raises(InvalidConnection, match="connection 'c', field 'result_hosts'"):
        check_address(Request("GET", url, foreign=True), url, transport)


@pytest.mark.parametrize(
    "host",
    [
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
        "127\u30020\u30020\u30021",
        "\u24dbocalhost",
        "\u2460\u2465\u2468.254.169.254",
    ],
)
def test_digits_of_other_scripts_are_digits(mode, host):
    """What is sent is the plain spelling, so that is checked."""
    files = Api("c", "", NoAuth())
    transport = Transport(
        "c", timeout=5, origins={"https://api.example.com:443"}, proxies={"all": "http://127.0.0.1:9"}
    )
    drive = driven(mode, lambda: files.download(Request("GET", f"https://{host}/x"), "reading"), transport)
    assert isinstance(drive.error, (InvalidConnection, InvalidArgument))


@pytest.mark.parametrize(
    ("extra", "url", "allowed"),
    [
        ({"allow_http": True}, "http://files.example.com/x", True),
        ({"allow_http": True}, "http://169.254.169.254/x", False),
        ({"result_hosts": "*.example.org, files.example.com"}, "https://a.example.org/x", True),
        ({"result_hosts": ["files.example.com"]}, "https://files.example.com/x", True),
        ({"result_hosts": '["files.example.com"]'}, "https://FILES.example.com/x", True),
        ({"result_hosts": "files.example.com"}, "https://files.example.com.evil.example/x", False),
        ({"result_hosts": "files.example.com"}, "https://api.example.com/x", True),
        ({"result_hosts": "127.0.0.1"}, "https://127.0.0.1/x", True),
        ({"result_hosts": "127.0.0.1"}, "http://127.0.0.1/x", False),
        ({"result_hosts": "127.0.0.1"}, "https://127.0.0.2/x", False),
    ],
)
def test_a_connection_may_name_the_hosts_of_results(extra, url, allowed):
    """With a list no other host is read from, but for the API's own; a listed host may be an inner one."""
    values = ConnectionValues("c", host="https://api.example.com/v1", extra=extra)
    transport = values.transport()
    values.base_url()
    request = Request("GET", url, foreign=True)
    if allowed:
        check_address(request, url, transport)
    else:
        with pytest.raises(InvalidConnection, match="result_hosts"):
            check_address(request, url, transport)


def test_a_name_is_checked_when_it_is_resolved():
    """A name of the outside world may lead inside."""
    transport = Transport("c", origins={"https://api.example.com:443"})
    check_peer("files.example.com", "93.184.216.34", transport)
    for peer in ("127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:169.254.169.254"):
        with pytest.raises(InvalidConnection, match=r"files\.example\.com"):
            check_peer("files.example.com", peer, transport)
    check_peer("api.example.com", "127.0.0.1", transport)  # the API itself is there
    check_peer("files.example.com", "127.0.0.1", Transport("c", origins={"http://localhost:80"}))


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "localhost."])
def test_a_name_that_leads_to_this_machine_is_refused_before_anything_is_sent(mode, server, host):
    """The resolver knows spellings of 127.0.0.1 that no list has."""
    port = server.url.rpartition(":")[2]
    files = Api("c", "", NoAuth())
    transport = Transport("c", timeout=5, origins={"https://api.example.com:443"}, allow_http=True)
    drive = driven(mode, lambda: files.download(Request("GET", f"http://{host}:{port}/x"), "reading"), transport)
    assert isinstance(drive.error, WorkflowError)
    assert server.asked == []


def test_a_redirect_of_a_result_is_checked_too(mode, server, other):
    """The first address may be harmless, the second not."""
    server.script([Reply(302, "", {"Location": other.url + "/inner"})])
    files = Api("c", "", NoAuth())
    transport = Transport("c", timeout=5, origins={server.url}, result_hosts=("127.0.0.1",))
    drive = driven(mode, lambda: files.download(Request("GET", server.url + "/x"), "reading"), transport)
    assert isinstance(drive.error, InvalidConnection)
    assert other.heard == []


# ---- the session of a hook


def hook_session(server, **extra):
    """What `get_conn` gives for a Stevesie connection to a server."""
    values = ConnectionValues("c", host=server.url, password=SECRET, extra=extra)
    system = SYSTEMS["stevesie"](values)
    return signed_session(system, WorkerClient(system.transport))


def test_the_session_signs_for_the_own_server_only(server, other):
    """A request to another one goes out without credentials."""
    server.script([Reply(200, {})])
    with hook_session(server) as session:
        session.get(server.url + "/own")
        session.get(other.url + "/other")
    assert server.heard[0].headers["token"] == SECRET
    assert SECRET.encode() not in b"".join(other.heard)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_credentials_to_another_server(server, other, status):
    """`requests` itself takes away the header Authorization only."""
    server.script([Reply(status, "", {"Location": other.url + "/stolen"})])
    with hook_session(server) as session:
        assert session.post(server.url + "/own", data=b"x").status_code == 200
    assert len(other.heard) == 1
    assert SECRET.encode() not in other.heard[0]
    server.script([Reply(status, "", {"Location": "/again"}), Reply(200, {})])
    with hook_session(server) as session:
        session.get(server.url + "/own")
    assert [heard.headers.get("token") for heard in server.heard] == [SECRET, SECRET]


def test_verify_of_the_connection_wins_over_the_environment(tmp_path, monkeypatch):
    """REQUESTS_CA_BUNDLE does not bring back what ``verify`` says otherwise."""
    import ssl

    own, foreign = self_signed(tmp_path / "own.pem"), self_signed(tmp_path / "foreign.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(foreign))
    with hostile(context) as server:
        server.page(b"{}")
        with hook_session(server, verify=str(own)) as session:
            assert session.get(server.url + "/x").status_code == 200
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
        with hook_session(server, verify=str(foreign)) as session, pytest.raises(OSError, match="CERTIFICATE"):
            session.get(server.url + "/x")


def test_debug_lines_of_the_http_library_have_no_query(mode, server, caplog):
    """A query can hold a session or a signature."""
    caplog.set_level(logging.DEBUG)
    server.script([Reply(200, {})])

    def flow():
        return (yield Request("GET", f"{server.url}/path", params={"session_id": SECRET}))

    assert driven(mode, flow).value.status == 200
    assert SECRET not in caplog.text
    if mode == "worker":
        assert "/path" in caplog.text


# ---- which certificates count


def test_an_authority_that_is_removed_from_the_file_is_not_trusted_any_more(mode, tmp_path, monkeypatch):
    """Within one client, also for a connection that is kept open."""
    import ssl

    from airflow_workflow_provider.client import triggerer

    monkeypatch.setattr(triggerer, "AUTHORITIES", -1.0)  # seconds between two looks at the file
    own, foreign = self_signed(tmp_path / "own.pem"), self_signed(tmp_path / "foreign.pem")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(own.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    with hostile(context) as server:
        server.page(b"{}")

        def flow():
            first = yield Request("GET", server.url)
            trusted.write_bytes(foreign.read_bytes() + b"\n")
            try:
                yield Request("GET", server.url)
            except Exception as error:  # noqa: BLE001  # the test looks at it
                second = str(error)
            else:
                second = "trusted"
            trusted.write_bytes(own.read_bytes())
            third = yield Request("GET", server.url)
            return first.status, second, third.status

        first, second, third = driven(mode, flow, Transport("c", verify=str(trusted), timeout=5)).value
    assert (first, third) == (200, 200)
    assert "its certificate is not trusted" in second
