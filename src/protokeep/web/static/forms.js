// Forms that people write texts into: products to choose from, what exists already, drafts. They work without this.
const body = document.body;

// -- drafts ------------------------------------------------------------------------------------------------

// Kept in this tab, for this person, until the form was sent. None of these fields holds a secret.
const KEPT = ["product_id", "product_name", "prompt", "message"];
const SENT = "draft sent";
const fields = (form) => KEPT.map((name) => form.elements[name]).filter(Boolean);
const place = (form) => `draft of ${body.dataset.me} ${form.dataset.draft}`;

function restore(form) {
  const draft = JSON.parse(sessionStorage.getItem(place(form)) || "null");
  const lost = draft ? fields(form).filter((field) => draft[field.name]?.trim() && draft[field.name] !== field.value) : [];
  if (!lost.length || fields(form).some((field) => field.value && !draft[field.name])) return;
  for (const field of lost) {
    field.value = draft[field.name];
    const fold = field.closest("details");
    if (fold) fold.open = true;
  }
  const note = document.createElement("p");
  note.className = "hint";
  note.setAttribute("role", "status");
  note.innerHTML = 'Your draft is back. <button class="button small" type="button">Start empty</button>';
  note.querySelector("button").addEventListener("click", () => {
    sessionStorage.removeItem(place(form));
    for (const field of lost) field.value = field.defaultValue;
    note.remove();
    fields(form)[0].focus();
    form.dispatchEvent(new Event("input"));
  });
  form.prepend(note);
}

const sent = sessionStorage.getItem(SENT);
if (sent) {
  sessionStorage.removeItem(SENT);
  if (!document.querySelector("main :is(.fault, .trouble)")) sessionStorage.removeItem(sent);
}
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (form?.dataset.draft) sessionStorage.setItem(place(form), JSON.stringify(Object.fromEntries(fields(form).map((field) => [field.name, field.value]))));
});
document.addEventListener("submit", (event) => {
  if (event.target.dataset.draft) sessionStorage.setItem(SENT, place(event.target));
});
document.querySelectorAll("form[data-draft]").forEach(restore);

// -- it exists already ---------------------------------------------------------------------------------------

// Asked when somebody pauses; of two answers the one to the later question stays.
const answer = document.querySelector("[data-similar]");
const form = answer?.closest("form");
let asked = 0;
let typing = 0;
async function similar() {
  const mine = ++asked;
  try {
    const found = await fetch(answer.dataset.similar, { method: "POST", body: new FormData(form), redirect: "error" });
    if (found.ok && mine === asked) answer.innerHTML = (await found.text()).trim();
  } catch { /* The server asks again when the form is sent. */ }
}
function pause() {
  clearTimeout(typing);
  if (form.elements.product_id.value.trim() && !form.elements.another?.checked) typing = setTimeout(similar, 400);
  else { asked++; answer.replaceChildren(); }
}
form?.addEventListener("input", pause);
if (form?.querySelector("[role=status].hint")) pause();

// -- products ------------------------------------------------------------------------------------------------

const product = document.querySelector("input[name=product_id][list], input[name=product_id][data-pick]");
if (product && body.dataset.find) {
  const { combobox } = await import(body.dataset.find);
  product.removeAttribute("list");
  const list = document.createElement("ul");
  product.after(list);
  combobox(product, list, (option) => {
    product.value = option.dataset.product;
    product.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
