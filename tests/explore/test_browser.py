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
        pairs = curves.pairs(theory[name])
        for variable in TITLES:
            expected = [np.append(pair[variable].values[0], np.nan) for pair in pairs]
            seen = np.append(drawn(page, f"curves{place}", variable), np.nan)
            np.testing.assert_allclose(seen, np.concatenate(expected), 1e-12)
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
    assert reached >= 13


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


def test_an_address_is_drawn_whatever_its_learning_rate(page, explorer):
    """The line that marks the learning rate moves before anything else does."""
    asked = START.changed(learning_rate=0.5, normalizations=("weight",))
    page.goto(f"{explorer}?{asked.address()}")
    assert settled(page) == asked
    check_drawn(page, asked)


def test_copy_band_equations_and_styles(page, explorer):
    asked = START.changed(chain=True, dimension=10, duration=1.0)
    page.goto(f"{explorer}?{asked.address()}")
    settled(page)
    page.get_by_role("button", name="Copy as Python").click()
    page.wait_for_timeout(300)
    assert page.evaluate("() => navigator.clipboard.readText()") == python(asked)
    chain = curves.chain(asked)["batch"]["overlap"].isel(learning_rate=0)
    outline = page.evaluate(f"() => Array.from({MODEL}('band2').data.overlap[0], Number)")
    middle = (np.array(outline[:201]) + outline[:200:-1]) / 2
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


def test_several_units_have_a_line_each_and_no_power_law(page, explorer):
    page.goto(f"{explorer}?{START.changed(normalizations=('none', 'weight')).address()}")
    settled(page)
    for name, stops in (("student_units", 1), ("teacher_units", 2)):
        handle(page, name).focus()
        for _ in range(stops):
            page.keyboard.press("ArrowRight")
    state = settled(page)
    assert (state.student_units, state.teacher_units) == (2, 3)
    assert np.isnan(drawn(page, "curves0", "overlap")).sum() == 5  # between six pairs
    check_drawn(page, state)
    assert page.evaluate(f"() => {MODEL}('code').text") == python(state)
    assert page.evaluate(f"() => {MODEL}('exponent').disabled")
    page.get_by_text("Theory knows several hidden units", exact=False).wait_for()


def test_what_takes_minutes_is_said(page, explorer):
    asked = START.changed(activation="tanh", normalizations=("weight",), student_units=2)
    page.goto(f"{explorer}?{asked.address()}")
    page.get_by_text("take minutes", exact=False).first.wait_for()
    assert settled(page) == asked


def test_a_slow_question_gives_way_to_a_newer_one(page, explorer):
    """A wave so short takes minutes with batch normalization; the page is not frozen."""
    slow = START.changed(activation="sin(40*x)", normalizations=("batch",), duration=100.0)
    page.goto(f"{explorer}?{slow.address()}")
    page.wait_for_function(f"() => window.Bokeh && Bokeh.documents[0] && {MODEL}('status')")
    page.wait_for_function(f"() => {MODEL}('status').text.startsWith('Computing the flow')")
    page.wait_for_timeout(3000)
    assert page.evaluate(f"() => {MODEL}('status').text").startswith("Computing the flow")
    field = page.locator("input").first
    field.fill("linear")
    field.press("Enter")
    state = settled(page)
    assert state == slow.changed(activation="linear")
    check_drawn(page, state)


def test_two_pages_do_not_mix(browser, page, explorer):
    other = browser.new_page()
    other.set_default_timeout(PATIENCE)
    asked = START.changed(learning_rate=0.5), START.changed(normalizations=("weight",))
    for tab, state in zip((page, other), asked, strict=True):
        tab.goto(f"{explorer}?{state.address()}")
    for tab, state in zip((page, other), asked, strict=True):
        assert settled(tab) == state
        check_drawn(tab, state)
    other.close()
