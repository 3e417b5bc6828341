// What happens without the server: filters become addresses, keys press buttons, layers and phrases light masks.
"use strict";

function go(address) {
  const link = Object.assign(document.createElement("a"), { href: address });
  document.body.append(link);
  link.click();
  link.remove();
}

// ---- filters: the form's values are the view's address -------------------------------------------------
let focused = null;

function submit(form) {
  const given = [...new FormData(form)].filter(([name, value]) => value !== form.elements[name].dataset.default && value !== "");
  focused = document.activeElement?.name;
  setTimeout(() => (focused = null), 2000);
  go(form.dataset.go + (given.length ? "?" + new URLSearchParams(given) : ""));
}
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-go]");
  if (form) submit(form);
});
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-go]");
  if (!form) return;
  event.preventDefault();
  submit(form);
});

// ---- after a view was exchanged: keep the focus in the filter, tell which view is shown ------------------
new MutationObserver(() => {
  for (const link of document.querySelectorAll(".top nav a")) {
    const here = link.getAttribute("href") === (location.pathname === "/record" ? "/records" : location.pathname);
    if (here === link.hasAttribute("aria-current")) continue;
    link.toggleAttribute("aria-current", here);
    if (here) link.scrollIntoView({ block: "nearest", inline: "center" });
  }
  if (!focused) return;
  const field = document.querySelector(`form[data-go] [name="${CSS.escape(focused)}"]`);
  if (!field || document.activeElement === field) return;
  field.focus({ preventScroll: true });
  focused = null;
}).observe(document.documentElement, { childList: true, subtree: true });

// ---- the stage: one base picture, layers over it, regions that are lit ------------------------------------
function stage() {
  return document.querySelector("[data-stage]");
}
function base(side) {
  stage()?.classList.remove("show-real", "show-fake", "show-difference");
  stage()?.classList.add("show-" + side);
  for (const button of document.querySelectorAll("[data-base]"))
    button.setAttribute("aria-pressed", String(button.dataset.base === side));
}
function light(event, on) {
  const source = event.target.closest?.("[data-lights]");
  if (!source) return;
  const region = document.querySelector(`[data-region="${CSS.escape(source.dataset.lights)}"]`);
  region?.classList.toggle("lit", on);
  stage()?.classList.toggle("lighting", on);
}
for (const [name, on] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]])
  document.addEventListener(name, (event) => light(event, on));
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-base], [data-layer]");
  if (!button) return;
  if (button.dataset.base) return base(button.dataset.base);
  const shown = stage().classList.toggle("show-" + button.dataset.layer);
  button.setAttribute("aria-pressed", String(shown));
});

// ---- keys: each presses what carries it in data-key; none while text is typed ------------------------------
let before = null;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape" && typing) return typing.blur();
  if (typing) return;
  if (event.key === " " && stage() && !event.target.closest("button, a, summary")) {
    event.preventDefault();
    before ??= document.querySelector('[data-base][aria-pressed="true"]')?.dataset.base;
    return base("real");
  }
  if (event.repeat) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.matches("input")) target.focus();
  else target.click();
});
document.addEventListener("keyup", (event) => {
  if (event.key !== " " || !before) return;
  base(before);
  before = null;
});
