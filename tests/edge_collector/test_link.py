"""HTTPS with verification, and the way through a proxy, over real sockets."""

from __future__ import annotations

import base64
import datetime
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_collector.link import Link, LinkError
from tests.edge_collector.makers import KEY, make_config
from tests.edge_collector.odd_server import OddServer

STATUS = "/api/collector/status"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Makes a certificate for a name and its key, valid so many days from now on; both in one file."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name, *, days=1):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        begins, ends = sorted((now - datetime.timedelta(hours=1), now + datetime.timedelta(days=days)))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        path = folder / f"{name}-{days}.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return path

    return make


@contextmanager
def https(certificate):
    """The odd server behind TLS; its address has the name localhost."""
    server = OddServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
    server.answers[STATUS] = (200, {"success": True})
    with server:
        yield server, f"https://localhost:{server._http.server_port}"


@contextmanager
def linked(folder, url, **server):
    link = Link(make_config(folder, url=url, server=server), lambda: KEY)
    yield link
    link.close()


def test_server_with_its_own_authority_is_trusted_when_that_is_given(certificates, tmp_path):
    certificate = certificates("localhost")
    with https(certificate) as (server, url), linked(tmp_path, url, ca_file=str(certificate)) as link:
        assert [link.get(STATUS).status for _ in range(3)] == [200, 200, 200]
    assert server.connections == 1


@pytest.mark.parametrize(("name", "days", "given"), [("localhost", 1, False), ("other.example", 1, True), ("localhost", -1, True)])
def test_certificate_that_proves_nothing_is_refused_and_the_key_not_sent(certificates, tmp_path, name, days, given):
    certificate = certificates(name, days=days)
    with https(certificate) as (server, url), linked(tmp_path, url, **({"ca_file": str(certificate)} if given else {})) as link:
        with pytest.raises(LinkError, match="is not trusted") as caught:
            link.get(STATUS)
        assert caught.value.kind == "certificate"
    assert server.keys == []


class Proxy:
    """An HTTP proxy: tunnels for CONNECT, and hands on whole addresses; `asked` holds the first lines, `secrets` the credentials."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.secrets: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        first, *lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        self.asked.append(first)
        self.secrets += [line.partition(": ")[2] for line in lines if line.lower().startswith("proxy-authorization")]
        where = first.split()[1]
        authority = where.removeprefix("http://").partition("/")[0]
        host, _, port = authority.rpartition(":")
        with client, socket.create_connection((host, int(port))) as server:
            if first.startswith("CONNECT"):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head)
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.close()


def test_https_goes_through_a_tunnel_that_never_sees_the_key(certificates, tmp_path, proxy):
    certificate = certificates("localhost")
    through = f"http://farm:p%40ss@127.0.0.1:{proxy.port}"
    with https(certificate) as (server, url), linked(tmp_path, url, ca_file=str(certificate), proxy=through) as link:
        assert link.get(STATUS).status == 200
        assert link.get(STATUS).status == 200
    assert proxy.asked[0].startswith("CONNECT localhost:")
    assert len(proxy.asked) == 1
    assert proxy.secrets == [f"Basic {base64.b64encode(b'farm:p@ss').decode()}"]
    assert [key for _, key in server.keys] == [KEY, KEY]


def test_plain_http_names_the_whole_address_to_the_proxy(tmp_path, proxy):
    with OddServer() as server:
        server.answers[STATUS] = (200, {"success": True})
        with linked(tmp_path, server.url, proxy=f"http://127.0.0.1:{proxy.port}") as link:
            assert link.get(STATUS).status == 200
    assert proxy.asked == [f"GET {server.url}{STATUS} HTTP/1.1"]


def test_proxy_of_the_environment_is_taken_and_its_exceptions_kept(tmp_path, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "")
    with OddServer() as server:
        server.answers[STATUS] = (200, {"success": True})
        with linked(tmp_path, server.url, proxy="") as link:
            assert link.get(STATUS).status == 200
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with linked(tmp_path, server.url, proxy="") as link:
            assert link.get(STATUS).status == 200
    assert len(proxy.asked) == 1


def test_proxy_that_refuses_is_named(tmp_path):
    refused = pytest.raises(LinkError, match=r"127\.0\.0\.1")
    with OddServer() as server, linked(tmp_path, "https://farm.example", proxy=server.url) as link, refused:
        link.get(STATUS)


def test_answer_without_end_is_cut_off(tmp_path):
    with OddServer() as server:
        server.answers[STATUS] = (200, {"filler": "x" * 1_100_000})
        with linked(tmp_path, server.url) as link, pytest.raises(LinkError, match="longer than"):
            link.get(STATUS)
