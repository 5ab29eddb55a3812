// Opens sources in the panel, and the few keys that make the chat work without a mouse. No dependency, no request but to us.
() => {
  const panel = document.createElement("aside");
  panel.id = "dm-panel";
  panel.hidden = true;
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-labelledby", "dm-source-title");
  panel.innerHTML =
    '<div class="dm-bar"><button type="button" data-step="-1" aria-label="Previous source">‹</button>' +
    '<button type="button" data-step="1" aria-label="Next source">›</button><span class="dm-place"></span>' +
    '<button type="button" data-close aria-label="Close the source">×</button></div><div class="dm-source" tabindex="0"></div>';
  document.body.append(panel);
  const body = panel.querySelector(".dm-source");
  let opener = null;

  const siblings = () => {
    const message = opener && opener.closest(".dm-answer");
    return message ? [...message.querySelectorAll("a.dm-cite")] : [];
  };

  async function open(link) {
    const query = link.getAttribute("href").slice("#source?".length);
    document.querySelectorAll("a.dm-open").forEach((a) => a.classList.remove("dm-open"));
    opener = link;
    link.classList.add("dm-open");
    const reply = await fetch("source?" + query, { credentials: "same-origin" });
    body.innerHTML = reply.ok ? await reply.text() : '<h2 id="dm-source-title">This source is not available.</h2>';
    panel.hidden = false;
    document.body.classList.add("dm-panel-open");
    const links = siblings();
    const place = links.indexOf(link);
    panel.querySelector(".dm-place").textContent = place < 0 ? "" : `Source ${place + 1} of ${links.length}`;
    panel.querySelectorAll("[data-step]").forEach((b) => (b.disabled = place < 0 || links.length < 2));
    const span = body.querySelector("#dm-span");
    if (span) {
      span.scrollIntoView({ block: "center" });
      span.focus({ preventScroll: true });
    }
  }

  function close() {
    panel.hidden = true;
    document.body.classList.remove("dm-panel-open");
    if (opener) {
      opener.classList.remove("dm-open");
      opener.focus();
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#source?"]');
    if (link) {
      event.preventDefault();
      open(link);
    }
    const theme = event.target.closest && event.target.closest("#dm-theme");
    if (theme) {
      const dark = document.body.classList.toggle("dark");
      localStorage.setItem("dm-theme", dark ? "dark" : "light");
    }
  });
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("close" in button.dataset) return close();
    const links = siblings();
    const next = links[(links.indexOf(opener) + Number(button.dataset.step) + links.length) % links.length];
    if (next) open(next);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) {
      event.preventDefault();
      close();
    }
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      document.querySelector("#dm-question textarea")?.focus();
    }
  });

  const chosen = localStorage.getItem("dm-theme");
  if (chosen) document.body.classList.toggle("dark", chosen === "dark");
}
