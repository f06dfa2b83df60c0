// What a menu offers besides is read when it opens: the filters, and what can be done with a card's product.
document.addEventListener("toggle", async ({ target: menu }) => {
  const card = menu.closest(".card");
  const next = encodeURIComponent(location.pathname + location.search);
  const address = menu.dataset.fill || card && `/prototypes/${card.dataset.of}/menu?next=${next}`;
  if (!address || !menu.open || menu.filled) return;
  menu.filled = true;
  const answer = await fetch(address).catch(() => 0);
  if (!answer.ok || answer.redirected) return menu.filled = false;
  const place = menu.lastElementChild;
  if (!card) place.textContent = "";
  place.insertAdjacentHTML("beforeend", await answer.text());
}, true);
