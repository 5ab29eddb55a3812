// Keys for the page on which people compare answers: 1, 2, 3 choose, Enter saves, Backspace undoes. The forms do the rest.
"use strict";

(() => {
  try {
    const theme = localStorage.getItem("deskmate-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    /* storage is switched off: the system's theme holds */
  }

  const one = (selector, root = document) => root.querySelector(selector);
  const choices = () => [...document.querySelectorAll(".dr-choice")];
  const chosen = (choice) => one(":checked", choice);

  /* The choice that the next digit is for: the first open one, or the last. */
  const next = () => choices().find((choice) => !chosen(choice)) || choices().at(-1);

  function show() {
    for (const choice of choices()) choice.classList.toggle("dr-next", choice === next() && !chosen(choice));
  }

  function say(text) {
    one("#dr-said").textContent = text;
  }

  function choose(key) {
    const choice = next();
    const input = choice.querySelectorAll("input")[key - 1];
    input.checked = true;
    say(`${choice.dataset.name}: ${input.parentElement.textContent.replace(/^\d/, "")}`);
    show();
  }

  function save() {
    const missing = choices().find((choice) => !chosen(choice));
    if (missing) say(`${missing.dataset.name} is not answered yet`);
    one(".dr-form").requestSubmit();
  }

  function undo() {
    const last = choices().filter(chosen).at(-1);
    if (last) {
      chosen(last).checked = false;
      say(`${last.dataset.name} cleared`);
      show();
    } else {
      one("#dr-undo")?.requestSubmit();
    }
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === "Backspace") undo();
    else if (one(".dr-form") && ["1", "2", "3"].includes(event.key)) choose(Number(event.key));
    else if (one(".dr-form") && event.key === "Enter" && !event.target.closest("a, button, summary")) save();
    else return;
    event.preventDefault();
  }

  /* A citation's number opens the passages below its answer. */
  function followed(event) {
    const item = event.target.closest(".dr-chip") && one(event.target.closest(".dr-chip").getAttribute("href"));
    if (!item) return;
    event.preventDefault();
    item.closest("details").open = true;
    item.focus();
  }

  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.addEventListener("click", followed);
    document.addEventListener("change", show);
    // A second click while the first is on its way would only be answered twice.
    document.addEventListener("submit", (event) => {
      if (document.body.dataset.sent) event.preventDefault();
      document.body.dataset.sent = "1";
    });
    window.addEventListener("pageshow", () => delete document.body.dataset.sent);
    if (!one("#dr-rater")) document.addEventListener("keydown", pressed);
  });
})();
