"""People who look at the console with a browser that reaches the manager and nothing else."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Dialog, Locator, Page, StorageState, expect

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
#: What a foreign client, or a program, may send to people who look.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202egnp.exe\x9b0m"
_HARM = r"""() => {
  const page = document.body.cloneNode(true);
  // what is to be changed must stay as it is
  page.querySelectorAll("textarea").forEach((field) => field.remove());
  return [
    ...[...page.querySelectorAll("main script, main img[src=x]")].map((one) => one.outerHTML),
    ...(page.textContent.match(
      /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g) ?? []),
  ];
}"""
_MOST_TABS = 120
#: The session of each who logged in at a manager: most tests are about what comes after that.
_sessions: dict[tuple[str, tuple[str, str]], StorageState] = {}
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
        anew: bool = False,
    ) -> Page:
        """Return a page in a browser of its own, logged in as the admin or as `user`.

        Who came before goes on in the session that they have, or logs in `anew`.
        """
        who = self.url, user or self._login
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
            storage_state=None if anew else _sessions.get(who),
        )
        self._contexts.append(context)
        context.set_default_timeout(_WAIT_MS)
        context.on("request", lambda request: self._note_request(request.url))
        context.on("weberror", lambda error: self.faults.append(f"page error: {error.error}"))
        context.on("console", lambda said: self._note_said(said.type, said.text))
        context.on("dialog", self._note_dialog)
        page = context.new_page()
        page.goto(self.url + path)
        if "/login/" in page.url:
            _log_in(page, who[1])
            _sessions[who] = context.storage_state()
        return page

    def leave(self) -> None:
        """Close everything; fail where a page did what it must not."""
        for context in self._contexts:
            context.close()
        assert not self.faults, self.faults

    def _note_dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _note_request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and not url.startswith(self.url + "/"):
            self.faults.append(f"foreign request: {url[:200]}")

    def _note_said(self, kind: str, text: str) -> None:
        # that a form or a stream was refused is told by the browser, too: tests provoke it
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.faults.append(f"console: {text[:300]}")


def _log_in(page: Page, login: tuple[str, str]) -> None:
    name, password = login
    page.get_by_label("User").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login/" not in url)


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
    """Go there, and fail unless the page is harmless and suits screen readers and its window."""
    page.goto(url)
    expect(page.locator("h1")).to_be_visible()
    assert harm(page) == [], url
    assert obstacles(page) == [], url
    assert too_wide(page) <= 0, url


def harm(page: Page) -> list[str]:
    """Return what of `HOSTILE` came to life: elements, or signs that move, hide or turn text."""
    found: list[str] = page.evaluate(_HARM)
    return found


def reach(page: Page, aim: Locator) -> None:
    """Go to something with the Tab key alone; fail where that doesn't lead there."""
    aim.wait_for()
    for _ in range(_MOST_TABS):
        if aim.evaluate("e => e === document.activeElement"):
            return
        if page.evaluate("document.activeElement === document.body"):
            page.keyboard.press("Tab")  # "Skip to the content"
            page.keyboard.press("Enter")
        page.keyboard.press("Tab")
    raise AssertionError(f"{_MOST_TABS} times Tab don't lead to {aim}")


def too_wide(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
