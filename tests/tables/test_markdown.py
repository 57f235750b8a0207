"""Tables as Markdown keep their columns, whatever stands in a cell."""

import markdown_it
import pytest

from evalkit.tables import IMAGES, as_markdown

NAMES = [
    "a|b",
    "`code`",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "two\nlines\r\u2028more",
    "**bold** __init__ *x* ~~y~~",
    "back\\slash |",
    "&lt;b&gt;",
    "0012",
    "1e5",
    "=1+1",
    "# heading",
    "日本語|😀",
]


def shown(text: str) -> list[list[str]]:
    """The cells of the rows of the one table, as a reader sees them."""
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    rows: list[list[str]] = []
    for token in parser.parse(text):
        assert token.type not in ("html_block", "heading_open")
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            for child in token.children:
                assert child.type in ("text", "text_special"), (child.type, text)
            rows[-1].append("".join(child.content for child in token.children))
    return rows[1:]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is_in_one_cell_of_one_row(name):
    table = IMAGES.frame([{"source": name, "note": name}, {"source": "plain"}])
    first, second = shown(as_markdown(table[["source", "note", "width_px"]]))
    expected = " ".join(name.split())
    assert [" ".join(cell.split()) for cell in first] == [expected, expected, ""]
    assert second == ["plain", "", ""]


def test_numbers_have_four_digits_and_the_unknown_is_empty():
    table = IMAGES.frame([{"source": "a_b", "width_px": 1500, "is_synthetic": True}])
    assert shown(as_markdown(table[["source", "width_px", "height_px"]])) == [
        ["a_b", "1500", ""]
    ]
    assert "a_b" in as_markdown(table)


def test_a_table_without_rows_has_its_head():
    assert "| source" in as_markdown(IMAGES.frame([]))


def test_a_table_without_rows_is_its_header():
    assert as_markdown(IMAGES.frame([])[["source", "note"]]).startswith("| source")
