"""Made-up content: titles, answers, code and token counts. The same input gives the same output."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from .state import Chat, Message

_ENDINGS = {
    "stop": "The prototype is ready. Open the preview to try it.",
    "error": "Something went wrong while generating. Please try again.",
    "content-filter": "This request was declined.",
    "length": "The answer grew too long and was cut.",
    "tool-calls": "Before I go on, please answer a question.",
    "other": "Generation ended early.",
}


def title_of(prompt: str) -> str:
    """A title for a prompt, as v0 makes one: its first words."""
    words = re.findall(r"[\w'&.-]+", prompt)[:8]
    return " ".join(words)[:60].strip() or "Untitled"


def number_of(*parts: object) -> int:
    """A number that looks random and is the same for the same parts."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def reply_text(chat: Chat, message: Message, now: datetime) -> str:
    """The content of a message; empty while the answer is generated."""
    if message.role == "user":
        return message.content
    reason = message.finish_reason(now)
    return "" if reason is None else _ENDINGS[reason]


#: The files around the generated code, which v1 adds with `includeDefaultFiles`.
_DEFAULT_FILES: dict[str, str | bytes] = {
    "package.json": '{\n  "name": "prototype",\n  "private": true,\n  "scripts": {"dev": "next dev"}\n}\n',
    "tsconfig.json": '{\n  "compilerOptions": {"strict": true, "jsx": "preserve"}\n}\n',
}


def files_of(chat: Chat, *, with_defaults: bool = False) -> dict[str, str | bytes]:
    """The code of a finished chat: the files that it was begun from, or one page that shows its title.

    Text is text, anything else is bytes.
    """
    return {**(_DEFAULT_FILES if with_defaults else {}), **(chat.files or _page_of(chat))}


def _page_of(chat: Chat) -> dict[str, str]:
    title = title_of(chat.message) if chat.message else chat.title or "Untitled"  # A new name changes no code.
    title = title.replace("{", "(").replace("}", ")").replace("<", "(").replace(">", ")")
    return {
        "app/page.tsx": f"export default function Page() {{\n  return <main><h1>{title}</h1></main>\n}}\n",
        "app/layout.tsx": "export default function Layout({ children }: { children: React.ReactNode }) {\n"
        "  return <html><body>{children}</body></html>\n}\n",
    }


def tokens_of(message: Message, now: datetime) -> dict[str, int]:
    """Tokens that a message has used: none until its generation has ended."""
    if message.finish_reason(now) is None:
        return dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "total"), 0)
    seed = number_of("tokens", message.id)
    used = {
        "input": 900 + seed % 4000,
        "output": 1500 + (seed >> 12) % 9000,
        "cacheRead": (seed >> 24) % 12000,
        "cacheWrite": (seed >> 36) % 3000,
    }
    return {**used, "total": sum(used.values())}


def credits_of(message: Message, now: datetime) -> dict[str, float]:
    """The cost of the tokens of a message, in credits."""
    prices = {"input": 3e-6, "output": 15e-6, "cacheRead": 0.3e-6, "cacheWrite": 3.75e-6}
    tokens = tokens_of(message, now)
    cost = {name: round(tokens[name] * price, 6) for name, price in prices.items()}
    return {**cost, "total": round(sum(cost.values()), 6)}
