"""The page: sliders on the left, what follows from them on the right, the second tab beside.

Every change of a widget makes a new `State`. The theory is asked for at once; once the hand rests,
the final error, the equations and the chain. A state that is newer than the one being computed
replaces all older ones, so nothing queues up behind a slider that moves; a long computation for a
state that is outdated is stopped. While nobody asks, other batch sizes are prepared.
"""

from __future__ import annotations

import asyncio
from functools import partial
from html import escape
from typing import Any

from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import (
    Button,
    Checkbox,
    CheckboxButtonGroup,
    CustomJS,
    CustomJSTickFormatter,
    Div,
    PreText,
    Select,
    TabPanel,
    Tabs,
    TextInput,
)
from bokeh.models import Slider as BokehSlider

from statmech_bn.errors import InvalidSetup, StatmechError
from statmech_bn.explore import page_texts as texts
from statmech_bn.explore.cells import Cells
from statmech_bn.explore.code import python
from statmech_bn.explore.drawing import Drawing
from statmech_bn.explore.state import (
    NORMALIZATIONS,
    ONE_OR_OTHER,
    SLIDERS,
    TABS,
    State,
    from_address,
)
from statmech_bn.explore.worker import Worker
from statmech_bn.geometry.clouds import CLOUDS

REST = 0.15
"""A hand that has not moved for so many seconds rests."""
CONNECTED = 60.0
"""A browser that shows the page is connected within so many seconds."""
OUTDATED = 1.0
"""An answer for a state that is not the newest may take so many seconds more."""
LEFT = ("learning_rate", "batch_size", "label_noise", "gamma_decay", "weight_decay", "overlap",
        "length", "gamma", "duration", "student_units", "teacher_units", "exponent")  # fmt: skip
SECOND = ("data_batch", "units", "shift", "network")


class Page:
    """One session: widgets, figures, and the state that they show.

    Parameters
    ----------
    document : bokeh.document.Document
    worker : Worker
    """

    def __init__(self, document: Document, worker: Worker) -> None:
        self.document, self.worker = document, worker
        arguments = document.session_context.request.arguments if document.session_context else {}
        self.state, complaints = from_address(arguments)
        self.drawing, self.cells = Drawing(), Cells()
        self._wanted: State | None = None
        self._busy = False
        self._answering: asyncio.Future[None] | None = None
        self._question: asyncio.Future[Any] | None = None
        self._shown: dict[str, str] = {"address": "\n".join(complaints)}
        self._build()
        self._read_only()
        self._beginning = asyncio.ensure_future(self._begin())

    async def _begin(self) -> None:
        """Begin once a browser is connected: to ask for the page alone costs nothing."""
        for _ in range(round(CONNECTED / REST)):
            await asyncio.sleep(REST)
            context = self.document.session_context
            if context and context.session and context.session.connection_count:
                self._next(self.ask)
                return

    def moved(self, attribute: str, old: Any, new: Any) -> None:
        """Take over what the widgets say."""
        try:
            self.state = self._from_widgets()
        except InvalidSetup as error:
            self._say("widgets", str(error))
            return
        self._shown.pop("address", None)
        self._say("widgets", "")
        self._read_only()
        self.ask()

    def ask(self) -> None:
        """Ask for all that the state shows, after what is being computed."""
        self._wanted = self.state
        self.drawing.present.location = self.state.learning_rate
        if not self._busy:
            self._busy = True
            self._answering = asyncio.ensure_future(self._answer())
        elif self._question is not None:
            asyncio.get_running_loop().call_later(OUTDATED, self._question.cancel)

    async def _answer(self) -> None:
        """Compute and draw the newest state until there is none newer."""
        try:
            while self._wanted is not None:
                state, self._wanted = self._wanted, None
                first, *later = TASKS[state.tab]
                await self._show(first, state)
                for task in later:
                    await asyncio.sleep(REST if task is later[0] else 0)
                    if self._wanted is not None:
                        break
                    await self._show(task, state)
            self._next(partial(self.status.update, text=texts.READY))
            if self.state.tab == "learning":
                self.worker.prepare(self.state)
        finally:
            self._busy = False

    async def _show(self, task: str, state: State) -> None:
        self._next(partial(self.status.update, text=texts.WAITING.format(task=texts.NAMES[task])))
        self._question = asyncio.ensure_future(self.worker.ask(task, state))
        try:
            found: Any = await self._question
        except StatmechError as error:
            found = str(error)
        except asyncio.CancelledError:  # the state is outdated
            return
        self._next(partial(self._draw, task, state, found))

    def _next(self, change: Any) -> None:
        """Change the page with its lock, unless it has been left."""
        self.document.add_next_tick_callback(change)

    def _draw(self, task: str, state: State, found: Any) -> None:
        """Draw an answer."""
        self.document.hold("combine")
        try:
            messages = [found] if isinstance(found, str) else []
            if isinstance(found, dict):
                messages = [text for text in found.values() if isinstance(text, str)]
                DRAW[task](self, found)
            elif not isinstance(found, str):
                self.equations.text = texts.equations(found)
            self._say(task, "\n".join(messages))
        finally:
            self.document.unhold()

    def _say(self, source: str, text: str) -> None:
        """Show what is wrong, from every source that says something."""
        self._shown[source] = text
        said = list(dict.fromkeys(line for t in self._shown.values() for line in t.splitlines()))
        self.message.text = "<br>".join(escape(line) for line in said)
        self.message.visible = bool(said)

    def _from_widgets(self) -> State:
        numbers = {name: self.stops[name][slider.value] for name, slider in self.sliders.items()}
        return self.state.changed(
            activation=self.activation.value,
            normalizations=tuple(NORMALIZATIONS[k] for k in sorted(self.normalizations.active)),
            chain=self.chain.active, data=self.data.value, tab=TABS[self.tabs.active], **numbers,
        )  # fmt: skip

    def _read_only(self) -> None:
        """Bring up to date what follows from the state without computing."""
        self.address.text = "?" + self.state.address()
        self.code.text = python(self.state)
        self.links.text = texts.links(self.state)
        self.sliders["exponent"].disabled = self.state.is_committee
        for name in ("student_units", "teacher_units"):
            self.sliders[name].disabled = self.state.exponent > 0
        self.either.visible = self.state.is_committee or self.state.exponent > 0

    def _build(self) -> None:
        state = self.state
        self.activation = TextInput(title="activation: a name, or an expression in x",
                                    value=state.activation, name="activation")  # fmt: skip
        self.normalizations = CheckboxButtonGroup(
            labels=[*NORMALIZATIONS], name="normalizations",
            active=[NORMALIZATIONS.index(name) for name in state.normalizations],
        )  # fmt: skip
        self.chain = Checkbox(label="chain at finite N, as a band", active=state.chain)
        self.data = Select(title="data", value=state.data, options=[*CLOUDS])
        self.stops = {name: SLIDERS[name].with_stop(getattr(state, name)) for name in SLIDERS}
        self.sliders = {name: _slider(name, self.stops[name], getattr(state, name))
                        for name in SLIDERS}  # fmt: skip
        for widget, attribute in ((self.activation, "value"), (self.normalizations, "active"),
                                  (self.chain, "active"), (self.data, "value")):  # fmt: skip
            widget.on_change(attribute, self.moved)
        for slider in self.sliders.values():
            slider.on_change("value", self.moved)
        self.message = Div(name="message", styles=texts.ALERT, visible=False, disable_math=True)
        self.either = Div(text=ONE_OR_OTHER, visible=False, width=310, name="either")
        self.status = Div(text=texts.STARTING, name="status")
        self.equations = Div(text="$$t$$", name="equations", width=1100)
        self.code = PreText(name="code", width=1100, stylesheets=["pre { white-space: pre-wrap }"])
        self.links = Div(name="links", width=330, disable_math=True)
        self.address = Div(visible=False, name="address")
        self.address.js_on_change("text", CustomJS(code=texts.REPLACE_ADDRESS))
        copy = Button(label="Copy as Python", button_type="primary", name="copy")
        copy.js_on_event("button_click", CustomJS(args={"code": self.code}, code=texts.COPY))
        numbers = (self.sliders[name] for name in LEFT)
        controls = column(self.activation, self.normalizations, *numbers, self.either,
                          self.chain, self.sliders["dimension"], width=330)  # fmt: skip
        panels = self.drawing.panels
        curves = column(row(*panels[:2]), row(*panels[2:]), self.drawing.final)
        learning = column(row(controls, curves), self.equations, copy, self.code)
        second = row(column(self.data, *(self.sliders[n] for n in SECOND), width=330),
                     *self.cells.panels)  # fmt: skip
        self.tabs = Tabs(active=TABS.index(state.tab), tabs=[
            TabPanel(child=learning, title="learning"),
            TabPanel(child=second, title="partition of the plane"),
        ])  # fmt: skip
        self.tabs.on_change("active", self.moved)
        self.document.title = "statmech_bn explorer"
        for root in (row(self.links, self.status), self.message, self.tabs, self.address,
                     Div(text=texts.LIMITS, width=1100, name="limits")):  # fmt: skip
            self.document.add_root(root)


def _slider(name: str, stops: tuple[float, ...], value: float) -> BokehSlider:
    """Make a slider over the stops of a number, which shows the number."""
    shown = CustomJSTickFormatter(args={"stops": list(stops)},
                                  code="return String(stops[Math.round(tick)])")  # fmt: skip
    return BokehSlider(start=0, end=len(stops) - 1, step=1, value=stops.index(value),
                       title=SLIDERS[name].title, format=shown, name=name,
                       margin=(5, 12, 5, 12))  # fmt: skip


TASKS = {"learning": ("theory", "equations", "final_error", "chain"), "partition": ("partitions",)}
DRAW = {
    "theory": lambda page, found: page.drawing.show_theory(found),
    "final_error": lambda page, found: page.drawing.show_final(found),
    "chain": lambda page, found: page.drawing.show_chain(found),
    "partitions": lambda page, found: page.cells.show(found),
}
