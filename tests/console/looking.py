"""People who look at the console with a browser that reaches the manager and nothing else."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect

CHROMIUM = "/usr/bin/chromium"
#: Quiet, and without a way out: whatever isn't on the loopback meets a proxy that isn't there.
OPTIONS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--metrics-recording-only",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=127.0.0.1,localhost",
]
_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
#: Without what passed in detail, and without fetching the stylesheet anew, which no rule needs.
_RUN_AXE = "async () => await axe.run({ resultTypes: ['violations'], preload: false })"
_SERIOUS = {"serious", "critical"}
#: So long anything may take to appear on a busy machine, before it counts as missing.
_WAIT_MS = 30_000
expect.set_options(timeout=_WAIT_MS)


class People:
    """Opens pages as somebody, and notes what a page must not do."""

    def __init__(self, browser: Browser, url: str, login: tuple[str, str]) -> None:
        self._browser, self.url, self._login = browser, url, login
        self._contexts: list[BrowserContext] = []
        self.faults: list[str] = []

    def enter(
        self,
        path: str = "/",
        *,
        user: tuple[str, str] | None = None,
        width: int = 1280,
        dark: bool = False,
    ) -> Page:
        """Return a page in a browser of its own, logged in as the admin or as `user`."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self._contexts.append(context)
        context.set_default_timeout(_WAIT_MS)
        context.on("request", lambda request: self._note_request(request.url))
        context.on("weberror", lambda error: self.faults.append(f"page error: {error.error}"))
        context.on("console", lambda said: self._note_said(said.type, said.text))
        page = context.new_page()
        page.goto(self.url + path)
        name, password = user or self._login
        page.get_by_label("User").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login/" not in url)
        return page

    def leave(self) -> None:
        """Close everything; fail where a page did what it must not."""
        for context in self._contexts:
            context.close()
        assert not self.faults, self.faults

    def _note_request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and not url.startswith(self.url + "/"):
            self.faults.append(f"foreign request: {url[:200]}")

    def _note_said(self, kind: str, text: str) -> None:
        # that a form or a stream was refused is told by the browser, too: tests provoke it
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.faults.append(f"console: {text[:300]}")


def obstacles(page: Page) -> list[str]:
    """Return what axe finds serious on a page."""
    # evaluated from outside: the page's own policy lets no foreign script in
    page.evaluate(_AXE)
    found: dict[str, Any] = page.evaluate(_RUN_AXE)
    return [
        f"{violation['id']}: {node['html'][:150]} {node.get('failureSummary', '')[:200]}"
        for violation in found["violations"]
        if violation["impact"] in _SERIOUS
        for node in violation["nodes"]
    ]


def must_fit(page: Page, url: str) -> None:
    """Go there, and fail unless the page suits everybody: screen readers, and its window."""
    page.goto(url)
    expect(page.locator("h1")).to_be_visible()
    assert obstacles(page) == [], url
    assert too_wide(page) <= 0, url


def too_wide(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
