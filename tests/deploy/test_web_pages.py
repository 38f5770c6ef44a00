"""The pages in a real browser, from disk and offline, beside Python's answers."""

import base64
import io
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browsers import SIZES, chromium, pages_from_disk
from PIL import Image

from common.codec.container import ContainerError, file_bytes, load, read_layout, sizes
from common.codec.huffman import canonical_codes, code_lengths, entropy_bits
from common.compress.packing import unpack
from common.data.batches import normalization, normalize
from common.data.pictures import NAMES, photograph
from common.deploy.web_page import SHIPPED, export_web
from tests.tiny_container import seal

pytestmark = pytest.mark.slow
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PAGES = ["index.html", "huffman.html", "bytes.html"]
# Strokes on a paper of 280 by 280.
DIGITS = {
    0: [
        [(140, 40), (90, 70), (75, 140), (90, 210), (140, 240), (190, 210), (205, 140), (190, 70), (140, 40)]
    ],
    1: [[(140, 40), (140, 240)]],
    2: [[(80, 90), (100, 50), (150, 40), (195, 70), (190, 120), (80, 235), (205, 235)]],
    3: [
        [
            (80, 60),
            (140, 40),
            (195, 70),
            (180, 120),
            (130, 135),
            (190, 160),
            (195, 210),
            (140, 240),
            (75, 220),
        ]
    ],
    4: [[(100, 45), (80, 150), (200, 150)], [(180, 45), (175, 245)]],
    5: [[(195, 45), (95, 45), (90, 130), (160, 125), (200, 170), (180, 225), (130, 242), (80, 225)]],
    6: [[(170, 40), (110, 100), (85, 180), (110, 235), (165, 235), (195, 190), (165, 150), (95, 180)]],
    7: [[(75, 50), (205, 50), (130, 240)]],
    8: [
        [
            (140, 135),
            (90, 100),
            (100, 50),
            (140, 38),
            (185, 55),
            (185, 100),
            (140, 135),
            (85, 180),
            (95, 230),
            (140, 245),
            (190, 228),
            (195, 180),
            (140, 135),
        ]
    ],
    9: [
        [
            (190, 100),
            (150, 140),
            (100, 125),
            (90, 75),
            (130, 40),
            (185, 60),
            (190, 100),
            (180, 180),
            (165, 245),
        ]
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    export_web([], folder)
    return folder


@pytest.fixture(scope="module")
def networks() -> dict[str, torch.nn.Module]:
    return {role: unpack(load(path.read_bytes())) for role, path in SHIPPED.items()}


@pytest.fixture(scope="module")
def browser():
    with chromium(*CAMERA) as opened:
        yield opened


@pytest.fixture
def open_page(browser, folder):
    with pages_from_disk(browser, folder) as open_in:
        yield open_in


def draw(page, strokes) -> None:
    box = page.locator("#paper").bounding_box()
    scale = box["width"] / 280
    for stroke in strokes:
        points = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for x, y in points[1:]:
            page.mouse.move(x, y, steps=4)
        page.mouse.up()


def shown_logits(page) -> np.ndarray:
    page.locator(".bars li.best").wait_for()
    return np.array(json.loads(page.locator("#bars").get_attribute("data-logits")))


def seen_digit(page) -> np.ndarray:
    """What the page gives to the network: uint8 of shape (28, 28)."""
    code = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 28, 28).data)"
    pixels = page.locator("#seen-digits").evaluate(code)
    return np.array(pixels, dtype=np.uint8).reshape(28, 28, 4)[:, :, 0]


def answers(network, inputs: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return network(inputs).numpy()[0]


def test_drawn_digits_are_recognised_as_in_python(open_page, networks):
    page = open_page("index.html")
    assert page.locator("#verdict").inner_text() == "Nothing to see yet"
    for digit, strokes in DIGITS.items():
        draw(page, strokes)
        logits = shown_logits(page)
        image = seen_digit(page)
        assert image.max() > 200, "ink is white on black"
        expected = answers(networks["digits"], normalize(image[None, None], *normalization("mnist")))
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        assert page.locator("#verdict").inner_text().startswith(f"{digit}: "), f"a drawn {digit}"
        page.get_by_role("button", name="Clear").click()


def test_a_digit_by_keyboard(open_page):
    page = open_page("index.html")
    page.locator("#paper").focus()
    for _ in range(7):
        page.keyboard.press("ArrowUp")
    page.keyboard.press(" ")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.locator(".bars li.best").wait_for()
    assert page.locator("#verdict").inner_text().startswith("1: ")
    page.keyboard.press("Delete")
    page.get_by_text("Nothing to see yet").wait_for()
    page.locator("#tab-digits").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-pictures").get_attribute("aria-selected") == "true"
    assert page.locator("#panel-digits").is_hidden()


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def python_logits(network, picture: np.ndarray) -> np.ndarray:
    """The central square, averaged to 32 by 32, through the network in torch."""
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = torch.from_numpy(picture[top : top + side, left : left + side].copy())
    square = square.permute(2, 0, 1)[None].double()
    small = F.interpolate(square, size=(32, 32), mode="area").float()
    return answers(network, normalize(small, *normalization("cifar10")))


def test_ten_photographs_give_pythons_logits(open_page, networks):
    page = open_page("index.html", "phone")
    page.locator("#tab-pictures").click()
    for name in NAMES[:10]:
        picture = photograph(name)
        start = time.perf_counter()
        page.locator("#bars").evaluate("bars => { bars.dataset.logits = '' }")
        page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": png(picture)})
        page.locator("#bars[data-logits^='[']").wait_for(state="attached")
        seconds = time.perf_counter() - start
        logits = shown_logits(page)
        print(f"{name}: {page.locator('#verdict').inner_text()} after {seconds:.2f} s")
        np.testing.assert_allclose(logits, python_logits(networks["pictures"], picture), atol=1e-3)
    assert page.locator("#problem").is_hidden()


def test_the_first_answer_comes_soon(open_page, networks):
    page = open_page("index.html", "phone")
    start = time.perf_counter()
    page.locator("#tab-pictures").click()
    picture = photograph("cat")
    page.locator("#file").set_input_files(
        {"name": "cat.png", "mimeType": "image/png", "buffer": png(picture)}
    )
    page.locator(".bars li.best").wait_for()
    seconds = time.perf_counter() - start
    print(f"first answer after {seconds:.2f} s; {page.locator('#timing').inner_text()}")
    assert page.locator("#verdict").inner_text().startswith("cat: ")
    assert seconds < 30, "two seconds on a quiet machine"


EVENT = """([type, text, name]) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: name.endsWith("png") ? "image/png" : "text/plain" }));
  const options = { bubbles: true, cancelable: true };
  window.dispatchEvent(type === "drop" ? new DragEvent(type, { ...options, dataTransfer: transfer })
                                       : new ClipboardEvent(type, { ...options, clipboardData: transfer }));
}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(open_page, networks, way):
    page = open_page("index.html")
    picture = photograph("rocket")
    page.evaluate(EVENT, [way, base64.b64encode(png(picture)).decode(), "rocket.png"])
    logits = shown_logits(page)
    assert page.locator("#tab-pictures").get_attribute("aria-selected") == "true"
    np.testing.assert_allclose(logits, python_logits(networks["pictures"], picture), atol=1e-3)


def test_what_is_no_picture_is_told(open_page):
    page = open_page("index.html")
    page.evaluate(EVENT, ["drop", base64.b64encode(b"a text").decode(), "notes.txt"])
    page.get_by_text("notes.txt is not a picture that this browser can read").wait_for()


def test_the_camera(open_page):
    page = open_page("index.html", permissions=["camera"])
    page.locator("#tab-pictures").click()
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take the picture").click()
    assert shown_logits(page).shape == (10,)
    assert page.locator("#video").is_hidden()


def test_where_the_bytes_go(open_page):
    page = open_page("index.html")
    for role, tab in (("digits", "#tab-digits"), ("pictures", "#tab-pictures")):
        page.locator(tab).click()
        data = SHIPPED[role].read_bytes()
        cells = page.locator("#kinds tbody td:nth-child(2)").all_inner_texts()
        assert sum(float(cell.replace(",", "")) for cell in cells) == pytest.approx(len(data), abs=0.01)
        found = dict(zip(page.locator("#kinds tbody td:first-child").all_inner_texts(), cells, strict=True))
        tensors = sizes(data)
        assert float(found["names, lengths, digest"]) == file_bytes(data)
        assert float(found["codebooks (shared values)"].replace(",", "")) == sum(
            s.codebook_bytes for s in tensors
        )
        values = float(found["values (which shared value)"].replace(",", ""))
        assert values == pytest.approx(sum(s.values_bits for s in tensors) / 8, abs=0.01)
        n_kept = sum(tensor.n_kept for tensor in tensors)
        assert f"{len(data):,} bytes" in page.locator("#file-line").inner_text()
        assert f"{n_kept:,} are kept" in page.locator("#file-line").inner_text()
        for number in (0, 1):
            page.locator("#layer").select_option(str(number))
            weight = tensors[2 * number]
            line = page.locator("#weights-line").inner_text()
            assert f"{weight.n_kept:,} of {weight.n_weights:,} weights are kept" in line


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def signed(data: bytes, original: bytes) -> bytes:
    """The file with the checksums of its records, and its digest, made right."""
    import zlib

    records = read_layout(original)[1]
    at = len(original) - 8 - sum(map(len, records.values()))
    for name, record in records.items():
        stop = at + len(record)
        crc = zlib.crc32(name.encode() + data[at : stop - 4]).to_bytes(4, "little")
        data = data[: stop - 4] + crc + data[stop:]
        at = stop
    return seal(data)


def changed_weights(data: bytes, original: bytes) -> int | None:
    """How many weights differ; None where Python refuses the file."""
    try:
        model = load(data)
    except ContainerError:
        return None
    before = load(original).tensors
    return sum(
        int((tensor.to_dense() != before[name].to_dense()).sum()) for name, tensor in model.tensors.items()
    )


def test_a_flipped_bit_and_the_readers_answer(open_page):
    page = open_page("index.html")
    data = SHIPPED["digits"].read_bytes()
    rng = np.random.default_rng(0)
    seen = set()
    for at in [*rng.integers(80, len(data) - 8, 25).tolist(), 0, 3, len(data) - 1]:
        bit = int(rng.integers(8))
        page.locator("#flip-byte").fill(str(at))
        page.locator("#flip-bit").select_option(str(bit))
        for is_signed in (False, True):
            page.locator("#flip-sign").set_checked(is_signed)
            page.get_by_role("button", name="Flip this bit").click()
            damaged = flipped(data, at, bit)
            n = changed_weights(signed(damaged, data) if is_signed else damaged, data)
            answer = page.locator("#flip-answer").inner_text()
            seen.add((is_signed, n is None))
            if n is None:
                assert "The reader refuses the file" in answer, (at, bit, is_signed)
            elif n == 0:
                assert "the same weights" in answer
            else:
                assert f"{n:,} weight{'s' if n > 1 else ''} changed" in answer, (at, bit)
    assert seen == {(False, True), (True, True), (True, False)}
    page.locator("#flip-byte").fill("99999")
    page.get_by_role("button", name="Flip this bit").click()
    assert f"from 0 to {len(data) - 1}" in page.locator("#flip-answer").inner_text()
    page.get_by_role("button", name="Flip any bit").click()
    assert "The reader" in page.locator("#flip-answer").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_the_screen(open_page, name, size, scheme):
    page = open_page(name, size, color_scheme=scheme)
    if name == "index.html":
        draw(page, DIGITS[3])
        page.locator("#tab-pictures").click()
        picture = png(photograph("rocket"))
        page.locator("#file").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": picture})
        page.locator(".bars li.best").wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    background = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 29)")


def test_a_folder_without_networks_says_so(open_page, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare/networks.js").unlink()
    for name in ("index.html", "bytes.html"):
        page = open_page("huffman.html")
        page.goto((tmp_path / "bare" / name).as_uri())
        assert "dnnc export --web" in page.locator("#problem").inner_text()
        page.errors.clear()  # that networks.js is missing


# --- the explorables


def test_huffmans_code_is_pythons(open_page):
    page = open_page("huffman.html")
    page.get_by_label("counts").check()
    rng = np.random.default_rng(1)
    cases = [[5, 1, 0, 2], [7], [0, 0], [1] * 9, [2**k for k in range(20)]]
    cases += [rng.integers(0, 50, rng.integers(2, 40)).tolist() for _ in range(6)]
    for counts in cases:
        page.locator("#text").fill(" ".join(map(str, counts)))
        lengths = code_lengths(np.array(counts))
        codes = canonical_codes(lengths)
        expected = [
            f"{code:0{length}b}" if length else "–"
            for code, length in zip(codes.tolist(), lengths.tolist(), strict=True)
        ]
        assert page.locator("#codes tbody td:nth-child(2)").all_inner_texts() == expected
        bits = {
            name: float(page.locator(f"#size-{name}").get_attribute("data-bits"))
            for name in ("huffman", "entropy")
        }
        assert bits["huffman"] == int(np.array(counts) @ lengths.astype(int))
        assert bits["entropy"] == pytest.approx(entropy_bits(counts), abs=1e-6)
        n_used = int((np.array(counts) > 0).sum())
        assert page.locator("#tree .leaf").count() == n_used
    page.locator("#text").fill("5 one 2")
    page.get_by_text("“one” is not a count").wait_for()


def test_a_text_is_coded(open_page):
    page = open_page("huffman.html", "phone")
    text = "abracadabra \N{GRINNING FACE}"
    page.locator("#text").fill(text)
    letters = sorted(set(text))
    counts = [text.count(letter) for letter in letters]
    lengths = code_lengths(np.array(counts))
    codes = [f"{code:0{length}b}" for code, length in zip(canonical_codes(lengths), lengths, strict=True)]
    assert page.locator("#coded span").all_inner_texts() == [codes[letters.index(letter)] for letter in text]
    assert page.locator("#tree .leaf").count() == len(letters)
    page.locator("#text").fill("")
    page.get_by_text("Nothing has been typed.").wait_for()


def test_every_byte_has_its_colour(open_page):
    page = open_page("bytes.html")
    data = SHIPPED["digits"].read_bytes()
    colours: dict[str, int] = {}
    shown = []
    while True:
        for button in page.locator("#dump button").evaluate_all(
            "all => all.map(b => [b.className, b.textContent])"
        ):
            kind = re.search(r"kind-(\w+)", button[0])[1]
            colours[kind] = colours.get(kind, 0) + 1
            shown.append(int(button[1], 16))
        if page.locator("#on").is_disabled():
            break
        page.locator("#on").click()
    assert bytes(shown) == data
    tensors = sizes(data)
    assert colours["file"] == file_bytes(data) - 8
    assert colours["checksum"] == 8 + sum(size.checksum_bytes for size in tensors)
    assert colours["codebook"] == sum(size.codebook_bytes for size in tensors)
    assert colours.get("dense", 0) == sum(size.dense_bytes for size in tensors)
    assert colours["header"] == sum(size.header_bytes for size in tensors)
    coded = sum(size.table_bits + size.values_bits + size.index_bits + size.padding_bits for size in tensors)
    assert 8 * (colours["table"] + colours["values"] + colours["index"]) == coded


def test_bits_are_flipped_by_a_click(open_page):
    page = open_page("bytes.html", "phone")
    data = SHIPPED["digits"].read_bytes()
    assert "accepts the file, as it was written" in page.locator("#answer").inner_text()
    rng = np.random.default_rng(2)
    seen = set()
    for at in rng.integers(60, 512, 15).tolist():
        bit = int(rng.integers(8))
        page.locator(f"#dump button[data-at='{at}']").click()
        page.locator(f"#bits button[data-bit='{bit}']").click()
        damaged = flipped(data, at, bit)
        assert f"Byte {at}: {damaged[at]:02x} in hexadecimal" in page.locator("#byte-line").inner_text()
        assert "refuses the file" in page.locator("#answer").inner_text()
        page.locator("#sign").check()
        n = changed_weights(signed(damaged, data), data)
        answer = page.locator("#answer").inner_text()
        seen.add(n is None)
        if n is None:
            assert "refuses the file" in answer, (at, bit)
        elif n:
            assert f"{n:,} weight{'s have' if n > 1 else ' has'} changed" in answer, (at, bit)
        else:
            assert "The weights are the same" in answer
        page.locator("#sign").uncheck()
        page.get_by_role("button", name="Undo all changes").click()
        assert "as it was written" in page.locator("#answer").inner_text()
    assert seen == {True, False}


def test_bytes_by_keyboard_and_from_a_file(open_page):
    page = open_page("bytes.html")
    page.locator("#dump button[data-at='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageDown")
    assert page.locator("#byte-line").inner_text().startswith("Byte 513:")
    tiny = Path(__file__).resolve().parents[1] / "data/tiny.dcz"
    page.locator("#file").set_input_files(tiny)
    page.get_by_text(f"tiny.dcz: {tiny.stat().st_size} bytes").wait_for()
    page.locator("#file").set_input_files({"name": "x.dcz", "mimeType": "", "buffer": b"PK\x03\x04"})
    page.get_by_text("this is not a .dcz file").wait_for()
