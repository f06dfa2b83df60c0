"""What `make screenshots` holds every page against: nothing sticks out, targets are large enough, axe finds nothing."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

#: Text that leaves its box, targets under 24 px, and a page that scrolls sideways. Links within sentences are exempt.
GEOMETRY = r"""() => {
  const found = [], wide = document.documentElement.scrollWidth;
  const short = (text) => text.trim().replace(/\s+/g, " ").slice(0, 60);
  if (wide > innerWidth) found.push(`scrolls sideways: ${wide} px`);
  const seen = (one) => !one.closest(".unseen, .skip")
    && one.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let text; (text = texts.nextNode());) {
    if (!text.data.trim() || !seen(text.parentElement)) continue;
    range.selectNodeContents(text);
    const at = range.getBoundingClientRect();
    for (let box = text.parentElement; box && box !== document.body; box = box.parentElement) {
      const style = getComputedStyle(box);
      if (style.overflowX !== "visible") break;
      if (style.display === "inline" || style.display === "contents") continue;
      const edge = box.getBoundingClientRect();
      if (at.right > edge.right + 1 || at.left < edge.left - 1 || at.bottom > edge.bottom + 4) {
        found.push(`text leaves <${box.localName} class="${box.className}">: ${short(text.data)}`);
        break;
      }
      if (style.position === "absolute" || style.position === "fixed") break;
    }
  }
  // As WCAG 2.5.8: a small target is fine within a sentence, or where a circle of 24 px on it meets no other target.
  const inSentence = (one) => one.localName === "a" && getComputedStyle(one).display === "inline"
    && [...one.parentElement.childNodes].some((node) => node.nodeType === 3 && node.data.trim().length > 1);
  const targets = [];
  for (const one of document.querySelectorAll("a[href], button, summary, select, textarea, input:not([type=hidden])")) {
    const after = getComputedStyle(one, "::after");
    if (!seen(one) || one.closest("[aria-hidden=true]") || inSentence(one) || after.inset === "0px") continue;
    const area = (one.closest("label") ?? one).getBoundingClientRect();
    const x = area.x + area.width / 2, y = area.y + area.height / 2;
    const front = document.elementFromPoint(x, y);  // What a menu covers cannot be hit now.
    if (front && !front.contains(one) && !one.contains(front) && !one.labels?.[0]?.contains(front)) continue;
    if (area.width) targets.push({ one, area, x, y, small: area.height < 23.5 || area.width < 23.5 });
  }
  const far = (at, low, high) => Math.max(low - at, 0, at - high);
  for (const { one, area, x, y } of targets.filter((target) => target.small)) {
    const near = targets.find((other) => other.one !== one && (other.small
      ? Math.hypot(other.x - x, other.y - y) < 24
      : Math.hypot(far(x, other.area.left, other.area.right), far(y, other.area.top, other.area.bottom)) < 12));
    const size = `${Math.round(area.width)} x ${Math.round(area.height)}`;
    if (near) found.push(`small target ${size} beside another: ${short(one.textContent || one.name || one.id)}`);
  }
  return [...new Set(found)];
}"""


async def geometry(page: Page) -> list[str]:
    """What sticks out of the page or of its box, and what is too small to hit."""
    found: list[str] = await page.evaluate(GEOMETRY)
    return found


async def axe(page: Page) -> list[str]:
    """What axe finds, with the first places."""
    answer = await Axe().run(page)
    return [
        f"axe {one['id']}: " + "; ".join(node["html"][:120] for node in one["nodes"][:3])
        for one in answer.response["violations"]
    ]
