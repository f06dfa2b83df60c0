// A menu's further choices are read when it opens: the filters, and what can be done with a card's product.
document.addEventListener("toggle", async ({ target: menu }) => {
  const card = menu.closest?.(".card");
  const address = menu.dataset?.fill || (card && `/prototypes/${card.dataset.of}/menu?${new URLSearchParams({ next: location.pathname + location.search })}`);
  if (!address || !menu.open || menu.matches(".filled")) return;
  menu.classList.add("filled");
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok || answer.redirected) return menu.classList.remove("filled");
  const place = menu.querySelector("div");
  if (!card) place.replaceChildren();
  place.insertAdjacentHTML("beforeend", await answer.text());
}, true);
