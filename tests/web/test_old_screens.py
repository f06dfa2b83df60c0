"""The screens and scripts of the specification's own system, call by call, over real HTTP, on that system's own table.

The bodies are theirs, member for member; the wording in them is ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from owner_databases import PEOPLE, PRODUCTS, fill, make_generation, mockup_id
from owner_schemas import rows, run
from protokeep.core.principals import Role
from protokeep.store.migrate import migrate
from world import GENERATION_SECONDS, Site, World, on_sqlite

#: Products with older rows that are no prototype to reuse, and with one that is.
PRODUCT, USED_PRODUCT = PRODUCTS[1], PRODUCTS[0]
ANA, BEN = PEOPLE[0], PEOPLE[1]
SUBMISSION = "5b000000-0000-4000-8000-000000000001"
#: What the create dialog of 27 November sends, and that of 4 December.
DIALOG: dict[str, Any] = {
    "product_id": PRODUCT,
    "phase_submission_id": SUBMISSION,
    "provider": "v0",
    "prompt": "A landing page for a bakery",
    "use_multi_agent": True,
    "context": {
        "phase_name": "Design",
        "form_data": {"user_experience": "calm", "v0_lovable_prompts": '{"v0_prompt": "A landing page"}'},
        "all_form_fields": ["user_experience", "v0_lovable_prompts"],
    },
}
LATER_DIALOG = {**DIALOG, "create_new": False}


@pytest.fixture
def api_version(request: pytest.FixtureRequest) -> int:
    """The version of v0's API that new prototypes are made with."""
    return int(getattr(request, "param", 2))


@pytest.fixture
async def owned(empty_pg_url: str, api_version: int) -> AsyncIterator[World]:
    """A world on the newest generation of that system's database: 16 older rows, and a phase submission."""
    await make_generation(empty_pg_url, "newest")
    await run(
        empty_pg_url,
        f"INSERT INTO phase_submissions (id, product_id, form_data) VALUES ('{SUBMISSION}', '{PRODUCT}', '{{}}')",
    )
    await fill(empty_pg_url, 7)
    await fill(empty_pg_url, 9, first=8)  # The eighth has no time; other tests are about that.
    await run(
        empty_pg_url, f"UPDATE design_mockups SET phase_submission_id = '{SUBMISSION}' WHERE id = '{mockup_id(0)}'"
    )
    await migrate(empty_pg_url)
    async with World.open(empty_pg_url, api_version) as world:
        yield world


@pytest.fixture
async def screen(owned: World) -> AsyncIterator[Site]:
    """The application on a real port, called by Ana."""
    async with owned.serving() as site:
        site.http.headers["Authorization"] = f"Bearer {await site.token(Role.MAKER, ANA)}"
        yield site


async def create(site: Site, body: dict[str, Any]) -> httpx2.Response:
    return await site.http.post("/api/design/create-project", json=body)


async def row_of(world: World, mockup: str) -> dict[str, Any]:
    (row,) = await rows(world.database_url, f"SELECT * FROM design_mockups WHERE id = '{mockup}'")
    return row


@pytest.mark.parametrize("body", [DIALOG, LATER_DIALOG], ids=["27 November", "4 December"])
async def test_the_create_dialog_gets_a_prototype_and_its_submission_is_stored(
    screen: Site, owned: World, body: dict[str, Any]
) -> None:
    """
    201 and what the dialog reads; the column of the submission has it, and a second click gives the same one.
    """
    first = await create(screen, body)
    again = await create(screen, {**body, "phase_submission_id": None, "context": None})

    assert first.status_code == 201, first.text
    made = first.json()
    assert (made["phase_submission_id"], made["provider"], made["v0_chat_id"]) == (SUBMISSION, "v0", owned.chat.id)
    assert made["project_url"].startswith("http")
    assert str((await row_of(owned, made["id"]))["phase_submission_id"]) == SUBMISSION
    assert (again.status_code, again.json()["id"]) == (200, made["id"])
    assert owned.chats_created == 1


async def test_a_dialog_without_a_submission_leaves_the_column_empty(screen: Site, owned: World) -> None:
    """
    `undefined` is no member of a body, and `null` or an empty text is no submission either.
    """
    submissions: list[dict[str, Any]] = [{}, {"phase_submission_id": None}, {"phase_submission_id": ""}]
    for number, submission in enumerate(submissions):
        body = {name: value for name, value in DIALOG.items() if name != "phase_submission_id"}
        made = await create(screen, {**body, **submission, "product_id": PRODUCTS[number + 2], "create_new": True})

        assert (made.status_code, made.json()["phase_submission_id"]) == (201, None)
        assert (await row_of(owned, made.json()["id"]))["phase_submission_id"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"phase_submission_id": "no uuid"}, "phase_submission_id"),
        ({"phase_submission_id": "x" * 201}, "phase_submission_id"),
        ({"phase_submission_id": 7}, "phase_submission_id"),
        ({"use_multi_agent": "yes"}, "use_multi_agent"),
        ({"context": ["a list"]}, "context"),
        ({"useMultiAgent": True}, "useMultiAgent"),
        ({"enhanced_prompt": "x"}, "enhanced_prompt"),
    ],
)
async def test_other_fields_and_other_types_are_refused(
    screen: Site, owned: World, changes: dict[str, Any], field: str
) -> None:
    """
    Exactly the three fields of the dialog are taken, in their types; nothing is made for another one.
    """
    answer = await create(screen, {**DIALOG, **changes})

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert owned.chats_created == 0


async def test_a_submission_that_does_not_exist_is_refused_in_words(screen: Site, owned: World) -> None:
    """
    The owner's foreign key has the last word, and the answer says what to do; nothing is made.
    """
    answer = await create(screen, {**DIALOG, "phase_submission_id": mockup_id(99), "create_new": True})

    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (422, "phase_submission_id")
    assert "leave it out" in problem["detail"]
    assert owned.chats_created == 0


async def test_a_context_beyond_the_limit_of_a_body_is_413(screen: Site, owned: World) -> None:
    """
    What is ignored is bounded too.
    """
    answer = await create(screen, {**DIALOG, "context": {"form_data": "x" * 1024 * 1024}})

    assert (answer.status_code, owned.chats_created) == (413, 0)


async def test_the_gallery_lists_all_rows_with_their_metadata(screen: Site) -> None:
    """
    A hundred rows without a word about paging, each with the owner's metadata and submission.
    """
    listed = (await screen.listed(USED_PRODUCT)).json()["mockups"]

    by_id = {row["id"]: row for row in listed}
    assert by_id[mockup_id(0)]["metadata"] == {"number": 0, "chat_id": None}
    assert by_id[mockup_id(0)]["phase_submission_id"] == SUBMISSION
    assert by_id[mockup_id(10)]["metadata"] == {"number": 10, "chat_id": None}


async def test_a_list_has_a_hundred_rows_unless_asked_otherwise(screen: Site, owned: World) -> None:
    """
    The gallery never asks for a second page.
    """
    copied = ("product_id", "tenant_id", "user_id", "provider", "prompt")
    await run(
        owned.database_url,
        f"INSERT INTO design_mockups ({', '.join(copied)}) SELECT {', '.join(copied)} FROM design_mockups"
        f" CROSS JOIN generate_series(1, 120) WHERE id = '{mockup_id(0)}'",
    )

    answer = (await screen.listed(USED_PRODUCT)).json()

    assert (len(answer["mockups"]), answer["next_cursor"] is not None) == (100, True)


async def test_lovable_rows_are_a_filter_and_a_status(screen: Site) -> None:
    """
    Any provider that a row names can be asked for; one that no row names is an empty list, and no prototype.
    """
    product = PRODUCTS[4]
    listed = (await screen.listed(product, provider="lovable")).json()["mockups"]
    status = await screen.status(product, provider="lovable")

    assert [(row["id"], row["provider"]) for row in listed] == [(mockup_id(4), "lovable")]
    assert (status.status_code, status.json()["id"], status.json()["state"]) == (200, mockup_id(4), "ready")
    assert (await screen.listed(PRODUCTS[5], provider="lovable")).json()["mockups"] == []
    assert (await screen.status(PRODUCTS[5], provider="lovable")).status_code == 404
    assert (await create(screen, {**DIALOG, "provider": "lovable"})).status_code == 422


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("NULL", None),
        ("'{}'", {}),
        ("'[1, 2]'", None),
        ("'\"text\"'", None),
        ("'{\"number\": 1e400}'", {"number": 10**400}),
        ("('{\"deep\": ' || repeat('[', 500) || repeat(']', 500) || '}')::jsonb", None),
        ("jsonb_build_object('long', repeat('x', 40000))", None),
        ("jsonb_build_object('long', repeat('x', 30000))", {"long": "x" * 30_000}),
    ],
    ids=["null", "empty", "list", "text", "huge number", "deep", "too long", "long"],
)
async def test_metadata_is_an_object_of_bounded_size_or_null(
    screen: Site, owned: World, written: str, read: dict[str, Any] | None
) -> None:
    """
    Whatever the owner's column holds, the list can be read.
    """
    await run(owned.database_url, f"UPDATE design_mockups SET metadata = {written} WHERE id = '{mockup_id(0)}'")

    listed = (await screen.listed(USED_PRODUCT)).json()["mockups"]

    assert [row["metadata"] for row in listed if row["id"] == mockup_id(0)] == [read]


async def test_the_gallery_deletes_its_own_row_and_reads_success(screen: Site, owned: World) -> None:
    """
    200 with success and id, and again 200; the chat is gone at v0, and the row here.
    """
    made = (await create(screen, LATER_DIALOG)).json()
    owned.clock.advance(GENERATION_SECONDS + 60)
    await screen.status(PRODUCT)

    for _ in range(2):
        answer = await screen.http.delete(f"/api/design/mockups/{made['id']}")
        assert (answer.status_code, answer.json()) == (200, {"success": True, "id": made["id"]})

    assert await owned.orphans() == set()
    assert await rows(owned.database_url, f"SELECT id FROM design_mockups WHERE id = '{made['id']}'") == []


async def test_a_maker_deletes_their_own_and_an_admin_any(screen: Site, owned: World) -> None:
    """
    Another maker and a viewer are refused at both addresses, and nothing is changed.
    """
    made = (await create(screen, LATER_DIALOG)).json()
    paths = [f"/api/design/{part}/{made['id']}" for part in ("mockups", "prototypes")]
    for role, person in ((Role.MAKER, BEN), (Role.VIEWER, ANA)):
        others = {"Authorization": f"Bearer {await screen.token(role, person)}"}
        assert [(await screen.http.delete(path, headers=others)).status_code for path in paths] == [403, 403]
    assert (await row_of(owned, made["id"]))["v0_chat_id"] == made["v0_chat_id"]

    admin = {"Authorization": f"Bearer {await screen.token(Role.ADMIN, BEN)}"}
    assert (await screen.http.delete(paths[0], headers=admin)).status_code == 200


async def test_a_row_that_nothing_tracks_is_removed_and_its_chat_stays(screen: Site, owned: World) -> None:
    """
    A lovable row, an old row, and one whose chat was not followed yet: the row goes, no call is made.
    """
    admin = {"Authorization": f"Bearer {await screen.token(Role.ADMIN, BEN)}"}
    old, lovable, chatting = mockup_id(1), mockup_id(4), mockup_id(2)
    await run(owned.database_url, f"UPDATE design_mockups SET v0_chat_id = 'c-old' WHERE id = '{chatting}'")
    calls = owned.calls()

    for mockup in (old, lovable, chatting):
        answer = await screen.http.delete(f"/api/design/mockups/{mockup}", headers=admin)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "id": mockup})

    left = await rows(owned.database_url, "SELECT id FROM design_mockups")
    assert {str(row["id"]) for row in left}.isdisjoint({old, lovable, chatting})
    assert owned.calls() == calls
    audited = await rows(owned.database_url, "SELECT subject, data FROM protokeep_audit WHERE action = 'deleted'")
    assert {row["subject"] for row in audited} == {old, lovable, chatting}
    assert any("c-old" in row["data"] for row in audited)


async def test_a_maker_removes_an_untracked_row_of_their_own(screen: Site) -> None:
    """
    The owner's table names the person; a row of somebody else, or of nobody, stays.
    """
    own, other = mockup_id(0), mockup_id(1)  # By the first and the second person.

    assert (await screen.http.delete(f"/api/design/mockups/{other}")).status_code == 403
    assert (await screen.http.delete(f"/api/design/mockups/{own}")).status_code == 200


async def test_a_row_that_others_refer_to_is_409_in_words(screen: Site, owned: World) -> None:
    """
    The owner's foreign keys hold.
    """
    await run(
        owned.database_url,
        "CREATE TABLE likes (mockup_id uuid REFERENCES design_mockups (id));"
        f"INSERT INTO likes VALUES ('{mockup_id(0)}')",
    )

    answer = await screen.http.delete(f"/api/design/mockups/{mockup_id(0)}")

    assert (answer.status_code, "likes" in answer.json()["detail"]) == (409, True)


async def test_a_row_that_a_trigger_keeps_is_409_in_words(screen: Site, owned: World) -> None:
    """
    A deletion that the database swallowed is not told as done.
    """
    await run(
        owned.database_url,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER keep BEFORE DELETE ON design_mockups FOR EACH ROW EXECUTE FUNCTION keep();",
    )

    answer = await screen.http.delete(f"/api/design/mockups/{mockup_id(0)}")

    assert (answer.status_code, "trigger" in answer.json()["detail"]) == (409, True)


async def test_a_slot_of_a_removed_row_is_free(screen: Site, owned: World) -> None:
    """
    An old row with an address was the product's prototype; without it the next click makes one.
    """
    product = PRODUCTS[8]
    mockup = mockup_id(8)  # completed, with an address, and without a chat
    await run(owned.database_url, f"UPDATE design_mockups SET user_id = '{ANA}' WHERE id = '{mockup}'")
    reused = await create(screen, {**DIALOG, "product_id": product, "phase_submission_id": None})
    assert (reused.status_code, reused.json()["id"]) == (200, mockup)

    assert (await screen.http.delete(f"/api/design/mockups/{mockup}")).status_code == 200
    made = await create(screen, {**DIALOG, "product_id": product, "phase_submission_id": None})

    assert (made.status_code, made.json()["decision"]["outcome"]) == (201, "created")


@pytest.mark.parametrize("api_version", [1, 2], indirect=True)
async def test_check_status_has_the_names_that_the_later_screens_read(screen: Site, owned: World) -> None:
    """
    What the "Check status" button reads, with their query parameter; it creates nothing.
    """
    made = (await create(screen, LATER_DIALOG)).json()
    path = f"/api/design/check-status/{PRODUCT}?projectId={made['v0_project_id'] or 'undefined'}"

    making = (await screen.http.get(path)).json()
    owned.clock.advance(GENERATION_SECONDS + 3)
    done = (await screen.http.get(path)).json()

    assert (making["is_complete"], making["can_submit_new"]) == (False, False)
    assert (done["is_complete"], done["can_submit_new"], done["project_status"]) == (True, True, "completed")
    assert (done["projectId"], done["project_id"]) == (made["v0_project_id"],) * 2
    assert (done["chat_id"], done["id"]) == (made["v0_chat_id"], made["id"])
    assert owned.chats_created == 1
    assert (await screen.http.get(f"/api/design/check-status/{PRODUCTS[7]}")).status_code == 404


async def test_the_gallery_without_a_token_is_401(screen: Site) -> None:
    """
    Reading needs a token here, whatever it needed there.
    """
    answer = await screen.http.get(f"/api/design/mockups/{PRODUCT}", headers={"Authorization": ""})

    assert answer.status_code == 401


@on_sqlite
async def test_without_a_column_for_it_a_submission_is_ignored(world: World, real_site: Site) -> None:
    """
    On a table of our own the three fields change nothing.
    """
    made = await real_site.create(phase_submission_id="7", use_multi_agent=False, context={"a": [1]})

    assert (made.status_code, made.json()["phase_submission_id"]) == (201, None)
    assert world.chats_created == 1


@on_sqlite
async def test_on_sqlite_a_submission_and_metadata_are_text(world: World) -> None:
    """
    Where the owner's table lives in SQLite, the submission is any text, and metadata what its JSON says.
    """
    await run(world.database_url, "ALTER TABLE design_mockups ADD COLUMN phase_submission_id TEXT")
    async with world.serving() as site:
        made = (await site.create(phase_submission_id="phase 7")).json()
        found = []
        for written in ('{"a": "ä"}', "no json", '{"huge": 1e400}', '{"half": "\\ud800"}'):
            await run(world.database_url, f"UPDATE design_mockups SET metadata = '{written}' WHERE id = '{made['id']}'")
            found.append((await site.listed()).json()["mockups"][0]["metadata"])

    assert made["phase_submission_id"] == "phase 7"
    assert found == [{"a": "ä"}, None, None, None]


@on_sqlite
async def test_the_three_fields_are_deprecated_in_the_description(real_site: Site) -> None:
    """
    OpenAPI says so, and so do the two routes of those screens.
    """
    described = (await real_site.http.get("/openapi.json")).json()
    fields = described["components"]["schemas"]["CreateProject"]["properties"]
    paths = described["paths"]

    assert {name for name, field in fields.items() if field.get("deprecated")} == {
        "phase_submission_id",
        "use_multi_agent",
        "context",
    }
    assert paths["/api/design/check-status/{product_id}"]["get"]["deprecated"] is True
    assert paths["/api/design/mockups/{prototype_id}"]["delete"]["deprecated"] is True
