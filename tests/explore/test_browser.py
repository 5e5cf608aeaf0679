"""The page in a real browser: sliders move, and what is drawn is what the library computes."""

import json
import shutil
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import xarray as xr

from statmech_bn.explore import curves, partition
from statmech_bn.explore.code import python
from statmech_bn.explore.drawing import TITLES
from statmech_bn.explore.state import SLIDERS, State, from_address

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: tox -e browser")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")
MODEL = "Bokeh.documents[0].get_model_by_name"
PATIENCE = 150_000
START = State("linear", ("none", "weight", "batch"), batch_size=8, duration=5.0)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser, explorer):
    context = browser.new_context(viewport={"width": 1250, "height": 1500})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    found = context.new_page()
    found.set_default_timeout(PATIENCE)
    outside, errors = [], []
    found.on("request", lambda r: outside.append(r.url) if explorer not in r.url else None)
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    context.close()
    assert [url for url in outside if not url.startswith(("data:", "blob:", "ws://127"))] == []
    assert errors == []


def settled(page):
    """Wait until nothing is being computed; return the state that is shown."""
    page.wait_for_function(f"() => window.Bokeh && Bokeh.documents[0] && {MODEL}('status')")
    page.wait_for_timeout(500)
    page.wait_for_function(f"() => {MODEL}('status').text == 'Ready.'")
    page.wait_for_timeout(500)
    page.wait_for_function(f"() => {MODEL}('status').text == 'Ready.'")
    address = page.evaluate(f"() => {MODEL}('address').text")
    state, messages = from_address(parse_qs(address.removeprefix("?")))
    assert messages == ()
    return state


def drawn(page, source, column):
    """Read a column of what Bokeh has drawn."""
    text = page.evaluate(
        f"() => JSON.stringify(Array.from({MODEL}('{source}').data.{column}, String))"
    )
    return np.array([float(value) for value in json.loads(text)])


def check_drawn(page, state):
    """Compare all that is drawn with the library's."""
    theory, final = curves.theory(state), curves.final_error(state)
    for place, name in enumerate(state.normalizations):
        for variable in TITLES:
            expected = theory[name][variable].values[0]
            np.testing.assert_allclose(drawn(page, f"curves{place}", variable), expected, 1e-12)
        error = final[name]["generalization_error"].values[:, -1]
        seen = drawn(page, f"final{place}", "y")
        np.testing.assert_allclose(seen, np.where(np.isfinite(seen), error, np.nan), 1e-12)
        assert np.isfinite(seen).sum() > 10
    assert page.evaluate(f"() => {MODEL}('present').location") == state.learning_rate


def handle(page, name):
    """Return the handle of a slider."""
    title = SLIDERS[name].title
    return page.locator(".bk-input-group", has_text=title).locator(".noUi-handle").first


def test_sliders_move_the_student(page, explorer):
    page.goto(f"{explorer}?{START.address()}")
    assert settled(page) == START
    check_drawn(page, START)
    for name, key, stops in (("learning_rate", "ArrowRight", 6), ("batch_size", "ArrowLeft", 2),
                             ("label_noise", "ArrowRight", 4)):  # fmt: skip
        handle(page, name).focus()
        for _ in range(stops):
            page.keyboard.press(key)
    state = settled(page)
    assert (state.learning_rate, state.batch_size, state.label_noise) == (2.0, 5, 0.7)
    check_drawn(page, state)
    assert page.evaluate(f"() => {MODEL}('code').text") == python(state)
    assert from_address(parse_qs(urlsplit(page.url).query)) == (state, ())


def test_a_slider_is_dragged(page, explorer):
    page.goto(f"{explorer}?{START.address()}")
    settled(page)
    box = handle(page, "overlap").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(1, 30):
        page.mouse.move(box["x"] + 3 * step, box["y"] + box["height"] / 2)
    page.mouse.up()
    state = settled(page)
    assert state.overlap > START.overlap + 0.2
    check_drawn(page, state)


def test_the_keyboard_reaches_every_control(page, explorer):
    page.goto(f"{explorer}?{START.address()}")
    settled(page)
    page.locator("input").first.focus()
    reached = 0
    for _ in range(30):
        page.keyboard.press("Tab")
        reached += page.evaluate(
            """() => { let e = document.activeElement;
                       while (e.shadowRoot && e.shadowRoot.activeElement)
                           e = e.shadowRoot.activeElement;
                       return e.classList.contains('noUi-handle') }"""
        )
    assert reached >= 11


def test_what_is_typed_is_drawn_or_refused(page, explorer):
    page.goto(f"{explorer}?{START.changed(normalizations=('weight',)).address()}")
    settled(page)
    field = page.locator("input").first
    field.fill("Max(x, x/10)")
    field.press("Enter")
    state = settled(page)
    assert state.activation == "Max(x, x/10)"
    check_drawn(page, state)
    field.fill("<img src=x onerror=alert(1)>")
    field.press("Enter")
    page.get_by_text("activation: expected an expression", exact=False).wait_for()
    assert page.locator("img[src=x]").count() == 0
    assert settled(page) == state


def test_an_address_of_a_stranger_is_answered_in_the_page(page, explorer):
    page.goto(f"{explorer}?batch_size=1e9&activation=%3Cimg%20src%3Dx%3E&duration=1")
    page.get_by_text("batch_size: expected an integer", exact=False).wait_for()
    assert page.locator("img[src=x]").count() == 0
    state = settled(page)
    assert state == State(duration=1.0)


def test_copy_band_equations_and_styles(page, explorer):
    asked = START.changed(chain=True, dimension=10, duration=1.0)
    page.goto(f"{explorer}?{asked.address()}")
    settled(page)
    page.get_by_role("button", name="Copy as Python").click()
    page.wait_for_timeout(300)
    assert page.evaluate("() => navigator.clipboard.readText()") == python(asked)
    chain = curves.chain(asked)["batch"]["overlap"].isel(learning_rate=0)
    middle = (drawn(page, "band2", "overlap_low") + drawn(page, "band2", "overlap_high")) / 2
    np.testing.assert_allclose(middle, chain.mean("replica"), 1e-9)
    assert page.locator("mjx-container").count() == 6  # flow and averages of each student
    dashes = page.evaluate(
        f"""() => {MODEL}('legend').items.map(i => i.renderers[0].glyph.line_dash)"""
    )
    assert len({json.dumps(d) for d in dashes}) == 3


def test_the_second_tab_cuts_the_plane(page, explorer):
    page.goto(explorer)
    settled(page)
    page.get_by_text("partition of the plane").click()
    handle_of_batch = page.locator(".noUi-handle:visible").first
    handle_of_batch.focus()
    page.keyboard.press("ArrowRight")
    state = settled(page)
    assert (state.tab, state.data_batch) == ("partition", 25)
    for name, cut in partition.partitions(state).items():
        assert isinstance(cut, xr.Dataset)
        own = cut["segment"].values[cut["segment_layer"].values == 1]
        seen = page.evaluate(f"() => Array.from({MODEL}('cells_{name}_1').data.xs, a => [...a])")
        np.testing.assert_allclose(seen, own[..., 0], 1e-12)
