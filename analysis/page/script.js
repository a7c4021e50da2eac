"use strict";
const cards = [...document.querySelectorAll(".card")];
const filters = document.getElementById("filters");
const detail = document.getElementById("detail");
const text = document.getElementById("text");
const order = document.getElementById("order");
for (const card of cards) {
  card.values = JSON.parse(card.dataset.values);
  card.metrics = JSON.parse(card.dataset.metrics);
}

function isWanted(card) {
  const words = text.value.toLowerCase().split(/\s+/);
  const selects = [...filters.querySelectorAll("select[data-key]")];
  return words.every((word) => card.dataset.text.includes(word)) &&
    selects.every((select) => !select.value || card.values[select.dataset.key] === select.value);
}

function visible() {
  return [...document.querySelectorAll(".card:not([hidden])")];
}

function show() {
  for (const card of cards) card.hidden = !isWanted(card);
  document.getElementById("count").textContent = `${visible().length} of ${cards.length}`;
}

/* Cards that were not measured come last, whichever way. */
function sort() {
  const [way, name] = order.value.split(" ");
  const rank = (card) => (name in card.metrics ? Number(way) * card.metrics[name] : Infinity);
  const sorted = [...cards];
  if (name) sorted.sort((a, b) => rank(a) - rank(b) || a.dataset.number - b.dataset.number);
  document.querySelector(".cards").append(...sorted);
}

function button(sign, label, action) {
  const made = document.createElement("button");
  made.textContent = sign;
  made.setAttribute("aria-label", label);
  made.onclick = action;
  return made;
}

function open(card) {
  const at = (by) => visible()[visible().indexOf(card) + by];
  const go = (by) => at(by) && open(at(by));
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.append(button("←", "previous", () => go(-1)), button("→", "next", () => go(1)),
    button("✕", "close", () => detail.close()));
  detail.className = card.className.replace("card", "");
  detail.replaceChildren(bar, ...[...card.childNodes].map((node) => node.cloneNode(true)));
  detail.querySelector(".more").hidden = false;
  detail.onkeydown = (event) => {
    if (event.key === "ArrowLeft") go(-1);
    if (event.key === "ArrowRight") go(1);
  };
  if (!detail.open) detail.showModal();
  detail.scrollTop = 0;
}

for (const card of cards) {
  card.addEventListener("click", () => open(card));
  card.addEventListener("keydown", (event) => event.key === "Enter" && open(card));
}
for (const tile of document.querySelectorAll(".tile")) {
  tile.addEventListener("click", (event) => {
    event.preventDefault();
    open(document.querySelector(tile.getAttribute("href")));
  });
}
detail.addEventListener("click", (event) => event.target === detail && detail.close());
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("input", show);
order.addEventListener("change", sort);
show();
