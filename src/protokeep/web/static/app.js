// Live updates, keys, copying. Every page works without this.
const body = document.body;
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// One sentence in five seconds at most: the newest waits, the ones between are dropped.
const line = $("#say");
let saidAt = -5000;
let waiting = null;
let fading = 0;
function say(text, now = false) {
  const left = saidAt + 5000 - performance.now();
  if (left > 0 && !now) {
    if (waiting === null) setTimeout(() => { const next = waiting; waiting = null; say(next); }, left);
    waiting = text;
    return;
  }
  saidAt = performance.now();
  line.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { line.textContent = ""; }, 4500);
}

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
  }
  return true;
}

function settle() {
  for (const [id, piece] of held) {
    const old = document.getElementById(id);
    if (!old) held.delete(id);
    else if (!busy(old)) put(piece);
  }
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

async function reload() {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html", "x-reload": "1" } });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = $("main", page);
    const main = $("main");
    const typing = written(main) || main.contains(document.activeElement) && document.activeElement !== main;
    if (!fresh || typing || $(".menu[open]", main) || $(".reused", main)) {
      for (const piece of $$(".card[id], #progress, .variant, #standing, #panel, #timeline, #picture, #change, #asked, #ids", page)) put(piece);
      if ($("#news")) $("#news").hidden = false;
    } else {
      main.replaceChildren(...fresh.childNodes);
      ready(main);
    }
  } catch { /* The stream will come back, and so will this. */ }
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
  say(works ? "Live updates are back." : `Live updates are lost. This page is as of ${clock(lostAt)}.`, true);
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
    if (data.state === "in_bin") document.getElementById(`v${data.id}`)?.remove();
    if (live.id === data.id) document.title = `${data.say.replace(/\.$/, "")} · protokeep`;
    say(data.say);
    tick();
  });
  stream.addEventListener("gone", (event) => {
    note(event);
    if ($("#news")) $("#news").hidden = false;
    const { id } = JSON.parse(event.data);
    document.getElementById(`v${id}`)?.remove();
    if (live.id && live.id === id) {
      say("This prototype was deleted.", true);
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
    say(on ? "Live updates are on." : "Live updates are off.", true);
    if (on) reload().then(listen);
    else stop();
  });
}

// -- copying -----------------------------------------------------------------------------------------------

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.", true);
  } catch {
    say("Copying is blocked in this browser. Select the text instead.", true);
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

// -- it exists already ---------------------------------------------------------------------------------------

// Asked when somebody pauses; of two answers the one to the later question stays. The form works without it.
const place = $("[data-similar]");
let asked = 0;
let typing = 0;
async function similar(form) {
  const mine = ++asked;
  try {
    const answer = await fetch(place.dataset.similar, { method: "POST", body: new FormData(form), redirect: "error" });
    if (answer.ok && mine === asked) place.innerHTML = (await answer.text()).trim();
  } catch { /* The server asks again when the form is sent. */ }
}
place?.closest("form").addEventListener("input", (event) => {
  const form = event.target.form;
  clearTimeout(typing);
  if (form.elements.product_id.value.trim() && !form.elements.another?.checked) typing = setTimeout(similar, 400, form);
  else { asked++; place.replaceChildren(); }
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
  if (!("keys" in body.dataset) || event.metaKey || event.ctrlKey || event.altKey || event.isComposing) return;
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
