// Live updates, keys, copying. Every page works without this.
const body = document.body;
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// What screen readers hear: one sentence in five seconds at most. The newest waits; one that is out of date is dropped.
const line = $("#say");
let saidAt = -5000;
let waiting = null;
function say(text, now = false, id = "") {
  const left = saidAt + 5000 - performance.now();
  if (left > 0 && !now) {
    if (!waiting) setTimeout(() => { const next = waiting; waiting = null; if (next?.text) say(next.text, false, next.id); }, left);
    waiting = { text, id };
    return;
  }
  saidAt = performance.now();
  line.textContent = text;
}
const outdated = (id) => { if (waiting?.id === id) waiting.text = ""; };

// What eyes see: at once, over what was there.
const bubble = $("#toast");
let fading = 0;
function toast(text) {
  bubble.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { bubble.textContent = ""; }, 4500);
}
const tell = (text) => { toast(text); say(text, true); };

// -- times -------------------------------------------------------------------------------------------------

const span = (seconds) =>
  seconds < 60 ? `${seconds} s`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
      : `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;

const clock = (at) => at.toLocaleString("en-GB", {
  ...(at.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "long" }),
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});

function tick() {
  if (document.hidden) return;
  const now = Date.now();
  for (const time of $$("time[data-since]")) {
    const text = span(Math.max(0, Math.floor((now - Date.parse(time.dateTime || time.dataset.since)) / 1000)));
    if (time.textContent !== text) time.textContent = text;
  }
}

function age() {
  const now = Date.now();
  for (const time of $$("time[data-ago]")) {
    const minutes = Math.floor((now - Date.parse(time.dateTime)) / 60000);
    if (minutes >= 1 && minutes < 60) time.textContent = `${minutes} min ago`;
    else if (minutes >= 60 && minutes < 1440) time.textContent = `${Math.floor(minutes / 60)} h ago`;
  }
}

// -- swapping ----------------------------------------------------------------------------------------------

// Nothing moves under pointer or focus: such a piece waits until both have left it.
const held = new Map();
// What somebody is writing outlives every swap.
const drafts = new Map();
const written = (root) => $$("textarea", root).find((area) => area.value !== area.defaultValue);
const busy = (old) => old.contains(document.activeElement) && document.activeElement !== body || old.matches(":hover");

function put(piece) {
  const old = document.getElementById(piece.id);
  if (!old) return false;
  // A card stands for its product's current prototype, which may wait to be shown; another variant takes no place.
  const latest = held.get(piece.id) || old;
  if (latest.dataset.of !== piece.dataset.of && !("current" in piece.dataset)) return true;
  if (busy(old) && old.offsetHeight) {
    // What it says may change in place; where things are may not.
    $$(".status", piece).forEach((status, n) => {
      const there = $$(".status", old)[n];
      if (there) there.replaceChildren(...status.cloneNode(true).childNodes);
    });
    held.set(piece.id, piece);
  } else {
    held.delete(piece.id);
    const draft = written(old);
    if (draft) drafts.set(piece.id, draft.value);
    const area = $("textarea", piece);
    if (area && drafts.has(piece.id)) area.value = drafts.get(piece.id);
    const star = $(".star", old);  // Whose favourite it is, no event knows.
    if (star) $(".go", piece)?.before(star);
    old.replaceWith(piece);
    ready(piece);
    follow(piece);
  }
  return true;
}

function settle() {
  for (const [id, piece] of held) {
    const old = document.getElementById(id);
    if (!old) held.delete(id);
    else if (!busy(old)) put(piece);
  }
  $$(".list[data-states] .card").forEach(follow);
}

// Where the things are that somebody is at: these may not move.
const spots = () => [...$$(":is(a, button, summary, input, textarea, select, .card):hover"), document.activeElement]
  .filter((one) => one && one !== body).map((one) => one.getBoundingClientRect()).flatMap(({ x, y }) => [x, y]);

function unmoved(change, undo) {
  const before = spots();
  change();
  if (spots().every((at, n) => Math.abs(at - before[n]) < 1)) return true;
  undo();
  return false;
}

// A card goes to the section of its state; out of the page, if that is not here. It waits if it would move what somebody is at.
function follow(card) {
  const from = card.closest(".list[data-states]");
  if (!from || busy(card) || from.dataset.states.split(" ").includes(card.dataset.state)) return;
  const to = $(`.list[data-states~="${card.dataset.state}"]`);
  const parent = card.parentNode;
  const next = card.nextSibling;
  const empty = (list) => { if (list) list.hidden = !$(".card", list); };
  const made = (one) => $("time[data-ago]", one)?.dateTime || "";
  const done = unmoved(() => {
    card.remove();
    const younger = to && $$(".card", to).find((one) => made(one) < made(card));
    if (to) $(".grid, tbody", to).insertBefore(card, younger || null);
    empty(from);
    empty(to);
  }, () => {
    parent.insertBefore(card, next);
    empty(from);
    empty(to);
  });
  if (done && !$(".card")) reload();
}

function leave(id) {
  document.getElementById(`v${id}`)?.remove();
  const card = $(`.list .card[data-of="${id}"]`);
  const list = card?.closest(".list");
  if (!card || busy(card)) return;
  const next = card.nextSibling;
  const parent = card.parentNode;
  unmoved(() => { card.remove(); list.hidden = !$(".card", list); }, () => { parent.insertBefore(card, next); list.hidden = false; });
}

// The numbers of the tabs. The server sends those of the whole workspace; those of a search are read again, later.
let recount = 0;
function count(numbers) {
  const tabs = $(".tabs[data-whole]");
  if (tabs) for (const tab of $$("[data-tab]", tabs)) $(".num", tab).textContent = numbers[tab.dataset.tab];
  else if ($("[data-tab]")) recount ||= setTimeout(async () => {
    const page = await fresh(location.href).catch(() => null);
    recount = 0;
    for (const tab of page ? $$("[data-tab]") : []) {
      const now = $(`[data-tab="${tab.dataset.tab}"] .num`, page);
      if (now) $(".num", tab).textContent = now.textContent;
    }
  }, 8000 + Math.random() * 8000);
}

function pieces(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return [...template.content.children].flatMap((piece) => (piece.id ? [piece] : $$("[id]", piece)));
}

// A product's page shows one variant whole, and its others in the strip only.
function shown(piece, data) {
  const item = piece.classList.contains("variant");
  if (item && document.getElementById(piece.id)?.querySelector("[aria-current]")) $("a", piece).setAttribute("aria-current", "page");
  return item ? $(".strip") : !live.id || data.id === live.id;
}

// What only script can do is shown only where there is script.
function ready(root) {
  for (const one of $$(".copy, .script", root)) one.hidden = false;
  for (const time of $$("time[data-clock]", root)) time.textContent = clock(new Date(time.dateTime));
  for (const input of $$("input[name=form_token]", root)) if (!input.value) input.value = body.dataset.formToken || "";
  for (const input of $$("input[type=hidden][name=key]", root)) if (!input.value) {
    input.value = `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("")}`;
  }
}

async function fresh(url, headers = { "x-reload": "1" }, signal = null) {
  const answer = await fetch(url, { headers: { accept: "text/html", ...headers }, signal });
  return answer.ok && !answer.redirected ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

async function reload() {
  const page = await fresh(location.href).catch(() => null);  // The stream will come back, and so will this.
  const main = $("main");
  if (!page) return;
  waiting = waiting && { ...waiting, text: "" };
  const there = $("main", page);
  const typing = written(main) || main.contains(document.activeElement) && document.activeElement !== main;
  if (!there || typing || $(".menu[open]", main) || $(".reused", main)) {
    for (const piece of $$(".card[id], #progress, .variant, #standing, #panel, #timeline, #picture, #change, #asked, #ids", page)) put(piece);
    if ($("#news")) $("#news").hidden = false;
  } else {
    main.replaceChildren(...there.childNodes);
    ready(main);
  }
}

// -- live --------------------------------------------------------------------------------------------------

const live = body.dataset.live ? JSON.parse(body.dataset.live) : null;
const knob = $(".switch button");
let on = live && !("liveOff" in body.dataset);
let stream = null;
let last = live?.since;
let again = 0;
let pause = 1000;

// A page whose live updates are lost says so, and since when what it shows may be old.
let lostAt = null;
function connection(works) {
  if (works === (lostAt === null) || !knob) return;
  lostAt = works ? null : new Date();
  knob.form.classList.toggle("lost", !works);
  $("span", knob).textContent = works ? "Live" : "Reconnecting…";
  tell(works ? "Live updates are back." : `Live updates are lost. This page is as of ${clock(lostAt)}.`);
}

// Told are one's own prototypes and the one that the page shows, each state once. Other people's are the list's job.
const told = new Map();
function heard({ id, by, say: text }) {
  if (told.get(id) === text) return;  // An event that repeats a state leaves its sentence to wait.
  outdated(id);
  if (by !== body.dataset.me && live.id !== id) return;
  told.set(id, text);
  if (live.id !== id) toast(text);
  say(text, false, id);
}

function listen() {
  clearTimeout(again);
  if (!on || stream || document.hidden) return;
  const query = new URLSearchParams({ ...live, since: last });
  stream = new EventSource(`/live?${query}`);
  const note = (event) => { last = event.lastEventId || last; };
  stream.addEventListener("hello", (event) => {
    note(event);
    pause = 1000;
    connection(true);
  });
  stream.addEventListener("change", (event) => {
    note(event);
    const data = JSON.parse(event.data);
    const found = pieces(data.html).filter((piece) => shown(piece, data)).map(put);
    const moved = live.on === "product" && data.current && data.id !== live.id;
    if (!found.some(Boolean) && !data.archived || (live.on === "product" && found.includes(false)) || moved) {
      if ($("#news")) $("#news").hidden = false;
      else if (live.on === "home" && $(".first")) reload();
    }
    if (data.archived && live.on === "home" && !new URLSearchParams(location.search).has("archived")) leave(data.id);
    if (data.state === "in_bin") document.getElementById(`v${data.id}`)?.remove();
    if (live.id === data.id) document.title = `${data.say.replace(/\.$/, "")} · protokeep`;
    heard(data);
    tick();
  });
  stream.addEventListener("counts", (event) => count(JSON.parse(event.data)));
  stream.addEventListener("gone", (event) => {
    note(event);
    if ($("#news")) $("#news").hidden = false;
    const { id } = JSON.parse(event.data);
    outdated(id);
    leave(id);
    if (live.id && live.id === id) {
      tell("This prototype was deleted.");
      if (!written(document)) setTimeout(() => location.reload(), 1500);
    }
  });
  stream.addEventListener("resync", (event) => {
    note(event);
    reload();
  });
  stream.onerror = () => {
    // The browser comes back by itself after a break, but not after a refusal.
    connection(false);
    if (stream?.readyState !== EventSource.CLOSED) return;
    stop();
    again = setTimeout(listen, pause);
    pause = Math.min(pause * 2, 60000);
  };
}

function stop() {
  stream?.close();
  stream = null;
}

if (live) {
  listen();
  document.addEventListener("visibilitychange", () => { document.hidden ? stop() : (listen(), tick(), age()); });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted) reload().then(listen); });
  setInterval(() => { tick(); settle(); }, 1000);
  setInterval(age, 30000);
  knob?.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const choice = new URLSearchParams(new FormData(knob.form));
    fetch(knob.form.action, { method: "POST", body: choice, redirect: "manual", keepalive: true });
    on = !on;
    knob.setAttribute("aria-checked", String(on));
    knob.form.elements.live.value = on ? "" : "1";
    tell(on ? "Live updates are on." : "Live updates are off.");
    if (on) reload().then(listen);
    else stop();
  });
}

// -- copying -----------------------------------------------------------------------------------------------

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    tell("Copied.");
  } catch {
    tell("Copying is blocked in this browser. Select the text instead.");
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-copy]");
  if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    copy(new URL(link.dataset.copy, location.href).href);
  }
  const button = event.target.closest("[data-copy-text]");
  if (button) copy(button.dataset.copyText || button.previousElementSibling.textContent);
  for (const menu of $$("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest("a, form:not(.filters) button")) menu.open = false;
  }
});

// Whoever signs in next in this tab finds nobody's drafts.
document.addEventListener("submit", (event) => { if (event.target.getAttribute("action") === "/sign-out") sessionStorage.clear(); });

// Sent once: a second press waits for the first one's answer. The key in the form makes it harmless anyway.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const token = form.elements.form_token;
  if (token && !token.value) token.value = body.dataset.formToken || "";
  const button = $("[data-once]", form);
  if (!button) return;
  if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
  button.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", () => { for (const button of $$("[data-once]")) button.removeAttribute("aria-disabled"); });

// -- searching ---------------------------------------------------------------------------------------------

// Results follow when somebody pauses; the form stays as it is, with the focus and what is typed meanwhile.
const search = $("form[role=search]");
let pausing = 0;
let looking = null;
async function find() {
  looking?.abort();
  looking = new AbortController();
  const query = new URLSearchParams([...new FormData(search)].filter(([, value]) => value));
  const url = `${search.getAttribute("action")}${query.size ? `?${query}` : ""}`;
  const page = await fresh(url, {}, looking.signal).catch(() => null);
  const there = page && $("form[role=search]", page);
  if (!there || !search.isConnected) return;
  while (search.nextSibling) search.nextSibling.remove();
  search.after(...[...there.parentNode.childNodes].slice([...there.parentNode.childNodes].indexOf(there) + 1));
  $("main .head")?.replaceWith($("main .head", page));
  history.replaceState(null, "", url);
  ready($("main"));
  const cards = $$(".list .card").length;
  say(cards ? `${cards} prototype${cards === 1 ? "" : "s"} shown.` : "No prototype matches.", false, "search");
}
search?.addEventListener("input", (event) => {
  clearTimeout(pausing);
  // While prototypes are being selected the list stays: what is selected would be lost.
  if (event.target.type === "search" && !event.isComposing && !$("#chosen")) pausing = setTimeout(find, 350);
});
search?.addEventListener("submit", () => clearTimeout(pausing));

// Ctrl+Enter sends what is being written.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.matches("form:not([role=search]) textarea, form:not([role=search]) input")) return;
  event.preventDefault();
  event.target.form.requestSubmit($("[data-once]", event.target.form));
});

// -- keys --------------------------------------------------------------------------------------------------

const names = () => $$(":is(.card, .variant) .go");
const here = () => document.activeElement?.closest(".card, .variant");

function move(step) {
  const all = names();
  const at = all.findIndex((name) => name.closest(".card, .variant") === here());
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  next?.focus();
  next?.closest(".card, .variant").scrollIntoView({ block: "nearest", inline: "nearest" });
}

const keys = {
  "/": () => $("[data-key='/']")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  n: () => $("[data-key=n]")?.click(),
  c: () => {
    const link = here()?.dataset.link || $(".panel [data-copy]")?.dataset.copy;
    if (link) copy(new URL(link, location.href).href);
  },
  "?": () => $("#help")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of $$("details.menu[open]")) {
    menu.open = false;
    $("summary", menu).focus();
  }
  if (!("keys" in body.dataset) || event.altKey || event.isComposing) return;
  if ((event.metaKey || event.ctrlKey) && event.key === "k" && !event.shiftKey) {
    event.preventDefault();
    import(body.dataset.find).then(({ palette }) => palette());
  }
  if (event.metaKey || event.ctrlKey) return;
  if (event.target.closest("input, textarea, select, dialog[open], [contenteditable]")) return;
  const act = keys[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

// What is under way is read again, as long as it is.
setInterval(() => { if (!document.hidden && $("[data-refresh]")) reload(); }, 4000);

// The variant that a page shows is in sight among the others.
const chosen = $(".variant [aria-current]")?.parentElement;
if (chosen) chosen.parentElement.scrollLeft = chosen.offsetLeft - 40;

// A page that answered a form gets the address of what it shows, so that a reload asks for that.
const address = $("[data-address]")?.dataset.address;
if (address) history.replaceState(null, "", address);
ready(document);
