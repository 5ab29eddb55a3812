// The list of conversations, the thumbs, and talks with people: plain requests to /chats. Needs chat.js before it.
"use strict";

deskmate.chats = (() => {
  const { one, all, narrow, question } = deskmate;
  const overlaid = window.matchMedia("(max-width: 1099px)"); // the list lies over the page, and goes when it was used
  let panel = null;
  let found = null; // what was searched for when the list came

  /* Requests. What goes wrong is a sentence. */

  async function request(address, body) {
    const options = body === undefined ? { cache: "no-store" } : {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }; // prettier-ignore
    let reply;
    try {
      reply = await fetch(`/chats/${address}`, options);
    } catch {
      throw new Error("The help desk cannot be reached. Try again in a moment.");
    }
    if (reply.status === 401) location.reload(); // to the sign-in, and back here
    const html = reply.headers.get("content-type")?.startsWith("text/html");
    const told = html ? await reply.text() : await reply.json().catch(() => ({}));
    if (!reply.ok) throw new Error(told.detail || "This did not work. Try again in a moment.");
    return told;
  }

  function say(text) {
    const status = one("#dm-past-said");
    if (status) status.textContent = text;
  }

  function hint(text) {
    const line = one(".dm-hint");
    if (line) line.textContent = text;
  }

  /* The list. */

  function mount(element) {
    panel = one("#dm-past-panel", element);
    const search = one("#dm-find", panel);
    let later = 0;
    search.addEventListener("input", () => {
      clearTimeout(later);
      later = setTimeout(() => load(true), 200);
    });
    panel.addEventListener("click", onClick);
    panel.addEventListener("keydown", (event) => {
      const menu = event.target.closest(".dm-menu[open]");
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      if (menu) {
        menu.open = false;
        one("summary", menu).focus();
      } else if (event.target === search && search.value) {
        search.value = "";
        load(true);
      } else if (overlaid.matches) toggle(false);
    });
    panel.addEventListener("toggle", (event) => { // one menu at a time
      if (event.target.open) for (const menu of all(".dm-menu[open]", panel)) if (menu !== event.target) menu.open = false;
    }, true); // prettier-ignore
    document.addEventListener("click", (event) => {
      for (const menu of all(".dm-menu[open]", panel)) if (!menu.contains(event.target)) menu.open = false;
      if (event.target.id === "dm-past") toggle(false); // the dimmed page beside the sheet
    });
    one('[data-do="past"]', panel).addEventListener("click", () => toggle(false));
    one('[data-do="fresh"]', panel).addEventListener("click", () => deskmate.fresh());
    show(!overlaid.matches && stored() !== "closed", false);
  }

  const stored = () => {
    try {
      return localStorage.getItem("deskmate-past");
    } catch {
      return null;
    }
  };

  function show(open, focus = true) {
    const opener = one('#dm-top [data-do="past"]');
    panel.hidden = !open;
    document.body.classList.toggle("dm-lists", open);
    opener?.setAttribute("aria-expanded", String(open));
    for (const behind of all("#dm-transcript, #dm-composer, #dm-side")) behind.inert = open && overlaid.matches;
    if (open) {
      load();
      if (focus) one(overlaid.matches ? '[data-do="past"]' : "#dm-find", panel).focus({ preventScroll: true });
    } else if (focus) opener?.focus({ preventScroll: true });
  }

  function toggle(open = panel.hidden) {
    show(open);
    if (overlaid.matches) return;
    try {
      localStorage.setItem("deskmate-past", open ? "open" : "closed");
    } catch {
      /* then it holds for this visit */
    }
  }

  // The sheet covers the page: it goes once something was chosen.
  function away() {
    if (panel && overlaid.matches && !panel.hidden) show(false, false);
  }

  async function load(searched = false) {
    const search = one("#dm-find", panel).value.trim();
    found = search;
    try {
      const html = await request(`list?search=${encodeURIComponent(search)}`);
      if (found !== search) return;
      const list = one("#dm-past-list", panel);
      if (list.written !== html) list.innerHTML = list.written = html; // escaped by app.chat.listing
      mark(deskmate.current());
      one('[data-past="erase-all"]', panel).hidden = !search && !all("li", list).length;
      if (searched) say(search ? `${all("li", list).length} found` : "");
    } catch (error) {
      say(error.message);
    }
  }

  // After every answer, and when another conversation is shown: not while somebody uses a menu.
  function refresh() {
    if (panel && !panel.hidden && !one(".dm-menu[open]", panel)) load();
  }

  function mark(id) {
    if (!panel) return;
    for (const item of all(".dm-past-item", panel)) {
      const link = one("a", item);
      if (item.dataset.conversation === id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  function onClick(event) {
    const item = event.target.closest(".dm-past-item");
    const link = event.target.closest(".dm-past-item > a");
    const action = event.target.closest("[data-past]")?.dataset.past;
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      deskmate.open(item.dataset.conversation);
      away();
    } else if (event.target.closest("a[download]")) item.querySelector(".dm-menu").open = false;
    else if (action === "rename") rename(item, event.target);
    else if (action === "erase") erase(item);
    else if (action === "erase-all") eraseAll();
  }

  // Where the focus comes back to when the dialog that follows has closed.
  function closeMenu(item) {
    one(".dm-menu", item).open = false;
    one("summary", item).focus();
  }

  async function rename(item, button) {
    closeMenu(item);
    const title = one("a", item).textContent;
    const typed = await ask({ title: "Rename", field: title, most: button.dataset.most, yes: "Rename" });
    if (typed?.trim()) await change(() => request(`${item.dataset.conversation}/title`, { title: typed }), "Renamed.");
  }

  async function erase(item) {
    closeMenu(item);
    const id = item.dataset.conversation;
    const text = `“${one("a", item).textContent}” will be erased for good, with what you said of its answers and with any talk with the help desk.`;
    if ((await ask({ title: "Erase this conversation?", text, yes: "Erase", danger: true })) === null) return;
    await change(() => request(`${id}/erase`, {}), "Erased.");
    if (id === deskmate.current()) deskmate.fresh();
    else one("#dm-find", panel).focus();
  }

  async function eraseAll() {
    const text = "All of your conversations will be erased for good, with everything that hangs on them.";
    if ((await ask({ title: "Erase all conversations?", text, yes: "Erase all", danger: true })) === null) return;
    await change(() => request("erase", {}), "All erased.");
    deskmate.fresh();
  }

  async function change(action, done) {
    try {
      await action();
      one("#dm-find", panel).value = one("#dm-find", panel).value; // what was searched for stays
      await load();
      say(done);
    } catch (error) {
      say(error.message);
      hint(error.message);
    }
  }

  /* Asks something in a dialog: null for no, else what was typed. */

  function ask({ title, text = "", field = null, most = 80, yes, danger = false }) {
    const dialog = one("#dm-ask");
    const input = one("#dm-ask-field input", dialog);
    const button = one('[value="yes"]', dialog);
    one("#dm-ask-title", dialog).textContent = title;
    one("#dm-ask-text", dialog).textContent = text;
    one("#dm-ask-field", dialog).hidden = field === null;
    input.required = field !== null;
    input.value = field || "";
    input.maxLength = most;
    button.textContent = yes;
    button.classList.toggle("dm-danger", danger);
    dialog.returnValue = "";
    dialog.showModal();
    if (field !== null) input.select();
    else one('[value=""]', dialog).focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue ? input.value : null), { once: true });
    });
  }

  /* Thumbs. */

  document.addEventListener("click", (event) => {
    const judge = event.target.closest(".dm-judge");
    if (!judge) return;
    const thumb = event.target.closest("[data-verdict]");
    const action = event.target.closest("[data-judge]")?.dataset.judge;
    if (thumb) {
      const verdict = thumb.getAttribute("aria-pressed") === "true" ? "" : thumb.dataset.verdict;
      judged(judge, { verdict, asking: verdict === "down" }, `[data-verdict="${thumb.dataset.verdict}"]`);
    } else if (action === "ask") judged(judge, null, "input");
    else if (action === "later") judged(judge, undefined, '[data-verdict="down"]');
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".dm-why")) return;
    event.preventDefault();
    const form = event.target;
    const reason = one("input:checked", form)?.value || "";
    const correction = one("textarea", form).value;
    judged(form.closest(".dm-judge"), { verdict: "down", reason, correction }, '[data-verdict="down"]');
  });

  // With something to say it is said; with null the form is asked for, with undefined it goes. Then `focus` has it.
  async function judged(judge, sent, focus) {
    const id = judge.dataset.exchange;
    try {
      const asked = sent ? undefined : `judge/${id}?asking=${sent === null}`;
      const html = await (sent ? request(`judge/${id}`, sent) : request(asked));
      const next = document.createElement("template");
      next.innerHTML = html; // escaped by app.chat.feedback
      const place = next.content.firstElementChild;
      judge.replaceWith(place);
      const first = sent?.asking ? one(".dm-why input", place) : one(focus, place);
      first?.focus({ preventScroll: true });
      place.scrollIntoView({ block: "nearest" });
      say(sent ? (sent.verdict ? "Thank you, it is kept." : "Taken back.") : "");
    } catch (error) {
      hint(error.message);
    }
  }

  /* Talks with people. */

  const PULSE = 3000;
  let stage = "";
  let last = 0;
  let timer = 0;

  async function handOver(button) {
    const dialog = one("#dm-hand");
    const note = one("textarea", dialog);
    const problem = one(".dm-problem", dialog);
    const preview = one("#dm-hand-preview", dialog);
    const conversation = deskmate.current();
    problem.textContent = note.value = "";
    preview.innerHTML = "";
    try {
      preview.innerHTML = await request(`talk?conversation=${conversation}`); // escaped by app.chat.handing
    } catch (error) {
      return hint(error.message);
    }
    one("small", note.parentElement).hidden = !conversation;
    dialog.returnValue = "";
    dialog.showModal();
    note.focus();
    one("form", dialog).onsubmit = async (event) => {
      if (!event.submitter?.value) return; // cancelled: the dialog closes by itself
      event.preventDefault();
      try {
        const told = await request("talk", { conversation, note: note.value });
        dialog.close("yes");
        deskmate.become(told.conversation);
        talk(told);
        refresh();
        question()?.focus();
      } catch (error) {
        problem.textContent = error.message;
      }
    };
  }

  async function endTalk() {
    try {
      talk(await request(`${deskmate.current()}/talk/end`, {}));
      question()?.focus();
    } catch (error) {
      hint(error.message);
    }
  }

  // How it stands now; null where the page has turned to another conversation.
  function talk(told) {
    const before = stage;
    clearTimeout(timer);
    stage = told?.stage || "";
    if (!told) last = 0;
    const withPerson = stage === "waiting" || stage === "taken";
    document.body.classList.toggle("dm-with-person", withPerson);
    const line = one(".dm-stand");
    if (line) {
      line.hidden = !withPerson;
      if (line.written !== told?.stand) {
        line.innerHTML = line.written = told?.stand || ""; // escaped by app.chat.handing
        deskmate.clocks(line);
      }
    }
    const box = question();
    const button = one("#dm-send");
    if (button) button.textContent = withPerson ? "Send" : "Ask";
    if (box) box.placeholder = withPerson ? "Write to the help desk" : "Ask a question";
    for (const part of told?.said || []) {
      deskmate.log.said(part);
      if (last && part.said > last && part.say) say(part.say);
      last = Math.max(last, part.said);
    }
    if (before && before !== "closed" && stage === "closed") deskmate.log.ended(told.ended);
    if (withPerson) timer = setTimeout(listen, document.hidden ? 5 * PULSE : PULSE);
  }

  async function listen() {
    clearTimeout(timer);
    const conversation = deskmate.current();
    if (!conversation) return;
    try {
      const told = await request(`${conversation}/talk?after=${last}`);
      if (conversation === deskmate.current()) talk(told);
    } catch {
      timer = setTimeout(listen, 2 * PULSE);
    }
  }

  return { mount, toggle, away, refresh, mark, handOver, endTalk, talk, listen };
})();
