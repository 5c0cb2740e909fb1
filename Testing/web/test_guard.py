"""Who is let in: the key, foreign pages and names, and what an error page tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is missing: see Testing/web/conftest.py")
pytest.importorskip("trame_slicer", reason="trame-slicer is missing: see Testing/web/conftest.py")

from aiohttp.test_utils import TestClient, TestServer  # noqa: E402

from AdaptWeb.guard import Guard  # noqa: E402


async def _page(request: Any) -> Any:
    return aiohttp.web.Response(text="the page")


async def _broken(request: Any) -> Any:
    raise ValueError("/home/anna/patient.nrrd is damaged")


def asking(ask: Callable[[TestClient, Guard], Awaitable[None]]) -> None:
    """Ask a guarded server of two pages."""

    async def run() -> None:
        app, guard = aiohttp.web.Application(), Guard()
        guard.protect(app)
        app.router.add_get("/index.html", _page)
        app.router.add_get("/broken", _broken)
        async with TestClient(TestServer(app)) as client:
            await ask(client, guard)

    asyncio.run(run())


def test_without_the_key_nothing_is_told() -> None:
    async def ask(client: TestClient, guard: Guard) -> None:
        for path in ("/", "/index.html", "/broken", "/nothing", "/?key=", f"/?key={'x' * 43}", "/?key=ü"):
            answer = await client.get(path)
            assert answer.status == 403, path
            assert "adaptseg web" in await answer.text()

    asking(ask)


def test_the_key_moves_from_the_address_into_a_cookie_that_scripts_cannot_read() -> None:
    async def ask(client: TestClient, guard: Guard) -> None:
        answer = await client.get(f"/?key={guard.key}", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/index.html")
        assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Lax" in answer.headers["Set-Cookie"]
        assert await (await client.get("/index.html")).text() == "the page"

    asking(ask)


def test_a_wrong_key_is_refused_beside_a_right_cookie() -> None:
    async def ask(client: TestClient, guard: Guard) -> None:
        await client.get(f"/?key={guard.key}")
        assert (await client.get("/?key=wrong")).status == 403

    asking(ask)


def test_a_key_of_bytes_that_are_no_text_is_a_wrong_one() -> None:
    assert not Guard().fits(b"\xe9".decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null", ""])
def test_foreign_pages_are_refused_even_with_the_cookie(origin: str) -> None:
    async def ask(client: TestClient, guard: Guard) -> None:
        await client.get(f"/?key={guard.key}")
        assert (await client.get("/index.html", headers={"Origin": origin})).status == 403
        own = f"http://{client.host}:{client.port}"
        assert (await client.get("/index.html", headers={"Origin": own})).status == 200

    asking(ask)


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7", "0.0.0.0"])
def test_foreign_names_of_this_computer_are_refused(name: str) -> None:
    async def ask(client: TestClient, guard: Guard) -> None:
        await client.get(f"/?key={guard.key}")
        assert (await client.get("/index.html", headers={"Host": f"{name}:{client.port}"})).status == 403

    asking(ask)


def test_an_error_page_names_no_file(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(client: TestClient, guard: Guard) -> None:
        await client.get(f"/?key={guard.key}")
        answer = await client.get("/broken")
        assert (answer.status, await answer.text()) == (500, "Something has gone wrong.")

    asking(ask)
    assert "ValueError" in caplog.text and "patient" not in caplog.text


def test_the_page_can_send_nothing_elsewhere() -> None:
    async def ask(client: TestClient, guard: Guard) -> None:
        answer = await client.get(f"/?key={guard.key}")
        rules = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in rules and "connect-src 'self';" in rules and "frame-ancestors 'none'" in rules

    asking(ask)


def test_each_start_has_its_own_key() -> None:
    assert len({Guard().key for _ in range(5)}) == 5 and len(Guard().key) >= 43
