// The help desk's pages: the chosen theme, and counts that stay true while a page is open. Everything works without it.
"use strict";

(() => {
  const POLL_MS = 15_000;
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem("deskmate-theme");
    } catch {
      return null; // storage is switched off: the system's theme holds
    }
  };
  const show = (theme) => {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  };
  show(stored());

  function switchTheme() {
    const chosen = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const next = chosen === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("deskmate-theme", next);
    } catch {
      /* it holds for this page */
    }
    show(next);
  }

  const badges = () => [...document.querySelectorAll("[data-count]")];

  /* The badges, and the number in the tab's title. */
  function showCounts(counts) {
    for (const badge of badges()) {
      const number = counts[badge.dataset.count] || 0;
      badge.hidden = !number;
      badge.firstElementChild.textContent = number > 99 ? "99+" : `${number}`;
    }
    document.title = document.title.replace(/^\(\d+\+?\) /, "");
    if (counts.queue) document.title = `(${counts.queue > 99 ? "99+" : counts.queue}) ${document.title}`;
  }

  /* The parts of a page that change by themselves are taken from the page as it is now, unless somebody is in them. */
  async function refresh() {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const now = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = now.getElementById(part.id);
      if (fresh && fresh.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) {
        part.replaceChildren(...fresh.childNodes);
      }
    }
  }

  async function poll() {
    if (document.hidden) return;
    try {
      const answer = await fetch("/staff/counts", { headers: { accept: "application/json" } });
      if (answer.ok && (answer.headers.get("content-type") || "").includes("json")) showCounts(await answer.json());
      if (document.querySelector("[data-live]")) await refresh();
    } catch {
      /* the server is away for a moment: the next time will do */
    }
  }

  /* Puts [n] where the text is being written. */
  function cite(button) {
    const text = document.querySelector("#ds-answer");
    const mark = `[${button.dataset.cite}]`;
    const at = text.selectionEnd;
    const space = at && !/\s$/.test(text.value.slice(0, at)) ? " " : "";
    text.setRangeText(space + mark, at, at, "end");
    text.focus();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector(".ds-theme");
    button.hidden = false;
    button.addEventListener("click", switchTheme);
    for (const one of document.querySelectorAll("[data-cite]")) {
      one.hidden = false;
      one.addEventListener("click", () => cite(one));
    }
    poll();
    setInterval(poll, POLL_MS);
    document.addEventListener("visibilitychange", poll);
  });
})();
