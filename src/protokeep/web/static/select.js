// Choosing cards: all at once, and how many there are.
const boxes = [...document.querySelectorAll(".pick input")];
const all = document.querySelector("[data-all]");
function count() {
  const chosen = boxes.filter((box) => box.checked).length;
  document.querySelector("[data-count]").textContent = chosen ? `${chosen} chosen` : "";
  all.checked = chosen === boxes.length;
  all.indeterminate = chosen > 0 && !all.checked;
}
all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; count(); });
for (const box of boxes) box.addEventListener("change", count);
addEventListener("pageshow", count);
