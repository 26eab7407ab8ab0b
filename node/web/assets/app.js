// What a page does beyond htmx. Every page works without this file.
"use strict";

// A second click while the first save is under way must not send the form twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  // A download leaves the page as it is, and may be wanted again.
  if (form.method !== "post" || form.hasAttribute("hx-post") || form.hasAttribute("data-again")) return;
  if (form.dataset.sent === "yes") {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-busy", "true");
});

// A page taken from the history cache was left by a form that had been sent.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("button")) button.removeAttribute("aria-busy");
});

// A list that refreshes itself waits while somebody is in it with the keyboard.
document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  const isPolled = list.getAttribute("hx-trigger")?.startsWith("every");
  if (isPolled && list.contains(document.activeElement)) event.detail.shouldSwap = false;
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
for (const button of document.querySelectorAll("[data-print]")) button.hidden = false;
