"""The page: the panel on the left, in the order and the words of the panel in Slicer, and four views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3
from trame_server import Server

from AdaptWeb.application import Application
from AdaptWeb.files import FORMATS
from AdaptWeb.keys import first_key
from AdaptWeb.panel import Panel
from AdaptWeb.texts import Text, panel_texts
from AdaptWeb.tools import WINDOW_LEVEL

TITLE = "Interactive AdaptSeg"
THEME = {"theme": {"defaultTheme": "system"}, "defaults": {"VBtn": {"class": "text-none"}}}
TOOLS = ("positive", "negative", "box", "lasso", "scribblePositive", "scribbleNegative")
STYLE = """
html, body { overflow: hidden; }
.panel { width: 320px; min-width: 320px; height: 100vh; overflow-y: auto; padding: 8px; }
.panel .v-btn { letter-spacing: 0; }
.row { display: flex; gap: 4px; margin-bottom: 4px; align-items: center; }
.row > .v-btn { flex: 1 1 0; min-width: 0; padding: 0 4px; }
.tools { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; margin-bottom: 4px; }
.status { height: 40px; font-weight: 600; font-size: 14px; line-height: 20px; overflow: hidden; }
.message { height: 60px; font-size: 13px; line-height: 20px; overflow-y: auto; margin-bottom: 4px; }
.waiting { height: 32px; margin-bottom: 4px; }
.result, .note { min-height: 20px; font-size: 12px; line-height: 18px; margin-bottom: 4px; }
.candidates { min-height: 116px; display: grid; grid-template-columns: repeat(4, 1fr); gap: 4px; margin-bottom: 4px; }
.candidate { padding: 2px; border: 2px solid transparent; border-radius: 4px; font-size: 11px; line-height: 13px;
  white-space: pre-line; text-align: center; background: rgba(128, 128, 128, 0.15); color: inherit; cursor: pointer; }
.candidate[aria-pressed="true"] { border-color: rgb(var(--v-theme-primary)); }
.candidate:disabled { opacity: 0.5; cursor: default; }
.candidate img { width: 100%; display: block; }
.colour { width: 18px; height: 18px; border-radius: 3px; flex: 0 0 18px; border: 1px solid rgba(128, 128, 128, 0.6); }
.views { flex: 1 1 0; min-width: 0; height: 100vh; background: black; }
.field { flex: 1 1 0; min-width: 0; }
"""

LOST = """<div role="alert" data-test="lost" style="padding: 32px; font: 16px sans-serif">
<p>The server does not answer: it has ended, or the connection is lost. What was accepted is kept.</p>
<p>Load the page again; if that does not help, start the server again with the same images.</p>
<button onclick="location.reload()">Load again</button></div>"""
"""Shown in place of the page."""


class Page:
    """Draws the page; all that changes in it is the server's state.

    Args:
        server: serves the page.
        application: its views are shown.
        panel: is called by the buttons.
        open_volume: called with the place in the list of the volume that is to be opened.
    """

    def __init__(
        self, server: Server, application: Application, panel: Panel, open_volume: Callable[[int], None]
    ) -> None:
        self._panel, self._open_volume = panel, open_volume
        self._texts = panel_texts()
        server.state.trame__title = TITLE
        server.state.trame__template_error = LOST
        with VAppLayout(server, vuetify_config=THEME) as layout:
            client.Style(STYLE)
            with html.Div(style="display: flex"):
                with html.Div(classes="panel"):
                    self._draw_panel()
                with html.Div(classes="views"):
                    application.layout.initialize_layout_grid(layout)

    def _draw_panel(self) -> None:
        self._draw_messages()
        self._draw_choices()
        self._draw_tools()
        self._draw_candidates()
        self._draw_actions()
        html.Div("{{ result }}", classes="result", raw_attrs=_marked("result"))
        self._draw_learning()
        self._draw_files()

    def _draw_messages(self) -> None:
        html.Div("{{ status }}", classes="status", raw_attrs=_marked("status", 'aria-live="polite"'))
        with html.Div(classes="message", raw_attrs=_marked("message", 'role="alert"')):
            v3.VIcon("mdi-alert-outline", v_if=("is_refusal",), size="small", color="warning", classes="mr-1")
            html.Span("{{ message }}")
        with html.Div(classes="waiting row"):
            v3.VProgressLinear(
                v_if=("is_waiting",),
                indeterminate=("progress[1] <= 0",),
                model_value=("progress[1] > 0 ? 100 * progress[0] / progress[1] : 0",),
            )
            html.Span("{{ uploading }}", v_if=("uploading",), raw_attrs=_marked("uploading"))
            self._button("cancel", v_if=("enabled.cancel",), style="flex: 0 0 96px")

    def _draw_choices(self) -> None:
        with html.Div(classes="row"):
            self._select("volume", "volumes", self._text("volumeSelector"), self._open_volume, "Volume")
        with html.Div(classes="row"):
            html.Div(classes="colour", style=("{background: (segments.find(s => s.id === segment_id) || {}).colour}",))
            v3.VSelect(
                model_value=("segment_id",),
                items=("segments",),
                item_title="name",
                item_value="id",
                label="Segment",
                disabled=("!enabled.segment || !segments.length",),
                update_modelValue=(self._panel.choose_segment, "[$event]"),
                title=self._text("segmentSelector").tip,
                raw_attrs=_marked("segment"),
                **FIELD,
            )
            self._button("newSegment", style="flex: 0 0 48px")
            self._button("nextSegment", style="flex: 0 0 72px")

    def _draw_tools(self) -> None:
        with html.Div(classes="row"):
            self._unit("object", "true", "is_at_object", tip=("tips.object",))
            self._unit("slice", "false", "!is_at_object", tip=self._text("sliceButton").tip)
        with html.Div(classes="tools"):
            for name in TOOLS:
                self._tool(name, self._text(f"{name}Button"), "enabled.tools")
        self._check("only_pointed", self._text("onlyPointedCheckBox"), self._panel.set_only_pointed)

    def _draw_candidates(self) -> None:
        html.Div("{{ gallery_text }}", classes="note", raw_attrs=_marked("gallery"))
        with (
            html.Div(classes="candidates"),
            html.Button(
                v_for="(candidate, index) in candidates",
                key="index",
                classes="candidate",
                type="button",
                title=("candidate.tip",),
                disabled=("!enabled.pick",),
                click=(self._panel.pick, "[index + 1]"),
                mouseenter=(self._panel.hover, "[index + 1]"),
                mouseleave=(self._panel.hover, "[null]"),
                raw_attrs=_marked("candidate", ':aria-pressed="picked === index + 1"'),
            ),
        ):
            html.Img(src=("candidate.picture",), alt="")
            html.Span("{{ candidate.text }}")
        with html.Div(classes="row"):
            self._button("others")
            self._button("more")

    def _draw_actions(self) -> None:
        with html.Div(classes="row"):
            self._button("accept", color="primary")
            self._button("propagate", title=("tips.propagate",))
        with html.Div(classes="row"):
            self._button("unsure")
        with html.Div(classes="row"):
            self._button("undo", title=("tips.undo",))
            self._button("redo", title=("tips.redo",))
            self._button("clear")

    def _draw_learning(self) -> None:
        with html.Details(classes="mb-1"):
            html.Summary(self._text("learningSection").text, title=self._text("learningSection").tip)
            self._names("task", self._text("taskSelector"), self._panel.set_task)
            self._check("learn", self._text("learnCheckBox"), self._panel.set_learning)
            self._check("measures", self._text("measureCheckBox"), self._panel.set_measured)
            html.Div("{{ task_text }}", classes="note", raw_attrs=_marked("task-text"))
            self._names("user", self._text("userSelector"), self._panel.set_user)
            html.Div("{{ profile_text }}", classes="note", raw_attrs=_marked("profile-text"))
            with html.Div(classes="row"):
                self._button("undoLesson")

    def _draw_files(self) -> None:
        with html.Div(classes="row"):
            v3.VBtn(
                "Open files...",
                raw_attrs=_marked("open", "onclick=\"document.getElementById('upload').click()\""),
                title="Images, DICOM files or a zip file of them; or drop files and folders on the page.",
                disabled=("!enabled.segment",),
                **BUTTON,
            )
            html.Input(type="file", style="display: none", raw_attrs=['id="upload"', "multiple"])
            self._tool(WINDOW_LEVEL, Text("Window/level", "Drag in a slice view to change brightness and contrast."))
        with html.Div(classes="row"):
            for suffix in FORMATS:
                v3.VBtn(
                    f"Download {suffix}",
                    href=f"download/segmentation{suffix}",
                    disabled=("!segments.length",),
                    title="Download the segmentation as a file.",
                    raw_attrs=_marked(f"download{suffix}", "download"),
                    **BUTTON,
                )

    def _button(self, name: str, **options: Any) -> None:
        text = self._text(f"{name}Button")
        options.setdefault("title", _with_key(text.tip, first_key(name)))
        v3.VBtn(
            _with_key(text.text, first_key(name)),
            click=(self._panel.press, f"['{name}']"),
            disabled=(f"!enabled.{name}",),
            raw_attrs=_marked(name),
            **{**BUTTON, **options},
        )

    def _tool(self, name: str, text: Text, enabled: str = "true") -> None:
        v3.VBtn(
            _with_key(text.text, first_key(name)),
            click=(self._panel.take, f"['{name}']"),
            disabled=(f"!({enabled})",),
            color=(f"tool === '{name}' ? 'primary' : undefined",),
            title=_with_key(text.tip, first_key(name)),
            raw_attrs=_marked(name, f":aria-pressed=\"tool === '{name}'\""),
            **BUTTON,
        )

    def _unit(self, name: str, value: str, is_chosen: str, tip: Any) -> None:
        """What a prompt is about: the whole object, or a slice."""
        v3.VBtn(
            self._text(f"{name}Button").text,
            click=(self._panel.set_whole_object, f"[{value}]"),
            disabled=("!enabled.object",),
            color=(f"{is_chosen} ? 'primary' : undefined",),
            title=tip,
            raw_attrs=_marked(name, f':aria-pressed="{is_chosen}"'),
            **BUTTON,
        )

    def _check(self, name: str, text: Text, call: Callable[[bool], None]) -> None:
        v3.VCheckbox(
            label=text.text,
            title=text.tip,
            model_value=(name,),
            disabled=("!enabled.task",),
            update_modelValue=(call, "[$event]"),
            density="compact",
            hide_details=True,
            raw_attrs=_marked(name),
        )

    def _select(self, name: str, items: str, text: Text, call: Callable[[Any], None], label: str) -> None:
        v3.VSelect(
            model_value=(name,),
            items=(f"{items}.map((title, value) => ({{ title, value }}))",),
            label=label,
            disabled=("!enabled.segment",),
            update_modelValue=(call, "[$event]"),
            title=text.tip,
            raw_attrs=_marked(name),
            **FIELD,
        )

    def _names(self, name: str, text: Text, call: Callable[[Any], None]) -> None:
        """A field that offers names and takes new ones."""
        with html.Div(classes="row mt-1"):
            v3.VCombobox(
                model_value=(name,),
                items=(f"{name}s",),
                label=self._text(f"{name}SelectorLabel").text.rstrip(":"),
                disabled=("!enabled.task",),
                update_modelValue=(call, "[$event]"),
                title=text.tip,
                raw_attrs=_marked(name),
                **FIELD,
            )

    def _text(self, name: str) -> Text:
        return self._texts[name]


FIELD = {"density": "compact", "variant": "outlined", "hide_details": True, "classes": "field"}
BUTTON = {"size": "small", "variant": "tonal"}


def _with_key(text: str, key: str) -> str:
    return f"{text} ({key})" if key else text


def _marked(name: str, *more: str) -> list[str]:
    """Attributes of an element, and the name by which tests find it."""
    return [f'data-test="{name}"', *more]
