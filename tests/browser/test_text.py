"""Text of others in a real browser, where Streamlit's own Markdown makes links, icons and emoji."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect


def test_text_of_others_is_text_in_the_browser(page: Page, parts: str, ready: Callable[[Page], None]) -> None:
    """No link, icon, emoji, formula or style comes of it, and a reader sees every character."""
    page.goto(f"{parts}/text")
    expect(page.get_by_text("All is shown")).to_be_visible()
    ready(page)
    shown = page.locator("[data-testid=stMarkdownContainer]")
    expect(shown.filter(has_text="=X").nth(3)).to_be_visible()
    for made in ("a", ".katex", "del"):
        expect(page.locator(f"[data-testid=stMarkdownContainer] {made}")).to_have_count(0)
    texts = [text for text in shown.all_inner_texts() if "=X" in text]
    assert len(texts) >= 4
    for text in texts:
        for word in (
            "<script>",
            "$y$",
            "**b**",
            "www.b.example",
            "c@d.example",
            ":fire:",
            ":red[r]",
            "~~s~~",
            "# h",
        ):
            assert word in text
        assert ":material/bomb:" in text
        assert ":material_bomb:" in text
