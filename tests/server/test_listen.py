"""Where a server listens, and by which names it may be asked."""

from __future__ import annotations

import json
import socket

import httpx
import pytest
from raw_http import BODY
from served import serving

from edgeguard import InputError, ServerError
from edgeguard.server.listen import bind, url_of
from edgeguard.server.settings import Settings

HAS_IPV6 = socket.has_dualstack_ipv6()
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="needs IPv6")
POST = {"content-type": "application/json"}


def reachable(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


@needs_ipv6
@pytest.mark.parametrize("host", ["localhost", "::"])
def test_both_families_are_served(host: str) -> None:
    if len({family for family, *_ in socket.getaddrinfo("localhost", 0)}) < 2 and host != "::":
        pytest.skip("localhost has one address here")
    socks = bind(Settings(host=host, port=0))
    try:
        port = socks[0].getsockname()[1]
        assert {sock.getsockname()[1] for sock in socks} == {port}
        assert reachable("127.0.0.1", port)
        assert reachable("::1", port)
    finally:
        for sock in socks:
            sock.close()


def test_one_family_of_two_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
    here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: [nowhere, here])
    (sock,) = bind(Settings(host="two.example", port=0))
    sock.close()


@needs_ipv6
def test_an_address_of_one_interface() -> None:
    try:
        socks = bind(Settings(host="fe80::1%lo", port=0))
    except ServerError as error:
        assert "try another --host" in str(error)
        return
    assert url_of("fe80::1%lo", socks[0]).startswith("http://[fe80::1%25lo]:")
    socks[0].close()


def test_a_host_that_is_not_there_advises_another_host() -> None:
    with pytest.raises(ServerError, match="--host"):
        bind(Settings(host="no.such.host.invalid"))
    with pytest.raises(ServerError, match="try another --host"):
        bind(Settings(host="192.0.2.1"))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1", 200), ("192.168.7.7:8000", 200), ("[fe80::7]", 200),
        ("guard.example", 200), ("GUARD.example.:8000", 200), ("other.example", 403),
        ("evil.com", 403), ("", 403), ("guard.example.evil.com", 403),
    ],
)  # fmt: skip
def test_open_to_all_a_rebound_name_is_still_403(host: str, status: int) -> None:
    settings = {"host": "0.0.0.0", "without_key": True, "allowed_hosts": ("guard.example",)}
    with serving(**settings) as served, served.client() as client:  # type: ignore[arg-type]
        answer = client.post("/v1/guard", content=BODY, headers={**POST, "host": host})
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["error"]["code"] == "foreign_host"
        page = {"host": host, "origin": f"http://{host}"}
        assert client.get("/health", headers=page).status_code == status


def test_an_allowed_name_holds_with_a_key_too() -> None:
    with serving(api_key="k", allowed_hosts=("guard.example",)) as served:
        headers = {**POST, "authorization": "Bearer k"}
        with served.client() as client:
            for host, status in (("guard.example", 200), ("evil.com", 403)):
                given = {**headers, "host": host}
                answer = client.post("/v1/guard", content=BODY, headers=given)
                assert answer.status_code == status


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", "", "a b", "a/b", "*"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InputError):
        Settings(allowed_hosts=(name,))


@pytest.mark.parametrize("path", ["guard", "/guard/", "/", "//a", "/a b", "/é"])
def test_what_is_no_root_path(path: str) -> None:
    with pytest.raises(InputError):
        Settings(root_path=path)


def test_the_document_is_json() -> None:
    with serving(root_path="/a/b") as served:
        found = httpx.get(f"{served.url}/a/b/openapi.json", trust_env=False).text
        assert json.loads(found)["servers"] == [{"url": "/a/b"}]
