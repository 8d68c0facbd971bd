"""Pictures of the console for the docs: `python -m tests.console.pictures FOLDER`.

Each page in both themes and two widths, and all four of a page beside one another for the gallery.
On an embedded stack where something goes on: readings of two stations, in Celsius, the hot ones
apart, and a program that can't stand everything that comes.
"""

import os
import sys
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from streams import names
from streams.broker import Session
from streams.message import Message
from streams.settings import Settings
from tests.console.looking import CHROMIUM, OPTIONS, People
from tests.embedded import Person, running_stack

#: A name for each page, and where it is.
PAGES = {
    "topology": "/",
    "streams": "/streams/",
    "stream": "/streams/celsius/",
    "archive": "/streams/readings/archive/",
    "operations": "/operations/",
    "operation": "/operations/to-celsius/",
    "dead-letters": "/operations/check/dead-letters/",
    "new-operation": "/new/operation/?input=readings",
    "definitions": "/definitions/",
    "definition": "/definitions/1/",
    "new-definition": "/definitions/new/",
    "nodes": "/nodes/",
    "clouds": "/clouds/",
    "images": "/images/",
    "builds": "/builds/",
    "activity": "/activity/",
    "account": "/account/",
    "users": "/users/",
}
WIDTHS = {"wide": 1280, "narrow": 360}
_SETTLED_MS, _HEIGHT = 3_000, 800
_SIDE_BY_SIDE = """async (sources) => {
  const scale = 0.5, gap = 16;
  const pictures = await Promise.all(sources.map(async (source) => {
    const picture = new Image();
    picture.src = source;
    await picture.decode();
    return picture;
  }));
  const sheet = document.createElement("canvas");
  sheet.width = pictures.reduce((sum, one) => sum + one.width * scale, gap * (pictures.length - 1));
  sheet.height = Math.max(...pictures.map((one) => one.height * scale));
  const pen = sheet.getContext("2d");
  pen.imageSmoothingQuality = "high";
  let left = 0;
  for (const one of pictures) {
    pen.drawImage(one, left, 0, one.width * scale, one.height * scale);
    left += one.width * scale + gap;
  }
  return sheet.toDataURL("image/webp", 0.8);
}"""
_EVERY_S, _RUNNING_S = 0.25, 90.0
_PROGRAMS = (
    ("Fahrenheit to Celsius", "awk '{ printf \"%s %.1f\\n\", $1, ($2 - 32) / 1.8 }'"),
    ("Hot ones", "awk '$2 > 30'"),
    (
        "Check",
        'python3 -c "print(*(w if i < 1 else float(w) for i, w in enumerate(input().split())))"',
    ),
    ("Thumbnail", "convert - -resize 50% -"),
)
_OPERATIONS = (
    ("to-celsius", 1, "readings", "celsius"),
    ("hot-ones", 2, "celsius", "alarms"),
    ("check", 3, "readings", "checked"),
    ("thumbnails", 4, "camera", "thumbnails"),
)


def main() -> None:
    """Make all pictures, and print their names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with running_stack() as person, _at_work(person), _browser() as browser:
        login = (person.settings.user or "", person.settings.password or "")
        people = People(browser, person.settings.need_manager(), login)
        made = dict[str, list[Path]]()
        for dark in (False, True):
            for width_name, width in WIDTHS.items():
                page = people.enter(width=width, dark=dark)
                for name, place in PAGES.items():
                    path = folder / f"{name}-{width_name}-{'dark' if dark else 'light'}.png"
                    _picture(page, people.url + place, path)
                    made.setdefault(name, []).append(path)
        people.leave()
        sheet = browser.new_page()
        for name, paths in made.items():
            _side_by_side(sheet, paths, folder / f"{name}.webp")
    for path in sorted(folder.iterdir()):
        sys.stdout.write(f"{path} {path.stat().st_size:,}\n")


def _picture(page: Page, url: str, path: Path) -> None:
    page.goto(url)
    page.wait_for_timeout(_SETTLED_MS)
    width, tall = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    height = min(int(tall), 2 * _HEIGHT)
    clip: FloatRect = {"x": 0, "y": 0, "width": int(width), "height": height}
    page.screenshot(path=path, full_page=True, clip=clip)


def _side_by_side(page: Page, paths: Iterable[Path], sheet: Path) -> None:
    """Put pictures beside one another, smaller."""
    pictures = [f"data:image/png;base64,{b64encode(p.read_bytes()).decode()}" for p in paths]
    made: str = page.evaluate(_SIDE_BY_SIDE, pictures)
    sheet.write_bytes(b64decode(made.partition(",")[2]))


@contextmanager
def _at_work(person: Person) -> Iterator[None]:
    """Let something go on in a stack."""
    for name, command in _PROGRAMS:
        person.register(name=name, application="any", exec=command, retries=0)
    for name, number, source, target in _OPERATIONS:
        body = {"process_definition_id": number, "input_stream": source, "output_stream": target}
        person.http("POST", "operations/", {"name": name, **body})
    person.http("PUT", "streams/readings/archive/", {})
    for stream in ("alarms", "checked"):
        person.consume(stream)
    for operation in ("to-celsius", "hot-ones", "check"):
        person.until(operation, "running", within_s=_RUNNING_S)
    over = threading.Event()
    station = threading.Thread(target=_measure, args=(person.settings, over))
    station.start()
    try:
        over.wait(_RUNNING_S)
        yield
    finally:
        over.set()
        station.join()


def _measure(settings: Settings, over: threading.Event) -> None:
    """Publish what two stations measure; now and then one of them says nonsense."""
    with Session(settings.need_amqp(), name="stations") as session:
        for number in range(1_000_000):
            if over.wait(_EVERY_S):
                return
            value = "n/a" if number % 97 == 50 else str(60 + number * 7 % 40)
            text = f"{'north' if number % 2 else 'south'} {value}"
            message = Message(text.encode(), f"reading-{number}", "text/plain")
            session.publish(names.exchange("readings"), message)


@contextmanager
def _browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=OPTIONS, env={**os.environ, "HOME": home}
        )
        yield launched
        launched.close()


if __name__ == "__main__":
    main()
