// Products to choose from while somebody types: beside the form for a prototype, and in the palette of Ctrl+K.
let number = 0;

// The ARIA pattern of a combobox whose list follows what is typed. `first` are options that are there without the server.
export function combobox(input, list, choose, { first = () => [], open = false } = {}) {
  list.id = `options${++number}`;
  list.className = "options";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Products");
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false", autocomplete: "off" })) input.setAttribute(name, value);
  let asked = 0;
  let typing = 0;
  let chosen = false;

  const options = () => [...list.children];
  const active = () => list.querySelector("[aria-selected=true]");
  function mark(option) {
    active()?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
  }
  function show(found) {
    list.replaceChildren(...found);
    options().forEach((option, n) => { option.id = `${list.id}-${n}`; option.setAttribute("aria-selected", "false"); });
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(open ? list.firstElementChild : null);
  }
  const close = () => { asked++; show([]); };
  async function ask() {
    const mine = ++asked;
    const text = input.value.trim();
    if (open) show(first(text));
    try {
      const answer = await fetch(`/find?${new URLSearchParams({ q: text })}`, { headers: { "x-reload": "1" }, redirect: "error" });
      if (!answer.ok || mine !== asked) return;
      const template = document.createElement("template");
      template.innerHTML = await answer.text();
      show([...first(text), ...template.content.children]);
    } catch { /* What is typed can be sent as it is. */ }
  }
  function take(option) {
    chosen = true;
    close();
    choose(option);
    chosen = false;
  }
  input.addEventListener("input", (event) => {
    clearTimeout(typing);
    if (!chosen && !event.isComposing) typing = setTimeout(ask, 150);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const all = options();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (!all.length) return ask();
      const at = all.indexOf(active());
      mark(all[(at + step + all.length + (at < 0 && step < 0 ? 1 : 0)) % all.length]);
    } else if (event.key === "Enter" && active()) {
      event.preventDefault();
      take(active());
    } else if (event.key === "Escape" && all.length && !open) {
      event.preventDefault();
      close();
    }
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) take(option);
  });
  if (!open) input.addEventListener("blur", () => { clearTimeout(typing); close(); });
  show([]);
  if (open) ask();
}

// What the page offers elsewhere: its menu, a new prototype, all prototypes.
function actions() {
  const links = [...document.querySelectorAll("[data-key=n], .brand, .who a, .who form button")];
  return links.map((link) => ({ link, label: link.matches(".brand") ? "All prototypes" : link.matches("[data-key=n]") ? "New prototype" : link.textContent.trim() }));
}

export function palette() {
  if (document.querySelector("dialog[open]")) return;
  const dialog = document.createElement("dialog");
  dialog.id = "palette";
  dialog.setAttribute("aria-label", "Go to");
  dialog.innerHTML = '<input type="text" aria-label="Find a product, or something to do" placeholder="Find a product, or something to do" spellcheck="false" maxlength="200"><ul></ul>';
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.showModal();
  const all = actions();
  const first = (text) => all.filter(({ label }) => label.toLowerCase().includes(text.toLowerCase())).map(({ label }) => {
    const option = document.createElement("li");
    option.setAttribute("role", "option");
    option.dataset.action = label;
    option.textContent = label;
    return option;
  });
  combobox(dialog.querySelector("input"), dialog.querySelector("ul"), (option) => {
    dialog.close();
    if (option.dataset.go) location.href = option.dataset.go;
    else all.find(({ label }) => label === option.dataset.action).link.click();
  }, { first, open: true });
}
