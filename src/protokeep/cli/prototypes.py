"""Commands that ask a server for prototypes: create, list, find, status, open.

The address and the token come from PROTOKEEP_URL and PROTOKEEP_TOKEN, or from options.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import uuid4

import typer

from protokeep.cli import completion
from protokeep.cli.options import DEFAULT_URL, AsJson, Key, ProductId, Provider, Token, Url
from protokeep.cli.retry_advice import (
    EXIT_CODES,
    EXIT_ERROR,
    EXIT_FAILED,
    EXIT_TIMEOUT,
    EXIT_UNFINISHED,
    EXIT_USAGE,
    RetryAdvice,
    advise_if_answer_lost,
    advise_if_output_fails,
    exit_with_error,
    shell_command,
)
from protokeep.cli.terminal import in_one_line, print_json, print_notice, read_input

if TYPE_CHECKING:
    from protokeep.client import Protokeep, Prototype

T = TypeVar("T")

app = typer.Typer()


@contextlib.contextmanager
def connected(url: str, token: str, *, as_json: bool = False, missing: str = "") -> Iterator[Protokeep]:
    """A client. Its errors end the command with a line that says what to do.

    `missing` is that line if what the command names does not exist.
    """
    from protokeep.client import Protokeep

    require_token(token)
    with exit_on_client_error(as_json=as_json, missing=missing), Protokeep(url, token) as client:
        yield client


def change(
    act: Callable[[Protokeep], T],
    message: str,
    command: tuple[str, ...],
    url: str,
    token: str,
    *,
    as_json: bool,
) -> T:
    """Change something at the server. If the answer is lost: `message`, and the command, with its arguments, again."""
    name, *arguments = command
    advice = RetryAdvice(message, shell_command(name, tuple(arguments), {"--json": as_json}, url, token))
    with connected(url, token, as_json=as_json) as client, advise_if_answer_lost(advice, as_json=as_json):
        return act(client)


def require_token(token: str) -> None:
    """Exit with advice if there is no token."""
    if not token:
        print_notice(
            "set PROTOKEEP_TOKEN, or PROTOKEEP_TOKEN_FILE. `protokeep token create` makes a token; "
            "`protokeep demo` prints one."
        )
        raise typer.Exit(EXIT_USAGE)


@contextlib.contextmanager
def exit_on_client_error(*, as_json: bool = False, missing: str = "") -> Iterator[None]:
    """Turn a client's error into a line on stderr and an exit code; `missing` is the line for what does not exist."""
    from protokeep.client import ClientError, NotFound

    try:
        yield
    except NotFound as error:
        exit_with_error(error, as_json=as_json, reason=missing if error.problem.kind == "not-found" else "")
    except ClientError as error:
        exit_with_error(error, as_json=as_json)


def missing_text(product_id: str, provider: str, prototype_id: str | None = None) -> str:
    """The line for a prototype that does not exist, with the command that helps."""
    if prototype_id is not None:
        return f"There is no prototype {prototype_id}. `{_command('list', product_id)}` shows the ids of {product_id}."
    at = "" if provider == "v0" else f" {provider}"
    return f"{product_id} has no{at} prototype yet. Create it: {_command('create', product_id, 'What it should be')}"


def _command(*words: str) -> str:
    return shlex.join(("protokeep", *words))


def prototype_id_of(client: Protokeep, product_id: str, provider: str, prototype_id: str | None) -> str:
    """The id of a product's current prototype, or `prototype_id` if it belongs to the product. Raises `NotFound`."""
    from protokeep.core.validation import product_id_of

    if prototype_id is None:
        return client.status(product_id, provider=provider).id
    prototype = client.get(prototype_id)
    if prototype.product_id != product_id_of(product_id):
        print_notice(f"prototype {prototype_id} is not {product_id}'s, but {in_one_line(prototype.product_id)}'s.")
        raise typer.Exit(EXIT_ERROR)
    return prototype.id


def exit_code_of(prototype: Prototype) -> int:
    """0 ready, 3 failed, 4 timed out, 5 not finished."""
    if not prototype.finished:
        return EXIT_UNFINISHED
    return {"completed": 0, "failed": EXIT_FAILED, "timeout": EXIT_TIMEOUT}.get(
        prototype.project_status, EXIT_UNFINISHED
    )


@app.command(epilog='Example: protokeep create shop "A landing page for a bakery"')
def create(
    product_id: ProductId,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What the prototype should be; - reads standard input.")
    ],
    new: Annotated[
        bool, typer.Option("--new", help="Create another variant even if the product has a prototype.")
    ] = False,
    new_product: Annotated[
        bool, typer.Option("--new-product", help="It is another product than the one with a similar id.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What people call the product.")] = None,
    key: Key = None,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Get the product's prototype; create it if there is none."""
    from protokeep.cli import output

    full_prompt = read_input() if prompt == "-" else prompt
    key = key or uuid4().hex
    options = {"--new": new, "--new-product": new_product, "--name": name, "--json": as_json}
    options |= {"--key": key, "--provider": provider if provider != "v0" else None}
    advice = _advice_on_create((product_id, prompt), options, url, token)
    with connected(url, token, as_json=as_json) as client, advise_if_answer_lost(advice, as_json=as_json):
        ensured = client.ensure(
            product_id,
            full_prompt,
            provider=provider,
            create_new=new,
            product_name=name,
            idempotency_key=key,
            product_is_new=new_product,
        )
    with advise_if_output_fails(str(advice)):
        output.print_result(ensured.raw, output.ensured_text(ensured), as_json=as_json)


def _advice_on_create(
    arguments: tuple[str, str], options: Mapping[str, str | bool | None], url: str, token: str
) -> RetryAdvice:
    """What to do when the answer to a create is lost."""
    condition = "" if options["--new"] else " if this one has failed or was deleted meanwhile"
    return RetryAdvice(
        f"It may have been created. With another key, asking again creates another one{condition}. To repeat "
        f"this very request{same_input(arguments[1])}:",
        shell_command("create", arguments, options, url, token),
        str(options["--key"]),
    )


def same_input(argument: str) -> str:
    """Says that standard input is needed to repeat a command; empty if `argument` was not read from it."""
    return ", with the same text on standard input" if argument == "-" else ""


Person = Annotated[str | None, typer.Option(help="Only what this person asked for.")]
Mine = Annotated[bool, typer.Option("--mine", help="Only what you asked for yourself.")]
StateOption = Annotated[str | None, typer.Option("--state", help="Only those in this state, such as ready or failed.")]
OnlyProvider = Annotated[str | None, typer.Option("--provider", help="Only this app builder's.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many at most.")]
TagOption = Annotated[str | None, typer.Option("--tag", help="Only products with this tag.")]
Archived = Annotated[bool, typer.Option("--archived", help="Only archived products, which lists leave out otherwise.")]
Favourite = Annotated[bool, typer.Option("--favourite", help="Only your favourites.")]
SortOption = Annotated[str, typer.Option("--sort", help="By newest, oldest, updated or name.")]


@app.command(epilog="Example: protokeep find bakery checkout")
def find(
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="Words of the product or of the prompt.")],
    state: StateOption = None,
    person: Person = None,
    mine: Mine = False,
    provider: OnlyProvider = None,
    tag: TagOption = None,
    archived: Archived = False,
    favourite: Favourite = False,
    sort: SortOption = "newest",
    limit: Limit = 20,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Find prototypes of all products by their words."""
    filters = {"state": state, "person": person, "mine": mine, "provider": provider}
    filters |= _arranged(tag, sort, archived=archived, favourite=favourite)
    _print_catalogue(" ".join(words), limit, filters, as_json=as_json, url=url, token=token)


def _arranged(tag: str | None, sort: str, *, archived: bool, favourite: bool) -> dict[str, str | bool | None]:
    """The filters of a list by how products are arranged; those that are not given are empty."""
    if sort not in ("newest", "oldest", "updated", "name"):
        print_notice("--sort takes newest, oldest, updated or name.")
        raise typer.Exit(EXIT_USAGE)
    only = "only" if archived else None
    return {"tag": tag, "favourite": favourite, "archived": only, "sort": None if sort == "newest" else sort}


OptionalProduct = Annotated[
    str | None,
    typer.Argument(
        metavar="[PRODUCT]",
        help="The product's id. [the prototypes of all products]",
        autocompletion=completion.products,
    ),
]


def _print_catalogue(
    words: str, limit: int, filters: Mapping[str, Any], *, as_json: bool, url: str, token: str
) -> None:
    from protokeep.cli import output

    with connected(url, token, as_json=as_json) as client:
        prototypes, cursor = client.search_page(words, limit=limit, **filters)
    lines = [output.listed_line(prototype) for prototype in prototypes]
    nothing = "No prototype has all these words." if words else "There is no prototype yet, or none that matches."
    text = "\n".join([output.LIST_HEADER, *lines]) if lines else nothing
    output.print_result([prototype.raw for prototype in prototypes], text, as_json=as_json)
    if cursor is not None:
        print_notice(f"these are the first {len(prototypes)}. There are more: narrow the search, or raise --limit.")


@app.command("list", epilog="Example: protokeep list shop")
def list_prototypes(
    product_id: OptionalProduct = None,
    state: StateOption = None,
    person: Person = None,
    mine: Mine = False,
    provider: OnlyProvider = None,
    tag: TagOption = None,
    archived: Archived = False,
    favourite: Favourite = False,
    sort: SortOption = "newest",
    limit: Limit = 100,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """List what exists: of all products, or of one.

    Of all products each has its current prototype in the list; of one, * marks the current one.
    """
    from protokeep.cli import output

    arranged = _arranged(tag, sort, archived=archived, favourite=favourite)
    if product_id is None:
        filters = {"state": state, "person": person, "mine": mine, "provider": provider, **arranged}
        _print_catalogue("", limit, filters, as_json=as_json, url=url, token=token)
        return
    if state is not None or person is not None or any(arranged.values()):
        print_notice(
            "--state, --person, --tag, --archived, --favourite and --sort are for the list of all products: leave "
            "PRODUCT out."
        )
        raise typer.Exit(EXIT_USAGE)
    with connected(url, token, as_json=as_json) as client:
        prototypes = list(client.list(product_id, provider=provider, mine=mine))
    lines = [output.listed_line(prototype, numbered=True) for prototype in prototypes]
    text = "\n".join([output.LIST_HEADER, *lines]) if lines else f"{product_id} has no prototypes."
    output.print_result([prototype.raw for prototype in prototypes], text, as_json=as_json)


@app.command(epilog=f"Example: protokeep status shop. {EXIT_CODES}")
def status(
    product_id: ProductId,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Show a product's prototype; creates nothing."""
    from protokeep.cli import output

    with connected(url, token, as_json=as_json, missing=missing_text(product_id, provider)) as client:
        prototype = client.status(product_id, provider=provider)
    output.print_result(prototype.raw, output.prototype_line(prototype), as_json=as_json)
    raise typer.Exit(exit_code_of(prototype))


@app.command("open", epilog=f"Example: protokeep open shop --print. {EXIT_CODES}")
def open_prototype(
    product_id: ProductId,
    just_print: Annotated[bool, typer.Option("--print", help="Print the address; open nothing.")] = False,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Open a product's prototype in the browser, if it is ready."""
    import webbrowser

    from protokeep.cli import output
    from protokeep.core.foreign_text import address_of

    with connected(url, token, as_json=as_json, missing=missing_text(product_id, provider)) as client:
        prototype = client.status(product_id, provider=provider)
    address = prototype.project_url or ""
    code = exit_code_of(prototype)
    if code != 0 or address_of(address) is None:
        if as_json:
            print_json({"product_id": product_id, "url": None, "state": prototype.state})
        print_notice(f"nothing to open yet. {output.prototype_line(prototype)}")
        if code == EXIT_UNFINISHED:
            print_notice(f"`protokeep watch {product_id}` waits for it.")
        raise typer.Exit(code or EXIT_ERROR)
    output.print_result({"product_id": product_id, "url": address, "state": prototype.state}, address, as_json=as_json)
    if not just_print and not as_json and not webbrowser.open(address):
        print_notice("no browser could be opened; the address is above.")
