"""The served page in a real browser, asked with pictures of Fashion-MNIST."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.server.app import make_app
from cnn_pipeline.data.formats.idx import parse_idx
from tests.champion.server.champions import CLASSES, NAME, Registered, crown, register
from tests.champion.server.standin import Standing, serving
from tests.e2e import browser
from tests.e2e.test_serve import DEADLINE, Server

pytestmark = pytest.mark.slow  # a start imports TensorFlow

SAMPLE = Path(__file__).parents[2] / "cnn_pipeline" / "data" / "sample"
SHIRT = CLASSES.index("Shirt")


def photo(margin: int = 60) -> bytes:
    """A PNG file of a dark shirt on white, 15 times as large as the test image."""
    images, labels = (
        parse_idx(gzip.decompress((SAMPLE / f"t10k-{name}-ubyte.gz").read_bytes()))
        for name in ("images-idx3", "labels-idx1")
    )
    shirt = Image.fromarray(255 - images[np.flatnonzero(labels == SHIRT)[0]])
    sheet = Image.new("L", (420 + 2 * margin, 420 + margin), 255)
    sheet.paste(shirt.resize((420, 420), Image.Resampling.BICUBIC), (margin, margin // 2))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path) -> Home:
    home = Home(tmp_path_factory.mktemp("served"))
    home.artifacts.mkdir(parents=True)
    home.database.write_bytes(_migrated_store.read_bytes())
    return home


@pytest.fixture(scope="module")
def versions(place: Home) -> list[Registered]:
    return [register(place, seed) for seed in range(2)]


@pytest.fixture(scope="module")
def server(place: Home, versions: list[Registered]) -> Iterator[Server]:
    crown(place, 1)
    server = Server(place)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as started:
        yield started


@pytest.fixture
def page(
    need: Callable[[bool, str], None], request: pytest.FixtureRequest, server: Server
) -> Iterator[Page]:
    """A visit on a small screen that must reach nothing but the server."""
    need(browser.executable() is not None, browser.REMEDY)
    one: Browser = request.getfixturevalue("chromium")
    context = one.new_context(viewport={"width": 320, "height": 700}, color_scheme="dark")
    page = context.new_page()
    page.set_default_timeout(browser.PATIENCE_MS)
    expect.set_options(timeout=browser.PATIENCE_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "400" not in said.text else "")
    page.on(
        "request",
        lambda request: (
            complaints.append(request.url)
            if not request.url.startswith((server.address, "blob:", "data:"))
            else None
        ),
    )
    page.goto(server.address)
    expect(page.locator("#model")).to_contain_text(f"{NAME} version ")
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert complaints == []
    context.close()


def drop(page: Page, content: bytes, name: str) -> None:
    """Drop a file on the page, as from a folder's window."""
    page.evaluate(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            document.querySelector("main").dispatchEvent(
                new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [base64.b64encode(content).decode(), name],
    )


def answer_of(server: Server, content: bytes) -> dict[str, Any]:
    document = {"inputs": [{"b64": base64.b64encode(content).decode()}]}
    reply = server.client.post("/invocations?pixels=true", json=document)
    answer: dict[str, Any] = reply.json()
    return answer


def test_a_dropped_shirt_is_shown_as_the_network_sees_it(
    page: Page, server: Server, versions: list[Registered]
) -> None:
    drop(page, photo(), "shirt.png")
    expect(page.locator("#top li")).to_have_count(3)
    answer = answer_of(server, photo())
    pixels = np.array(answer["pixels"][0], np.uint8)
    drawn = page.evaluate(
        "[...document.querySelector('#prepared').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"
    )
    assert drawn == pixels.ravel().tolist()
    assert pixels[0, 0, 0] == 0 and pixels.max() > 200  # prepared: inverted, and cropped
    shares = versions[0].answers(pixels[None])[0]
    best = np.argsort(-shares)[:3]
    shown = [line.split("\n") for line in page.locator("#top li").all_inner_texts()]
    assert shown == [[CLASSES[i], f"{100 * shares[i]:.1f}\N{NO-BREAK SPACE}%"] for i in best]
    assert page.locator("#steps li").all_inner_texts() == answer["notes"][0]
    expect(page.get_by_role("status").last).to_contain_text(f"{NAME} version 1: {CLASSES[best[0]]}")
    assert page.get_by_role("img", name="Your picture, shirt.png").evaluate("i => i.naturalWidth")
    # The colours of its bars are set by the page's own script, which its policy allows.
    assert page.locator("#top li").first.evaluate("e => e.style.getPropertyValue('--share')")


def test_the_keyboard_alone_is_enough(page: Page, tmp_path: Path) -> None:
    (tmp_path / "shirt.png").write_bytes(photo())
    # Playwright asks Chromium for choosers when the first listener comes, and does not wait for
    # the answer: Enter right after that can open a window that nobody sees.
    page.on("filechooser", lambda chooser: None)
    page.keyboard.press("Tab")
    focused = "document.activeElement"
    assert page.evaluate(f"{focused}.labels[0].textContent") == "Choose a picture"
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
    with page.expect_event("filechooser") as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "shirt.png")
    expect(page.locator("#top li")).to_have_count(3)
    assert page.evaluate(f"{focused}.id") == "file"


def test_an_unreadable_file_gets_the_servers_reason(page: Page) -> None:
    page.locator("#file").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    )
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("notes.txt: this is not a PNG, JPEG, GIF, WEBP, BMP or TIFF picture")
    expect(page.locator("#result")).to_be_hidden()
    drop(page, photo(), "shirt.png")
    expect(page.locator("#top li")).to_have_count(3)
    expect(alert).to_have_text("")
    drop(page, bytes(13 * 2**20), "huge.png")
    expect(alert).to_have_text(
        "huge.png must have at most 11 MiB, it has 13. Make it smaller first."
    )


def test_a_pasted_picture_is_asked_too(page: Page) -> None:
    page.evaluate(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
            dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }""",
        base64.b64encode(photo()).decode(),
    )
    expect(page.locator("#top li")).to_have_count(3)


def test_the_page_follows_a_promotion(
    page: Page, place: Home, server: Server, versions: list[Registered]
) -> None:
    drop(page, photo(), "shirt.png")
    said = page.get_by_role("status").last
    expect(said).to_contain_text(f"{NAME} version 1: ")
    crown(place, 2)
    assert server.line() == "now serving version 2 (was 1)"
    again = "Version 1 gave this answer. Version 2 answers now."
    expect(said).to_have_text(again, timeout=1000 * DEADLINE)
    expect(page.locator("#model")).to_contain_text(f"{NAME} version 2 answers.")
    page.get_by_role("button", name="Ask again").click()
    expect(said).to_contain_text(f"{NAME} version 2: ")
    shares = versions[1].answers(np.array(answer_of(server, photo())["pixels"], np.uint8))[0]
    expect(page.locator("#top li").first).to_contain_text(CLASSES[shares.argmax()])
    expect(page.get_by_role("button", name="Ask again")).to_be_hidden()


TOKEN = "0123456789abcdef+/="


def test_a_server_with_a_token_asks_for_it(
    need: Callable[[bool, str], None], request: pytest.FixtureRequest
) -> None:
    need(browser.executable() is not None, browser.REMEDY)
    one: Browser = request.getfixturevalue("chromium")
    standing: Any = Standing()
    with serving(make_app(standing, TOKEN)) as (port, _):
        page = one.new_page(viewport={"width": 320, "height": 700})
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator("#model")).to_have_text("This server needs a token.")
        page.get_by_label("Token of this server").fill("another-token-of-16")
        page.keyboard.press("Enter")
        expect(page.locator("#health")).to_have_text("This is not the token of this server.")
        drop(page, photo(), "shirt.png")
        expect(page.get_by_role("alert")).to_have_text("Enter the token above first.")
        page.get_by_label("Token of this server").fill(TOKEN)
        page.get_by_role("button", name="Enter").click()
        expect(page.locator("#model")).to_contain_text("things-cnn version 7 answers.")
        expect(page.locator("#token")).to_be_hidden()
        page.get_by_role("button", name="Ask again").click()
        expect(page.locator("#top li")).to_have_count(3)
        page.reload()  # the tab keeps it
        expect(page.locator("#model")).to_contain_text("things-cnn version 7 answers.")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        assert TOKEN not in page.content()
        other = one.new_page()
        other.goto(f"http://127.0.0.1:{port}/")
        expect(other.locator("#token")).to_be_visible()
        page.close()
        other.close()
