"""What a broken network is called: the request was certainly not sent, or nobody knows."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing

import pytest

from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import NoAnswer, NotSent, Request
from tests.client.driving import driven
from tests.client.recording import RESET, Reply, recording_server


def sent(mode, url, transport=None, **more):
    """What became of one request."""

    def flow():
        return (yield Request("POST", url, **{"json": {}, **more}))

    return driven(mode, flow, transport)


@pytest.fixture
def silent():
    """A server that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def closed_port():
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return listening.getsockname()[1]


def test_a_refused_connection_means_not_sent(mode, closed_port):
    assert isinstance(sent(mode, f"http://127.0.0.1:{closed_port}/").error, NotSent)


def test_an_unknown_host_means_not_sent(mode):
    assert isinstance(sent(mode, "http://no-such-host.localhost./").error, NotSent)


def test_tls_with_a_server_that_has_none_means_not_sent(mode, server):
    """The hand-shake fails before a byte of the request goes out."""
    assert isinstance(sent(mode, server.url.replace("http", "https")).error, NotSent)


@pytest.mark.parametrize("reply", [RESET, Reply(200, "x" * 100, breaks="half"), Reply(breaks="garbage")])
def test_a_broken_answer_means_that_nobody_knows(mode, server, reply):
    server.script([reply])
    assert isinstance(sent(mode, server.url).error, NoAnswer)


def test_no_answer_in_time_means_that_nobody_knows(mode, silent):
    assert isinstance(sent(mode, silent, Transport(timeout=0.1)).error, NoAnswer)
    assert isinstance(sent(mode, silent, timeout=0.1).error, NoAnswer)


def test_an_answer_that_cannot_be_unpacked_means_that_nobody_knows(mode, server):
    def flow():
        return (yield Request("GET", server.url))

    server.script([Reply(200, b"not gzip", {"Content-Encoding": "deflate"})])
    assert isinstance(driven(mode, flow).error, NoAnswer)


def test_an_error_does_not_show_the_query(mode, closed_port):
    """It can hold a credential."""
    drive = sent(mode, f"http://127.0.0.1:{closed_port}/path", params={"access_token": "s3cret-token"})
    assert "s3cret-token" not in str(drive.error)


def test_a_redirect_is_not_followed(mode, server):
    server.script([Reply(307, "", {"Location": f"{server.url}/elsewhere"})])
    assert (sent(mode, server.url).value.status, server.asked) == (307, ["POST /"])


def test_requests_go_through_the_proxy_of_the_connection(mode, server):
    with recording_server() as proxy:
        proxy.script([Reply(200, "from the proxy")])
        drive = sent(mode, f"{server.url}/path", Transport(timeout=5, proxies={"http": proxy.url}))
        assert drive.value.body == b"from the proxy"
        assert proxy.asked == [f"POST {server.url}/path"]
    assert server.heard == []


def test_requests_go_through_the_proxy_of_the_environment(mode, server, monkeypatch):
    """And not for hosts that the environment excepts: the same rules in both modes."""
    with recording_server() as proxy:
        proxy.script([Reply(200, "from the proxy")])
        server.script([Reply(200, "from the server")])
        for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert sent(mode, server.url).value.body == b"from the proxy"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert sent(mode, server.url).value.body == b"from the server"


def test_a_proxy_that_refuses_shows_nobody_its_password(mode, server):
    with recording_server() as proxy:
        proxy.script([Reply(407)])
        address = proxy.url.replace("//", "//user:hunter22@")
        proxies = {"http": address, "https": address}
        drive = sent(mode, server.url.replace("http", "https"), Transport(timeout=5, proxies=proxies))
        assert isinstance(drive.error, NotSent)
        assert "hunter22" not in str(drive.error)


def test_a_netrc_does_not_change_what_is_sent(mode, server, monkeypatch, tmp_path):
    """The connection's credentials count, whatever the machine's user has noted for that host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.script([Reply(200)])
    drive = sent(mode, server.url, headers={"Authorization": "Bearer ours"})
    assert drive.error is None
    assert [heard.headers["authorization"] for heard in server.heard] == ["Bearer ours"]
    sent(mode, server.url)
    assert "authorization" not in server.heard[1].headers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, with its key, in one file."""
    from tests.client.certificates import self_signed

    return self_signed(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def tls_server(certificate):
    """A server with TLS that answers every request with ``ok``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with recording_server() as server:
        server.script([Reply(200, "ok")])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        yield server.url.replace("http", "https"), server


def test_a_certificate_that_nobody_vouches_for_means_not_sent(mode, tls_server):
    url, server = tls_server
    assert isinstance(sent(mode, url).error, NotSent)
    assert server.heard == []


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")  # urllib3's own reminder
@pytest.mark.parametrize("trusted", [True, False], ids=["a CA file", "verify=false"])
def test_verify_takes_a_ca_file_or_false(mode, tls_server, certificate, trusted):
    url, _ = tls_server
    assert sent(mode, url, Transport(verify=str(certificate) if trusted else False, timeout=5)).value.body == b"ok"


def test_the_environments_authorities_are_trusted(mode, tls_server, certificate, monkeypatch):
    """As `requests` does it; both modes must trust the same."""
    url, _ = tls_server
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert sent(mode, url).value.body == b"ok"
