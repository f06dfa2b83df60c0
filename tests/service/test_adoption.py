"""Older rows of an owner: followed in the account that shows their chats, and never rewritten by what nobody showed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from foreign_chats import plant
from node import Node
from owner_databases import GENERATIONS, PEOPLE, PRODUCTS, TENANTS, digest, fill, make_generation, statuses
from owner_schemas import run
from protokeep.core.errors import NotNow, ProductUnknown, ProviderError
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import State, Status
from protokeep.core.provider_keys import UNKNOWN_ACCOUNT, KeyOwner
from protokeep.core.reuse import Outcome
from protokeep.core.visible_fields import visible_fields
from protokeep.doctor import examine
from protokeep.service import NewPrototype
from protokeep.service.gallery import Gallery, Search
from protokeep.service.provider_keys import ProviderKeys
from protokeep.service.text_index import TextIndexer
from protokeep.store.migrate import migrate
from protokeep.store.prototypes import Page
from protokeep.wiring import build_application
from tracked import generation_of
from world import ADA, ANN, BOB, KEY, PROMPT, World, settings_of

OTHER_KEY = "key-of-another-account"
ROWS = 48
CHATS = 24


@pytest.fixture
async def owned(empty_pg_url: str) -> AsyncIterator[World]:
    """A world on an owner's newest tables, empty so far, beside chats of v0's API v1."""
    await make_generation(empty_pg_url, "newest")
    await migrate(empty_pg_url)
    async with World.open(empty_pg_url, 1) as world:
        yield world


def chats_of(world: World, count: int, key: str = KEY) -> list[str]:
    """So many finished chats of an account, made before protokeep."""
    return [
        chat.id
        for n in range(count)
        for chat in plant(world, timedelta(days=2, minutes=-n), key=key, initial_version_id=f"v-{n}")
    ]


async def rounds(world: World, node: Node | None = None, count: int = 4, seconds: float = 60) -> None:
    """Some rounds of adoption and of polls."""
    for _ in range(count):
        world.clock.advance(seconds)
        await (node or world.first).keeper.adopt()
        await (node or world.first).sweep()


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_wrong_key_at_the_first_start_changes_no_row_of_the_owner(empty_pg_url: str, generation: str) -> None:
    """
    A wrong key changes nothing in the owner's tables, for days; with the right one everything is followed.
    """
    await make_generation(empty_pg_url, generation)
    await migrate(empty_pg_url)
    async with World.open(empty_pg_url, 1) as world:
        chats = chats_of(world, CHATS)
        ids = await fill(empty_pg_url, ROWS, chats=chats)
        without = (
            ["updated_at"] if generation in ("with_tenants", "supabase") else []
        )  # A trigger of the owner's sets it.
        owners = await digest(empty_pg_url, without=without)
        before, words = await digest(empty_pg_url, tracking=True), await statuses(empty_pg_url)
        wrong = await world.node(key=OTHER_KEY)
        await rounds(world, wrong)
        await rounds(world, wrong, 60, 3 * 3600)

        assert await digest(empty_pg_url, tracking=True) == before
        progress = await wrong.keeper.adoption_progress()
        assert (progress.to_adopt, progress.looking, progress.adopted) == (0, 0, 0)
        assert progress.not_in_any_account >= CHATS
        hidden = await world.get(ids[0])
        assert (hidden.status.value, hidden.state) == (words[ids[0]], State.NOT_VISIBLE)
        assert visible_fields(hidden, world.clock.now)["reason"]["code"] == "not_in_account"

        await rounds(world)
        assert await digest(empty_pg_url, without=without) == owners
        found = [await world.get(mockup_id) for mockup_id in ids[:CHATS]]
        assert {(one.status, one.state) for one in found} == {(Status.COMPLETED, State.READY)}
        assert (await world.keeper.adoption_progress()).adopted == CHATS
        assert world.creates == 0


async def test_no_column_of_the_owners_changes_while_older_rows_are_followed(owned: World) -> None:
    """
    Following a row writes the four tracking columns at most, and not the time of its last change.
    """
    await fill(owned.database_url, ROWS, chats=chats_of(owned, CHATS))
    before = await digest(owned.database_url)

    await rounds(owned)

    assert (await owned.keeper.adoption_progress()).adopted == CHATS
    assert await digest(owned.database_url) == before


async def test_a_click_on_a_row_of_another_account_reuses_it_in_words(owned: World) -> None:
    """
    A click on a row whose chat no account shows gets that row, and the words that say so; nothing is made.
    """
    chats = chats_of(owned, 1, OTHER_KEY)
    (mockup_id,) = await fill(owned.database_url, 1, chats=chats)
    early = await owned.ensure(PRODUCTS[0])
    await rounds(owned)

    late = await owned.ensure(PRODUCTS[0])

    assert {early.prototype.id, late.prototype.id} == {mockup_id}
    assert (early.decision.outcome, late.decision.outcome) == (Outcome.REUSED, Outcome.REUSED)
    assert "app builder account whose key is set here" in late.decision.reason
    with pytest.raises(NotNow, match="app builder account whose key is set here"):
        await owned.keeper.iterate(ANN, mockup_id, "Make it blue")
    assert owned.creates == 0


async def test_every_account_is_asked_about_a_chat_once(owned: World) -> None:
    """
    Chats in no account cost a list and one call each per key, whatever the time.
    """
    await fill(owned.database_url, 20, chats=[f"chat-{n}" for n in range(20)])
    await rounds(owned, count=3)
    assert (owned.calls("chats.getById"), owned.calls("chats.find")) == (20, 1)

    await rounds(owned, count=100, seconds=600)

    assert (owned.calls("chats.getById"), owned.calls("chats.find")) == (20, 1)
    await fill(owned.database_url, 1, chats=["chat-x"], first=20)
    await rounds(owned, count=3)
    assert owned.calls("chats.getById") == 21


async def test_a_row_that_the_old_system_writes_is_followed_within_a_minute(owned: World) -> None:
    """
    A row that the old system writes beside us is followed to its end, as soon as the builder has finished.
    """
    await fill(owned.database_url, ROWS, chats=chats_of(owned, CHATS))
    await rounds(owned)
    chat = await owned.provider(1).create("from the old system", {})
    (mockup_id,) = await fill(owned.database_url, 1, chats=[chat.chat_id], first=ROWS + 1)
    made_at = owned.clock.now.isoformat()
    await run(owned.database_url, f"UPDATE design_mockups SET created_at = '{made_at}' WHERE id = '{mockup_id}'")
    listed = owned.calls("chats.find")

    await owned.adopt()
    assert owned.calls("chats.find") == listed + 1
    await owned.live(30)

    assert (await owned.get(mockup_id)).status is Status.COMPLETED


async def test_a_status_that_the_owner_writes_does_not_end_a_generation(owned: World) -> None:
    """
    "completed", written by the old system in the middle of a generation, is not believed before the builder says so.
    """
    made = await owned.make(PRODUCTS[0])
    await run(owned.database_url, f"UPDATE design_mockups SET project_status = 'completed' WHERE id = '{made.id}'")

    await owned.pass_time(4)
    early = await owned.get(made.id)
    await owned.live(15)

    assert (early.status, early.state) == (Status.IN_PROGRESS, State.MAKING)
    assert (await owned.get(made.id)).status is Status.COMPLETED


async def test_the_builders_word_counts_from_the_first_sight_on(owned: World) -> None:
    """
    A row that the old system called completed too early, or failed, is what the builder says.
    """
    owned.sandbox.set_knobs(generation_seconds=600)
    running = await owned.provider(1).create("still running", {})
    done = chats_of(owned, 1)
    ids = await fill(owned.database_url, 7, chats=[running.chat_id, *("nowhere" for _ in range(5)), *done])

    await owned.adopt()
    await owned.sweep()

    assert [(await owned.get(mockup_id)).status for mockup_id in (ids[0], ids[6])] == [
        Status.IN_PROGRESS,
        Status.COMPLETED,
    ]


async def test_a_chat_is_found_in_the_account_that_it_is_in(owned: World) -> None:
    """
    With keys of several people, each chat is followed in the account that shows it, as soon as its key is there.
    """
    chats = [*chats_of(owned, 2), *chats_of(owned, 2, OTHER_KEY), *chats_of(owned, 2, "key-of-a-third-account")]
    ids = await fill(owned.database_url, 6, chats=chats)
    keys = ProviderKeys(owned.first.context)
    await keys.set(ANN, KeyOwner("default", "ann"), "v0", OTHER_KEY)
    await rounds(owned)

    accounts = [generation_of(await owned.get(mockup_id)).account for mockup_id in ids]
    assert accounts == 2 * ["v0:environment"] + 2 * ["v0:person:default:ann"] + 2 * [UNKNOWN_ACCOUNT]

    await keys.set(BOB, KeyOwner("default", "bob"), "v0", "key-of-a-third-account")
    await owned.first.context.providers.refresh(at_once=True)
    await rounds(owned)
    last = await owned.get(ids[-1])
    assert (generation_of(last).account, last.status) == ("v0:person:default:bob", Status.COMPLETED)
    assert (await owned.keeper.adoption_progress()).is_done


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_an_account_that_cannot_be_asked_concludes_nothing(owned: World, status: int) -> None:
    """
    While v0 refuses the key, rows are being looked for; an outage in the middle is no answer either.
    """
    (mockup_id,) = await fill(owned.database_url, 1, chats=chats_of(owned, 1))
    with owned.knobs(fail_next=[{"status": status, "times": None}]):
        await rounds(owned)
    progress = await owned.keeper.adoption_progress()

    hidden = await owned.get(mockup_id)
    assert (progress.looking, progress.not_in_any_account, progress.failed) == (1, 0, 1)
    assert visible_fields(hidden, owned.clock.now)["reason"]["code"] == "looking_for_account"
    with pytest.raises(NotNow, match="finding out"):
        await owned.keeper.delete(ADA, mockup_id)
    await rounds(owned)
    assert (await owned.get(mockup_id)).status is Status.COMPLETED


async def test_a_key_that_is_refused_delays_no_answer_and_one_that_is_silent_does(
    owned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where v0 refuses one of two keys, the other account's answer counts; where it does not answer, nothing is concluded.
    """
    await fill(owned.database_url, 2, chats=[*chats_of(owned, 1, OTHER_KEY), "nowhere"])
    await ProviderKeys(owned.first.context).set(ANN, KeyOwner("default", "ann"), "v0", OTHER_KEY)
    for status, not_in_any in ((500, 0), (401, 1)):

        async def fail(*_: object, status: int = status, **__: object) -> None:
            raise ProviderError("v0 says no.", code="no", status=status)

        monkeypatch.setattr(owned.provider(1), "list_chats", fail)
        await rounds(owned)
        progress = await owned.keeper.adoption_progress()
        assert (progress.adopted, progress.not_in_any_account, progress.failed) == (1, not_in_any, 1)


async def test_a_row_that_no_account_shows_can_be_deleted(owned: World) -> None:
    """
    A person may delete a row whose chat no account shows; the chat is left alone.
    """
    (chat,) = chats_of(owned, 1, OTHER_KEY)
    ids = await fill(owned.database_url, 7, chats=7 * [chat])
    await rounds(owned)
    failed = await owned.get(ids[6])
    assert (failed.state, visible_fields(failed, owned.clock.now)["reason"]["code"]) == (State.FAILED, "not_in_account")

    for mockup_id in ids:
        assert await owned.keeper.delete(ADA, mockup_id) is None

    assert await owned.rows("SELECT id FROM design_mockups") == []
    assert not owned.sandbox.chats[chat].deleted


async def test_a_chat_that_was_followed_is_not_gone_because_the_key_changed(owned: World) -> None:
    """
    A key of another account does not make rows fail that the former key has shown, however long it is there.
    """
    await fill(owned.database_url, 8, chats=[*chats_of(owned, 4), *chats_of(owned, 4, OTHER_KEY)])
    await rounds(owned)
    words = await statuses(owned.database_url)
    other = await owned.node(key=OTHER_KEY)
    await rounds(owned, other)
    for _ in range(80):  # Somebody looks at each for two hours.
        owned.clock.advance(90)
        for product in PRODUCTS[:8]:
            await other.keeper.status(ANN, product, "v0")
    for _ in range(40):
        await rounds(owned, other, 1, 3600)
        for product in PRODUCTS[:8]:
            await other.keeper.status(ANN, product, "v0")

    assert set((await statuses(owned.database_url)).items()) >= {(i, w) for i, w in words.items() if w == "completed"}
    progress = await other.keeper.adoption_progress()
    assert (progress.adopted, progress.not_in_any_account) == (4, 4)
    await ProviderKeys(other.context).set(ANN, KeyOwner("default", "ann"), "v0", KEY)
    await rounds(owned, other)
    assert (await other.keeper.adoption_progress()).adopted == 8


async def test_a_trigger_of_the_owners_that_refuses_a_row_stops_no_other_one(owned: World) -> None:
    """
    Where a trigger of the owner's refuses one row, the others are followed all the same.
    """
    running = [await owned.provider(1).create(f"prompt {n}", {}) for n in range(2)]
    ids = await fill(owned.database_url, 4, chats=["nowhere", *(chat.chat_id for chat in running)])
    await run(
        owned.database_url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.id = '{ids[1]}' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON design_mockups FOR EACH ROW EXECUTE FUNCTION refuse()",
    )

    await rounds(owned)

    assert (await owned.get(ids[2])).status is Status.COMPLETED
    assert (await statuses(owned.database_url))[ids[1]] == "pending"


async def test_rows_move_to_their_tenants_when_tenants_become_workspaces(owned: World) -> None:
    """
    What was written before the setting was set moves to the workspaces of the tenants, with its slot.
    """
    await fill(owned.database_url, 20, chats=chats_of(owned, 10))
    await rounds(owned)
    made = await owned.make(PRODUCTS[0], create_new=True)
    owned.tenants_are_workspaces = True
    node = await owned.node()
    await rounds(owned, node)

    first, second = (person(tenant) for tenant in TENANTS)
    again = await node.keeper.ensure(first, NewPrototype(PRODUCTS[0], PROMPT))
    assert again.prototype.id == made.id
    assert len((await node.keeper.list(second, PRODUCTS[5], Page()))[0]) == 2
    assert (await node.keeper.list(ANN, PRODUCTS[0], Page()))[0] == []


@pytest.fixture
async def guest(owned: World) -> AsyncIterator[str]:
    """The address of the owned database for a role that owns nothing, and may do everything with all tables."""
    address = owned.database_url
    role = f"guest_{address.rpartition('/')[2]}"
    await run(
        address,
        f"CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    )
    yield address.replace("protokeep@", f"{role}@")
    await run(address, f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_role_that_owns_nothing_works(owned: World, guest: str) -> None:
    """
    A role without ownership adopts, creates, follows and deletes.
    """
    ids = await fill(owned.database_url, 8, chats=chats_of(owned, 4))
    owned.database_url = guest
    node = await owned.node(immediate=True)
    await rounds(owned, node)

    assert (await node.keeper.adoption_progress()).adopted == 4
    made = await node.keeper.ensure(ANN, NewPrototype(PRODUCTS[9], PROMPT))
    assert made.accepted
    assert await node.keeper.delete(ADA, ids[0]) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE design_mockups ENABLE ROW LEVEL SECURITY", "Row-level security hides rows of design_mockups"),
        ("ALTER TABLE products ENABLE ROW LEVEL SECURITY", "Row-level security hides rows of products"),
        ("REVOKE UPDATE ON design_mockups FROM {role}", "may not UPDATE in design_mockups"),
    ],
)
async def test_a_role_that_does_not_see_the_table_as_it_is_serves_nothing(
    owned: World, guest: str, change: str, words: str
) -> None:
    """
    A role that row-level security or missing rights bind is not ready, and says why; it goes on when that is mended.
    """
    role = guest.partition("//")[2].partition("@")[0]
    await run(owned.database_url, change.format(role=role))
    address, owned.database_url = owned.database_url, guest
    async with owned.serving(await owned.node(immediate=True), real=False) as site:
        answers = [await site.http.get("/readyz"), await site.listed(PRODUCTS[0]), await site.create(PRODUCTS[0])]
        assert [answer.status_code for answer in answers] == [503, 503, 503]
        assert words in answers[0].text
        assert await site.node.keeper.sweep() == 0
        await run(
            address,
            "ALTER TABLE design_mockups DISABLE ROW LEVEL SECURITY; ALTER TABLE products DISABLE ROW LEVEL SECURITY;"
            f" GRANT UPDATE ON design_mockups TO {role}",
        )
        assert (await site.http.get("/readyz")).status_code == 200
        assert (await site.listed(PRODUCTS[0])).status_code == 200


async def test_doctor_names_what_is_wrong_with_an_owners_table(owned: World, guest: str) -> None:
    """
    doctor says who does not see the rows, that tenants are mixed, and how many chats are in no account.
    """
    await fill(owned.database_url, 12, chats=chats_of(owned, 3, OTHER_KEY))
    await rounds(owned)

    async def doctor(url: str) -> dict[str, str]:
        settings = settings_of(database_url=url, v0_api_key=KEY, v0_base_url=owned.v0_url, secret_key="s" * 40)
        return {finding.name: f"{finding.text}; {finding.fix}" for finding in await examine(settings)}

    findings = await doctor(owned.database_url)
    assert "several tenants" in findings["tenants"]
    assert findings["older rows"].startswith("4 older rows: no v0 account")
    await run(owned.database_url, "ALTER TABLE design_mockups ENABLE ROW LEVEL SECURITY")
    assert "hides rows of design_mockups" in (await doctor(guest))["design_mockups"]


async def test_a_policy_that_shows_everything_hides_nothing(owned: World, guest: str) -> None:
    """
    Row-level security with a policy that lets our role see and change everything is no fault.
    """
    role = guest.partition("//")[2].partition("@")[0]
    await run(
        owned.database_url,
        "ALTER TABLE design_mockups ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY ours ON design_mockups TO {role} USING (true) WITH CHECK (true)",
    )
    owned.database_url = guest
    node = await owned.node()

    assert (await node.store.ready()).fault is None


async def test_a_row_without_a_chat_takes_the_chat_of_its_project(owned: World) -> None:
    """
    Of a project's chats a row takes the one that was made nearest to it; each row its own one, and a click reuses it.
    """
    made = owned.clock.now - timedelta(days=2)
    near, late = (plant(owned, age, initial_version_id="v-1")[0] for age in (timedelta(days=2), timedelta(hours=1)))
    project = await owned.provider(1)._http.request("POST", "projects", body={"name": "V0 Project"})  # type: ignore[attr-defined]
    near.project_id = late.project_id = project["id"]
    ids = await fill(owned.database_url, 2)
    await run(
        owned.database_url,
        f"UPDATE design_mockups SET v0_project_id = '{project['id']}', project_status = 'pending', project_url = NULL,"
        f" provider = 'v0', created_at = '{made.isoformat()}'",
    )
    assert (await owned.ensure(PRODUCTS[0])).decision.outcome is Outcome.REUSED

    await rounds(owned)

    assert {(await owned.get(mockup_id)).chat_id for mockup_id in ids} == {near.id, late.id}
    assert owned.creates == 0


async def test_a_chat_that_the_old_system_names_or_makes_later_is_found(owned: World) -> None:
    """
    The old system makes a project and its row first, the chat after that, and at times names it in the row.
    """
    project = await owned.provider(1)._http.request("POST", "projects", body={"name": "V0 Project"})  # type: ignore[attr-defined]
    ids = await fill(owned.database_url, 2)
    await run(
        owned.database_url,
        f"UPDATE design_mockups SET v0_project_id = '{project['id']}', created_at = '{owned.clock.now.isoformat()}'",
    )
    await rounds(owned)
    assert (await owned.keeper.adoption_progress()).not_in_any_account == 2

    made, named = plant(owned, timedelta(0), 2, initial_version_id="v-1")
    made.project_id = project["id"]
    await run(owned.database_url, f"UPDATE design_mockups SET v0_chat_id = '{named.id}' WHERE id = '{ids[1]}'")
    await rounds(owned)

    assert [(await owned.get(mockup_id)).chat_id for mockup_id in ids] == [made.id, named.id]
    assert (await owned.keeper.adoption_progress()).adopted == 2


async def test_a_project_that_no_account_shows_blocks_no_product(owned: World) -> None:
    """
    Where no account shows the project, a click makes a new prototype.
    """
    await fill(owned.database_url, 1)
    await run(
        owned.database_url,
        "UPDATE design_mockups SET v0_project_id = 'gone', project_status = 'pending', project_url = NULL",
    )
    await rounds(owned)

    assert (await owned.ensure(PRODUCTS[0])).decision.outcome is Outcome.REPLACED


async def test_a_chat_goes_with_the_last_row_that_names_it(owned: World) -> None:
    """
    Deleting one of two rows that share a chat leaves the chat to the other; the last one takes it along.
    """
    (chat,) = chats_of(owned, 1)
    ids = await fill(owned.database_url, 11, chats=[chat, *("nowhere" for _ in range(9)), chat])
    await rounds(owned)

    assert await owned.keeper.delete(ADA, ids[0]) is None
    assert not owned.sandbox.chats[chat].deleted
    assert await owned.keeper.delete(ADA, ids[10]) is None
    assert owned.sandbox.chats[chat].deleted


async def test_a_second_row_for_a_chat_of_ours_is_followed_where_that_one_is(owned: World) -> None:
    """
    The old system writes a row of its own for the chat that we made: it costs no search, whatever the API's version.
    """
    owned.api_version = 2
    node = await owned.node()
    made = await node.keeper.get(ANN, (await owned.make(PRODUCTS[0])).id)
    (mockup_id,) = await fill(owned.database_url, 1, chats=[made.chat_id or ""])

    await owned.adopt()

    second = await owned.get(mockup_id)
    assert generation_of(second).account == generation_of(made).account
    assert owned.calls("chats.getById") == 0


async def test_what_the_owners_screens_delete_stays_deleted(owned: World) -> None:
    """
    A row, or its product, that the owner deletes while nobody runs does not come back with the next start.
    """
    made = [await owned.complete(product) for product in PRODUCTS[:2]]
    await run(owned.database_url, f"DELETE FROM design_mockups WHERE id = '{made[0].id}'")
    await run(owned.database_url, f"DELETE FROM products WHERE id = '{PRODUCTS[1]}'")
    owned.clock.advance(3600)

    node = await owned.node(single_process=True)
    for _ in range(5):
        owned.clock.advance(60)
        await node.keeper.reconcile()
        await node.sweep()

    assert await owned.rows("SELECT id FROM design_mockups") == []


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_rows_of_every_kind_are_shown_everywhere(empty_pg_url: str, generation: str) -> None:
    """
    NULLs, unknown words and zone-less times are shown in lists, as a status, on the page, and answer a create.
    """
    await make_generation(empty_pg_url, generation)
    await fill(empty_pg_url, 80)
    await migrate(empty_pg_url)
    async with World.open(empty_pg_url, 1) as world, world.serving(real=False) as site:
        for product in PRODUCTS:
            listed = await site.listed(product, limit=3)
            cursor = listed.json()["next_cursor"]
            further = await site.listed(product, limit=3, cursor=cursor)
            answers = [listed, further, await site.status(product), await site.create(product)]
            assert [answer.status_code for answer in answers][:3] == [200, 200, 200], [one.text for one in answers]
            assert answers[3].status_code in (200, 201, 202, 422)
            ids = [one["id"] for one in listed.json()["mockups"] + further.json()["mockups"]]
            assert len(set(ids)) == 6
        for path in ("/", f"/products/{PRODUCTS[0]}", "/?q=Prompt"):
            answer = await site.http.get(path, follow_redirects=True)
            assert answer.status_code < 500, path


def person(tenant: str) -> Principal:
    return Principal(tenant, PEOPLE[0], Role.MAKER, f"token-of-{tenant}")


async def test_a_tenant_sees_and_gets_its_own_rows_only(empty_pg_url: str) -> None:
    """
    Older rows belong to the workspace of their tenant; another tenant's product is as unknown as one that is not there.
    """
    await make_generation(empty_pg_url, "newest")
    await migrate(empty_pg_url)
    async with World.open(empty_pg_url, 1, tenants_are_workspaces=True) as world:
        chats = chats_of(world, 10)
        await fill(empty_pg_url, 40, chats=chats)
        first, second = (person(tenant) for tenant in TENANTS)
        for _ in range(2):  # Before they are adopted, and after.
            assert len(await world.listed(PRODUCTS[0], who=first)) == 4
            assert await world.listed(PRODUCTS[0], who=second) == []
            assert await world.listed(PRODUCTS[0]) == []
            await rounds(world)
        before = await world.contents()
        for who in (second, ANN):
            with pytest.raises(ProductUnknown):
                await world.ensure(PRODUCTS[0], who=who, create_new=True)
        assert await world.contents() == before

        again = await world.ensure(PRODUCTS[0], who=first)
        other = await world.ensure(PRODUCTS[5], who=second, create_new=True)

        assert again.decision.outcome is Outcome.REUSED
        (row,) = await world.rows(f"SELECT tenant_id FROM design_mockups WHERE id = '{other.prototype.id}'")
        assert str(row["tenant_id"]) == TENANTS[1]


@pytest.mark.parametrize(
    ("settings", "mapped"),
    [({}, False), ({"claim_workspace": "tenant_id"}, True), ({"tenants_are_workspaces": True}, True)],
)
async def test_tenants_are_workspaces_where_a_workspace_claim_is_set(
    owned: World, settings: dict[str, object], mapped: bool
) -> None:
    """
    The setting is on by default where a claim names the workspace, and can be set by itself.
    """
    chosen = settings_of(database_url=owned.database_url, secret_key="s" * 40, **settings)
    async with build_application(chosen, migrating=False) as application:
        table = await application.keeper.context.store.owner_table()

    assert table.tenants_are_workspaces == mapped


async def test_products_have_the_names_of_the_owner(owned: World) -> None:
    """
    A prototype, its card and a search know the name that the owner's own table has for its product.
    """
    await fill(owned.database_url, 10)

    (shown, *_) = await owned.listed(PRODUCTS[0])
    async with owned.serving(real=False) as site:
        view = (await site.listed(PRODUCTS[0])).json()["mockups"][0]
    await TextIndexer(owned.first.context).index_all()  # The owner's programs wrote the rows.
    gallery = Gallery(owned.first.context)
    page, _ = await gallery.find(ANN, Search("Product"), 20)

    assert {card.prototype.product_id for card in page.cards} == set(PRODUCTS)
    assert await gallery.product_name(ANN, PRODUCTS[1]) == "Product number 2"
    assert shown.product_name == view["product_name"] == "Product number 1"


async def test_older_rows_of_a_sqlite_file_are_followed_too(empty_sqlite_url: str) -> None:
    """
    In an owner's SQLite file, rows of every kind of time are shown, and those that name a chat are followed.
    """
    await run(
        empty_sqlite_url,
        "CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT);"
        "CREATE TABLE design_mockups (id TEXT PRIMARY KEY, product_id TEXT REFERENCES products (id), user_id TEXT,"
        " provider TEXT, prompt TEXT, created_at TEXT, updated_at TEXT); INSERT INTO products VALUES ('p-1', 'Shop')",
    )
    await migrate(empty_sqlite_url)
    async with World.open(empty_sqlite_url, 1) as world:
        chats = chats_of(world, 5)
        times = ["'2025-01-01 10:00:00'", "NULL", "'2025-01-02T10:00:00Z'", "'yesterday'", "1732700000"]
        for n, (chat, made_at) in enumerate(zip(chats, times, strict=True)):
            await run(
                empty_sqlite_url,
                "INSERT INTO design_mockups (id, product_id, provider, v0_chat_id, created_at)"
                f" VALUES ('00000000-0000-4000-8000-00000000000{n}', 'p-1', 'v0', '{chat}', {made_at})",
            )
        before = await world.listed("p-1")
        await rounds(world)
        after = await world.listed("p-1")

        assert len(before) == 5
        assert {(one.status, one.product_name) for one in after} == {(Status.COMPLETED, "Shop")}
        assert (await world.ensure("p-1")).decision.outcome is Outcome.REUSED


async def test_the_progress_is_there_while_something_is_left_to_find_out(owned: World) -> None:
    """
    What a round found out is shown for some minutes, and not any more when nothing is left.
    """
    keeper = owned.first.keeper
    assert keeper.adoption_under_way() is None
    await fill(owned.database_url, 8, chats=chats_of(owned, 8))
    with owned.knobs(fail_next=[{"status": 503, "times": None}]):
        owned.clock.advance(60)
        await keeper.adopt()
    under_way = keeper.adoption_under_way()
    assert under_way is not None
    assert (under_way.looking, under_way.percent) == (8, 0)

    owned.clock.advance(300)
    assert keeper.adoption_under_way() is None
