"""The pages in a real browser: Debian's chromium, offline but for the server itself."""

from __future__ import annotations

import ast
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait
from served import MILD, Doorman, Process, Served, serving

from edgeguard import Guard
from edgeguard.protocol.names import CONTROVERSIAL, SAFE, UNSAFE, Severity
from edgeguard.session.fake_stream import FakeStreamSession

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="needs a browser: apt-get install chromium chromium-driver",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser that finds no host but this machine."""
    options = ChromeOptions()
    assert BROWSER is not None
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",  # tests may run as root
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
        "--window-size=1000,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


class Page:
    """What a person does on the page."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser = browser
        self.url = url
        self.open("/")

    def open(self, path: str) -> None:
        self.browser.get(f"{self.url}{path}")

    def find(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def type(self, css: str, text: str) -> None:
        self.find(css).clear()
        self.find(css).send_keys(text)

    def kind(self, name: str) -> None:
        self.browser.execute_script(  # the radio itself is behind its label
            "arguments[0].click()", self.find(f"input[value={name}]")
        )

    def judge(self) -> str:
        self.browser.execute_script("document.querySelector('#result').hidden = true")
        self.find("#go").click()
        return self.severity()

    def severity(self) -> str:
        self.wait("#severity")
        return self.find("#severity").text

    def wait(self, css: str) -> WebElement:
        self.until(lambda: self.find(css).is_displayed())
        return self.find(css)

    def until(self, condition: Callable[[], bool]) -> None:
        """The page may replace an element while it is looked at."""
        waiting = WebDriverWait(
            self.browser, 10, ignored_exceptions=[StaleElementReferenceException]
        )
        waiting.until(lambda _: condition())

    def facts(self) -> dict[str, str]:
        names, values = self.all("#facts dt"), self.all("#facts dd")
        return {name.text: value.text for name, value in zip(names, values)}

    def width(self) -> int:
        found = self.browser.execute_script("return document.documentElement.scrollWidth")
        assert isinstance(found, int)
        return found

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture
def page(browser: Chrome, served: Served) -> Iterator[Page]:
    """The page, freshly opened; in the end the browser must have nothing to complain of."""
    found = Page(browser, served.url)
    yield found
    assert found.complaints() == []


def test_a_prompt(page: Page) -> None:
    assert page.wait("#model").text == "fake none"
    page.type("#prompt", "unsafe")
    assert page.judge() == "Unsafe"
    assert page.find("#flagged").text == "flagged (policy strict)"
    assert [item.text for item in page.all("#shares li")] == [
        "Safe 0.0%",
        "Controversial 0.0%",
        "Unsafe 100.0%",
    ]
    facts = page.facts()
    assert facts["Judged"].startswith("the prompt: ")
    assert facts["Categories"] == "Violent PII"
    assert "tokens" in facts["Time"]
    assert "Refusal" not in facts
    widths = [part.rect["width"] for part in page.all("#bar span")]
    assert widths[2] > 50 * max(widths[:2])


def test_a_response(page: Page) -> None:
    page.kind("response")
    page.type("#prompt", MILD)
    page.type("#response", "unsafe")
    assert page.judge() == "Unsafe"
    assert page.facts()["Refusal"] == "no, the assistant complies"


def test_a_conversation(page: Page) -> None:
    page.kind("conversation")
    texts = page.all("#messages textarea")
    texts[0].send_keys(MILD)
    texts[1].send_keys("Paris.")
    page.find("#add").click()
    page.browser.switch_to.active_element.send_keys("controversial")
    assert [each.get_property("value") for each in page.all("#messages select")] == [
        "user",
        "assistant",
        "user",
    ]
    assert page.judge() == "Controversial"
    page.all("#messages button")[2].click()
    assert page.judge() == "Safe"
    assert page.facts()["Judged"].startswith("the response: ")


def test_a_response_is_coloured_while_it_is_typed(page: Page) -> None:
    page.kind("stream")
    page.type("#prompt", MILD)
    calm = "A calm sentence of some forty characters. "
    page.find("#response").send_keys(calm)
    page.until(lambda: page.find("#watched .safe").text.strip() == calm.strip())
    assert page.severity() == "Safe"
    page.find("#response").send_keys("It is unsafe. " + calm * 3)
    page.until(lambda: "unsafe" in page.find("#watched .harm").text)
    assert page.find("#watched .safe").text.strip() == calm.strip()
    assert "calm" in page.find("#watched .open").text
    page.until(lambda: page.severity() == "Unsafe")
    page.kind("prompt")
    assert not page.find("#watched").is_displayed()
    assert not page.find("#result").is_displayed()


def test_each_word_is_coloured_where_the_model_has_labels_of_tokens(browser: Chrome) -> None:
    def label(role: str, text: str) -> Severity | tuple[Severity, str]:
        if role == "user" or text[-1:] not in ("X", "?"):
            return SAFE
        return (UNSAFE if text.endswith("X") else CONTROVERSIAL), "PII"

    with serving(load=lambda _: Guard.with_session(FakeStreamSession(label))) as served:
        page = Page(browser, served.url)
        page.kind("stream")
        page.find("#response").send_keys("so ? it\u00e9 goes on ")
        page.until(lambda: page.find("#watched").text.strip() == "so ? it\u00e9 goes on")
        page.until(lambda: page.severity() == "Safe")
        assert [one.text for one in page.all('#watched [data-severity="Controversial"]')] == ["?"]
        page.find("#response").send_keys("XX and more of it")
        page.until(lambda: page.severity() == "Unsafe")
        assert [one.text for one in page.all('#watched .harm[data-severity="Unsafe"]')] == [
            *("X", "X")
        ]
        unsafe = page.find('#watched [data-severity="Unsafe"]')
        assert unsafe.get_attribute("title") == "Safe 0.0%, Controversial 0.0%, Unsafe 100.0%"
        assert contrast(page, unsafe) >= 4.5
        assert page.find("#watched .open").text.strip() == "it"
        assert page.complaints() == []


def test_nano_is_said_to_be_a_toy_and_other_models_are_not(
    page: Page, browser: Chrome, nano_server: Process
) -> None:
    page.wait("#model")
    page.until(lambda: "fake" in page.find("#model").text)
    assert not page.find("#toy").is_displayed()
    nano = Page(browser, nano_server.url)
    assert "toy" in nano.wait("#toy").text
    assert "protects nobody" in nano.find("#toy").text


def test_examples_are_judged_with_a_click(page: Page) -> None:
    buttons = page.all("#examples button")
    assert buttons[0].text == "a question"
    for place in range(len(buttons)):
        page.all("#examples button")[place].click()
        page.until(lambda: len(page.all("#past li")) == place + 1)  # noqa: B023 - ends in here
    assert "My neighbour" in str(page.find("#messages textarea").get_property("value"))
    assert not page.find("#error").is_displayed()


def test_strict_and_loose_can_be_chosen_always(page: Page) -> None:
    page.type("#prompt", "controversial")
    page.until(lambda: len(page.all("#policy option")) == 2)
    assert page.judge() == "Controversial"
    assert page.find("#flagged").text == "flagged (policy strict)"
    Select(page.find("#policy")).select_by_visible_text("loose")
    assert page.judge() == "Controversial"
    assert page.find("#flagged").text == "not flagged (policy loose)"


def test_a_long_text_has_a_clock_and_can_be_given_up(browser: Chrome) -> None:
    doorman = Doorman()
    with serving(doorman) as served:
        page = Page(browser, served.url)
        page.type("#prompt", "wait")
        page.find("#go").click()
        assert page.wait("#clock").text.endswith(" s")
        page.find("#cancel").click()
        page.until(lambda: page.find("#go").text == "Judge")
        assert not page.find("#error").is_displayed()
        assert not page.find("#cancel").is_displayed()
        doorman.open.set()
        page.type("#prompt", MILD)
        assert page.judge() == "Safe"
        assert [each.text for each in page.all("#past .what")] == [MILD]
        assert page.complaints() == []


def test_a_verdict_that_is_late_does_not_stand_beside_another_form(browser: Chrome) -> None:
    doorman = Doorman()
    with serving(doorman) as served:
        page = Page(browser, served.url)
        page.type("#prompt", "wait")
        page.find("#go").click()
        assert doorman.arrived.wait(10)
        page.kind("response")
        doorman.open.set()
        page.until(lambda: page.find("#go").text == "Judge")
        page.type("#prompt", MILD)
        page.type("#response", "It is Paris.")
        page.judge()
        assert [each.text for each in page.all("#past .what")] == ["It is Paris."]


def test_a_verdict_fades_when_its_text_is_changed(page: Page) -> None:
    page.type("#prompt", MILD)
    page.judge()
    assert "stale" not in (page.find("#result").get_attribute("class") or "")
    page.find("#prompt").send_keys("!")
    assert "stale" in (page.find("#result").get_attribute("class") or "")
    page.judge()
    assert "stale" not in (page.find("#result").get_attribute("class") or "")


def test_what_is_copied_works(page: Page) -> None:
    text = 'It\'s "Paris" & more.'
    page.kind("response")
    page.type("#prompt", MILD)
    page.type("#response", text)
    assert page.judge() == "Safe"
    copied = {kind: copied_by(page, kind) for kind in ("json", "curl", "python")}
    verdict = json.loads(copied["json"])
    assert (verdict["mode"], verdict["severity"]) == ("response", "Safe")
    asked = shlex.split(copied["curl"])
    assert asked[:3] == ["curl", "-s", f"{page.url}/v1/guard"]
    assert json.loads(asked[-1]) == {"prompt": MILD, "response": text, "policy": "strict"}
    said = subprocess.run(["bash", "-c", copied["curl"]], capture_output=True, text=True).stdout
    assert {**json.loads(said), "seconds": 0} == {**verdict, "seconds": 0}
    call = ast.parse(copied["python"])
    assert f'check_response("{MILD}", ' in copied["python"]
    values = [ast.literal_eval(each) for each in ast.walk(call) if isinstance(each, ast.Constant)]
    assert text in values


def copied_by(page: Page, kind: str) -> str:
    """What a button puts into the clipboard: no machine of tests lends a page its own."""
    page.browser.execute_script(
        "window.copied = null;"
        "navigator.clipboard.writeText = async (text) => { window.copied = text; };"
    )
    page.find(f"[data-copy={kind}]").click()
    page.until(lambda: page.find("#copied").text == "copied")
    found = page.browser.execute_script("return window.copied")
    assert isinstance(found, str)
    return found


def test_errors_are_in_the_words_of_a_person(browser: Chrome) -> None:
    with serving(max_tokens=512) as served:
        page = Page(browser, served.url)
        page.type("#prompt", "word " * 900)
        page.find("#go").click()
        assert page.wait("#error").text.startswith("This text is longer than this server takes")
        page.kind("conversation")
        assert not page.find("#error").is_displayed()
        page.complaints()


def test_everything_by_keyboard(page: Page) -> None:
    # The browser focuses what is to have the focus after the page is loaded, not with it.
    page.until(lambda: page.browser.switch_to.active_element.get_attribute("id") == "prompt")
    page.browser.switch_to.active_element.send_keys("unsafe" + Keys.TAB)
    assert page.browser.switch_to.active_element.get_attribute("id") == "policy"
    page.browser.switch_to.active_element.send_keys(Keys.TAB)
    assert page.browser.switch_to.active_element.get_attribute("id") == "go"
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.severity() == "Unsafe"
    for _ in range(3):
        page.browser.switch_to.active_element.send_keys(Keys.SHIFT + Keys.TAB)
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert page.find("#response").is_displayed()
    page.find("#response").send_keys(MILD + Keys.CONTROL + Keys.ENTER)
    page.until(lambda: "Refusal" in page.facts())


def test_every_control_has_a_name_and_changes_are_announced(page: Page) -> None:
    page.kind("conversation")
    for control in page.all("textarea, select, button, input, a"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    assert page.find("#live").get_attribute("aria-live") == "polite"
    assert page.find("#error").get_attribute("role") == "alert"
    assert page.find("html").get_attribute("lang") == "en"


def test_a_blank_text_is_an_error_and_no_verdict_stays(page: Page) -> None:
    page.type("#prompt", MILD)
    assert page.judge() == "Safe"
    page.type("#prompt", "  ")
    page.find("#go").click()
    assert "nothing to judge" in page.wait("#error").text
    assert not page.find("#result").is_displayed()


def test_history_is_in_the_page_only(page: Page) -> None:
    for text in ("unsafe", MILD):
        page.type("#prompt", text)
        page.judge()
        page.until(lambda: text in page.find("#past").text)  # noqa: B023 - ends in here
    assert [item.text.split("\n") for item in page.all("#past li")] == [
        ["Safe", MILD],
        ["Unsafe", "unsafe"],
    ]
    page.all("#past button")[1].click()
    assert page.severity() == "Unsafe"
    assert page.find("#prompt").get_property("value") == "unsafe"
    kept = "return [localStorage.length, sessionStorage.length, document.cookie, location.search]"
    assert page.browser.execute_script(kept) == [0, 0, "", ""]
    page.open("/")
    assert not page.find("#history").is_displayed()


def test_markup_in_a_text_stays_text(page: Page) -> None:
    text = "<img src=x onerror=alert(1)><b>bold</b>"
    page.type("#prompt", text)
    page.judge()
    assert text in page.facts()["Judged"]
    assert page.find("#past .what").text == text
    assert page.all("main img, #facts b, #past b") == []


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.type("#prompt", "unsafe" + "x" * 500)
        page.judge()
        assert page.width() <= width
        page.kind("conversation")
        assert page.width() <= width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(page: Page, scheme: str) -> None:
    """WCAG 2.1's contrast of 4.5 for every piece of text in the result."""
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    try:
        for text in ("unsafe", "controversial", MILD):
            page.type("#prompt", text)
            page.judge()
            texts = "#severity, #facts dt, #shares li, .hint, #go, footer, .what, .copies button"
            for element in page.all(texts):
                assert contrast(page, element) >= 4.5, element.get_attribute("outerHTML")
        ground = page.find("body").value_of_css_property("background-color")
        assert (luminance(ground) < 0.1) is (scheme == "dark")
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def contrast(page: Page, element: WebElement) -> float:
    ground = page.browser.execute_script(
        "let e = arguments[0];"
        "while (getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)') e = e.parentElement;"
        "return getComputedStyle(e).backgroundColor",
        element,
    )
    shades = sorted(map(luminance, (element.value_of_css_property("color"), ground)))
    return (shades[1] + 0.05) / (shades[0] + 0.05)


def test_the_key_is_asked_for_and_not_kept(browser: Chrome) -> None:
    with serving(api_key="a-key") as served:
        page = Page(browser, served.url)
        assert not page.find("#key").is_displayed()
        page.type("#prompt", "unsafe")
        page.find("#go").click()
        assert "API key" in page.wait("#error").text
        assert page.browser.switch_to.active_element.get_attribute("id") == "key"
        page.browser.switch_to.active_element.send_keys("a-key" + Keys.CONTROL + Keys.ENTER)
        assert page.severity() == "Unsafe"
        page.open("/")
        assert page.find("#key").get_property("value") == ""
        assert all("401" in complaint for complaint in page.complaints())


def test_a_server_that_is_gone_is_said(browser: Chrome) -> None:
    with serving() as served:
        page = Page(browser, served.url)
        page.type("#prompt", MILD)
        assert page.judge() == "Safe"
    page.find("#go").click()
    assert "does not answer" in page.wait("#error").text
    assert not page.find("#result").is_displayed()
    page.complaints()


def test_the_api_is_described_and_can_be_tried(browser: Chrome) -> None:
    """Under a proxy's path, where its addresses must be relative."""
    with serving(root_path="/guard") as served:
        page = Page(browser, f"{served.url}/guard")
        page.open("/docs")
        page.wait("#operations-edgeguard-guard")
        paths = [path.text for path in page.all(".opblock-summary-path")]
        assert paths[:2] == ["/v1/chat/completions", "/v1/moderations"]
        assert len(paths) == 19
        guard = "#operations-edgeguard-guard"
        page.find(f"{guard} .opblock-summary-control").click()
        page.wait(f"{guard} .try-out__btn").click()
        page.wait(f"{guard} .execute").click()
        assert '"severity": "Safe"' in page.wait(f"{guard} .live-responses-table").text
        assert page.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_screenshot_of_the_guide_is_small(scheme: str) -> None:
    picture = Path(__file__).parents[2] / "docs" / "pictures" / f"server-{scheme}.png"
    assert picture.stat().st_size <= 150 * 1024
