"""HTML elements: nothing becomes markup that was not."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from fastpong.pages.html import Html, escape, join, table, tag


class Seen(HTMLParser):
    """What a parser finds: elements, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


plain = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))


@given(text=plain, value=plain)
def test_a_parser_gets_back_the_text_and_the_value(text: str, value: str) -> None:
    seen = Seen(tag("p", text, data_name=value))
    assert seen.tags == ["p"]
    assert seen.attributes == [("data-name", value)]
    assert seen.text == text


def test_html_stays_and_text_does_not() -> None:
    assert escape("<b>") == "&lt;b&gt;"
    assert escape(Html("<b>")) == "<b>"
    assert join(["<", Html("<br>")]) == "&lt;<br>"
    assert tag("td", tag("b", "1 & 2")) == "<td><b>1 &amp; 2</b></td>"


def test_attributes_without_value_are_left_out() -> None:
    assert tag("input", checked=None, type="radio", for_="x") == '<input type="radio" for="x">'


def test_a_table_scrolls_by_itself() -> None:
    made = table(("a", "b"), [("<x>", 2)], "numbers")
    assert made.startswith('<div class="scroll"><table class="numbers">')
    assert '<th scope="row">&lt;x&gt;</th><td>2</td>' in made
